//! The trainer of one model.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef};

use super::closing::{CHUNK, Closing};
use super::learning_memory::LearningMemory;
use super::lists::RankedChunk;
use super::prequential::{ChunkScorer, ReportedChunk};
use super::saved;
use super::setup::TrainingSetup;
use super::state::TrainingState;
use super::window::ExampleChunk;
use super::{DriftAlarm, Examples, Labels, OverallScores, Scored, TrainerConfig, Version, WaitingWindow, WindowScores};
use crate::model::preparation::Observations;
use crate::model::{LabelUse, ModelError, Predictor, Task};
use crate::time::EventTime;
use crate::value::Scalar;

/// Scores examples, learns them, and makes a version at each window's end.
///
/// ```
/// use std::sync::Arc;
/// use arrow_array::{ArrayRef, Float64Array};
/// use tidemill::model::{Examples, Labels, InputColumn, ModelOptions, Trainer, TrainerConfig};
/// use tidemill::time::DAY_MS;
/// use tidemill::value::Type;
///
/// let mut trainer = Trainer::new(TrainerConfig {
///     name: "late".to_owned(),
///     inputs: vec![InputColumn::new("delay", Type::Float)],
///     options: ModelOptions::default(),
///     window_ms: DAY_MS,
///     offset_ms: 0,
///     within_ms: 0,
///     definition: String::new(),
/// })
/// .unwrap();
/// let delay: ArrayRef = Arc::new(Float64Array::from_iter_values((0..100).map(f64::from)));
/// let examples = Examples {
///     columns: vec![delay.clone()],
///     labels: Labels::Numbers((0..100).map(|delay| f64::from(u8::from(delay >= 50))).collect()),
///     time: vec![0; 100],
///     known: vec![0; 100],
///     hash: (0..100).collect(),
///     weights: Vec::new(),
///     segments: Vec::new(),
///     keys: Vec::new(),
///     users: Vec::new(),
/// };
/// trainer.learn(&examples);
/// let version = trainer.close(DAY_MS).unwrap();
/// let predictions = version.predictor.predict(&[delay], 100);
/// assert!(predictions.row(0)[0] < 0.5 && predictions.row(99)[0] > 0.5);
/// ```
pub struct Trainer {
    setup: TrainingSetup,
    state: TrainingState,
    closing: Option<Closing>,
    scorer: ChunkScorer,
    memory: LearningMemory,
    observations: Observations,
    labels: Vec<f64>,
    /// Alarms that were not taken yet.
    alarms: Vec<DriftAlarm>,
}

impl Trainer {
    /// A trainer that has seen no example.
    ///
    /// # Errors
    /// Everything that is wrong with the options.
    pub fn new(config: TrainerConfig) -> Result<Self, Vec<ModelError>> {
        let setup = TrainingSetup::new(config)?;
        let state = TrainingState::new(&setup);
        Ok(Self::with_state(setup, state))
    }

    fn with_state(setup: TrainingSetup, state: TrainingState) -> Self {
        Trainer {
            setup,
            state,
            closing: None,
            scorer: ChunkScorer::default(),
            memory: LearningMemory::default(),
            observations: Observations::default(),
            labels: Vec::new(),
            alarms: Vec::new(),
        }
    }

    /// Returns a trainer in a state that [`Trainer::save`] returned.
    ///
    /// # Errors
    /// If the options are wrong, the bytes are damaged, or they are of another definition.
    pub fn load(config: TrainerConfig, bytes: &[u8]) -> Result<Self, Vec<ModelError>> {
        let setup = TrainingSetup::new(config)?;
        let state = saved::decode(&setup, bytes).map_err(|error| vec![error])?;
        Ok(Self::with_state(setup, state))
    }

    /// Returns the whole state, between any two calls; a trainer that loads it goes on with the same bits.
    pub fn save(&self) -> Vec<u8> {
        saved::encode(&self.setup, &self.state)
    }

    pub fn name(&self) -> &str {
        &self.setup.config.name
    }

    pub fn config(&self) -> &TrainerConfig {
        &self.setup.config
    }

    /// Returns the end of the window in which a label that becomes known at `known` is learnt.
    pub fn window_of(&self, known: EventTime) -> EventTime {
        self.setup.window_of(known)
    }

    /// Returns the scores of the open window so far.
    pub fn scores(&self) -> WindowScores {
        let scores = &self.state.window.scores;
        scores.summary(&scores.list_sums())
    }

    /// Returns the scores of all predictions so far, the open window included.
    pub fn overall_scores(&self) -> OverallScores {
        let mut total = self.state.total.clone();
        let scores = &self.state.window.scores;
        total.add(scores, &scores.list_sums());
        total.summary()
    }

    /// Returns the number of the newest version; 0 before the first.
    pub fn newest(&self) -> u64 {
        self.state.newest
    }

    /// Returns the champion, if there is one, with its number.
    pub fn champion(&self) -> Option<(u64, Arc<Predictor>)> {
        self.state.history.champion().map(|version| (version.number, Arc::clone(&version.predictor)))
    }

    /// Returns the end of the window in which the champion was made, if there is one.
    pub fn champion_since(&self) -> Option<EventTime> {
        self.state.history.champion().map(|version| version.end)
    }

    /// Returns how many values of input columns are null to the model because they are beyond ±10^18.
    pub fn out_of_range(&self, columns: &[ArrayRef]) -> u64 {
        self.setup.layout.out_of_range(columns)
    }

    /// Returns how many examples can be learnt in the time that `rows` rows of a linear model take, about.
    pub fn slice(&self, rows: usize) -> usize {
        let learning = self.state.window.learners.first().map_or(1, |learner| learner.cost());
        let scoring = self.state.history.retained.last().map_or(1, |version| version.predictor.cost());
        (rows / learning.max(scoring).max(1)).max(1)
    }

    /// Scores examples, then learns them. All are of one window: that of the examples since [`Trainer::close`].
    /// Examples without a label are scored only, unless the kind does without.
    ///
    /// # Panics
    /// If the window's close has begun, or the labels are of another task.
    pub fn learn(&mut self, examples: &Examples) -> Scored {
        assert!(self.closing.is_none(), "no example comes once its window is being closed");
        let mut scored = Scored::default();
        for from in (0..examples.len()).step_by(CHUNK) {
            let len = CHUNK.min(examples.len() - from);
            // Decode.
            let columns: Vec<ArrayRef> = examples.columns.iter().map(|column| column.slice(from, len)).collect();
            self.observations.refill(&self.setup.layout, &columns, len);
            self.read_labels(&examples.labels, from, len);
            // Score.
            let times = &examples.time[from..from + len];
            let task = self.setup.task();
            let TrainingState { classes, lineage, history, window, errors, segments, last_labels, .. } =
                &mut self.state;
            self.memory.fixed.begin();
            self.scorer.score(history, &self.observations, times, &mut self.memory);
            self.scorer.count(history, &self.labels, &mut window.scores);
            let known = &examples.known[from..from + len];
            self.scorer.watch(history, task, &self.labels, known, errors, &mut self.alarms);
            let hashes = &examples.hash[from..from + len];
            if let Some(ranking) = self.setup.ranking() {
                let popularity = self.setup.popularity().map_or_else(Vec::new, |input| numbers(&columns[input]));
                let users = &examples.users[from..from + len];
                let chunk = RankedChunk { users, hashes, popularity: &popularity, relevant: ranking.relevant };
                self.scorer.list(history, &self.labels, &chunk, &mut window.scores);
            }
            let values: Vec<&[Arc<str>]> = examples.segments.iter().map(|column| &column[from..from + len]).collect();
            let chunk = ReportedChunk {
                scoring: self.setup.scoring(),
                columns: &self.setup.config.options.reports.segments,
                segments: &values,
                keys: examples.keys.get(from..from + len).unwrap_or_default(),
                times,
                known,
                within: self.setup.config.within_ms,
            };
            self.scorer.count_segments(history, &self.labels, &chunk, segments, &mut window.scores.segments);
            if let Some(scores) = &mut window.scores.persistence {
                self.scorer.count_persistence(history, &self.labels, &chunk, last_labels, scores);
            }
            self.scorer.append_to(history, &mut scored);
            // An example that nothing is learnt from is no part of a window, whether it is kept for the files or not.
            let needs_label = self.setup.kind.label == LabelUse::Required;
            let is_counted = |row: usize| !(needs_label && self.labels[row].is_nan());
            self.scorer.record(history, &self.observations, hashes, is_counted, &mut window.values);
            // Learn.
            let weights = examples.weights.get(from..from + len).unwrap_or_default();
            let users = examples.users.get(from..from + len).unwrap_or_default();
            let lists = &self.setup.held_out_lists(users, hashes, known)[..];
            let (observations, labels) = (&self.observations, &self.labels[..]);
            let chunk = ExampleChunk { observations, labels, hashes, lists, weights };
            window.learn(&self.setup, lineage.as_mut(), classes, &chunk, &mut self.memory);
            self.memory.fixed.end();
        }
        scored
    }

    /// Returns the rises of the champion's error that were noticed since the last call.
    pub fn take_alarms(&mut self) -> Vec<DriftAlarm> {
        std::mem::take(&mut self.alarms)
    }

    /// Reads labels as numbers: 0 or 1, a value, or the number of a class. NaN is no label, and a label that the kind
    /// cannot learn is none.
    fn read_labels(&mut self, labels: &Labels, from: usize, len: usize) {
        self.labels.clear();
        match (labels, self.setup.task()) {
            (Labels::Numbers(labels), task) if task != Task::Multiclass => {
                let domain = self.setup.kind.labels;
                let label = |label: &f64| if domain.fault(*label).is_none() { *label } else { f64::NAN };
                self.labels.extend(labels[from..from + len].iter().map(label));
            }
            (Labels::Classes(labels), Task::Multiclass) => {
                for row in from..from + len {
                    let class = labels.is_valid(row).then(|| self.state.classes.number(labels.value(row)));
                    self.labels.push(class.map_or(f64::NAN, f64::from));
                }
            }
            (labels, task) => panic!("labels {labels:?} are not those of a {task:?} model"),
        }
    }

    /// Continues closing the open window, for about `rows` rows of work. Returns true once [`Trainer::close`] only has to
    /// decide. To be called when no example of the window can come any more.
    pub fn work(&mut self, rows: usize) -> bool {
        if self.state.window.examples() == 0 || self.waiting().is_some() {
            return true;
        }
        let closing = self.closing.get_or_insert_default();
        closing.advance(&self.setup, &mut self.state, &mut self.memory, rows.max(1))
    }

    /// Returns the examples that wait for a first version: if the open window ended now, they would be kept.
    pub fn waiting(&self) -> Option<WaitingWindow> {
        self.state.waiting(&self.setup)
    }

    /// Closes the open window, which ends at `end`, and returns its version. None if it had no example to learn, or too few
    /// for a first version; these are kept then.
    pub fn close(&mut self, end: EventTime) -> Option<Version> {
        while !self.work(CHUNK) {}
        let version = self.closing.take().map(|closing| closing.finish(&self.setup, &mut self.state, end));
        if version.is_none() && self.waiting().is_none() {
            let lists = self.state.window.scores.list_sums();
            self.state.start_window(&self.setup, end, &lists);
        }
        self.state.history.forget_before(end.saturating_sub(self.setup.config.within_ms));
        version
    }
}

/// Returns the values of a numeric column; a null is less than any.
fn numbers(column: &ArrayRef) -> Vec<f64> {
    let number = |row| match Scalar::of(column, row) {
        Scalar::Int(value) => value as f64,
        Scalar::Float(value) => value,
        _ => f64::NEG_INFINITY,
    };
    (0..column.len()).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kind::{Combining, InputForm, LabelUse, Learner, ModelKind, Scorer, Shard, TrainedBy};
    use crate::model::preparation::{Prepared, SlotLayout};
    use crate::model::tensor::{self, Tensor};
    use crate::model::{AttributionRule, InputColumn, LabelDomain, ModelOptions, Predictions, Tensors};
    use crate::time::DAY_MS;
    use crate::value::Type;

    /// A kind that none of today's has the shape of: without labels, of raw observations, and with a combine of its own.
    /// Its prediction is the distance from the centre of the examples.
    static CENTRE: ModelKind = ModelKind {
        name: "centre",
        summary: "",
        task: Task::Regression,
        label: LabelUse::None,
        labels: LabelDomain::Value,
        parameters: &[],
        reads: InputForm::Observations,
        trained_by: TrainedBy::Itself,
        combining: Combining::Added,
        least_categories: 0,
        by_steps: false,
        standardises_label: false,
        attribution: AttributionRule::None,
        build: |_, _, _| Box::new(Centre::default()),
        load: |_, tensors| Ok(Box::new(Centre::read(tensors)?)),
    };

    #[derive(Clone, Copy, Default)]
    struct Centre {
        sum: f64,
        count: f64,
    }

    impl Centre {
        fn read(tensors: &Tensors) -> Result<Self, ModelError> {
            let cells = tensor::floats(tensors, "centre", Some(2))?;
            Ok(Centre { sum: cells[0], count: cells[1] })
        }

        fn tensors(self) -> Tensors {
            Tensors::from([("centre".to_owned(), Tensor::vector(vec![self.sum, self.count]))])
        }
    }

    impl Learner for Centre {
        fn learn(&mut self, batch: &Prepared<'_>) {
            assert!(batch.targets().iter().all(|target| target.is_nan()));
            for example in batch.observations() {
                self.sum += example.numbers[0];
                self.count += 1.0;
            }
        }

        fn combine(&mut self, shards: &[Shard<'_>]) -> Result<(), ModelError> {
            *self = Centre::default();
            for shard in shards {
                let Centre { sum, count } = Centre::read(&shard.learner.save())?;
                *self = Centre { sum: self.sum + sum, count: self.count + count };
            }
            Ok(())
        }

        fn freeze(&mut self) -> Box<dyn Scorer> {
            Box::new(*self)
        }

        fn save(&self) -> Tensors {
            self.tensors()
        }

        fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
            *self = Centre::read(tensors)?;
            Ok(())
        }

        fn clone_box(&self) -> Box<dyn Learner> {
            Box::new(*self)
        }
    }

    impl Scorer for Centre {
        fn predict(&self, batch: &Prepared<'_>, predictions: &mut Predictions) {
            let distance = |x: f64| (x - self.sum / self.count).abs();
            predictions.values_mut().extend(batch.observations().map(|example| distance(example.numbers[0])));
        }

        fn save(&self, tensors: &mut Tensors) {
            tensors.extend(self.tensors());
        }
    }

    #[test]
    fn a_kind_may_do_without_labels_and_combine_its_shards_itself() {
        let options = ModelOptions { kind: "centre".into(), optimizer: None, shards: 3, ..ModelOptions::default() };
        let inputs = vec![InputColumn::new("x", Type::Float)];
        let layout = Arc::new(SlotLayout::new(&inputs, &options).unwrap());
        let config = TrainerConfig {
            name: "centre".to_owned(),
            inputs,
            options,
            window_ms: DAY_MS,
            offset_ms: 0,
            within_ms: 0,
            definition: String::new(),
        };
        let setup = TrainingSetup { config, layout, kind: &CENTRE };
        let state = TrainingState::new(&setup);
        let mut trainer = Trainer::with_state(setup, state);
        let column: ArrayRef = Arc::new(arrow_array::Float64Array::from_iter_values((0..90).map(f64::from)));
        trainer.learn(&Examples {
            columns: vec![column.clone()],
            labels: Labels::Numbers(vec![f64::NAN; 90]),
            time: vec![0; 90],
            known: vec![0; 90],
            hash: (0..90).collect(),
            weights: Vec::new(),
            segments: Vec::new(),
            keys: Vec::new(),
            users: Vec::new(),
        });
        let version = trainer.close(DAY_MS).unwrap();
        assert_eq!((version.examples, version.prequential.examples), (90, 0));
        let predictions = version.predictor.predict(&[column], 90);
        assert_eq!((predictions.row(0), predictions.row(89)), (&[44.5][..], &[44.5][..]));
    }
}
