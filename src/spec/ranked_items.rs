//! The items that a model ranks, as checked.

use crate::value::Type;

/// The items that a model ranks for a user.
#[derive(Clone, Debug)]
pub struct Recommend {
    /// Position of the table whose rows are the items.
    pub table: usize,
    /// The columns of the table that records have, in the order of the table.
    pub columns: Vec<ItemColumn>,
    /// A list of the items that a user has seen.
    pub seen: Option<FeatureRef>,
    /// A number by which items are ranked for a user of whom `seen` knows nothing.
    pub popularity: Option<FeatureRef>,
}

/// A column of items.
#[derive(Clone, Debug)]
pub struct ItemColumn {
    /// Position in the table.
    pub position: usize,
    pub name: String,
    pub ty: Type,
    pub is_key: bool,
}

/// A feature of a group, both by position.
#[derive(Clone, Copy, Debug)]
pub struct FeatureRef {
    pub group: usize,
    pub feature: usize,
}
