//! Metrics: one number from the scores of a run of predictions.

use super::{RankingMetric, Scores};
use crate::model::Task;

/// The direction in which a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Lower,
    Higher,
    /// Nearer to zero.
    Zero,
}

impl Better {
    /// Returns the direction of a metric of examples or of lists; `None` if there is none of that name.
    pub fn of(metric: &str) -> Option<Better> {
        let of_examples = METRICS.iter().find(|known| known.name == metric).map(|known| known.better);
        of_examples.or_else(|| RankingMetric::find(metric).map(|_| Better::Higher))
    }
}

/// A metric, as a dataflow file and a version name it.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub summary: &'static str,
    pub better: Better,
    pub tasks: &'static [Task],
    /// The value; `None` for other tasks, and where there is no answer: of no examples, or the AUC of one class.
    pub of: fn(&Scores) -> Option<f64>,
}

/// Every metric; the first of a task is its gate's default.
pub static METRICS: &[Metric] = &[
    Metric {
        name: "logloss",
        summary: "mean negative log-likelihood, in nats; a class that a version does not know counts as a probability of 1e-15",
        better: Better::Lower,
        tasks: CLASSIFICATION,
        of: |scores| match scores {
            Scores::Binary(scores) => scores.log_loss(),
            Scores::Multiclass(scores) => scores.log_loss(),
            Scores::Regression(_) | Scores::Anomaly(_) => None,
        },
    },
    Metric {
        name: "auc",
        summary: "area under the ROC curve; ties count half. Exact in a gate, and of up to 65,536 distinct predictions; beyond, within half the share of the pairs that agree in the leading bits that are kept",
        better: Better::Higher,
        tasks: RANKED,
        of: |scores| match scores {
            Scores::Binary(scores) | Scores::Anomaly(scores) => scores.auc(),
            _ => None,
        },
    },
    Metric {
        name: "average_precision",
        summary: "precision averaged over the positives, from the highest prediction down: the area under the precision-recall curve, for rare labels. As exact as `auc`",
        better: Better::Higher,
        tasks: RANKED,
        of: |scores| match scores {
            Scores::Binary(scores) | Scores::Anomaly(scores) => scores.average_precision(),
            _ => None,
        },
    },
    Metric {
        name: "brier",
        summary: "mean squared distance of the probability from 0 or 1",
        better: Better::Lower,
        tasks: BINARY,
        of: |scores| if let Scores::Binary(scores) = scores { scores.brier() } else { None },
    },
    Metric {
        name: "accuracy",
        summary: "share of correct predictions: at a threshold of 0.5, or of the most probable class",
        better: Better::Higher,
        tasks: CLASSIFICATION,
        of: |scores| match scores {
            Scores::Binary(scores) => scores.accuracy(),
            Scores::Multiclass(scores) => scores.accuracy(),
            Scores::Regression(_) | Scores::Anomaly(_) => None,
        },
    },
    Metric {
        name: "f1",
        summary: "harmonic mean of precision and recall at a threshold of 0.5",
        better: Better::Higher,
        tasks: BINARY,
        of: |scores| if let Scores::Binary(scores) = scores { scores.f1() } else { None },
    },
    Metric {
        name: "macro_f1",
        summary: "mean of the classes' harmonic means of precision and recall",
        better: Better::Higher,
        tasks: &[Task::Multiclass],
        of: |scores| if let Scores::Multiclass(scores) = scores { scores.macro_f1() } else { None },
    },
    Metric {
        name: "calibration",
        summary: "expected calibration error: mean distance between prediction and observed frequency, over 10 bins",
        better: Better::Lower,
        tasks: BINARY,
        of: |scores| if let Scores::Binary(scores) = scores { scores.calibration_error() } else { None },
    },
    Metric {
        name: "bias",
        summary: "mean prediction minus the base rate",
        better: Better::Zero,
        tasks: BINARY,
        of: |scores| if let Scores::Binary(scores) = scores { scores.bias() } else { None },
    },
    Metric {
        name: "rmse",
        summary: "root mean squared error, of errors of any magnitude",
        better: Better::Lower,
        tasks: REGRESSION,
        of: |scores| if let Scores::Regression(scores) = scores { scores.rmse() } else { None },
    },
    Metric {
        name: "mae",
        summary: "mean absolute error",
        better: Better::Lower,
        tasks: REGRESSION,
        of: |scores| if let Scores::Regression(scores) = scores { scores.mae() } else { None },
    },
    Metric {
        name: "pinball",
        summary: "mean pinball loss: each unit below the value costs `q`, each above it 1 − `q`; `q` is that of the model's loss, else 0.5",
        better: Better::Lower,
        tasks: REGRESSION,
        of: |scores| if let Scores::Regression(scores) = scores { scores.pinball() } else { None },
    },
    Metric {
        name: "mape",
        summary: "mean absolute error relative to the value, as a share; of the examples whose value is not 0",
        better: Better::Lower,
        tasks: REGRESSION,
        of: |scores| if let Scores::Regression(scores) = scores { scores.mape() } else { None },
    },
    Metric {
        name: "r2",
        summary: "share of the variance of the labels that is explained",
        better: Better::Higher,
        tasks: REGRESSION,
        of: |scores| if let Scores::Regression(scores) = scores { scores.r2() } else { None },
    },
];

const RANKED: &[Task] = &[Task::Binary, Task::Anomaly];
const BINARY: &[Task] = &[Task::Binary];
const CLASSIFICATION: &[Task] = &[Task::Binary, Task::Multiclass];
const REGRESSION: &[Task] = &[Task::Regression];
