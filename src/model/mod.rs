//! Learners on ndarray, their preparation, and how they are scored.

mod options;

pub use options::*;
