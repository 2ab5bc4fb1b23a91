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
}

impl Task {
    /// Every task.
    pub const ALL: [Task; 3] = [Task::Binary, Task::Multiclass, Task::Regression];

    /// Returns the spelling in dataflow files.
    pub fn name(self) -> &'static str {
        match self {
            Task::Binary => "binary",
            Task::Multiclass => "multiclass",
            Task::Regression => "regression",
        }
    }
}
