//! Names of streams inside a dataflow, and what a view reads.

/// A stream: the output of a relation, by its position among the relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(super) usize);

/// The streams, tables and feature groups that a view reads directly.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ViewReads {
    /// Sources and views, in the order of the SQL.
    pub streams: Vec<StreamId>,
    /// Positions of tables, in the order of the SQL.
    pub tables: Vec<usize>,
    /// Positions of feature groups, in the order of the look-ups.
    pub groups: Vec<usize>,
    /// Set if it has a WHERE.
    pub is_filtered: bool,
    /// The expression of its `at`, if it has one.
    pub at: Option<String>,
}
