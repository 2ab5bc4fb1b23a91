//! Look-ups of an example: the newest row of a table, the newest vector of a feature group.

use std::sync::Arc;

use super::{DerivedFeature, OwnRecord};
use crate::aggregate::Feature;
use crate::expr::Expr;
use crate::model::InputShape;
use crate::value::{Schema, Type};

/// A look-up of a table's row.
#[derive(Clone, Debug)]
pub struct RowLookup<'a> {
    pub table: &'a str,
    /// Types of the table's key.
    pub key: &'a [Type],
    /// One expression for each column of the key, over the columns before this look-up.
    pub on: &'a [Expr],
    /// All columns of the table.
    pub schema: &'a Schema,
}

/// A look-up of an entity's features.
#[derive(Clone, Debug)]
pub struct FeatureLookup {
    pub group: String,
    /// Types of the group's entity.
    pub key: Vec<Type>,
    /// Columns of the example's stream that hold the entity.
    pub entity: Vec<usize>,
    /// Positions among the group's features, derived ones included, of the features taken.
    pub features: Vec<usize>,
    /// Names of all features of the group: `group.feature`.
    pub names: Vec<String>,
    /// Types of the features taken, or of the values in their lists and maps.
    pub types: Vec<Type>,
    pub forms: Vec<InputShape>,
    /// The derived features of the group. Their positions follow those of its vectors.
    pub derived: Vec<DerivedFeature>,
    /// The vector of an entity without records.
    pub empty: Arc<[Feature]>,
    /// The lines of the group that count the example itself, with its columns.
    pub own: Vec<OwnRecord>,
}

impl FeatureLookup {
    /// Returns the derived feature at a position among all features, if it is one.
    pub fn derived_at(&self, position: usize) -> Option<&DerivedFeature> {
        self.derived.get(position.checked_sub(self.empty.len())?)
    }
}
