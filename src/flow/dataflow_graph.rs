//! The graph of one worker, as relations are rendered into it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, UInt32Array};
use timely::dataflow::Scope;

use super::Plan;
use super::nulls::counted;
use super::op::table::TableArrangement;
use super::op::{self, Records};
use crate::checkpoint::{CheckpointCoordinator, CheckpointError, OperatorCheckpoint};
use crate::example::FeatureLookup;
use crate::expr::EvalStats;
use crate::metrics::NullCounts;
use crate::relation::{GroupJoin, ShiftedBatch, StreamId, TrainingGraph};
use crate::time::EventTime;
use crate::value::Batch;

/// The graph into which relations are rendered.
pub struct DataflowGraph<'a, 'scope> {
    pub scope: Scope<'scope, EventTime>,
    pub plan: &'a Plan,
    pub coordinator: &'a Arc<CheckpointCoordinator>,
    /// Values that could not be computed, by operator.
    pub nulls: &'a NullCounts,
    /// The error for which saved state cannot be read.
    pub error: Option<CheckpointError>,
    pub sources: Vec<Records<'scope>>,
    pub tables: &'a [TableArrangement<'scope>],
    /// The answers of feature groups to joins that are not rendered yet, by operator.
    pub answers: HashMap<String, Records<'scope>>,
}

impl<'scope> DataflowGraph<'_, 'scope> {
    /// Returns the records of a join with a feature group, `input`, with the entity that they ask for.
    pub fn asking(&mut self, input: Records<'scope>, name: &str, join: &GroupJoin) -> Records<'scope> {
        let join = join.clone();
        self.map(input, &format!("{name}.key"), move |batch, failed| join.append_entity(&batch, failed))
    }
}

impl<'scope> TrainingGraph for DataflowGraph<'_, 'scope> {
    type Stream = Records<'scope>;

    fn source(&mut self, source: usize) -> Self::Stream {
        self.sources[source].clone()
    }

    fn map(
        &mut self,
        input: Self::Stream,
        name: &str,
        step: impl FnMut(Batch, &mut EvalStats) -> Batch + 'static,
    ) -> Self::Stream {
        op::map::map(input, name, counted(self.nulls.place(name), step))
    }

    fn look_up(
        &mut self,
        keyed: Self::Stream,
        name: &str,
        table: usize,
        key: Vec<usize>,
        join: impl Fn(&Batch, &[ArrayRef], &UInt32Array) -> Batch + 'static,
    ) -> Self::Stream {
        op::table::look_up(keyed, name, &self.tables[table], &self.plan.tables[table], key, join)
    }

    /// The operator of the group, which was rendered with all that it is asked, has the records.
    fn look_up_features(
        &mut self,
        _input: Self::Stream,
        name: &str,
        _lookup: &FeatureLookup,
        _append_entity: impl FnMut(Batch, &mut EvalStats) -> Batch + 'static,
    ) -> Self::Stream {
        self.answers.remove(name).expect("a group is rendered before its answers")
    }

    /// Keeps the first error; the graph is then not run.
    fn shift(
        &mut self,
        input: Self::Stream,
        of: StreamId,
        name: &str,
        step: impl Fn(&Batch, &mut EvalStats) -> ShiftedBatch + 'static,
    ) -> Self::Stream {
        let (checkpoint, nulls) = (OperatorCheckpoint::new(self.coordinator, name), self.nulls.place(name));
        let relations = &self.plan.spec.relations;
        let (schema, sources) = (relations.schema(of), relations.sources(of).len());
        let shifted = op::shift::shift(input.clone(), name, step, schema, sources, nulls, checkpoint);
        shifted.map_err(|error| _ = self.error.get_or_insert(error)).unwrap_or(input)
    }

    fn concatenate(&mut self, inputs: Vec<Self::Stream>, name: &str) -> Self::Stream {
        op::union::concatenate(self.scope, inputs, name)
    }
}
