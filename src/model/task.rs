//! Tasks: the meanings that labels and predictions can have.

use serde::{Deserialize, Serialize};

/// The meaning of labels and predictions, which decides the metrics that apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Labels are 0 or 1, for false and true; a prediction is the probability of true.
    Binary,
    /// Labels are classes; a prediction is a probability for each class that the version knows.
    Multiclass,
    /// Labels and predictions are values.
    Regression,
    /// No labels; a prediction is the number of a cluster, from 0.
    Clustering,
    /// A prediction is a score from 0 to 1 that is higher the more unusual an example is. Labels are 0 or 1, for usual and
    /// unusual, and only score.
    Anomaly,
}

impl Task {
    /// Every task.
    pub const ALL: [Task; 5] = [Task::Binary, Task::Multiclass, Task::Regression, Task::Clustering, Task::Anomaly];

    /// Returns the spelling in dataflow files.
    pub fn name(self) -> &'static str {
        match self {
            Task::Binary => "binary",
            Task::Multiclass => "multiclass",
            Task::Regression => "regression",
            Task::Clustering => "clustering",
            Task::Anomaly => "anomaly",
        }
    }
}
