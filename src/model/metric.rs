//! Metrics: one number from a run of scored predictions.

use super::kind::Task;
use super::scores::Scores;

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Lower,
    Higher,
    /// Nearer to zero.
    Zero,
}

/// A metric as a dataflow file and a version name it.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub summary: &'static str,
    pub better: Better,
    pub tasks: &'static [Task],
    /// None where it has no answer: of no examples, or the AUC of one class.
    pub of: fn(&Scores) -> Option<f64>,
}

/// Every metric; the first of a task is its gate's default.
pub static METRICS: &[Metric] = &[
    Metric {
        name: "logloss",
        summary: "mean negative log-likelihood, in nats",
        better: Better::Lower,
        tasks: BINARY,
        of: |s| mean(s.loss.sum(), s),
    },
    Metric {
        name: "auc",
        summary: "area under the ROC curve; ties count half",
        better: Better::Higher,
        tasks: BINARY,
        of: auc,
    },
    Metric {
        name: "accuracy",
        summary: "share of correct predictions at a threshold of 0.5",
        better: Better::Higher,
        tasks: BINARY,
        of: |s| mean((s.confusion[0] + s.confusion[2]) as f64, s),
    },
    Metric {
        name: "f1",
        summary: "harmonic mean of precision and recall at a threshold of 0.5",
        better: Better::Higher,
        tasks: BINARY,
        of: |s| {
            let [hits, false_alarms, _, misses] = s.confusion;
            ratio(2.0 * hits as f64, (2 * hits + false_alarms + misses) as f64)
        },
    },
    Metric {
        name: "calibration",
        summary: "expected calibration error: mean distance between prediction and observed frequency, over 10 bins",
        better: Better::Lower,
        tasks: BINARY,
        of: |s| mean(s.reliability.iter().map(|(p, truths)| (p.sum() - *truths as f64).abs()).sum(), s),
    },
    Metric {
        name: "bias",
        summary: "mean prediction minus the base rate",
        better: Better::Zero,
        tasks: BINARY,
        of: |s| mean(s.reliability.iter().map(|(p, truths)| p.sum() - *truths as f64).sum(), s),
    },
    Metric {
        name: "rmse",
        summary: "root mean squared error",
        better: Better::Lower,
        tasks: REGRESSION,
        of: |s| mean(s.loss.sum(), s).map(f64::sqrt),
    },
    Metric {
        name: "mae",
        summary: "mean absolute error",
        better: Better::Lower,
        tasks: REGRESSION,
        of: |s| mean(s.absolute.sum(), s),
    },
    Metric {
        name: "r2",
        summary: "share of the variance of the labels that is explained",
        better: Better::Higher,
        tasks: REGRESSION,
        of: |s| {
            let spread = s.label.variance() * (s.examples() as f64 - 1.0);
            ratio(s.loss.sum(), spread).map(|unexplained| 1.0 - unexplained)
        },
    },
];

const BINARY: &[Task] = &[Task::Binary];
const REGRESSION: &[Task] = &[Task::Regression];

fn mean(sum: f64, scores: &Scores) -> Option<f64> {
    ratio(sum, scores.examples() as f64)
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// The share of pairs of a positive and a negative that are ranked right, in integers until the last division.
fn auc(scores: &Scores) -> Option<f64> {
    let mut negatives = scores.negatives.buckets().peekable();
    let mut below: u128 = 0;
    let mut twice: u128 = 0;
    for (odds, count) in scores.positives.buckets() {
        while let Some((_, less)) = negatives.next_if(|(other, _)| *other < odds) {
            below += u128::from(less);
        }
        let tied = negatives.peek().filter(|(other, _)| *other == odds).map_or(0, |(_, tied)| u128::from(*tied));
        twice += u128::from(count) * (2 * below + tied);
    }
    let pairs = u128::from(scores.positives.total()) * u128::from(scores.negatives.total());
    ratio(twice as f64 / 2.0, pairs as f64)
}
