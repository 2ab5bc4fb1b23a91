//! The state that replicas read: whether Redis has everything of a definition, and as of which times.
//!
//! Redis has everything while the hash `_replica` has both a `writer` and a `definition`. The writer is set before everything
//! is written and the definition after it, so that a server that is emptied at any moment in between does not have both.
//!
//! Beside that, and whether or not there is anything to write, it has how far the run has read and when it said so, from which a
//! replica sees how far it is behind.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::{Pipeline, pipe};
use tracing::warn;

use super::connection::MirrorConnection;
use super::queue::MirrorQueue;
use super::refusal::RefusalKind;
use super::replica_layout::{DEFINITION, ReplicaDefinition, WRITER, state_key, write_progress, write_times};
use super::{Mirror, RedisError};
use crate::error::chain;
use crate::store::StoreTimes;
use crate::time::EventTime;
use crate::value::Key;

/// The interval at which the times are written while nothing else is.
const INTERVAL: Duration = Duration::from_millis(100);

/// The interval at which the progress of the run is written.
const PROGRESS: Duration = Duration::from_secs(1);

/// The state of the hash `_replica`.
pub struct ReplicaState {
    /// The key of the hash.
    key: String,
    /// `None` if nothing is written for replicas.
    definition: Option<ReplicaDefinition>,
    token: String,
    /// The times that were written last.
    times: Option<StoreTimes>,
    written: Instant,
    /// The time at which the progress of the run was written last; `None` if it is not known that the server has it.
    told: Option<Instant>,
    /// True once the definition has been written.
    is_complete: bool,
    /// True if this user may not write for replicas.
    is_refused: bool,
}

impl ReplicaState {
    /// The state of a mirror whose process writes this token.
    pub fn new(mirror: &Mirror, token: &str) -> Self {
        ReplicaState {
            key: state_key(&mirror.dataflow),
            definition: mirror.replicas.as_ref().map(|replicas| replicas.definition.clone()),
            token: token.to_owned(),
            times: None,
            written: Instant::now(),
            told: None,
            is_complete: false,
            is_refused: false,
        }
    }

    /// Prepares the server before everything is written to it. If it has everything of the same definition, replicas go on
    /// meanwhile. Rows that the store does not have are marked to be deleted.
    ///
    /// If this user may not write them, features alone are written.
    ///
    /// # Errors
    /// If the server is unreachable.
    pub fn begin(&mut self, connection: &mut MirrorConnection, queue: &mut MirrorQueue) -> Result<(), RedisError> {
        self.forget();
        let mut pipe = pipe();
        match &self.definition {
            // The state that an earlier process wrote for replicas is stale.
            None => _ = pipe.cmd("DEL").arg(&self.key),
            Some(definition) => {
                let known = connection.fields(&self.key, &[WRITER, DEFINITION])?;
                if known[0].is_none() || known[1].as_deref() != Some(definition.text()) {
                    pipe.cmd("HDEL").arg(&self.key).arg(DEFINITION);
                }
                pipe.cmd("HSET").arg(&self.key).arg(WRITER).arg(&self.token);
            }
        }
        let refusal = connection.send(&pipe)?.into_iter().next();
        if let Some(refusal) = refusal.as_ref().filter(|_| self.definition.is_some()) {
            let reason = chain(&refusal.error);
            warn!(target: "redis", key = self.key, reason, "nothing can be written for replicas");
        }
        self.is_refused = refusal.as_ref().is_some_and(|refusal| refusal.kind() == RefusalKind::Key);
        queue.for_replicas = self.definition.is_some() && !self.is_refused;
        if let Some(refusal) = refusal.filter(|_| !self.is_refused) {
            return Err(refusal.into());
        }
        if !queue.for_replicas {
            return Ok(());
        }
        for part in &queue.parts {
            let Some(rows) = part.rows() else { continue };
            let mut gone = Vec::new();
            connection.visit_names(rows, |name| {
                if part.table.get_encoded(name).is_none() {
                    gone.push(Key::from_bytes(name));
                }
            })?;
            part.table.requeue(gone);
        }
        Ok(())
    }

    /// Notifies replicas at once that something is missing.
    ///
    /// # Errors
    /// If the server is unreachable.
    pub fn lose(&mut self, connection: &mut MirrorConnection) -> Result<(), RedisError> {
        self.is_complete = false;
        let mut pipe = pipe();
        pipe.cmd("HDEL").arg(&self.key).arg(DEFINITION);
        connection.send(&pipe).map(|_| ())
    }

    /// Makes the times be written again, as it is not known what the server has.
    pub fn forget(&mut self) {
        self.times = None;
        self.told = None;
        self.is_complete = false;
    }

    /// Returns whether there is anything to write for replicas, given the times of the newest round and whether Redis has everything.
    pub fn is_due(&self, finished: Option<StoreTimes>, is_complete: bool) -> bool {
        let completes = is_complete && !self.is_complete;
        let is_later = finished.is_some() && finished != self.times && self.written.elapsed() >= INTERVAL;
        let tells = finished.is_some() && (completes || is_later) || self.is_progress_due();
        self.definition.is_some() && !self.is_refused && tells
    }

    fn is_progress_due(&self) -> bool {
        self.told.is_none_or(|told| told.elapsed() >= PROGRESS)
    }

    /// Appends the commands that tell it, and how far the run has `read` by now if that is due.
    pub fn announce(&mut self, pipe: &mut Pipeline, finished: Option<StoreTimes>, is_complete: bool, read: EventTime) {
        let (Some(definition), false) = (&self.definition, self.is_refused) else { return };
        // First the progress: what Redis has is never ahead of what was read.
        if self.is_progress_due() {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64);
            write_progress(pipe, &self.key, read, wall);
            self.told = Some(Instant::now());
        }
        let Some(times) = finished else { return };
        if finished != self.times {
            write_times(pipe, &self.key, times);
            (self.times, self.written) = (finished, Instant::now());
        }
        if is_complete && !self.is_complete {
            pipe.cmd("HSET").arg(&self.key).arg(DEFINITION).arg(definition.text()).ignore();
            self.is_complete = true;
        }
    }
}
