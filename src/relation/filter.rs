//! WHERE: keeps the records for which a condition is true.

use super::{CanonicalText, DeclaredTexts, RelationOp, StreamId, TrainingGraph, ViewReads};
use crate::example::ProgramBuilder;
use crate::expr::Expr;
use crate::value::Schema;

/// The records of a stream for which a condition is true (neither false nor null).
#[derive(Debug)]
pub struct Filter {
    pub input: StreamId,
    /// The condition, over the input's columns.
    pub predicate: Expr,
}

impl RelationOp for Filter {
    fn inputs(&self) -> Vec<StreamId> {
        vec![self.input]
    }

    fn schema(&self, inputs: &[&Schema]) -> Schema {
        inputs[0].clone()
    }

    fn canonical(&self, mut inputs: Vec<CanonicalText>, _declared: &DeclaredTexts) -> CanonicalText {
        inputs.remove(0).filter(self.predicate.canonical())
    }

    fn describe(&self, inputs: &[String]) -> String {
        format!("{}, filtered", inputs[0])
    }

    fn add_reads(&self, reads: &mut ViewReads) {
        reads.is_filtered = true;
    }

    fn render<G: TrainingGraph>(&self, name: &str, mut inputs: Vec<G::Stream>, graph: &mut G) -> G::Stream {
        let predicate = self.predicate.clone();
        graph.map(inputs.remove(0), name, move |batch, failed| {
            let holds = predicate.eval(&batch.columns, batch.len(), failed);
            batch.filter(&holds)
        })
    }

    /// Adds nothing: a prediction is about the record in the request, whether or not training would keep it.
    fn serve(&self, _schema: &Schema, _program: &mut ProgramBuilder) {}
}
