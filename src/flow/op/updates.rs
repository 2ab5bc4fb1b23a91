//! Updates of a feature group: records of its stream, as its lines read them.

use arrow_buffer::NullBuffer;
use arrow_row::Rows;

use super::Stash;
use crate::aggregate::LineInput;
use crate::flow::plan::GroupPlan;
use crate::metrics::{NullCounter, NullReason};
use crate::value::{Batch, complete_rows};

/// A batch of updates with what is computed on its arrival.
pub struct UpdateBatch {
    /// The entity of each row.
    pub keys: Rows,
    /// Rows without a null in the entity's columns; `None`: all.
    named: Option<NullBuffer>,
    /// The input of each line.
    pub inputs: Vec<LineInput>,
}

impl UpdateBatch {
    /// Computes what is read of a batch. Values that cannot be summed are counted in `nulls`.
    pub fn new(plan: &GroupPlan, batch: &Batch, nulls: &NullCounter) -> Self {
        let entity = &batch.columns[..plan.codec.types().len()];
        let named = complete_rows(entity);
        let (inputs, unsummable) = plan.inputs(batch);
        nulls.add(NullReason::Unsummable, unsummable);
        UpdateBatch { keys: plan.codec.encode(entity), named, inputs }
    }

    /// Returns whether a row belongs to an entity.
    pub fn is_named(&self, row: usize) -> bool {
        self.named.as_ref().is_none_or(|named| named.is_valid(row))
    }
}

/// The batches of updates that have closing rows, and the lines' inputs of each.
pub struct ClosingUpdates<'a> {
    pub stash: &'a Stash<UpdateBatch>,
    /// By position of the batch, then by line.
    pub inputs: Vec<&'a [LineInput]>,
}

impl<'a> ClosingUpdates<'a> {
    pub fn of(stash: &'a Stash<UpdateBatch>) -> Self {
        ClosingUpdates { stash, inputs: stash.iter().map(|stashed| stashed.extra.inputs.as_slice()).collect() }
    }
}
