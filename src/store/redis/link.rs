//! A connection to a Redis server that knows what the server has of this dataflow.
//!
//! The hash `tidemill:{dataflow}:_positions` has a field for each `topic:partition`, the next offset read for what is
//! written, and `_writer`, a token of the process that wrote it. No token there: the server has been emptied.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use redis::{Client, Connection, Pipeline, cmd};

use super::layout::positions_key;
use super::{Progress, RedisError};
use crate::time::EventTime;

const CONNECT: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(5);
const WRITER: &str = "_writer";

/// What a server has of this dataflow.
#[derive(Debug, PartialEq)]
pub enum Standing {
    /// All that this process wrote.
    Kept,
    /// Something else or nothing: it must be given everything.
    Lost,
    /// What it should have, but another process writes there, too.
    Shared,
}

/// A connection.
pub struct Link {
    connection: Connection,
    key: String,
    token: String,
    /// What was written of positions.
    written: BTreeMap<(String, u32), u64>,
}

/// What a server had when it was connected to.
pub struct Greeting {
    /// Which start of which server it is, if it says so.
    pub run_id: Option<String>,
    /// Whether the newest to write there was this process.
    pub own: bool,
    /// How far each partition had been read for what is there.
    pub positions: BTreeMap<(String, u32), u64>,
}

impl Link {
    /// # Errors
    /// If the server cannot be reached or does not let one in.
    pub fn connect(client: &Client, dataflow: &str, token: &str) -> Result<(Link, Greeting), RedisError> {
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
                let (topic, partition) = field.rsplit_once(':')?;
                Some(((topic.to_owned(), partition.parse().ok()?), next.parse().ok()?))
            });
            let greeting = Greeting {
                run_id,
                own: fields.get(WRITER).is_some_and(|writer| writer == token),
                positions: positions.collect(),
            };
            let link = Link { connection, key, token: token.to_owned(), written: BTreeMap::new() };
            Ok((link, greeting))
        };
        open().map_err(RedisError::Away)
    }

    /// Appends to a pipeline, to go before vectors, how far each partition has been read by now.
    pub fn record(&mut self, pipe: &mut Pipeline, progress: &Progress) {
        let now = progress.partitions.iter().map(|(partition, reach)| (partition.clone(), reach.read));
        let now: BTreeMap<(String, u32), u64> = now.collect();
        if now == self.written && !now.is_empty() {
            return;
        }
        pipe.cmd("HSET").arg(&self.key).arg(WRITER).arg(&self.token);
        for ((topic, partition), next) in &now {
            pipe.arg(format!("{topic}:{partition}")).arg(*next);
        }
        pipe.ignore();
        self.written = now;
    }

    /// # Errors
    /// If the server is gone or refuses any of it; what was written of it is not known then.
    pub fn send(&mut self, pipe: &Pipeline) -> Result<(), RedisError> {
        pipe.exec(&mut self.connection).map_err(|error| match error.kind() {
            redis::ErrorKind::Server(_) => RedisError::Refused(error),
            _ => RedisError::Away(error),
        })
    }

    /// What the server has now.
    ///
    /// # Errors
    /// If it is gone.
    pub fn standing(&mut self) -> Result<Standing, RedisError> {
        let asked = cmd("HGET").arg(&self.key).arg(WRITER).query(&mut self.connection);
        let writer: Option<String> = asked.map_err(RedisError::Away)?;
        Ok(match writer {
            None => {
                self.written.clear();
                Standing::Lost
            }
            Some(writer) if writer == self.token => Standing::Kept,
            Some(_) => Standing::Shared,
        })
    }
}

/// Holds a writer back until its job has shown all that is in Redis already.
#[derive(Debug, Default)]
pub struct Gate {
    positions: BTreeMap<(String, u32), u64>,
    /// All of it is closed before this event time.
    closed: Option<EventTime>,
}

impl Gate {
    pub fn new(positions: BTreeMap<(String, u32), u64>) -> Self {
        let closed = positions.is_empty().then_some(EventTime::MIN);
        Gate { positions, closed }
    }

    /// Whether writing may begin, at this progress, everything before `worked_off` being in the store.
    pub fn is_open(&mut self, progress: &Progress, worked_off: EventTime) -> bool {
        if self.closed.is_none() && self.waits_for(progress).is_none() {
            self.closed = Some(progress.frontier);
        }
        self.closed.is_some_and(|closed| closed <= worked_off)
    }

    /// A partition that is not yet as far as it was, and how far that is. One that has ended, or that the job does not
    /// read any more, is waited for no longer.
    pub fn waits_for(&self, progress: &Progress) -> Option<(&(String, u32), u64)> {
        let behind = |(partition, next): &(&(String, u32), &u64)| {
            progress.partitions.get(*partition).is_some_and(|reach| !reach.ended && reach.closed < **next)
        };
        self.positions.iter().find(behind).map(|(partition, next)| (partition, *next))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reach;
    use super::*;

    fn progress(closed: u64, ended: bool, frontier: EventTime) -> Progress {
        let reach = Reach { read: closed + 5, closed, ended };
        Progress { partitions: [(("t".to_owned(), 0), reach)].into(), frontier }
    }

    #[test]
    fn the_gate_opens_once_what_was_shown_before_is_closed_and_worked_off() {
        let mut gate = Gate::new([(("t".to_owned(), 0), 10)].into());
        assert!(!gate.is_open(&progress(9, false, 100), 100));
        assert!(!gate.is_open(&progress(10, false, 200), 199));
        assert!(gate.is_open(&progress(11, false, 300), 200));
        assert!(Gate::new(BTreeMap::new()).is_open(&Progress::default(), EventTime::MIN));
    }

    #[test]
    fn a_partition_that_has_ended_or_is_not_read_is_not_waited_for() {
        let gate = |topic: &str| Gate::new([((topic.to_owned(), 0), 10)].into());
        assert!(gate("t").is_open(&progress(3, true, 50), 50));
        assert!(gate("gone").is_open(&progress(3, false, 50), 50));
        assert_eq!(gate("t").waits_for(&progress(3, false, 50)), Some((&("t".to_owned(), 0), 10)));
    }
}
