//! The look-ups of requests: in tables of this process, or in what a run has written to Redis for its replicas.
//!
//! A look-up in the process is answered at once. One in Redis takes a round trip, and the key of a later one may depend on
//! its answer. So a replica answers a request in rounds:
//!
//! ```text
//! answer the request  ->  nothing missing: this is the answer
//!        ^            ->  something missing: it was noted, and looked up as if it did not exist; the answer is discarded
//!        |                                        |
//!        +---------- fetch all of it at once <----+
//! ```
//!
//! A round fetches everything that the ones before made it possible to name, so there are as many round trips as look-ups
//! depend on each other, and one for most requests. What has been fetched stays as it is until the request is answered.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use super::memory::OnlineTable;
use super::{ChangeTap, StoreTimes, Vector};
use crate::value::{Key, KeyCodec};

/// The newest vectors of a group or rows of a table, as requests look them up.
#[derive(Clone, Debug)]
pub enum LookupTable {
    InProcess(Arc<OnlineTable>),
    Remote(RemoteTable),
}

/// A group or a table whose vectors or rows are in Redis.
#[derive(Clone, Debug)]
pub struct RemoteTable {
    /// Its position among those of its store.
    pub position: usize,
    pub codec: KeyCodec,
}

impl LookupTable {
    /// The codec of its keys.
    pub fn codec(&self) -> &KeyCodec {
        match self {
            LookupTable::InProcess(table) => table.codec(),
            LookupTable::Remote(table) => &table.codec,
        }
    }

    /// Returns the tap of its changes; `None` if they are made in another process.
    pub fn tap(&self) -> Option<&ChangeTap> {
        match self {
            LookupTable::InProcess(table) => Some(table.tap()),
            LookupTable::Remote(_) => None,
        }
    }

    /// Returns the newest vector or row of an encoded key. If it has not been fetched, it is noted among the missing ones,
    /// and `None` is returned.
    pub fn get(&self, key: &[u8], lookups: &RequestLookups) -> Option<Vector> {
        match self {
            LookupTable::InProcess(table) => table.get_encoded(key),
            LookupTable::Remote(table) => lookups.get(table.position, key),
        }
    }

    /// Returns all vectors or rows, in no order. If they have not been fetched, this is noted, and there are none.
    ///
    /// # Errors
    /// The number of keys if that is more than `most`.
    pub fn vectors(&self, most: usize, lookups: &RequestLookups) -> Result<Vec<Vector>, usize> {
        match self {
            LookupTable::InProcess(table) => table.vectors(most),
            LookupTable::Remote(table) => lookups.all(table.position, most),
        }
    }
}

/// The look-ups of one request: those that have been fetched, and those that are missing. None in a process that has its own
/// tables.
#[derive(Debug, Default)]
pub struct RequestLookups(Mutex<FetchedParts>);

#[derive(Debug, Default)]
struct FetchedParts {
    times: Option<StoreTimes>,
    /// By table and key; `None` where there is nothing.
    vectors: HashMap<usize, HashMap<Key, Option<Vector>>>,
    /// By table, all of its rows, or the number of them where they are too many.
    all: HashMap<usize, Result<Vec<Vector>, usize>>,
    missing: MissingLookups,
}

/// The look-ups of a request that are to be fetched.
#[derive(Debug, Default, PartialEq)]
pub struct MissingLookups {
    /// True if the times are.
    pub times: bool,
    /// Keys, by table.
    pub keys: BTreeMap<usize, BTreeSet<Key>>,
    /// The tables all of whose rows are, and the most rows that are wanted.
    pub all: BTreeMap<usize, usize>,
}

/// The results of look-ups of a request.
#[derive(Debug, Default)]
pub struct Fetched {
    pub times: StoreTimes,
    pub vectors: Vec<FetchedVector>,
    /// By table, all of its rows, or the number of them where they are too many.
    pub all: Vec<(usize, Result<Vec<Vector>, usize>)>,
}

/// A vector or row that has been fetched.
#[derive(Debug)]
pub struct FetchedVector {
    /// The position of the table.
    pub table: usize,
    pub key: Key,
    /// `None` if there is none.
    pub vector: Option<Vector>,
}

impl MissingLookups {
    fn is_empty(&self) -> bool {
        !self.times && self.keys.is_empty() && self.all.is_empty()
    }
}

impl RequestLookups {
    /// Returns whether nothing that was asked for is missing.
    pub fn is_complete(&self) -> bool {
        self.0.lock().missing.is_empty()
    }

    /// Returns whether anything has been fetched: the request is answered by a replica.
    pub fn is_fetched(&self) -> bool {
        self.0.lock().times.is_some()
    }

    /// Returns the times that the answer is as of: those of the first fetch, once for a whole request. Until then they are
    /// noted as missing, and those given are returned.
    pub fn times(&self, known: StoreTimes) -> StoreTimes {
        let mut fetched = self.0.lock();
        fetched.times.unwrap_or_else(|| {
            fetched.missing.times = true;
            known
        })
    }

    fn get(&self, table: usize, key: &[u8]) -> Option<Vector> {
        let mut fetched = self.0.lock();
        if let Some(found) = fetched.vectors.get(&table).and_then(|vectors| vectors.get(key)) {
            return found.clone();
        }
        fetched.missing.keys.entry(table).or_default().insert(Key::from_bytes(key));
        None
    }

    fn all(&self, table: usize, most: usize) -> Result<Vec<Vector>, usize> {
        let mut fetched = self.0.lock();
        if let Some(found) = fetched.all.get(&table) {
            return found.clone();
        }
        fetched.missing.all.insert(table, most);
        Ok(Vec::new())
    }

    /// Returns what is missing, which is no longer noted then.
    pub fn take_missing(&self) -> MissingLookups {
        std::mem::take(&mut self.0.lock().missing)
    }

    /// Adds what has been fetched.
    pub fn add(&self, found: Fetched) {
        let mut fetched = self.0.lock();
        fetched.times.get_or_insert(found.times);
        for FetchedVector { table, key, vector } in found.vectors {
            fetched.vectors.entry(table).or_default().insert(key, vector);
        }
        fetched.all.extend(found.all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::Feature;
    use crate::value::{Scalar, Type};

    #[test]
    fn a_look_up_is_missing_until_it_is_fetched() {
        let table = LookupTable::Remote(RemoteTable { position: 3, codec: KeyCodec::new(&[Type::Int]) });
        let key = table.codec().encode_one(&[Scalar::Int(7)]);
        let lookups = RequestLookups::default();
        assert!(lookups.is_complete());
        let known = StoreTimes { watermark: 5, newest: 9 };
        assert_eq!((lookups.times(known), table.get(key.as_bytes(), &lookups)), (known, None));
        assert!(!lookups.is_complete());
        let keys = [(3, [key.clone()].into())].into();
        assert_eq!(lookups.take_missing(), MissingLookups { times: true, keys, ..MissingLookups::default() });
        // Found, and known to be absent.
        let times = StoreTimes { watermark: 6, newest: 10 };
        let vector: Vector = [Feature::NULL].into();
        let absent = table.codec().encode_one(&[Scalar::Int(8)]);
        let vectors = vec![
            FetchedVector { table: 3, key: key.clone(), vector: Some(vector.clone()) },
            FetchedVector { table: 3, key: absent.clone(), vector: None },
        ];
        lookups.add(Fetched { times, vectors, all: Vec::new() });
        assert_eq!(table.get(key.as_bytes(), &lookups), Some(vector));
        assert_eq!(table.get(absent.as_bytes(), &lookups), None);
        assert!(lookups.is_complete());
        // A second fetch leaves the times as they are.
        lookups.add(Fetched { times: StoreTimes { watermark: 7, newest: 11 }, ..Fetched::default() });
        assert_eq!(lookups.times(known), times);
    }
}
