//! How batches travel between workers: rows are dealt by the hash of a key.

use arrow_array::{ArrayRef, UInt32Array};
use timely::bytes::arc::Bytes;
use timely::communication::Push;
use timely::container::Accountable;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message};
use timely::progress::Stamp;

use super::codec;
use crate::value::{Batch, Key, KeyCodec, Type};

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
        codec::encode(self).len().next_multiple_of(8)
    }

    fn into_bytes<W: std::io::Write>(&self, writer: &mut W) {
        let bytes = codec::encode(self);
        writer.write_all(&bytes).expect("timely gives a buffer of the length asked for");
        writer.write_all(&[0; 8][..bytes.len().next_multiple_of(8) - bytes.len()]).expect("as above");
    }
}

/// Where a row goes.
#[derive(Clone)]
pub enum Route {
    /// To the worker that has the key in these columns.
    Key { codec: KeyCodec, columns: Vec<usize> },
    /// As `Key`, by another hash than ours.
    HashedKey { codec: KeyCodec, columns: Vec<usize>, hash: fn(&[u8]) -> u64 },
    /// All to one worker.
    One(u64),
}

impl Route {
    /// A route by columns of given types.
    pub fn key(types: &[Type], columns: Vec<usize>) -> Self {
        Route::Key { codec: KeyCodec::new(types), columns }
    }

    /// The same columns by another hash.
    pub fn hashed_by(self, hash: fn(&[u8]) -> u64) -> Self {
        match self {
            Route::Key { codec, columns } | Route::HashedKey { codec, columns, .. } => {
                Route::HashedKey { codec, columns, hash }
            }
            Route::One(worker) => Route::One(worker),
        }
    }

    /// The pact that sends batches along this route.
    pub fn pact(self) -> BatchPact {
        DistributorPact(Box::new(move |_peers| BatchDistributor { route: self }))
    }
}

/// A pact for batches.
pub type BatchPact = DistributorPact<Box<dyn FnOnce(usize) -> BatchDistributor>>;

/// The worker that a key belongs to.
pub fn worker_of(hash: u64, peers: usize) -> usize {
    (hash % peers as u64) as usize
}

/// The key columns of a batch.
pub fn key_columns(batch: &Batch, columns: &[usize]) -> Vec<ArrayRef> {
    columns.iter().map(|column| batch.columns[*column].clone()).collect()
}

/// Splits batches among workers.
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
        let (codec, columns, hash) = match &self.route {
            Route::One(hash) => return send(worker_of(*hash, peers), batch),
            Route::Key { codec, columns } => (codec, columns, Key::hash_of as fn(&[u8]) -> u64),
            Route::HashedKey { codec, columns, hash } => (codec, columns, *hash),
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
