//! What serving does with an instance of a model, as plain data: the steps of the graph's plan that concern it.

use std::sync::Arc;

use super::FeatureAssembler;
use crate::expr::Expr;
use crate::value::{Scalar, Schema, Type};

/// From a record of the driving stream to the inputs of one model.
#[derive(Clone, Debug)]
pub struct ServingPlan {
    pub model: String,
    /// The columns of a record of the driving source.
    pub stream: Schema,
    /// Which of them is the event time.
    pub time: usize,
    /// The views between the source and the example, innermost first; none if examples are the source's records.
    pub views: Vec<ViewSteps>,
    /// The visits to feature groups, in the order in which the graph makes them.
    pub lookups: Vec<GroupLookup>,
    /// Over the example's columns: those of the outermost view, then the features of each look-up.
    pub assembly: Arc<FeatureAssembler>,
}

/// One view: table look-ups, then the projection.
#[derive(Clone, Debug)]
pub struct ViewSteps {
    pub joins: Vec<TableLookup>,
    /// Over the columns of the view's stream, then those of each join's table; as `schema`.
    pub items: Vec<Expr>,
    pub schema: Schema,
}

/// The newest row of a table.
#[derive(Clone, Debug)]
pub struct TableLookup {
    pub table: String,
    /// The types of the table's key.
    pub key: Vec<Type>,
    /// One for each column of the key, over the columns before this join.
    pub on: Vec<Expr>,
    /// All columns of the table.
    pub schema: Schema,
}

/// The newest vector of an entity of a feature group.
#[derive(Clone, Debug)]
pub struct GroupLookup {
    pub group: String,
    /// The types of the group's entity.
    pub key: Vec<Type>,
    /// The columns of the example's stream that hold the entity.
    pub entity: Vec<usize>,
    /// The features taken, by their position in the group's vectors.
    pub features: Vec<usize>,
    /// Their names, `group.feature`, and types.
    pub names: Vec<String>,
    pub types: Vec<Type>,
    /// The vector of an entity without records.
    pub empty: Arc<[Scalar]>,
}
