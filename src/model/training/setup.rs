//! The fixed part of a trainer: everything that is decided before the first example.

use std::sync::Arc;

use super::prequential::ScoredRoles;
use crate::model::preparation::{InputColumn, SlotLayout, mix};
use crate::model::{
    Gate, Learner, ModelError, ModelKind, ModelOptions, RankingMetric, RankingOptions, Scoring, Task, check_options,
};
use crate::time::EventTime;

/// The configuration of a trainer.
#[derive(Clone, Debug)]
pub struct TrainerConfig {
    pub name: String,
    pub inputs: Vec<InputColumn>,
    pub options: ModelOptions,
    /// Length of a window. Event ms.
    pub window_ms: i64,
    /// Shift of the windows' edges from the UTC epoch. Event ms.
    pub offset_ms: i64,
    /// The longest time after an example at which its label can become known. Event ms.
    pub within_ms: i64,
    /// Hash of everything that the model is made from; a saved state is only loaded into the same.
    pub definition: String,
}

/// A configuration that was checked, and resolved to a kind and a layout.
pub(super) struct TrainingSetup {
    pub config: TrainerConfig,
    pub layout: Arc<SlotLayout>,
    pub kind: &'static ModelKind,
}

impl TrainingSetup {
    /// Checks a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with the options.
    pub fn new(config: TrainerConfig) -> Result<Self, Vec<ModelError>> {
        check_options(&config.options, &config.inputs)?;
        let kind = ModelKind::of(&config.options.kind).map_err(|error| vec![error])?;
        let layout = Arc::new(kind.layout(&config.inputs, &config.options)?);
        Ok(TrainingSetup { config, layout, kind })
    }

    pub fn task(&self) -> Task {
        self.kind.task
    }

    /// Returns the way in which predictions are scored.
    pub fn scoring(&self) -> Scoring {
        self.kind.scoring(&self.config.options)
    }

    pub fn shards(&self) -> usize {
        self.config.options.shards
    }

    pub fn gate(&self) -> Option<&Gate> {
        self.config.options.publish.as_ref()
    }

    /// Returns whether a champion can be rolled back.
    pub fn can_roll_back(&self) -> bool {
        self.gate().is_some_and(|gate| gate.rollback.is_some())
    }

    /// Returns what is scored beside the versions.
    pub fn scored_roles(&self) -> ScoredRoles {
        ScoredRoles {
            with_rollback: self.can_roll_back(),
            in_lists: self.ranking().is_some(),
            with_persistence: !self.config.options.reports.persistence.is_empty(),
        }
    }

    /// Returns how examples are scored in lists, if they are.
    pub fn ranking(&self) -> Option<&RankingOptions> {
        self.config.options.ranking.as_ref()
    }

    /// Returns how examples are scored in lists, if the gate compares lists: then whole lists are held out.
    pub fn gated_lists(&self) -> Option<&RankingOptions> {
        self.ranking().filter(|_| self.gate().is_some_and(|gate| RankingMetric::find(&gate.metric).is_some()))
    }

    /// Returns the hash of each example's list, if whole lists are held out: that of its user and of the window in which its
    /// label became known. So a list is held out or learnt as a whole, and other lists of the user are learnt. An example of an
    /// unknown user is a list of its own, by the hash of its key.
    pub fn held_out_lists(&self, users: &[Option<u64>], hashes: &[u64], known: &[EventTime]) -> Vec<u64> {
        let list = |row: usize| mix(users[row].unwrap_or(hashes[row]), self.window_of(known[row]) as u64);
        self.gated_lists().map_or_else(Vec::new, |_| (0..users.len()).map(list).collect())
    }

    /// Returns the position of the input by which lists are ranked for comparison, if there is one.
    pub fn popularity(&self) -> Option<usize> {
        let name = self.ranking()?.popularity.as_ref()?;
        self.config.inputs.iter().position(|input| input.name == *name)
    }

    /// Returns an untrained learner.
    pub fn untrained(&self) -> Box<dyn Learner> {
        self.kind.learner(&self.layout).expect("the options were checked when the trainer was made")
    }

    /// Returns the end of the window in which a label that becomes known at `known` is learnt.
    pub fn window_of(&self, known: EventTime) -> EventTime {
        let TrainerConfig { window_ms, offset_ms, .. } = self.config;
        (known.saturating_sub(offset_ms).div_euclid(window_ms) + 1).saturating_mul(window_ms).saturating_add(offset_ms)
    }
}
