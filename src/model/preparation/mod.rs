//! Preparation: from columns to sparse rows, the same way in training, replay and serving.
//!
//! It is part of the model and versioned with it. It has two steps, so that several versions can score the same examples
//! at the price of one decoding:
//! 1. [`Observations`]: numbers, and hashed categories. They do not depend on the version.
//! 2. [`Preparation::encode`]: numbers standardised (and cut into bins) with the moments and quantiles of a version.
//!
//! A kind of model receives both as a [`Prepared`] batch; rows are encoded only if it asks for them.
//!
//! A version's moments and quantiles come from [`Statistics`], which are exact: they depend on the set of examples seen,
//! not on their order, nor on how they were batched, sharded or merged.

mod admission;
mod class_weigher;
mod encode;
mod fixed_rows;
mod label_scale;
mod layout;
mod moments;
mod nested;
mod observations;
mod prepared;
mod sketch;
mod statistics;
mod tokens;
mod values;

pub(super) use class_weigher::ClassWeigher;
pub use encode::{CLIP, Preparation};
pub(in crate::model) use fixed_rows::FixedRows;
pub(super) use label_scale::LabelScale;
pub use layout::{InputColumn, InputShape, MAP_INPUTS, MapForm, SlotLayout};
pub use moments::{ExactMoments, LARGEST};
pub use nested::InputCell;
pub use observations::Observations;
pub use prepared::{Observation, Prepared};
pub use sketch::Sketch;
pub(super) use statistics::LabelStatistics;
pub use statistics::Statistics;
pub use values::MapEntry;
pub(super) use values::mix;
