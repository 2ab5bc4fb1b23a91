//! Batches that wait for their times to close.

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
}
