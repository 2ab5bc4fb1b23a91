//! A connection to a Redis server, and the record of a dataflow's progress there.
//!
//! The hash `tidemill:{dataflow}:_positions` has a field for each `source:partition` with the next offset to be read when
//! the vectors were written; `_newest`, the newest effective time that they may include; `_watermark`, the newest that one
//! of them has; and `_writer`, a token of the process that wrote them. If the token is missing, the server has been emptied.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use redis::{Client, Connection, Pipeline, cmd};
use tracing::warn;

use super::layout::positions_key;
use super::refusal::{self, RefusedCommand, is_wrong_type};
use super::{JobProgress, RedisError};
use crate::time::{EARLIEST, EventTime, LATEST, PartitionId};

/// The timeout for connecting.
const CONNECT: Duration = Duration::from_secs(1);
/// The timeout for one answer.
const ANSWER: Duration = Duration::from_secs(5);
/// The timeout for all answers to a pipeline.
const ANSWERS: Duration = Duration::from_secs(20);
/// The number of fields that a scan asks for at a time.
const SCANNED: usize = 1000;
const WRITER: &str = "_writer";
const NEWEST: &str = "_newest";
const WATERMARK: &str = "_watermark";

/// The next offset to be read, by partition.
pub type ReadPositions = BTreeMap<PartitionId, u64>;

/// The vectors of this dataflow that a server has.
#[derive(Debug, PartialEq)]
pub enum ServerState {
    /// Keys that this process wrote.
    Kept,
    /// None: everything must be written again.
    Lost,
    /// Keys of this process, and another process writes there, too.
    Shared,
}

/// A connection to the server.
pub struct MirrorConnection {
    connection: Connection,
    key: String,
    token: String,
    /// The progress that was recorded last.
    written: Option<RecordedProgress>,
    /// True once the token has been written. It is written once, so that it is missing after the server was emptied.
    is_claimed: bool,
}

/// The progress that a server has beside the vectors.
#[derive(Clone, Debug, PartialEq)]
struct RecordedProgress {
    positions: ReadPositions,
    newest: EventTime,
    watermark: EventTime,
}

/// The state of a server when it was connected to.
pub struct Handshake {
    /// Identifies the server and its start; `None` if the server does not tell.
    pub run_id: Option<String>,
    /// True if this process was the last to write there.
    pub own: bool,
    /// The recorded positions of the vectors that are there.
    pub positions: ReadPositions,
    /// The newest effective time that the vectors there may include.
    pub newest: EventTime,
    /// The newest watermark of the vectors there; the minimum if it is not known.
    pub watermark: EventTime,
}

impl MirrorConnection {
    /// Connects and reads the recorded progress.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses the credentials.
    pub fn connect(client: &Client, dataflow: &str, token: &str) -> Result<(MirrorConnection, Handshake), RedisError> {
        let open = || {
            let mut connection = client.get_connection_with_timeout(CONNECT)?;
            connection.set_read_timeout(Some(ANSWER))?;
            connection.set_write_timeout(Some(ANSWER))?;
            let key = positions_key(dataflow);
            let fields: HashMap<String, String> = match cmd("HGETALL").arg(&key).query(&mut connection) {
                Err(error) if is_wrong_type(&error) => {
                    warn!(target: "redis", key, "the key is of another type; it is replaced");
                    cmd("DEL").arg(&key).exec(&mut connection)?;
                    HashMap::new()
                }
                fields => fields?,
            };
            // A server may forbid INFO; then only the token tells whether it was emptied.
            let info: Option<String> = cmd("INFO").arg("server").query(&mut connection).ok();
            let run_id = info.as_deref().and_then(|info| info.lines().find_map(|line| line.strip_prefix("run_id:")));
            let run_id = run_id.map(|run_id| run_id.trim().to_owned());
            let positions = fields.iter().filter_map(|(field, next)| {
                let (source, partition) = field.rsplit_once(':')?;
                let id = PartitionId { source: source.to_owned(), partition: partition.parse().ok()? };
                Some((id, next.parse().ok()?))
            });
            let handshake = Handshake {
                run_id,
                own: fields.get(WRITER).is_some_and(|writer| writer == token),
                positions: positions.collect(),
                newest: fields.get(NEWEST).and_then(|newest| newest.parse().ok()).unwrap_or(EventTime::MAX),
                // A time that no record can have is not one that was written.
                watermark: fields
                    .get(WATERMARK)
                    .and_then(|time| time.parse().ok())
                    .filter(|time| (EARLIEST..LATEST).contains(time))
                    .unwrap_or(EventTime::MIN),
            };
            let link = MirrorConnection { connection, key, token: token.to_owned(), written: None, is_claimed: false };
            Ok((link, handshake))
        };
        open().map_err(RedisError::Away)
    }

    /// Appends the job's progress to a pipeline, to be written before the vectors with this watermark, if it has changed.
    pub fn record(&mut self, pipe: &mut Pipeline, progress: &JobProgress, watermark: EventTime) {
        let positions = progress.partitions.iter().map(|(partition, offsets)| (partition.clone(), offsets.next));
        let now = RecordedProgress { positions: positions.collect(), newest: progress.newest, watermark };
        if self.written.as_ref() == Some(&now) {
            return;
        }
        pipe.cmd("HSET").arg(&self.key).arg(NEWEST).arg(now.newest);
        if !std::mem::replace(&mut self.is_claimed, true) {
            pipe.arg(WRITER).arg(&self.token);
        }
        pipe.arg(WATERMARK).arg(watermark);
        for (PartitionId { source, partition }, next) in &now.positions {
            pipe.arg(format!("{source}:{partition}")).arg(*next);
        }
        pipe.ignore();
        self.written = Some(now);
    }

    /// Sends a pipeline and reads its answers. Returns the commands that the server refused, in order; all others are done.
    ///
    /// # Errors
    /// If the server is unreachable or does not answer in time. Some of it may have been written.
    pub fn send(&mut self, pipe: &Pipeline) -> Result<Vec<RefusedCommand>, RedisError> {
        let begun = Instant::now();
        self.connection.send_packed_command(&pipe.get_packed_pipeline()).map_err(RedisError::Away)?;
        let mut refused = Vec::new();
        // One by one: the pipeline's own query would wait the timeout for each answer in turn.
        for command in 0..pipe.len() {
            match self.connection.recv_response().and_then(redis::Value::extract_error) {
                Ok(_) => {}
                Err(error) if refusal::is_refused(&error) => refused.push(RefusedCommand { command, error }),
                Err(error) => return Err(RedisError::Away(error)),
            }
            if begun.elapsed() > ANSWERS {
                let slow = std::io::Error::new(std::io::ErrorKind::TimedOut, "the answers took too long");
                return Err(RedisError::Away(slow.into()));
            }
        }
        Ok(refused)
    }

    /// Returns the fields of a hash, `None` for those that it does not have or that may not be read. A key of another
    /// type is deleted.
    ///
    /// # Errors
    /// If the server is unreachable.
    pub fn fields(&mut self, key: &str, names: &[&str]) -> Result<Vec<Option<String>>, RedisError> {
        let asked = cmd("HMGET").arg(key).arg(names).query(&mut self.connection);
        match asked {
            Err(error) if is_wrong_type(&error) => {
                let deleted = cmd("DEL").arg(key).exec(&mut self.connection);
                deleted.map(|()| vec![None; names.len()]).map_err(RedisError::Away)
            }
            Err(error) if refusal::is_refused(&error) => Ok(vec![None; names.len()]),
            fields => fields.map_err(RedisError::Away),
        }
    }

    /// Calls `visit` with the name of each field of a hash; with some of them twice if it changes meanwhile.
    ///
    /// # Errors
    /// If the server is unreachable.
    pub fn visit_names(&mut self, key: &str, mut visit: impl FnMut(&[u8])) -> Result<(), RedisError> {
        let mut cursor = 0u64;
        loop {
            let asked = cmd("HSCAN").arg(key).arg(cursor).arg("COUNT").arg(SCANNED).query(&mut self.connection);
            let (next, pairs): (u64, Vec<Vec<u8>>) = match asked {
                // One of another type is replaced when a row is written.
                Err(error) if refusal::is_refused(&error) => return Ok(()),
                scanned => scanned.map_err(RedisError::Away)?,
            };
            pairs.iter().step_by(2).for_each(|name| visit(name));
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Asks the server whose vectors it has now.
    ///
    /// # Errors
    /// If the server is unreachable.
    pub fn state(&mut self) -> Result<ServerState, RedisError> {
        let asked = cmd("HGET").arg(&self.key).arg(WRITER).query(&mut self.connection);
        let writer: Option<String> = asked.map_err(RedisError::Away)?;
        Ok(match writer {
            None => {
                (self.written, self.is_claimed) = (None, false);
                ServerState::Lost
            }
            Some(writer) if writer == self.token => ServerState::Kept,
            Some(_) => ServerState::Shared,
        })
    }
}
