//! Preparation: from columns to sparse rows, the same way in training, replay and serving.
//!
//! It is part of the model and versioned with it. Two steps, so that several versions can score the same examples at
//! the price of one decoding:
//! 1. [`Observations`]: numbers, and hashed categories. No version changes these.
//! 2. [`Preparation::encode`]: numbers standardised (and cut into bins) with the moments and quantiles a version knows.
//!
//! What a version knows comes from [`Statistics`], which are exact: they depend on which examples were seen, not on
//! their order, nor on how they were batched, sharded or merged.

mod encode;
mod layout;
mod moments;
mod observations;
mod sketch;
mod statistics;

pub use encode::{CLIP, Preparation};
pub use layout::{Input, Layout};
pub use moments::{LARGEST, Moments};
pub use observations::Observations;
pub(super) use observations::mix;
pub use sketch::Sketch;
pub use statistics::Statistics;
