//! The online store of a replica: what a run has written to Redis, read request by request.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError, bounded};
use redis::Client;
use tokio::sync::oneshot;

use super::RedisError;
use super::replica_layout::{ReplicaDefinition, RunProgress, rows_key, state_key, time_of, vector_key};
use super::replica_reader::{RawAnswer, RawFields, RawRequest, RawRows, RawState, ReplicaReader};
use crate::aggregate::VectorDecoder;
use crate::store::{Fetched, FetchedVector, LookupTable, RemoteTable, RequestLookups, StoreTimes, Vector};
use crate::threads::{self, Thread};
use crate::time::EventTime;
use crate::value::{Key, KeyCodec, Type};

/// The longest time that a request waits for what it looks up.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most requests that wait at a time.
const WAITING: usize = 4096;

/// A group or a table of a [`RemoteStore`].
pub struct RemoteTableConfig {
    pub name: String,
    /// Types of its key.
    pub key: Vec<Type>,
    /// Decodes its vectors or rows.
    pub decoder: VectorDecoder,
}

/// A function of how far the run is while everything can be answered, else of the reason why nothing can.
pub type StoreObserver = Box<dyn Fn(Result<RunProgress, &str>) + Send>;

/// The settings of a [`RemoteStore`].
pub struct RemoteStoreConfig {
    pub url: String,
    pub dataflow: String,
    pub definition: ReplicaDefinition,
    pub groups: Vec<RemoteTableConfig>,
    pub tables: Vec<RemoteTableConfig>,
    /// Called as often as it is found out.
    pub observe: StoreObserver,
}

/// The online store of a replica.
#[derive(Debug)]
pub struct RemoteStore {
    dataflow: String,
    definition: ReplicaDefinition,
    tables: Vec<RemotePart>,
    by_name: HashMap<String, LookupTable>,
    times: Arc<KnownTimes>,
    /// Closed before the thread is joined.
    requests: Option<Sender<RawRequest>>,
    thread: Option<Thread<()>>,
}

/// The times that were read last.
#[derive(Debug)]
struct KnownTimes {
    watermark: AtomicI64,
    newest: AtomicI64,
}

/// One group or table.
#[derive(Debug)]
struct RemotePart {
    name: String,
    /// The key of the hash with its rows; `None` of a group.
    rows: Option<String>,
    codec: KeyCodec,
    decoder: VectorDecoder,
}

/// The reason why look-ups cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Redis cannot be read, or what is there is not of this dataflow file.
    #[error("{0}")]
    Unavailable(String),
    #[error("Redis does not answer in time")]
    Late,
    #[error("too many requests wait for Redis; try again later")]
    Busy,
    #[error("Redis has a damaged value at {part}")]
    Damaged {
        part: String,
        #[source]
        source: postcard::Error,
    },
}

impl RemoteStore {
    /// Starts the thread that reads. The server need not be reachable.
    ///
    /// # Errors
    /// If the address is not one of a Redis server, or the thread cannot be started.
    pub fn start(config: RemoteStoreConfig) -> Result<Self, RedisError> {
        let RemoteStoreConfig { url, dataflow, definition, groups, tables, observe } = config;
        let client = Client::open(url.as_str()).map_err(RedisError::Address)?;
        let (requests, received) = bounded(WAITING);
        let times =
            Arc::new(KnownTimes { watermark: AtomicI64::new(EventTime::MIN), newest: AtomicI64::new(EventTime::MIN) });
        let reader = ReplicaReader {
            client,
            state: state_key(&dataflow),
            requests: received,
            observe: Box::new({
                let (times, dataflow, definition) = (times.clone(), dataflow.clone(), definition.clone());
                move |state| match state {
                    Ok(state) => match check(&dataflow, &definition, state) {
                        Ok(found) => {
                            times.watermark.store(found.times.watermark, Relaxed);
                            times.newest.store(found.times.newest, Relaxed);
                            observe(Ok(found));
                        }
                        Err(reason) => observe(Err(&reason)),
                    },
                    Err(reason) => observe(Err(reason)),
                }
            }),
        };
        let thread = threads::spawn("redis", move || reader.run()).map_err(RedisError::Thread)?;
        let groups = groups.into_iter().map(|group| (group, false));
        let parts = groups.chain(tables.into_iter().map(|table| (table, true)));
        let mut store = RemoteStore {
            dataflow,
            definition,
            tables: Vec::new(),
            by_name: HashMap::new(),
            times,
            requests: Some(requests),
            thread: Some(thread),
        };
        parts.for_each(|(part, has_rows)| store.add(part, has_rows));
        Ok(store)
    }

    fn add(&mut self, config: RemoteTableConfig, has_rows: bool) {
        let RemoteTableConfig { name, key, decoder } = config;
        let (codec, position) = (KeyCodec::new(&key), self.tables.len());
        self.by_name.insert(name.clone(), LookupTable::Remote(RemoteTable { position, codec: codec.clone() }));
        let rows = has_rows.then(|| rows_key(&self.dataflow, &name));
        self.tables.push(RemotePart { name, rows, codec, decoder });
    }

    /// Returns a group or table. They share one namespace.
    pub fn table(&self, name: &str) -> Option<&LookupTable> {
        self.by_name.get(name)
    }

    /// Returns the times that were read last.
    pub fn times(&self) -> StoreTimes {
        StoreTimes { watermark: self.times.watermark.load(Relaxed), newest: self.times.newest.load(Relaxed) }
    }

    /// Fetches what a request lacks, in one round trip.
    ///
    /// # Errors
    /// If Redis cannot be read, or what is there is not what a run of this dataflow file has written.
    pub async fn fetch(&self, lookups: &RequestLookups) -> Result<(), FetchError> {
        // Name the keys.
        let missing = lookups.take_missing();
        let (answer, answered) = oneshot::channel();
        let mut request = RawRequest { values: Vec::new(), fields: Vec::new(), all: Vec::new(), answer };
        for (table, keys) in &missing.keys {
            let part = &self.tables[*table];
            match &part.rows {
                Some(key) => request.fields.push(RawFields { key: key.clone(), fields: bytes_of(keys) }),
                None => request.values.extend(keys.iter().map(|key| self.vector_key(part, key))),
            }
        }
        for (table, most) in &missing.all {
            let rows = self.tables[*table].rows.clone().expect("all rows are wanted of tables alone");
            request.all.push(RawRows { key: rows, most: *most });
        }
        // Wait for the answer.
        let requests = self.requests.as_ref().expect("it is closed when the store is dropped");
        requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => FetchError::Busy,
            TrySendError::Disconnected(_) => FetchError::Unavailable("the process is stopping".to_owned()),
        })?;
        let answered = tokio::time::timeout(PATIENCE, answered).await.map_err(|_| FetchError::Late)?;
        let stopping = |_| FetchError::Unavailable("the process is stopping".to_owned());
        let raw = answered.map_err(stopping)?.map_err(FetchError::Unavailable)?;
        let times = check(&self.dataflow, &self.definition, &raw.state).map_err(FetchError::Unavailable)?.times;
        // Decode it.
        let RawAnswer { values, fields, all, .. } = raw;
        let (mut values, mut fields, mut found) = (values.into_iter(), fields.into_iter(), Vec::new());
        for (position, keys) in missing.keys {
            let part = &self.tables[position];
            let mut of_rows = part.rows.as_ref().and_then(|_| fields.next()).into_iter().flatten();
            for key in keys {
                let value = if part.rows.is_some() { of_rows.next() } else { values.next() }.flatten();
                let vector = value.and_then(|value| self.decode(part, &value).transpose()).transpose()?;
                found.push(FetchedVector { table: position, key, vector });
            }
        }
        let mut whole = Vec::new();
        for ((position, _), rows) in missing.all.into_iter().zip(all) {
            let part = &self.tables[position];
            let decode = |rows: Vec<Vec<u8>>| -> Result<Vec<Vector>, FetchError> {
                rows.iter().filter_map(|row| self.decode(part, row).transpose()).collect()
            };
            whole.push((position, rows.map(decode).map_or_else(|count| Ok(Err(count)), |rows| rows.map(Ok))?));
        }
        lookups.add(Fetched { times, vectors: found, all: whole });
        Ok(())
    }

    fn vector_key(&self, part: &RemotePart, key: &Key) -> String {
        vector_key(&self.dataflow, &part.name, &part.codec.decode_one(key.as_bytes()))
    }

    /// Decodes a value; `None` if an earlier definition has left it there.
    fn decode(&self, part: &RemotePart, value: &[u8]) -> Result<Option<Vector>, FetchError> {
        let Some(bytes) = self.definition.untagged(value) else { return Ok(None) };
        let damaged = |source| FetchError::Damaged { part: part.name.clone(), source };
        let decoded = part.decoder.decode(bytes).map_err(damaged)?;
        Ok(Some(decoded.into()))
    }
}

impl Drop for RemoteStore {
    fn drop(&mut self) {
        self.thread.iter().for_each(Thread::expect_end);
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bytes_of(keys: &BTreeSet<Key>) -> Vec<Vec<u8>> {
    keys.iter().map(|key| key.as_bytes().to_vec()).collect()
}

/// Returns the times of a state, if everything of a definition is there; else the reason why not.
fn check(dataflow: &str, definition: &ReplicaDefinition, state: &RawState) -> Result<RunProgress, String> {
    match (&state.writer, &state.definition) {
        (Some(_), Some(found)) if found == definition.text() => {
            let RawState { watermark, newest, read, written, .. } = state;
            let times = StoreTimes { watermark: time_of(watermark.as_deref()), newest: time_of(newest.as_deref()) };
            let written = written.as_deref().and_then(|text| text.parse().ok());
            Ok(RunProgress { times, read: time_of(read.as_deref()), written })
        }
        (Some(_), Some(_)) => Err(format!(
            "Redis has the features of {dataflow} for another dataflow file, or as another version of tidemill writes \
             them: start the replica with the file and the version of the run"
        )),
        (Some(_), None) => Err(format!("Redis does not have all features of {dataflow} yet: the run is writing them")),
        (None, _) => Err(format!(
            "Redis has nothing of {dataflow} for replicas: no run with [redis] replicas = true writes there"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_taken_only_if_everything_of_the_definition_is_there() {
        let mine = ReplicaDefinition::new("a");
        let state = |writer: Option<&str>, definition: Option<&ReplicaDefinition>| RawState {
            writer: writer.map(str::to_owned),
            definition: definition.map(|definition| definition.text().to_owned()),
            watermark: Some("5".to_owned()),
            newest: Some("9".to_owned()),
            read: Some("11".to_owned()),
            written: Some("70".to_owned()),
        };
        let found = RunProgress { times: StoreTimes { watermark: 5, newest: 9 }, read: 11, written: Some(70) };
        assert_eq!(check("d", &mine, &state(Some("w"), Some(&mine))), Ok(found));
        let reason = |state| check("d", &mine, &state).unwrap_err();
        assert!(reason(state(Some("w"), Some(&ReplicaDefinition::new("b")))).contains("another dataflow file"));
        assert!(reason(state(Some("w"), None)).contains("not have all features"));
        // A server that has been emptied while everything was written.
        assert!(reason(state(None, Some(&mine))).contains("nothing of d for replicas"));
    }
}
