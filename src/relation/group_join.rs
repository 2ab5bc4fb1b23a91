//! `LEFT JOIN` with a feature group: appends the vector of an entity as of the record's time.
//!
//! # The path of one record
//!
//! 1. The expressions of ON are appended to the record as the columns of the entity ([`GroupJoin::append_entity`]).
//! 2. By these the record goes to the operator of the group, as the example of a model does that looks the group up. It
//!    waits there until its time is closed, and is answered in the total order: of all records of the group strictly
//!    before its time, and of itself where a feature is `current`.
//! 3. It goes on with the features appended that the view reads. From here on it is a record of the view: for other
//!    groups, for examples, for labels.
//!
//! Every entity has a vector: one without records, or one that was dropped at the bound of the group, has the features
//! of no records. So there is no inner join, which would drop the records of entities that are not known.
//!
//! A group answers a record only when it has all records before it; so what is asked of a group must not depend on an
//! answer of the same group. The spec refuses such a circle, and the plan renders every group after the streams that
//! it is made from and asked by, and before its answers.

use std::sync::Arc;

use super::{CanonicalText, DeclaredTexts, RelationOp, StreamId, TrainingGraph, ViewReads};
use crate::example::{FeatureLookup, ProgramBuilder};
use crate::expr::{EvalStats, Expr};
use crate::value::{Batch, Column, Schema};

/// The records of a stream, each with an entity and features of it.
#[derive(Clone, Debug)]
pub struct GroupJoin {
    pub input: StreamId,
    /// Position of the group in its dataflow.
    pub group: usize,
    /// One expression for each column of the entity, over the input's columns.
    pub on: Vec<Expr>,
    /// The columns that are appended: those of the entity, then the features.
    pub columns: Vec<Column>,
    /// The look-up of the features, over the input's columns and then the entity's.
    pub lookup: Arc<FeatureLookup>,
}

impl GroupJoin {
    /// Returns records with the entity's columns appended.
    pub fn append_entity(&self, batch: &Batch, stats: &mut EvalStats) -> Batch {
        let mut columns = batch.columns.clone();
        columns.extend(self.on.iter().map(|column| column.eval(&batch.columns, batch.len(), stats)));
        batch.with_columns(columns)
    }
}

impl RelationOp for GroupJoin {
    fn inputs(&self) -> Vec<StreamId> {
        vec![self.input]
    }

    fn schema(&self, inputs: &[&Schema]) -> Schema {
        Schema::new(inputs[0].columns.iter().chain(&self.columns).cloned().collect())
    }

    /// A group's text has no names of features, so those that are taken come with their positions.
    fn canonical(&self, mut inputs: Vec<CanonicalText>, declared: &DeclaredTexts) -> CanonicalText {
        let on: Vec<String> = self.on.iter().map(Expr::canonical).collect();
        let taken: Vec<String> = self.lookup.features.iter().map(|feature| self.taken_text(*feature)).collect();
        let group = &declared.groups[self.group];
        inputs.remove(0).join(format!("features({group} on {on:?} take {taken:?})"))
    }

    fn describe(&self, inputs: &[String]) -> String {
        format!("{}, left look-up in {}", inputs[0], self.lookup.group)
    }

    fn add_reads(&self, reads: &mut ViewReads) {
        reads.groups.push(self.group);
    }

    fn waits_for(&self) -> Option<usize> {
        Some(self.group)
    }

    fn render<G: TrainingGraph>(&self, name: &str, mut inputs: Vec<G::Stream>, graph: &mut G) -> G::Stream {
        let join = self.clone();
        let append_entity = move |batch: Batch, failed: &mut EvalStats| join.append_entity(&batch, failed);
        graph.look_up_features(inputs.remove(0), name, &self.lookup, append_entity)
    }

    /// The features are those of the newest vector, as of now.
    fn serve(&self, _schema: &Schema, program: &mut ProgramBuilder) {
        program.look_up_entity(&self.on, &self.lookup);
    }
}

impl GroupJoin {
    fn taken_text(&self, feature: usize) -> String {
        let name = &self.lookup.names[feature];
        match self.lookup.derived_at(feature) {
            None => format!("{name:?} at {feature}"),
            Some(derived) => format!("{name:?} of {:?} {}", derived.reads(), derived.expr().canonical()),
        }
    }
}
