//! The working memory of a tree that learns.

use super::leaf_inputs::Bin;
use super::split_search::SearchMemory;

/// Working memory of learning an example.
#[derive(Debug, Default)]
pub(in crate::model::kind) struct GrowthMemory {
    pub prediction: Vec<f64>,
    /// By input of a leaf, the bin of its value.
    pub bins: Vec<Bin>,
    pub search: SearchMemory,
}
