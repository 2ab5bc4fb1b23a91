//! A connection to a Redis server that knows what the server has of this dataflow.
//!
//! The hash `tidemill:{dataflow}:_positions` has a field for each `source:partition`, the next offset read for what is
//! written, `_newest`, the newest effective time that may be in it, and `_writer`, a token of the process that wrote it. No
//! token there: the server has been emptied.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use redis::{Client, Connection, Pipeline, cmd};

use super::layout::positions_key;
use super::{JobProgress, RedisError};
use crate::time::EventTime;

const CONNECT: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(5);
/// How long all answers to a pipeline may take.
const ANSWERS: Duration = Duration::from_secs(20);
const WRITER: &str = "_writer";
const NEWEST: &str = "_newest";

/// By topic and partition, the next offset read.
pub type ReadPositions = BTreeMap<(String, u32), u64>;

/// What a server has of this dataflow.
#[derive(Debug, PartialEq)]
pub enum ServerState {
    /// All that this process wrote.
    Kept,
    /// Something else or nothing: it must be given everything.
    Lost,
    /// What it should have, but another process writes there, too.
    Shared,
}

/// A connection.
pub struct MirrorConnection {
    connection: Connection,
    key: String,
    token: String,
    /// What was recorded last.
    written: Option<(ReadPositions, EventTime)>,
}

/// What a server had when it was connected to.
pub struct Handshake {
    /// Which start of which server it is, if it says so.
    pub run_id: Option<String>,
    /// Whether the newest to write there was this process.
    pub own: bool,
    /// How far each partition had been read for what is there.
    pub positions: ReadPositions,
    /// The newest effective time of what may be there.
    pub newest: EventTime,
}

impl MirrorConnection {
    /// # Errors
    /// If the server cannot be reached or does not let one in.
    pub fn connect(client: &Client, dataflow: &str, token: &str) -> Result<(MirrorConnection, Handshake), RedisError> {
        let open = || {
            let mut connection = client.get_connection_with_timeout(CONNECT)?;
            connection.set_read_timeout(Some(ANSWER))?;
            connection.set_write_timeout(Some(ANSWER))?;
            let key = positions_key(dataflow);
            let fields: HashMap<String, String> = cmd("HGETALL").arg(&key).query(&mut connection)?;
            // A server may forbid INFO; then only the token tells.
            let info: Option<String> = cmd("INFO").arg("server").query(&mut connection).ok();
            let run_id = info.as_deref().and_then(|info| info.lines().find_map(|line| line.strip_prefix("run_id:")));
            let run_id = run_id.map(|run_id| run_id.trim().to_owned());
            let positions = fields.iter().filter_map(|(field, next)| {
                let (source, partition) = field.rsplit_once(':')?;
                Some(((source.to_owned(), partition.parse().ok()?), next.parse().ok()?))
            });
            let handshake = Handshake {
                run_id,
                own: fields.get(WRITER).is_some_and(|writer| writer == token),
                positions: positions.collect(),
                newest: fields.get(NEWEST).and_then(|newest| newest.parse().ok()).unwrap_or(EventTime::MAX),
            };
            let link = MirrorConnection { connection, key, token: token.to_owned(), written: None };
            Ok((link, handshake))
        };
        open().map_err(RedisError::Away)
    }

    /// Appends to a pipeline, to go before vectors, how far each partition has been read by now.
    pub fn record(&mut self, pipe: &mut Pipeline, progress: &JobProgress) {
        let now = progress.partitions.iter().map(|(partition, reach)| (partition.clone(), reach.read));
        let now = (now.collect(), progress.newest);
        if self.written.as_ref() == Some(&now) {
            return;
        }
        pipe.cmd("HSET").arg(&self.key).arg(WRITER).arg(&self.token).arg(NEWEST).arg(now.1);
        for ((source, partition), next) in &now.0 {
            pipe.arg(format!("{source}:{partition}")).arg(*next);
        }
        pipe.ignore();
        self.written = Some(now);
    }

    /// # Errors
    /// If the server is gone, does not answer in time, or refuses any of it; what was written of it is not known then.
    pub fn send(&mut self, pipe: &Pipeline) -> Result<(), RedisError> {
        let begun = Instant::now();
        self.connection.send_packed_command(&pipe.get_packed_pipeline()).map_err(RedisError::Away)?;
        let mut refused = None;
        // Answer by answer: the pipeline itself would wait for each of them in turn where the first does not come.
        for _ in 0..pipe.len() {
            match self.connection.recv_response().and_then(redis::Value::extract_error) {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::Extension) => {
                    _ = refused.get_or_insert(error)
                }
                Err(error) => return Err(RedisError::Away(error)),
            }
            if begun.elapsed() > ANSWERS {
                let slow = std::io::Error::new(std::io::ErrorKind::TimedOut, "the answers come too slowly");
                return Err(RedisError::Away(slow.into()));
            }
        }
        refused.map_or(Ok(()), |error| Err(RedisError::Refused(error)))
    }

    /// What the server has now.
    ///
    /// # Errors
    /// If it is gone.
    pub fn standing(&mut self) -> Result<ServerState, RedisError> {
        let asked = cmd("HGET").arg(&self.key).arg(WRITER).query(&mut self.connection);
        let writer: Option<String> = asked.map_err(RedisError::Away)?;
        Ok(match writer {
            None => {
                self.written = None;
                ServerState::Lost
            }
            Some(writer) if writer == self.token => ServerState::Kept,
            Some(_) => ServerState::Shared,
        })
    }
}

/// Holds a writer back until its job shows all that is in Redis already: every record that had been read is shown again,
/// or everything up to the newest time that was shown is closed and worked off.
#[derive(Debug)]
pub struct CatchUp {
    positions: ReadPositions,
    newest: EventTime,
}

impl CatchUp {
    /// For what was recorded, if anything was.
    pub fn new(positions: ReadPositions, newest: EventTime) -> Self {
        CatchUp { positions, newest }
    }

    /// Whether writing may begin, at this progress, everything before `worked_off` being in the store.
    pub fn is_open(&self, progress: &JobProgress, worked_off: EventTime) -> bool {
        self.positions.is_empty() || worked_off > self.newest || progress.complete && self.waits_for(progress).is_none()
    }

    /// A partition that is not yet as far as it was, and how far that is. One that the job does not read any more is not
    /// waited for.
    pub fn waits_for(&self, progress: &JobProgress) -> Option<(&(String, u32), u64)> {
        let behind = |(partition, next): &(&(String, u32), &u64)| {
            progress.partitions.get(*partition).is_some_and(|reach| reach.shown < **next)
        };
        self.positions.iter().find(behind).map(|(partition, next)| (partition, *next))
    }
}

#[cfg(test)]
mod tests {
    use super::super::PartitionOffsets;
    use super::*;

    fn progress(shown: u64) -> JobProgress {
        let partitions = [(("t".to_owned(), 0), PartitionOffsets { read: 99, shown })].into();
        JobProgress { complete: true, partitions, newest: 0 }
    }

    fn gate(topic: &str) -> CatchUp {
        CatchUp::new([((topic.to_owned(), 0), 10)].into(), 200)
    }

    #[test]
    fn the_gate_opens_once_all_that_was_shown_is_closed() {
        assert!(!gate("t").is_open(&progress(9), 200));
        assert!(gate("t").is_open(&progress(9), 201));
        assert!(CatchUp::new(BTreeMap::new(), EventTime::MIN).is_open(&JobProgress::default(), EventTime::MIN));
    }

    #[test]
    fn the_gate_opens_once_all_that_had_been_read_is_shown_again() {
        assert!(!gate("t").is_open(&progress(9), 100));
        assert!(gate("t").is_open(&progress(10), 100));
        assert_eq!(gate("t").waits_for(&progress(3)), Some((&("t".to_owned(), 0), 10)));
    }

    #[test]
    fn a_partition_that_is_not_read_is_waited_for_until_all_are_found() {
        let found = progress(3);
        assert!(!gate("other").is_open(&JobProgress { complete: false, ..found.clone() }, 100));
        assert!(gate("other").is_open(&found, 100));
    }
}
