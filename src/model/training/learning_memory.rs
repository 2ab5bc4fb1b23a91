//! The working memory of learning.

use crate::model::SparseRows;
use crate::model::preparation::FixedRows;

/// Working memory of learning.
#[derive(Default)]
pub(super) struct LearningMemory {
    pub rows: SparseRows,
    /// The rows of the chunk under way, if all versions have the same.
    pub fixed: FixedRows,
    pub targets: Vec<f64>,
    pub weights: Vec<f64>,
    /// By observation.
    pub own_weights: Vec<f64>,
    /// Rows to learn, by shard.
    pub selected: Vec<Vec<u32>>,
    /// Rows that count in the statistics.
    pub observed: Vec<u32>,
}
