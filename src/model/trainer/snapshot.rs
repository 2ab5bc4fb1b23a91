//! A trainer's whole state as bytes, and back: for checkpoints.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::prequential::Prequential;
use super::versions::{Kept, Versions};
use super::window::{Held, Labelled, Window};
use super::{Head, Trainer, TrainerConfig};
use crate::model::preparation::{Preparation, Statistics};
use crate::model::{Learner, ModelError, Predictor, Tensors};
use crate::time::EventTime;

/// Raised when the form changes; an older state is refused.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Snapshot {
    format: u32,
    definition: String,
    newest: u64,
    head: Option<(u64, Statistics, Option<Tensors>)>,
    /// Number, window's end, base rate, predictor.
    kept: Vec<(u64, EventTime, f64, Tensors)>,
    reigns: Vec<(EventTime, u64)>,
    held: VecDeque<Held>,
    window: Open,
}

#[derive(Serialize, Deserialize)]
struct Open {
    statistics: Statistics,
    learners: Vec<Tensors>,
    trained: Vec<u64>,
    pending: Vec<Labelled>,
    held: Labelled,
    scores: Prequential,
}

/// The same, borrowed from a trainer: fields in the order of [`Snapshot`].
#[derive(Serialize)]
struct View<'a> {
    format: u32,
    definition: &'a str,
    newest: u64,
    head: Option<(u64, &'a Statistics, Option<Tensors>)>,
    kept: Vec<(u64, EventTime, f64, Tensors)>,
    reigns: &'a [(EventTime, u64)],
    held: &'a VecDeque<Held>,
    window: OpenView<'a>,
}

#[derive(Serialize)]
struct OpenView<'a> {
    statistics: &'a Statistics,
    learners: Vec<Tensors>,
    trained: &'a [u64],
    pending: &'a [Labelled],
    held: &'a Labelled,
    scores: &'a Prequential,
}

impl Trainer {
    /// Everything, so that [`Trainer::load`] goes on with the same bits: between any two calls.
    pub fn save(&self) -> Vec<u8> {
        let window = &self.window;
        // Those of the first window are made anew from what is buffered.
        let learners = window.learners.iter().filter(|_| self.head.is_some());
        let view = View {
            format: FORMAT,
            definition: &self.config.definition,
            newest: self.newest,
            head: self
                .head
                .as_ref()
                .map(|head| (head.version, &head.statistics, head.learner.as_ref().map(|learner| learner.save()))),
            kept: self.versions.kept.iter().map(|k| (k.number, k.end, k.base_rate, k.predictor.save())).collect(),
            reigns: &self.versions.reigns,
            held: &self.held,
            window: OpenView {
                statistics: &window.statistics,
                learners: learners.map(|learner| learner.save()).collect(),
                trained: &window.trained,
                pending: &window.pending,
                held: &window.held,
                scores: &window.scores,
            },
        };
        postcard::to_extend(&view, Vec::new()).expect("a trainer's state holds nothing that cannot be written")
    }

    /// A trainer as it was when it was saved.
    ///
    /// # Errors
    /// If the options are wrong, the bytes are damaged, or they are of another definition.
    pub fn load(config: TrainerConfig, bytes: &[u8]) -> Result<Self, Vec<ModelError>> {
        let mut trainer = Trainer::new(config)?;
        trainer.restore(bytes).map_err(|error| vec![error])?;
        Ok(trainer)
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        let damaged = |what: &str| ModelError::DamagedState(what.to_owned());
        let (format, _) = postcard::take_from_bytes::<u32>(bytes).map_err(|_| damaged("it is empty"))?;
        if format != FORMAT {
            return Err(damaged(&format!("it has format {format}, expected {FORMAT}")));
        }
        let saved: Snapshot = postcard::from_bytes(bytes).map_err(|error| damaged(&error.to_string()))?;
        if saved.definition != self.config.definition {
            return Err(ModelError::OtherDefinition);
        }
        let layout = &self.layout;
        let open = saved.window;
        let shards = self.config.options.shards;
        let whole = open.statistics.fits(layout)
            && open.trained.len() == shards
            && (open.learners.is_empty() || open.learners.len() == shards)
            && open
                .pending
                .iter()
                .chain(saved.held.iter().map(|h| &h.examples))
                .chain([&open.held])
                .all(|l| l.fits(layout))
            && saved.head.as_ref().is_none_or(|(_, statistics, _)| statistics.fits(layout))
            && saved.kept.is_sorted_by(|one, other| one.0 < other.0 && one.1 <= other.1);
        if !whole {
            return Err(damaged("its parts do not fit the model"));
        }
        let learner = |state: &Tensors| -> Result<Box<dyn Learner>, ModelError> {
            let mut learner = self.untrained();
            learner.load(state)?;
            Ok(learner)
        };
        let head = match saved.head {
            None => None,
            Some((version, statistics, state)) => {
                let preparation = Arc::new(Preparation::new(layout, &statistics));
                Some(Head { version, statistics, preparation, learner: state.as_ref().map(learner).transpose()? })
            }
        };
        let learners = open.learners.iter().map(learner).collect::<Result<_, _>>()?;
        let kept = saved.kept.into_iter().map(|(number, end, base_rate, tensors)| {
            Ok(Kept { number, end, base_rate, predictor: Arc::new(Predictor::load_into(layout, &tensors)?) })
        });
        let kept = kept.collect::<Result<_, ModelError>>()?;
        let Open { statistics, trained, pending, held, scores, .. } = open;
        self.window = Window { statistics, learners, trained, pending, held, scores };
        self.newest = saved.newest;
        self.head = head;
        self.versions = Versions { kept, reigns: saved.reigns };
        self.held = saved.held;
        Ok(())
    }
}
