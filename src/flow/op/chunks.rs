//! Batches that wait for their times to close.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_select::concat::concat;
use timely::dataflow::operators::Capability;

use crate::time::EventTime;
use crate::value::Batch;

/// A batch, whatever was worked out about it on arrival, and how much of it is done.
pub struct Chunk<X> {
    pub capability: Option<Capability<EventTime>>,
    pub batch: Batch,
    pub extra: X,
    /// Rows before this are done.
    pub done: usize,
}

/// Batches in order of arrival, worked off in order of time.
pub struct Chunks<X = ()> {
    pub chunks: Vec<Chunk<X>>,
}

impl<X> Default for Chunks<X> {
    fn default() -> Self {
        Chunks { chunks: Vec::new() }
    }
}

impl<X> Chunks<X> {
    /// Takes in a batch; its capability, if any, is held at the first row not done.
    pub fn push(&mut self, capability: Option<Capability<EventTime>>, batch: Batch, extra: X) {
        if let Some(first) = batch.times.first() {
            let capability = capability.map(|capability| capability.delayed(first));
            self.chunks.push(Chunk { capability, batch, extra, done: 0 });
        }
    }

    /// Every row that is not done and before `upto`, as (time, chunk, row), in order of chunks.
    pub fn closed(&self, upto: EventTime) -> impl Iterator<Item = (EventTime, u32, u32)> {
        self.chunks.iter().enumerate().flat_map(move |(index, chunk)| {
            let end = chunk.batch.times.partition_point(|time| *time < upto);
            (chunk.done..end).map(move |row| (chunk.batch.times[row], index as u32, row as u32))
        })
    }

    /// Marks what is before `upto` as done, forgets chunks that are done and holds the others' capabilities on.
    pub fn finish(&mut self, upto: EventTime) {
        self.chunks.retain_mut(|chunk| {
            chunk.done = chunk.batch.times.partition_point(|time| *time < upto);
            match (chunk.batch.times.get(chunk.done), &mut chunk.capability) {
                (None, _) => false,
                (Some(next), Some(capability)) => {
                    capability.downgrade(next);
                    true
                }
                (Some(_), None) => true,
            }
        });
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The given rows of the chunks as one batch, in the given order.
    pub fn gather(&self, rows: &[(EventTime, u32, u32)]) -> Batch {
        let mut first = 0u32;
        let starts: Vec<u32> = self
            .chunks
            .iter()
            .map(|chunk| {
                let start = first;
                first += chunk.batch.len() as u32;
                start
            })
            .collect();
        let batches: Vec<&Batch> = self.chunks.iter().map(|chunk| &chunk.batch).collect();
        let join = |column: &dyn Fn(&Batch) -> ArrayRef| {
            let arrays: Vec<ArrayRef> = batches.iter().map(|batch| column(batch)).collect();
            let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
            concat(&arrays).expect("chunks of one stream have the same columns")
        };
        let whole = Batch {
            times: batches.iter().flat_map(|batch| batch.times.iter().copied()).collect::<Vec<_>>().into(),
            event_times: batches.iter().flat_map(|batch| batch.event_times.iter().copied()).collect::<Vec<_>>().into(),
            order: join(&|batch| Arc::new(batch.order.clone())).as_binary().clone(),
            columns: (0..batches[0].columns.len()).map(|column| join(&|batch| batch.columns[column].clone())).collect(),
        };
        let picks = rows.iter().map(|(_, chunk, row)| starts[*chunk as usize] + row);
        whole.take(&UInt32Array::from_iter_values(picks))
    }
}
