//! The lineage: the accepted versions that learning continues from.

use std::sync::Arc;

use super::setup::TrainingSetup;
use super::stability::WindowValues;
use crate::model::preparation::{LabelStatistics, Preparation, Statistics};
use crate::model::{Classes, Learner, LearningStart, Predictor, Task};

/// The state of the newest accepted version.
pub(super) struct Lineage {
    pub version: u64,
    /// Statistics of everything that the lineage has learnt.
    pub statistics: Statistics,
    /// Frozen from the statistics; the next window is prepared with it.
    pub preparation: Arc<Preparation>,
    /// The values of the window in which the version was trained.
    pub training: WindowValues,
    /// `None` while the open window continues it and no later window can start from it again.
    pub learner: Option<Box<dyn Learner>>,
}

/// The parts of a [`Lineage`] that are not made from others.
pub(super) struct TrainedVersion {
    pub version: u64,
    pub statistics: Statistics,
    pub training: WindowValues,
    pub learner: Option<Box<dyn Learner>>,
}

impl Lineage {
    /// Freezes the preparation of a version.
    pub fn new(setup: &TrainingSetup, trained: TrainedVersion) -> Self {
        let TrainedVersion { version, statistics, training, learner } = trained;
        let preparation = Arc::new(Preparation::new(&setup.layout, &statistics));
        Lineage { version, statistics, preparation, training, learner }
    }

    /// Returns a learner for each shard, from which the next window continues.
    pub fn starting_learners(&mut self, setup: &TrainingSetup) -> Vec<Box<dyn Learner>> {
        let (shards, options) = (setup.shards(), &setup.config.options);
        if options.start == LearningStart::Fresh {
            let restarted = || self.learner.as_ref().and_then(|learner| learner.restarted());
            return (0..shards).map(|_| restarted().unwrap_or_else(|| setup.untrained())).collect();
        }
        // Without a gate a window is accepted unless it diverges, so none else starts from this version again.
        if shards == 1 && options.publish.is_none() && !setup.kind.by_steps {
            return self.learner.take().into_iter().collect();
        }
        self.learner.iter_mut().flat_map(|learner| (0..shards).map(|_| learner.share())).collect()
    }
}

/// Returns the prediction of a model without skill, which knows only the labels: their mean; the frequencies of classes,
/// with half an example added to each (Krichevsky and Trofimov 1981), so that none is impossible.
pub(super) fn no_skill(task: Task, labels: &LabelStatistics, classes: &Classes, predictor: &Predictor) -> Vec<f64> {
    match (labels, task) {
        (LabelStatistics::Values(labels), Task::Binary) => {
            let examples = labels.count() as f64;
            vec![(labels.mean() * examples + 0.5) / (examples + 1.0)]
        }
        (LabelStatistics::Values(labels), _) => vec![labels.mean()],
        (LabelStatistics::Classes(counts), _) => {
            let count = |name| classes.find(name).and_then(|number| counts.get(number as usize)).map_or(0, |n| *n);
            let counts: Vec<f64> = predictor.classes().iter().map(|name| count(name) as f64 + 0.5).collect();
            let total: f64 = counts.iter().sum();
            counts.iter().map(|count| count / total).collect()
        }
    }
}
