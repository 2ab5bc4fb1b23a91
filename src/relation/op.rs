//! The faces of an operator, and what it is rendered into.

use arrow_array::{ArrayRef, UInt32Array};

use super::{ShiftedBatch, StreamId, ViewReads};
use crate::example::{FeatureLookup, ProgramBuilder};
use crate::expr::EvalStats;
use crate::value::{Batch, Schema};

/// An operator of views.
///
/// Laws: `render` keeps the times of records, except where a view has an `at`, and never emits one before its input's
/// time. For a record that the operator keeps and tables that do not change, the columns that `render` computes have the
/// bits of the values that the steps of `serve` compute.
pub trait RelationOp {
    /// Returns the streams that it reads, in order.
    fn inputs(&self) -> Vec<StreamId>;

    /// Returns the columns of its records, given those of its inputs.
    fn schema(&self, inputs: &[&Schema]) -> Schema;

    /// Returns the stable text of its output, given those of its inputs. See [`CanonicalText`].
    fn canonical(&self, inputs: Vec<CanonicalText>, declared: &DeclaredTexts) -> CanonicalText;

    /// Describes its output in words, given descriptions of its inputs: `from a, left look-up in t, filtered`.
    fn describe(&self, inputs: &[String]) -> String;

    /// Adds what it reads beside its inputs.
    fn add_reads(&self, _reads: &mut ViewReads) {}

    /// Returns the position of the feature group that answers its records, before which it cannot be rendered.
    fn waits_for(&self) -> Option<usize> {
        None
    }

    /// Returns whether the rendered operator saves state of its own in a checkpoint, under its name.
    fn saves_state(&self) -> bool {
        false
    }

    /// Training: adds the operator to a graph under a name and returns its output.
    fn render<G: TrainingGraph>(&self, name: &str, inputs: Vec<G::Stream>, graph: &mut G) -> G::Stream;

    /// Serving: adds the operator's steps to the program of an instance. `schema` are its own columns.
    fn serve(&self, schema: &Schema, program: &mut ProgramBuilder);
}

/// The steps that operators are rendered into: dataflow operators in the running graph, functions of batches in tests.
pub trait TrainingGraph {
    /// A stream of batches.
    type Stream;

    /// Returns the records of a source, by position.
    fn source(&mut self, source: usize) -> Self::Stream;

    /// Applies a function to each batch. It may drop records, not add any or change their times. It adds what it cannot
    /// compute to the counts that it is called with.
    fn map(
        &mut self,
        input: Self::Stream,
        name: &str,
        step: impl FnMut(Batch, &mut EvalStats) -> Batch + 'static,
    ) -> Self::Stream;

    /// Finds for each record the row of a table, by position, as of the record's time. `key` are the columns of `keyed`
    /// that hold the table's key. `join` makes the output from the records, the columns of the rows found, and for each
    /// record the position of its row, or null.
    fn look_up(
        &mut self,
        keyed: Self::Stream,
        name: &str,
        table: usize,
        key: Vec<usize>,
        join: impl Fn(&Batch, &[ArrayRef], &UInt32Array) -> Batch + 'static,
    ) -> Self::Stream;

    /// Appends to each record an entity and features of it, as of the record's time. `append_entity` appends the columns
    /// by which they are looked up.
    fn look_up_features(
        &mut self,
        input: Self::Stream,
        name: &str,
        lookup: &FeatureLookup,
        append_entity: impl FnMut(Batch, &mut EvalStats) -> Batch + 'static,
    ) -> Self::Stream;

    /// Moves the records of a stream, `of`, to later times. `step` returns those of a batch at theirs.
    fn shift(
        &mut self,
        input: Self::Stream,
        of: StreamId,
        name: &str,
        step: impl Fn(&Batch, &mut EvalStats) -> ShiftedBatch + 'static,
    ) -> Self::Stream;

    /// Merges streams into one.
    fn concatenate(&mut self, inputs: Vec<Self::Stream>, name: &str) -> Self::Stream;
}

/// Canonical texts of the sources, tables and feature groups that relations read, by position.
#[derive(Debug)]
pub struct DeclaredTexts {
    pub sources: Vec<String>,
    pub tables: Vec<String>,
    /// Hashes of the texts, since a group is made from a stream that may read other groups.
    pub groups: Vec<String>,
}

/// The canonical text of a stream: equal for views that say the same, however they are written.
///
/// The clauses of one SELECT make one text, so the clauses before its items are collected until [`Self::select`].
#[derive(Debug)]
pub struct CanonicalText {
    from: String,
    joins: Vec<String>,
    filter: Option<String>,
}

impl CanonicalText {
    /// The text of a complete stream.
    pub fn complete(text: String) -> Self {
        CanonicalText { from: text, joins: Vec::new(), filter: None }
    }

    /// Adds a JOIN clause.
    pub fn join(mut self, text: String) -> Self {
        self.joins.push(text);
        self
    }

    /// Adds the WHERE clause.
    pub fn filter(mut self, text: String) -> Self {
        self.filter = Some(text);
        self
    }

    /// Completes a SELECT by its items, given by name and text.
    pub fn select(self, items: &[(&str, String)]) -> Self {
        let CanonicalText { from, joins, filter } = self;
        CanonicalText::complete(format!("view({from} {joins:?} where {filter:?} {items:?})"))
    }

    /// Returns the text of a complete stream.
    pub fn into_text(self) -> String {
        debug_assert!(self.joins.is_empty() && self.filter.is_none(), "a SELECT ends with its items");
        self.from
    }
}
