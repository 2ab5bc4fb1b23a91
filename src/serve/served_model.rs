//! One model of a dataflow as requests see it: its program bound to the online store, and its counters.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::answer_moment::AnswerMoment;
use super::call::Unanswered;
use super::model_split::ModelSplit;
use super::prediction_stats::PredictionStats;
use super::recommender::Recommender;
use crate::example::{Frame, LookupSource, Program};
use crate::expr::EvalStats;
use crate::metrics::{Metrics, NullMetric, NullReason, PredictionCounter};
use crate::model::{ModelKind, ModelOptions, RANKING_METRICS, Task};
use crate::registry::{CHAMPION, Servable, ServingSplit};
use crate::store::{LookupTable, OnlineStore};

/// The arm, in metrics, of requests that name a version.
const NAMED: &str = "version";

/// All that requests need of one model but its versions.
#[derive(Debug)]
pub struct ServedModel {
    pub name: String,
    /// The name of its kind.
    pub kind: String,
    pub task: Task,
    /// The names of the metrics that it is scored by; the first one is that of requests that name none.
    pub metrics: Vec<&'static str>,
    pub program: Program,
    /// The sources of the program's look-ups, by their positions in it.
    tables: Vec<LookupTable>,
    /// The inputs' names as JSON.
    pub quoted: Vec<String>,
    /// The beginning of every answer, up to the version.
    pub head: Vec<u8>,
    /// The items that it ranks, if it does.
    pub recommender: Option<Recommender>,
    /// The newest version that was found to fit.
    fitting: ArcSwapOption<Servable>,
    /// Counts the inputs of requests that could not be computed or are out of range.
    pub(super) nulls: NullMetric,
    /// The split that was read last.
    split: ArcSwapOption<ModelSplit>,
    counters: Arc<Metrics>,
    /// Counts the instances that the champion answers.
    pub(super) by_champion: PredictionCounter,
    /// Counts the instances of requests that name a version.
    pub(super) by_named: PredictionCounter,
    /// Counts of the predictions of each version.
    pub stats: PredictionStats,
}

impl ServedModel {
    /// # Panics
    /// If the store lacks a table or group of the plan: both are made from the same plan.
    pub fn new(
        program: Program,
        options: &ModelOptions,
        recommender: Option<Recommender>,
        online: &OnlineStore,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let table = |source: &LookupSource| match source {
            LookupSource::Table(name) => online.table(name),
            LookupSource::Group(name) => online.group(name),
        };
        let tables = program.sources().iter().map(table);
        let quote = |name: &str| serde_json::to_string(name).expect("text has a JSON form");
        let kind = ModelKind::of(&options.kind).expect("the spec's models are of known kinds");
        let of_lists = RANKING_METRICS.iter().map(|known| known.name).filter(|_| options.ranking.is_some());
        ServedModel {
            name: program.model().to_owned(),
            kind: options.kind.name.clone(),
            task: kind.task,
            metrics: kind.metrics().map(|known| known.name).chain(of_lists).collect(),
            tables: tables.map(|table| table.expect("the store has all that is looked up")).collect(),
            quoted: program.inputs().iter().map(|input| quote(&input.name)).collect(),
            head: format!("{{\"model\":{},\"version\":", quote(program.model())).into_bytes(),
            recommender,
            fitting: ArcSwapOption::empty(),
            nulls: metrics.nulls_of(format!("model.{}.predict", program.model())),
            split: ArcSwapOption::empty(),
            by_champion: metrics.arms.predictions_of(program.model(), CHAMPION),
            by_named: metrics.arms.predictions_of(program.model(), NAMED),
            counters: metrics.clone(),
            stats: PredictionStats::default(),
            program,
        }
    }

    /// Looks up, as of the asking time of an answer, the values that the instances in a frame do not have.
    pub(super) fn look_up(&self, frame: &mut Frame, moment: AnswerMoment<'_>) -> EvalStats {
        let look_up = |source: usize, key: &[u8]| self.tables[source].get(key, moment.lookups);
        self.program.run(frame, moment.asking, look_up)
    }

    /// Looks up, as of the asking time of an answer, and computes the values that the instances in a frame do not have.
    ///
    /// # Errors
    /// If something must be fetched first.
    pub(super) fn complete(&self, frame: &mut Frame, moment: AnswerMoment<'_>) -> Result<(), Unanswered> {
        let failed = self.look_up(frame, moment);
        Unanswered::check_fetched(moment)?;
        self.nulls.add(NullReason::NonFinite, failed.non_finite);
        self.nulls.add(NullReason::Overflow, failed.overflow);
        self.nulls.add(NullReason::Unreadable, failed.unreadable);
        Ok(())
    }

    /// Returns whether a version takes the inputs that the program computes. One from before a change of the dataflow
    /// may not.
    pub(super) fn fits(&self, version: &Arc<Servable>) -> bool {
        if self.fitting.load().as_ref().is_some_and(|known| Arc::ptr_eq(known, version)) {
            return true;
        }
        let fits = version.predictor.inputs() == self.program.inputs();
        if fits {
            self.fitting.store(Some(version.clone()));
        }
        fits
    }

    /// Returns what requests need of a split of this model.
    pub(super) fn split(&self, serving: &Arc<ServingSplit>) -> Arc<ModelSplit> {
        if let Some(known) = self.split.load_full().filter(|known| known.is_of(serving)) {
            return known;
        }
        let made = Arc::new(ModelSplit::new(&self.program, serving.clone(), &self.counters));
        self.split.store(Some(made.clone()));
        made
    }
}
