//! Exchange of batches between workers: rows go to the worker that owns the hash of their key.

use std::cell::RefCell;

use arrow_array::{ArrayRef, UInt32Array};
use timely::bytes::arc::Bytes;
use timely::communication::Push;
use timely::container::Accountable;
use timely::dataflow::Scope;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message};
use timely::progress::Stamp;

use super::codec;
use crate::aggregate::EntityBound;
use crate::time::EventTime;
use crate::value::{AckToken, Batch, Key, KeyCodec, Type};

impl Accountable for Batch {
    fn record_count(&self) -> i64 {
        self.len() as i64
    }
}

impl ContainerBytes for Batch {
    fn from_bytes(bytes: Bytes) -> Self {
        codec::decode(&bytes).expect("a peer of this version wrote the batch")
    }

    fn length_in_bytes(&self) -> usize {
        let bytes = codec::encode(self);
        let length = bytes.len().next_multiple_of(8);
        // Without its token: a batch that waits here must not delay its acknowledgement.
        let batch = Batch { ack: AckToken::default(), ..self.clone() };
        MEASURED.set(Some(MeasuredBatch { batch, bytes }));
        length
    }

    fn into_bytes<W: std::io::Write>(&self, writer: &mut W) {
        let measured = MEASURED.take().filter(|measured| measured.is_of(self));
        let bytes = measured.map_or_else(|| codec::encode(self), |measured| measured.bytes);
        writer.write_all(&bytes).expect("timely returns a buffer of the length asked for");
        writer.write_all(&[0; 8][..bytes.len().next_multiple_of(8) - bytes.len()]).expect("as above");
    }
}

/// A batch whose encoded length timely has asked for, with its encoding. Timely asks right before it writes the batch, so
/// keeping one saves the second encoding.
struct MeasuredBatch {
    batch: Batch,
    bytes: Vec<u8>,
}

thread_local! {
    static MEASURED: RefCell<Option<MeasuredBatch>> = const { RefCell::new(None) };
}

impl MeasuredBatch {
    /// Returns whether this is the encoding of a batch. Buffers of the kept batch are alive, so equal addresses are equal
    /// contents.
    fn is_of(&self, other: &Batch) -> bool {
        let Batch { times, event_times, sort_key, columns, ack: _ } = &self.batch;
        times.len() == other.times.len()
            && times.as_ptr() == other.times.as_ptr()
            && event_times.as_ptr() == other.event_times.as_ptr()
            && sort_key.offsets().as_ptr() == other.sort_key.offsets().as_ptr()
            && columns.len() == other.columns.len()
            && columns.iter().zip(&other.columns).all(|(column, other)| std::sync::Arc::ptr_eq(column, other))
    }
}

/// A worker's share of everything that is distributed by hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerShare {
    /// The worker's number, below `peers`.
    pub index: usize,
    /// The number of workers.
    pub peers: usize,
}

impl WorkerShare {
    /// Returns the share of the worker that builds a scope.
    pub fn of(scope: Scope<'_, EventTime>) -> Self {
        WorkerShare { index: scope.worker().index(), peers: scope.worker().peers() }
    }

    /// Returns whether a hash belongs to this worker. Each hash belongs to exactly one.
    pub fn owns(self, hash: u64) -> bool {
        worker_of(hash, self.peers) == self.index
    }
}

/// Returns the worker that owns a hash.
pub fn worker_of(hash: u64, peers: usize) -> usize {
    (hash % peers as u64) as usize
}

/// The rule by which rows are sent to workers.
#[derive(Clone)]
pub enum Route {
    /// The worker that owns the key in these columns.
    Key { codec: KeyCodec, columns: Vec<usize> },
    /// The same as `Key`, by another hash than [`Key::hash_of`].
    HashedKey { codec: KeyCodec, columns: Vec<usize>, hash: fn(&[u8]) -> u64 },
    /// The worker that owns the part of the bound to which the key in these columns belongs.
    Part { codec: KeyCodec, columns: Vec<usize>, bound: EntityBound },
    /// All rows to the worker that owns this hash.
    One(u64),
}

impl Route {
    /// Returns the route by columns of these types.
    pub fn key(types: &[Type], columns: Vec<usize>) -> Self {
        Route::Key { codec: KeyCodec::new(types), columns }
    }

    /// Returns the route by the same columns and another hash.
    pub fn hashed_by(self, hash: fn(&[u8]) -> u64) -> Self {
        match self {
            Route::Key { codec, columns } | Route::HashedKey { codec, columns, .. } => {
                Route::HashedKey { codec, columns, hash }
            }
            Route::Part { .. } | Route::One(_) => self,
        }
    }

    /// Returns the pact that sends batches along this route.
    pub fn pact(self) -> BatchPact {
        DistributorPact(Box::new(move |_peers| BatchDistributor { route: self }))
    }
}

/// A pact for batches.
pub type BatchPact = DistributorPact<Box<dyn FnOnce(usize) -> BatchDistributor>>;

/// Returns the key columns of a batch.
pub fn key_columns(batch: &Batch, columns: &[usize]) -> Vec<ArrayRef> {
    columns.iter().map(|column| batch.columns[*column].clone()).collect()
}

/// Splitter of batches among workers.
pub struct BatchDistributor {
    route: Route,
}

impl Distributor<Batch> for BatchDistributor {
    fn partition<T: Clone, P: Push<Message<T, Batch>>>(
        &mut self,
        batch: &mut Batch,
        stamp: &Stamp<T>,
        pushers: &mut [P],
    ) {
        let peers = pushers.len();
        let mut send = |to: usize, mut part: Batch| Message::push_at(&mut part, stamp.clone(), &mut pushers[to]);
        let batch = std::mem::take(batch);
        let (codec, columns) = match &self.route {
            Route::One(hash) => return send(worker_of(*hash, peers), batch),
            Route::Key { codec, columns }
            | Route::HashedKey { codec, columns, .. }
            | Route::Part { codec, columns, .. } => (codec, columns),
        };
        let hash = |key: &[u8]| match &self.route {
            Route::HashedKey { hash, .. } => hash(key),
            Route::Part { bound, .. } => bound.part_of(Key::hash_of(key)),
            Route::Key { .. } | Route::One(_) => Key::hash_of(key),
        };
        let mut rows = vec![Vec::new(); peers];
        let keys = codec.encode(&key_columns(&batch, columns));
        for (row, key) in keys.iter().enumerate() {
            rows[worker_of(hash(key.as_ref()), peers)].push(row as u32);
        }
        for (to, rows) in rows.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let whole = rows.len() == batch.len();
            send(to, if whole { batch.clone() } else { batch.take(&UInt32Array::from(rows)) });
        }
    }

    fn flush<T: Clone, P: Push<Message<T, Batch>>>(&mut self, _stamp: &Stamp<T>, _pushers: &mut [P]) {}
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int64Array;
    use proptest::prelude::*;

    use super::*;

    fn batch(values: Vec<i64>) -> Batch {
        let times: arrow_buffer::ScalarBuffer<i64> = values.iter().copied().collect();
        let sort_key = arrow_array::BinaryArray::new_null(values.len());
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(values))];
        Batch { event_times: times.clone(), times, sort_key, columns, ack: AckToken::default() }
    }

    fn sent(batch: &Batch) -> Vec<u8> {
        let mut bytes = Vec::new();
        batch.into_bytes(&mut bytes);
        bytes
    }

    #[test]
    fn a_batch_that_was_measured_is_not_encoded_again() {
        let (one, other) = (batch(vec![1, 2]), batch(vec![3, 4]));
        let length = one.length_in_bytes();
        assert!(MEASURED.with_borrow(|measured| measured.as_ref().unwrap().is_of(&one)));
        let bytes = sent(&one);
        assert_eq!((bytes.len(), MEASURED.with_borrow(Option::is_none)), (length, true));
        assert_eq!(codec::decode(&bytes).unwrap().times, one.times);

        // Another batch, or another part of the same, is never taken for it.
        one.length_in_bytes();
        assert_eq!(codec::decode(&sent(&other)).unwrap().times, other.times);
        one.length_in_bytes();
        assert_eq!(codec::decode(&sent(&one.slice(1, 1))).unwrap().times, one.slice(1, 1).times);
    }

    proptest! {
        #[test]
        fn each_hash_belongs_to_one_worker(hash: u64, peers in 1usize..9) {
            let owners = (0..peers).filter(|index| WorkerShare { index: *index, peers }.owns(hash)).count();
            prop_assert_eq!(owners, 1);
        }
    }
}
