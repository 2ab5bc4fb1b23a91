//! The thread of the mirror: it takes changed keys from the store and writes their vectors to Redis.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use redis::{Client, pipe};
use tracing::{info, warn};

use super::catch_up::CatchUp;
use super::connection::{MirrorConnection, ServerState};
use super::layout::{key_of, replace, write};
use super::refusal::{RefusalKind, RefusedCommand};
use super::{Mirror, RedisError};
use crate::error::chain;
use crate::store::Vector;
use crate::time::{EventTime, PartitionId};
use crate::value::Key;

/// The largest number of entities in a pipeline.
const BATCH: usize = 1000;
/// The pause while nothing is pending.
const IDLE: Duration = Duration::from_millis(5);
/// The interval at which the server is asked whether it still has what was written.
const CHECK: Duration = Duration::from_secs(1);
/// The interval at which keys that the server refuses are tried again.
const RETRY: Duration = Duration::from_secs(30);
/// The largest number of keys that one batch names in the log.
const NAMED: usize = 10;
/// The first and the longest pause before Redis is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// The status of the mirror.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum MirrorStatus {
    /// The server cannot be reached; the reason.
    Away(String),
    /// Connected; nothing is written until the job has caught up with what is in Redis.
    CatchingUp,
    /// Connected, and changes are written.
    Writing,
    /// No connection has been tried yet.
    #[default]
    Starting,
}

/// The state of the thread.
pub struct MirrorLoop {
    mirror: Mirror,
    client: Client,
    token: String,
    status: Arc<Mutex<MirrorStatus>>,
    ends: Receiver<Instant>,
    /// The time at which the thread ends, once it has been asked to.
    deadline: Option<Instant>,
    /// By group, dirty keys that were taken from its table and are not written yet.
    pending: Vec<Vec<Key>>,
    /// By group, keys that the server refuses. They are tried again every [`RETRY`], and when they change.
    refused: Vec<HashSet<Key>>,
    retried: Instant,
    /// The `run_id` of the server that has what was written.
    run_id: Option<String>,
    /// True once this process has written: from then on nothing in Redis is newer than its store.
    positions_known: bool,
    /// The newest watermark that an earlier process wrote. Once the job has caught up with that process, its vectors include
    /// everything that the earlier ones did, so their watermarks need not be behind.
    earlier_watermark: EventTime,
}

/// An entity in a batch.
struct BatchedEntity {
    group: usize,
    key: Key,
    vector: Option<Vector>,
}

impl MirrorLoop {
    /// Returns the loop of a mirror whose end is requested by the other side of `ends`.
    pub fn new(mirror: Mirror, client: Client, status: Arc<Mutex<MirrorStatus>>, ends: Receiver<Instant>) -> Self {
        let token =
            format!("{}-{:x}", std::process::id(), std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0));
        let groups = mirror.groups.len();
        MirrorLoop {
            mirror,
            client,
            token,
            status,
            ends,
            deadline: None,
            pending: vec![Vec::new(); groups],
            refused: vec![HashSet::new(); groups],
            retried: Instant::now(),
            run_id: None,
            positions_known: false,
            earlier_watermark: EventTime::MIN,
        }
    }

    /// Runs until asked to end, and returns the number of entities that are still pending.
    pub fn run(mut self) -> usize {
        let mut pause = PAUSE.0;
        while !self.is_over() {
            let failed = match self.serve(&mut pause) {
                Ok(()) => break,
                Err(failed) => failed,
            };
            self.set_status(MirrorStatus::Away(chain(&failed)));
            self.rest(pause);
            pause = (pause * 2).min(PAUSE.1);
        }
        self.mirror.metrics.redis_up.with_label_values::<&str>(&[]).set(0);
        let pending = self.pending();
        if pending > 0 {
            warn!(target: "redis", pending, "stopped before all entities were written to Redis");
        }
        pending
    }

    /// Writes over one connection until it fails, or until asked to end. Resets `pause` once something is written.
    fn serve(&mut self, pause: &mut Duration) -> Result<(), RedisError> {
        let (mut connection, handshake) = MirrorConnection::connect(&self.client, &self.mirror.dataflow, &self.token)?;
        // Another server, or one that was restarted or written by another process, may lack anything.
        if !(handshake.own && handshake.run_id.is_some() && handshake.run_id == self.run_id) {
            self.requeue_everything();
        }
        if !self.positions_known {
            self.earlier_watermark = self.earlier_watermark.max(handshake.watermark);
        }
        let known = if self.positions_known { Default::default() } else { handshake.positions };
        if !self.catch_up(&CatchUp::new(known, handshake.newest)) {
            return Ok(());
        }
        self.run_id = handshake.run_id;
        let (mut checked, mut shared, mut first) = (Instant::now(), false, true);
        loop {
            let written = self.write(&mut connection, first)?;
            if std::mem::take(&mut first) {
                *pause = PAUSE.0;
                self.set_status(MirrorStatus::Writing);
            }
            // Someone may empty the server, or write there, while the connection lasts.
            if checked.elapsed() >= CHECK {
                checked = Instant::now();
                first = self.check_server(&mut connection, &mut shared)?;
            }
            if self.retried.elapsed() >= RETRY {
                self.retried = Instant::now();
                self.retry_refused();
            }
            if written == 0 {
                self.update_gauges();
                if self.deadline.is_some() || self.is_over() {
                    return Ok(());
                }
                self.rest(IDLE);
            } else if self.is_over() {
                return Ok(());
            }
        }
    }

    /// Waits until the job has caught up with what is in Redis. Returns false if the thread is to end first.
    fn catch_up(&mut self, condition: &CatchUp) -> bool {
        let is_met = |mirror: &Mirror| condition.is_met(&(mirror.progress)(), mirror.online.watermark());
        if is_met(&self.mirror) {
            return true;
        }
        if let Some((PartitionId { source, partition }, next)) = condition.lagging(&(self.mirror.progress)()) {
            info!(target: "redis", source, partition, next, "waiting for this offset");
        }
        self.set_status(MirrorStatus::CatchingUp);
        while !is_met(&self.mirror) {
            if self.is_over() {
                return false;
            }
            self.rest(IDLE);
        }
        true
    }

    /// Returns true if the server has been emptied; everything is pending then. `shared` is set once another process was
    /// seen to write there.
    fn check_server(&self, connection: &mut MirrorConnection, shared: &mut bool) -> Result<bool, RedisError> {
        match connection.state()? {
            ServerState::Kept => {}
            ServerState::Lost => {
                warn!(target: "redis", "Redis has been emptied; writing everything again");
                self.requeue_everything();
                return Ok(true);
            }
            ServerState::Shared if !std::mem::replace(shared, true) => {
                warn!(target: "redis", "another process is writing the same dataflow to this Redis");
            }
            ServerState::Shared => {}
        }
        Ok(false)
    }

    fn requeue_everything(&self) {
        self.mirror.groups.iter().for_each(|group| group.table.mark_all_dirty());
    }

    /// Marks the keys that the server has refused as changed.
    fn retry_refused(&mut self) {
        for (group, refused) in self.mirror.groups.iter().zip(&mut self.refused) {
            group.table.requeue(refused.drain());
        }
    }

    /// Writes up to [`BATCH`] pending entities and returns their number. With `always`, writes the progress even if nothing
    /// is pending.
    fn write(&mut self, connection: &mut MirrorConnection, always: bool) -> Result<usize, RedisError> {
        let mirror = &self.mirror;
        // The order matters: a vector that is read after the watermark includes everything before it, and a vector that
        // is read before the progress includes nothing beyond it.
        let asof = mirror.online.watermark().max(self.earlier_watermark);
        let mut batch: Vec<BatchedEntity> = Vec::new();
        for (index, (group, pending)) in mirror.groups.iter().zip(&mut self.pending).enumerate() {
            if pending.is_empty() {
                *pending = group.table.drain_dirty();
            }
            let some = pending.len().min(BATCH - batch.len());
            batch.extend(pending.drain(pending.len() - some..).map(|key| {
                let vector = group.table.get(&key);
                BatchedEntity { group: index, key, vector }
            }));
        }
        if batch.is_empty() && !always {
            return Ok(0);
        }
        let mut pipe = pipe();
        connection.record(&mut pipe, &(mirror.progress)(), asof);
        // By entity, the number of commands up to its last.
        let mut ends = Vec::with_capacity(batch.len());
        let first = pipe.len();
        for BatchedEntity { group, key, vector } in &batch {
            write(&mut pipe, &mirror.dataflow, &mirror.groups[*group], key, vector.as_ref(), asof);
            ends.push(pipe.len());
        }
        self.positions_known = true;
        let count = batch.len();
        let sent = if pipe.is_empty() { Ok(Vec::new()) } else { connection.send(&pipe) };
        let sent = sent.and_then(|refusals| self.sort_out(connection, &batch, (first, &ends), refusals, asof));
        if sent.is_err() {
            // Back to the dirty keys: what has changed in the meantime is written once, not twice.
            batch.into_iter().for_each(|entity| self.pending[entity.group].push(entity.key));
            for (group, pending) in self.mirror.groups.iter().zip(&mut self.pending) {
                group.table.requeue(pending.drain(..));
            }
        }
        self.update_gauges();
        sent.map(|()| count)
    }

    /// Counts the entities of a batch that are written, replaces keys of another type, and keeps those that the server
    /// refuses. The commands of the first entity begin at `first`, and those of each end before its number in `ends`.
    ///
    /// # Errors
    /// If the server refuses writes as such, or fails.
    fn sort_out(
        &mut self,
        connection: &mut MirrorConnection,
        batch: &[BatchedEntity],
        (first, ends): (usize, &[usize]),
        refusals: Vec<RefusedCommand>,
        asof: EventTime,
    ) -> Result<(), RedisError> {
        // The first refusal of each entity.
        let mut of_entity: BTreeMap<usize, RefusedCommand> = BTreeMap::new();
        let mut of_server = None;
        for refusal in refusals {
            let entity = ends.partition_point(|end| *end <= refusal.command);
            if refusal.command < first || refusal.kind() == RefusalKind::Server {
                of_server.get_or_insert((entity, refusal));
            } else {
                of_entity.entry(entity).or_insert(refusal);
            }
        }
        if let Some((entity, refusal)) = of_server {
            if let Some(entity) = batch.get(entity).filter(|_| refusal.command >= first) {
                self.count_refusal(entity.group, refusal.code());
            }
            return Err(refusal.into());
        }
        let mut replaced = pipe();
        for (named, (entity, refusal)) in of_entity.iter().enumerate() {
            let BatchedEntity { group, key, vector } = &batch[*entity];
            let mirrored = &self.mirror.groups[*group];
            let (text, code) = (key_of(&self.mirror.dataflow, mirrored, key), refusal.code());
            self.count_refusal(*group, code);
            let is_replaced = refusal.kind() == RefusalKind::WrongType;
            if named < NAMED {
                let what = if is_replaced { "it is replaced" } else { "it is left and tried again later" };
                let reason = chain(&refusal.error);
                warn!(target: "redis", key = text, code, reason, "a key cannot be written; {what}");
            }
            if is_replaced {
                replace(&mut replaced, &self.mirror.dataflow, mirrored, key, vector.as_ref(), asof);
            } else {
                self.refused[*group].insert(key.clone());
            }
        }
        if let Some(refusal) = if replaced.is_empty() { None } else { connection.send(&replaced)?.into_iter().next() } {
            return Err(refusal.into());
        }
        for (index, BatchedEntity { group, key, .. }) in batch.iter().enumerate() {
            if of_entity.get(&index).is_none_or(|refusal| refusal.kind() == RefusalKind::WrongType) {
                self.refused[*group].remove(key.as_bytes());
                let name = self.mirror.groups[*group].name.as_str();
                self.mirror.metrics.redis_written.with_label_values(&[name]).inc();
            }
        }
        Ok(())
    }

    fn count_refusal(&self, group: usize, code: &str) {
        let name = self.mirror.groups[group].name.as_str();
        self.mirror.metrics.redis_refused.with_label_values(&[name, code]).inc();
    }

    /// Pauses, but not beyond the deadline.
    fn rest(&mut self, wait: Duration) {
        self.update_gauges();
        let now = Instant::now();
        let until = self.deadline.map_or(now + wait, |deadline| deadline.min(now + wait));
        match self.ends.recv_timeout(until - now.min(until)) {
            Ok(deadline) => self.deadline = Some(deadline),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                // The handle was dropped: without a deadline the thread ends now.
                self.deadline.get_or_insert(now);
                std::thread::sleep(until - now.min(until));
            }
        }
    }

    /// Returns whether the thread has been asked to end, and the deadline has passed.
    fn is_over(&mut self) -> bool {
        if self.deadline.is_none() {
            match self.ends.try_recv() {
                Ok(deadline) => self.deadline = Some(deadline),
                Err(crossbeam_channel::TryRecvError::Empty) => {}
                Err(crossbeam_channel::TryRecvError::Disconnected) => self.deadline = Some(Instant::now()),
            }
        }
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    fn set_status(&self, status: MirrorStatus) {
        let mut known = self.status.lock().expect("no holder panics");
        if *known == status {
            return;
        }
        match &status {
            MirrorStatus::Away(reason) => warn!(target: "redis", reason, "Redis cannot be written"),
            MirrorStatus::CatchingUp => {
                info!(target: "redis", "waiting until this run has caught up with what is in Redis")
            }
            MirrorStatus::Writing => info!(target: "redis", "writing features to Redis"),
            MirrorStatus::Starting => {}
        }
        let up = i64::from(status == MirrorStatus::Writing);
        self.mirror.metrics.redis_up.with_label_values::<&str>(&[]).set(up);
        *known = status;
    }

    fn pending(&self) -> usize {
        (0..self.mirror.groups.len()).map(|group| self.pending_of(group)).sum()
    }

    /// Returns the number of entities of a group whose newest vector is not in Redis.
    fn pending_of(&self, group: usize) -> usize {
        self.mirror.groups[group].table.dirty_len() + self.pending[group].len() + self.refused[group].len()
    }

    fn update_gauges(&self) {
        for (index, group) in self.mirror.groups.iter().enumerate() {
            let pending = i64::try_from(self.pending_of(index)).unwrap_or(i64::MAX);
            self.mirror.metrics.redis_pending.with_label_values(&[group.name.as_str()]).set(pending);
        }
    }
}
