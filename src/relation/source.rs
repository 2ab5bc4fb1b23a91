//! A source: the records of a topic.

use super::{CanonicalText, DeclaredTexts, RelationOp, StreamId, TrainingGraph};
use crate::example::ProgramBuilder;
use crate::value::Schema;

/// The records of a source.
#[derive(Debug)]
pub struct SourceRecords {
    /// Position of the source in its dataflow.
    pub source: usize,
    pub name: String,
    pub schema: Schema,
    /// The event-time column; `None` if the event time is an expression.
    pub time: Option<usize>,
}

impl RelationOp for SourceRecords {
    fn inputs(&self) -> Vec<StreamId> {
        Vec::new()
    }

    fn schema(&self, _inputs: &[&Schema]) -> Schema {
        self.schema.clone()
    }

    fn canonical(&self, _inputs: Vec<CanonicalText>, declared: &DeclaredTexts) -> CanonicalText {
        CanonicalText::complete(declared.sources[self.source].clone())
    }

    fn describe(&self, _inputs: &[String]) -> String {
        format!("from {}", self.name)
    }

    fn render<G: TrainingGraph>(&self, _name: &str, _inputs: Vec<G::Stream>, graph: &mut G) -> G::Stream {
        graph.source(self.source)
    }

    /// An instance stands for a record: its columns are the record's.
    fn serve(&self, _schema: &Schema, program: &mut ProgramBuilder) {
        program.record(&self.schema, self.time);
    }
}
