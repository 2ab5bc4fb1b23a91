//! Look-ups of an example: the newest row of a table, the newest vector of a feature group.

use std::sync::Arc;

use super::OwnRecord;
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
    /// Positions in the group's vectors of the features taken.
    pub features: Vec<usize>,
    /// Names of the features taken: `group.feature`.
    pub names: Vec<String>,
    /// Types of the features taken, or of the values in their lists and maps.
    pub types: Vec<Type>,
    pub forms: Vec<InputShape>,
    /// The vector of an entity without records.
    pub empty: Arc<[Feature]>,
    /// The lines of the group that count the example itself, with its columns.
    pub own: Vec<OwnRecord>,
}
