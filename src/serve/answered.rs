//! The source of the predictions of a request: one version, or the arms of a split.

use std::sync::Arc;

use crate::model::{Explanations, Predictions, Task};
use crate::registry::Servable;

/// The source of the predictions of a request.
#[derive(Debug)]
pub struct Answered {
    /// The version that predicted for the first instance; the champion if there is none.
    pub version: Arc<Servable>,
    /// The arms of a split that have predicted; empty without one.
    arms: Vec<AnsweringArm>,
    /// By instance, the position of its arm.
    by_row: Vec<usize>,
    /// The classes of all arms, if they differ.
    classes: Option<Vec<Arc<str>>>,
    /// Explanations of all instances, if there is no split.
    explanations: Option<Explanations>,
}

/// An arm that has predicted.
#[derive(Debug)]
pub struct AnsweringArm {
    pub name: String,
    pub version: Arc<Servable>,
    /// The instances that it predicted for, ascending.
    pub rows: Vec<usize>,
    /// A prediction for each of them.
    pub predictions: Predictions,
    /// An explanation for each of them, if they are to be explained.
    pub explanations: Option<Explanations>,
}

/// The explanation of the prediction for an instance.
#[derive(Clone, Copy, Debug)]
pub struct AnsweredExplanation<'a> {
    /// The class of each of its outputs; none for other tasks.
    pub classes: &'a [Arc<str>],
    pub explanations: &'a Explanations,
    /// Its position among the explanations.
    pub row: usize,
}

impl Answered {
    /// One version has predicted for all.
    pub fn by(version: Arc<Servable>, explanations: Option<Explanations>) -> Self {
        Answered { version, arms: Vec::new(), by_row: Vec::new(), classes: None, explanations }
    }

    /// Arms have predicted, each for an instance at least. Replaces `predictions` by those of all, in the order of the
    /// instances.
    ///
    /// # Panics
    /// If there is no arm.
    pub fn by_arms(arms: Vec<AnsweringArm>, predictions: &mut Predictions) -> Self {
        let count = arms.iter().map(|arm| arm.rows.len()).sum();
        let mut by_row = vec![0; count];
        for (at, arm) in arms.iter().enumerate() {
            arm.rows.iter().for_each(|row| by_row[*row] = at);
        }
        // Versions may have other classes: a prediction then has a number for each class of all.
        let own = arms[0].version.predictor.classes();
        let classes = arms.iter().any(|arm| arm.version.predictor.classes() != own).then(|| {
            let all = arms.iter().flat_map(|arm| arm.version.predictor.classes().iter().cloned());
            let mut all: Vec<Arc<str>> = all.collect();
            all.sort_unstable();
            all.dedup();
            all
        });
        let width = classes.as_ref().map_or(arms[0].predictions.width(), Vec::len);
        predictions.reset(width);
        predictions.values_mut().resize(width * count, 0.0);
        for arm in &arms {
            let places: Vec<usize> = match &classes {
                None => (0..width).collect(),
                Some(all) => {
                    let place = |class: &Arc<str>| all.binary_search(class).expect("it is one of all");
                    arm.version.predictor.classes().iter().map(place).collect()
                }
            };
            for (row, prediction) in arm.rows.iter().zip(arm.predictions.rows()) {
                let values = &mut predictions.values_mut()[row * width..(row + 1) * width];
                places.iter().zip(prediction).for_each(|(place, value)| values[*place] = *value);
            }
        }
        let version = arms[by_row.first().copied().unwrap_or(0)].version.clone();
        Answered { version, arms, by_row, classes, explanations: None }
    }

    pub fn task(&self) -> Task {
        self.version.predictor.kind().task
    }

    /// The class that each number of a prediction is the probability of; empty for other tasks.
    pub fn classes(&self) -> &[Arc<str>] {
        self.classes.as_deref().unwrap_or_else(|| self.version.predictor.classes())
    }

    /// The name and the version of each instance's arm; none without a split.
    pub fn arms(&self) -> impl Iterator<Item = (&str, u64)> {
        self.by_row.iter().map(|arm| (self.arms[*arm].name.as_str(), self.arms[*arm].version.version))
    }

    /// The number of the version that predicted for an instance.
    pub fn version_at(&self, row: usize) -> u64 {
        self.by_row.get(row).map_or(&self.version, |arm| &self.arms[*arm].version).version
    }

    /// The explanation of the prediction for an instance, in the classes of the version that made it; `None` if it is not
    /// explained.
    pub fn explanation(&self, row: usize) -> Option<AnsweredExplanation<'_>> {
        match self.by_row.get(row).map(|arm| &self.arms[*arm]) {
            Some(arm) => Some(AnsweredExplanation {
                classes: arm.version.predictor.classes(),
                explanations: arm.explanations.as_ref()?,
                row: arm.rows.binary_search(&row).ok()?,
            }),
            None => {
                let classes = self.version.predictor.classes();
                Some(AnsweredExplanation { classes, explanations: self.explanations.as_ref()?, row })
            }
        }
    }

    /// The number of instances that arms have predicted for.
    pub fn instances(&self) -> usize {
        self.by_row.len()
    }

    /// The names of the arms, one for each instance, as text; `None` without a split.
    pub fn arms_text(&self) -> Option<String> {
        (!self.by_row.is_empty()).then(|| self.arms().map(|(name, _)| name).collect::<Vec<_>>().join(","))
    }
}

/// Returns how far a prediction is from another: the absolute difference; of probabilities of classes, half the sum of the
/// differences over all; of clusters, 0 or 1.
pub fn difference(task: Task, own: Classified<'_>, other: Classified<'_>) -> f64 {
    match task {
        Task::Clustering => f64::from(u8::from(own.values[0] != other.values[0])),
        Task::Multiclass => {
            let missing = other.classes.iter().zip(other.values).filter(|(class, _)| !own.classes.contains(class));
            let missing: f64 = missing.map(|(_, value)| value.abs()).sum();
            let known = own.classes.iter().zip(own.values);
            let known: f64 = known.map(|(class, value)| (value - other.of(class)).abs()).sum();
            (known + missing) / 2.0
        }
        Task::Binary | Task::Regression | Task::Anomaly => (own.values[0] - other.values[0]).abs(),
    }
}

/// A prediction with the classes of its numbers.
#[derive(Clone, Copy, Debug)]
pub struct Classified<'a> {
    pub classes: &'a [Arc<str>],
    pub values: &'a [f64],
}

impl Classified<'_> {
    /// The probability of a class; 0 of one that the version does not know.
    fn of(&self, class: &str) -> f64 {
        let at = self.classes.iter().position(|known| &**known == class);
        at.map_or(0.0, |at| self.values[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_of_classes_is_that_of_their_distributions() {
        let classes = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect::<Vec<Arc<str>>>();
        let (ab, bc) = (classes(&["a", "b"]), classes(&["b", "c"]));
        let own = Classified { classes: &ab, values: &[0.25, 0.75] };
        assert_eq!(difference(Task::Multiclass, own, own), 0.0);
        assert_eq!(difference(Task::Multiclass, own, Classified { classes: &bc, values: &[0.75, 0.25] }), 0.25);
        let [one, two] = [[0.5], [0.25]];
        let of = |values| Classified { classes: &[], values };
        assert_eq!(difference(Task::Binary, of(&one), of(&two)), 0.25);
        assert_eq!(difference(Task::Clustering, of(&one), of(&two)), 1.0);
    }
}
