//! Models: prepared inputs, learners and their optimizers, scores, and the windows they are retrained in.
//!
//! What an example goes through, in order: its columns become [`preparation::Observations`], which no version
//! changes; a version's [`preparation::Preparation`] makes sparse [`Rows`] of them; a [`Learner`] learns those; at a
//! window's end it is frozen, with its preparation, into a [`Predictor`], which training, replay and serving share.
//! The [`Trainer`] holds one model's windows together and scores every example before it is learnt.
//!
//! Everything here is a function of the sequence of examples: no clock, no I/O, no threads, no unseeded randomness.
//! Sums that must not depend on order are exact; the others run in a fixed order; `exp` and `ln` come from `libm`.
//! So weights have the same bits on every machine and with any number of workers.
//!
//! A kind is one file in `kind/` and one line in [`KINDS`]; an optimizer is one file in `optimizer/` and one line in
//! [`OPTIMIZERS`]; a metric is one row of [`METRICS`].

mod error;
pub mod kind;
mod metric;
pub mod optimizer;
mod options;
mod predictor;
pub mod preparation;
mod rows;
mod scores;
mod tensor;
mod trainer;
mod weights;

pub use error::ModelError;
pub use kind::{KINDS, Kind, Learner, Scorer, Task};
pub use metric::{Better, METRICS, Metric};
pub use optimizer::{OPTIMIZERS, OptimizerKind, Parameter};
pub use options::*;
pub use predictor::{Predictor, Working};
pub use preparation::Input;
pub use rows::{Row, Rows};
pub use scores::Scores;
pub use tensor::{Tensor, Tensors};
pub use trainer::{Decision, Examples, Scored, Trainer, TrainerConfig, Version, WindowScores};
pub use weights::Weights;
