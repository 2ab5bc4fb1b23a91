//! Models: prepared inputs, learners and their optimizers, scores, and the windows in which they are retrained.
//!
//! The steps of an example, in order: its columns become [`preparation::Observations`], which no version changes; a
//! version's [`preparation::Preparation`] turns them into [`SparseRows`]; a [`Learner`] learns those; at a window's end
//! it is frozen, with its preparation, into a [`Predictor`], which training, replay and serving share. The [`Trainer`]
//! holds one model's windows together and scores every example before it is learnt.
//!
//! Everything here is a function of the sequence of examples: no clock, no I/O, no threads, no unseeded randomness.
//! Sums that must not depend on order are exact; the others run in a fixed order; `exp` and `ln` come from `libm`.
//! So weights have the same bits on every machine and with any number of workers.
//!
//! A kind is one file in `kind/` and one line in [`KINDS`]; an optimizer is one file in `optimizer/` and one line in
//! [`OPTIMIZERS`]; a metric is one entry of [`METRICS`], computed in a file of `scores/`.
//!
//! ```
//! use tidemill::model::{InputColumn, KINDS, ModelKind, ModelOptions, OPTIMIZERS, check_options};
//! use tidemill::value::Type;
//!
//! // Everything that is wrong with a model's options is reported at once.
//! let inputs = [InputColumn::new("delay", Type::Float)];
//! let options = ModelOptions { kind: KINDS[0].name.into(), hash_bits: 99, shards: 0, ..ModelOptions::default() };
//! assert_eq!(check_options(&options, &inputs).unwrap_err().len(), 2);
//! assert_eq!(ModelKind::find("logistic").unwrap().metrics().next().unwrap().name, "logloss");
//! assert_eq!(OPTIMIZERS[0].name, "ftrl");
//! ```

mod adwin;
mod check;
mod classes;
mod error;
mod explanation;
mod input_options;
pub mod kind;
mod label;
pub mod optimizer;
mod options;
mod parameter;
mod predictions;
mod predictor;
pub mod preparation;
mod report_options;
mod sampling;
mod score_sum;
mod scores;
mod shared_pages;
mod slot_table;
mod sparse_rows;
mod task;
mod tensor;
mod training;
mod weights;

pub use check::check_options;
pub use classes::Classes;
pub use error::ModelError;
pub use explanation::{AttributionRule, Explanations};
pub use input_options::{EXPIRE, InputOptions, MIN_COUNT, NGRAMS};
pub use kind::{Combining, Explainer, InputForm, KINDS, LabelUse, Learner, ModelKind, Scorer, Shard, TrainedBy};
pub use label::{LabelDomain, LabelFault};
pub use optimizer::{Loss, OPTIMIZERS, OptimizerKind};
pub use options::*;
pub use parameter::{Bounds, Parameter, ParameterValue, Parameters};
pub use predictions::Predictions;
pub use predictor::{PredictionMemory, Predictor};
pub use preparation::{InputCell, InputColumn, InputShape, Prepared};
pub use report_options::ReportOptions;
pub use sampling::{ClassWeights, SamplingOptions};
pub use scores::{Better, ListedScores, METRICS, Metric, RANKING_METRICS, RankingMetric, RankingSums, Scores, Scoring};
pub use sparse_rows::{SparseRow, SparseRows};
pub use task::Task;
pub use tensor::{Tensor, Tensors};
pub use training::{
    ArmScorer, ArmWindow, Decision, DriftAlarm, Examples, Labels, OverallScores, SavedArms, Scored, ScoredArm,
    ScoredVersion, SegmentSummaries, SegmentSummary, Stability, Trainer, TrainerConfig, Version, WaitingWindow,
    WindowScores, segment_name,
};
pub use weights::Weights;
