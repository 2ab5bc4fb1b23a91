//! `[LEFT] JOIN` with a table: appends the row of a key.
//!
//! The key expressions are appended to a record as columns, then replaced by the columns of the row that was found.

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_select::take::take;

use super::{CanonicalText, DeclaredTexts, RelationOp, StreamId, TrainingGraph, ViewReads};
use crate::example::{ProgramBuilder, RowLookup};
use crate::expr::{EvalStats, Expr};
use crate::value::{Batch, Column, Schema, Type};

/// The records of a stream, each with a table's row.
#[derive(Clone, Debug)]
pub struct TableJoin {
    pub input: StreamId,
    /// Number of the input's columns.
    pub width: usize,
    /// Position of the table in its dataflow.
    pub table: usize,
    pub table_name: String,
    pub table_schema: Schema,
    /// Types of the table's key.
    pub key: Vec<Type>,
    /// One expression for each column of the key, over the input's columns.
    pub on: Vec<Expr>,
    /// LEFT JOIN: a record without a row is kept, with nulls.
    pub outer: bool,
}

impl TableJoin {
    /// Returns records with the key's columns appended.
    pub fn append_key(&self, batch: &Batch, stats: &mut EvalStats) -> Batch {
        let mut columns = batch.columns.clone();
        columns.extend(self.on.iter().map(|key| key.eval(&batch.columns, batch.len(), stats)));
        batch.with_columns(columns)
    }

    /// Replaces the key's columns by those of a row. `found` has for each record a position in `rows`, the columns of
    /// the table, or null; a record without a row is dropped unless the join is an outer one.
    pub fn append_rows(&self, keyed: &Batch, rows: &[ArrayRef], found: &UInt32Array) -> Batch {
        let mut columns = keyed.columns[..self.width].to_vec();
        columns.extend(rows.iter().map(|column| take(column, found, None).expect("positions are those of rows")));
        let joined = keyed.with_columns(columns);
        if self.outer || found.null_count() == 0 {
            return joined;
        }
        let matched = (0..found.len()).filter(|row| found.is_valid(*row)).map(|row| row as u32);
        joined.take(&UInt32Array::from_iter_values(matched))
    }
}

impl RelationOp for TableJoin {
    fn inputs(&self) -> Vec<StreamId> {
        vec![self.input]
    }

    fn schema(&self, inputs: &[&Schema]) -> Schema {
        let joined = self.table_schema.columns.iter();
        let joined = joined.map(|column| Column { nullable: column.nullable || self.outer, ..column.clone() });
        Schema::new(inputs[0].columns.iter().cloned().chain(joined).collect())
    }

    fn canonical(&self, mut inputs: Vec<CanonicalText>, declared: &DeclaredTexts) -> CanonicalText {
        let on: Vec<String> = self.on.iter().map(Expr::canonical).collect();
        let table = &declared.tables[self.table];
        inputs.remove(0).join(format!("join({table} on {on:?} outer {})", self.outer))
    }

    fn describe(&self, inputs: &[String]) -> String {
        let kind = if self.outer { "left look-up" } else { "look-up" };
        format!("{}, {kind} in {}", inputs[0], self.table_name)
    }

    fn add_reads(&self, reads: &mut ViewReads) {
        reads.tables.push(self.table);
    }

    /// The row is the table's as of the record's time: of all changes strictly before it, the last.
    fn render<G: TrainingGraph>(&self, name: &str, mut inputs: Vec<G::Stream>, graph: &mut G) -> G::Stream {
        let join = self.clone();
        let keyed =
            graph.map(inputs.remove(0), &format!("{name}.key"), move |batch, failed| join.append_key(&batch, failed));
        let join = self.clone();
        let key = (self.width..self.width + self.on.len()).collect();
        graph.look_up(keyed, name, self.table, key, move |keyed, rows, found| join.append_rows(keyed, rows, found))
    }

    /// The row is the table's newest, and nulls where there is none, even in an inner join: a prediction is about the
    /// record in the request, whether or not training would keep it.
    fn serve(&self, _schema: &Schema, program: &mut ProgramBuilder) {
        program.look_up_row(&RowLookup {
            table: &self.table_name,
            key: &self.key,
            on: &self.on,
            schema: &self.table_schema,
        });
    }
}
