//! SELECT items: computes the columns of a view.

use super::{CanonicalText, DeclaredTexts, RelationOp, StreamId, TrainingGraph};
use crate::example::ProgramBuilder;
use crate::expr::{EvalStats, Expr};
use crate::value::{Batch, Column, Schema};

/// The records of a stream with other columns.
#[derive(Debug)]
pub struct Project {
    input: StreamId,
    schema: Schema,
    /// One for each column of the schema, over the input's columns.
    exprs: Vec<Expr>,
}

impl Project {
    /// A projection to items, each a declared column and its value.
    pub fn new(input: StreamId, items: Vec<(Column, Expr)>) -> Self {
        let (columns, exprs) = items.into_iter().unzip();
        Project { input, schema: Schema::new(columns), exprs }
    }
}

/// Evaluates expressions over a batch; returns its records with the values as columns.
pub fn project(batch: &Batch, exprs: &[Expr], stats: &mut EvalStats) -> Batch {
    let columns = exprs.iter().map(|expr| expr.eval(&batch.columns, batch.len(), stats)).collect();
    batch.with_columns(columns)
}

impl RelationOp for Project {
    fn inputs(&self) -> Vec<StreamId> {
        vec![self.input]
    }

    fn schema(&self, _inputs: &[&Schema]) -> Schema {
        self.schema.clone()
    }

    fn canonical(&self, mut inputs: Vec<CanonicalText>, _declared: &DeclaredTexts) -> CanonicalText {
        let items: Vec<(&str, String)> = self.schema.names().zip(self.exprs.iter().map(Expr::canonical)).collect();
        inputs.remove(0).select(&items)
    }

    fn describe(&self, inputs: &[String]) -> String {
        inputs[0].clone()
    }

    fn render<G: TrainingGraph>(&self, name: &str, mut inputs: Vec<G::Stream>, graph: &mut G) -> G::Stream {
        let exprs = self.exprs.clone();
        graph.map(inputs.remove(0), name, move |batch, failed| project(&batch, &exprs, failed))
    }

    fn serve(&self, schema: &Schema, program: &mut ProgramBuilder) {
        program.project(schema, &self.exprs);
    }
}
