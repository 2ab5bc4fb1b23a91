//! The thread of the mirror: it takes changed keys from the store and writes their vectors to Redis.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use redis::{Client, pipe};
use tracing::{info, warn};

use super::catch_up::CatchUp;
use super::connection::{MirrorConnection, ServerState};
use super::queue::{BatchedEntity, MirrorQueue};
use super::refusal::{RefusalKind, RefusedCommand};
use super::replica_state::ReplicaState;
use super::{Mirror, RedisError};
use crate::error::chain;
use crate::store::StoreTimes;
use crate::time::{EventTime, PartitionId};

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
    queue: MirrorQueue,
    /// The state that replicas read.
    replicas: ReplicaState,
    retried: Instant,
    /// The `run_id` of the server that has what was written.
    run_id: Option<String>,
    /// True once this process has written: from then on nothing in Redis is newer than its store.
    positions_known: bool,
    /// The newest watermark that an earlier process wrote. Once the job has caught up with that process, its vectors include
    /// everything that the earlier ones did, so their watermarks need not be behind.
    earlier_watermark: EventTime,
}

impl MirrorLoop {
    /// Returns the loop of a mirror whose end is requested by the other side of `ends`.
    pub fn new(mirror: Mirror, client: Client, status: Arc<Mutex<MirrorStatus>>, ends: Receiver<Instant>) -> Self {
        let token =
            format!("{}-{:x}", std::process::id(), std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0));
        MirrorLoop {
            queue: MirrorQueue::new(&mirror),
            replicas: ReplicaState::new(&mirror, &token),
            mirror,
            client,
            token,
            status,
            ends,
            deadline: None,
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
        let pending = self.queue.pending();
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
            self.queue.requeue_everything();
        }
        if !self.positions_known {
            self.earlier_watermark = self.earlier_watermark.max(handshake.watermark);
        }
        let known = if self.positions_known { Default::default() } else { handshake.positions };
        if !self.catch_up(&CatchUp::new(known, handshake.newest)) {
            return Ok(());
        }
        self.run_id = handshake.run_id;
        if self.queue.is_requeued() {
            self.replicas.begin(&mut connection, &mut self.queue)?;
        }
        let (mut checked, mut shared, mut first) = (Instant::now(), false, true);
        loop {
            let written = self.write(&mut connection, first || self.deadline.is_some())?;
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
                self.queue.retry_refused();
            }
            if written == 0 {
                self.queue.update_gauges();
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
    fn check_server(&mut self, connection: &mut MirrorConnection, shared: &mut bool) -> Result<bool, RedisError> {
        match connection.state()? {
            ServerState::Kept => {}
            ServerState::Lost => {
                warn!(target: "redis", "Redis has been emptied; writing everything again");
                self.queue.requeue_everything();
                self.replicas.begin(connection, &mut self.queue)?;
                return Ok(true);
            }
            ServerState::Shared if !std::mem::replace(shared, true) => {
                warn!(target: "redis", "another process is writing the same dataflow to this Redis");
            }
            ServerState::Shared => {}
        }
        Ok(false)
    }

    /// Writes the next batch and returns the number of its entities. With `always`, writes the progress even if nothing is
    /// pending.
    fn write(&mut self, connection: &mut MirrorConnection, always: bool) -> Result<usize, RedisError> {
        let mirror = &self.mirror;
        // The order matters: a vector that is read after the watermark includes everything before it, and a vector that
        // is read before the progress includes nothing beyond it.
        let asof = mirror.online.watermark().max(self.earlier_watermark);
        if asof > EventTime::MIN {
            self.queue.retry_without_watermark();
        }
        let finished = self.queue.finished();
        let batch = self.queue.next_batch(|| StoreTimes { watermark: asof, newest: mirror.online.newest() });
        let is_idle = batch.is_empty() && !always;
        if is_idle && !self.replicas.is_due(finished, self.queue.is_complete()) {
            return Ok(0);
        }
        let mut pipe = pipe();
        if !is_idle {
            connection.record(&mut pipe, &(mirror.progress)(), asof);
        }
        self.replicas.announce(&mut pipe, finished, self.queue.is_complete(), mirror.online.newest());
        // By entity, the number of commands up to its last.
        let mut ends = Vec::with_capacity(batch.len());
        let first = pipe.len();
        for BatchedEntity { part, key, vector } in &batch {
            self.queue.parts[*part].write(&mut pipe, key, vector.as_ref(), asof);
            if self.queue.for_replicas {
                self.queue.parts[*part].write_for_replicas(&mut pipe, key, vector.as_ref());
            }
            ends.push(pipe.len());
        }
        self.positions_known = true;
        let count = batch.len();
        let sent = if pipe.is_empty() { Ok(Vec::new()) } else { connection.send(&pipe) };
        match sent.and_then(|refusals| self.replace_wrong_types(connection, &batch, (first, &ends), refusals, asof)) {
            Ok(refused) => self.queue.settle(&batch, &refused, asof),
            Err(error) => {
                self.queue.fail(batch);
                self.replicas.forget();
                self.queue.update_gauges();
                return Err(error);
            }
        }
        self.queue.update_gauges();
        Ok(count)
    }

    /// Replaces the keys of a batch that hold another type, and returns the positions of the entities that the server
    /// refuses. The commands of the first entity begin at `first`, and those of each end before its number in `ends`.
    ///
    /// # Errors
    /// If the server refuses writes as such, or fails.
    fn replace_wrong_types(
        &mut self,
        connection: &mut MirrorConnection,
        batch: &[BatchedEntity],
        (first, ends): (usize, &[usize]),
        refusals: Vec<RefusedCommand>,
        asof: EventTime,
    ) -> Result<BTreeSet<usize>, RedisError> {
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
        // A refusal of writes as such ends the round.
        if let Some((entity, refusal)) = of_server {
            if let Some(entity) = batch.get(entity).filter(|_| refusal.command >= first) {
                self.queue.count_refusal(entity.part, refusal.code());
            }
            return Err(refusal.into());
        }
        // Keys of a wrong type are replaced, others wait for the next round.
        let (mut replaced, mut refused) = (pipe(), BTreeSet::new());
        let mut lost_rows = false;
        for (named, (entity, refusal)) in of_entity.iter().enumerate() {
            let BatchedEntity { part, key, vector } = &batch[*entity];
            let mirrored = &self.queue.parts[*part];
            let (text, code) = (mirrored.key_of(key), refusal.code());
            self.queue.count_refusal(*part, code);
            let is_replaced = refusal.kind() == RefusalKind::WrongType;
            if named < NAMED {
                let what = if is_replaced { "it is replaced" } else { "it is left and tried again later" };
                let reason = chain(&refusal.error);
                warn!(target: "redis", key = text, code, reason, "a key cannot be written; {what}");
            }
            if is_replaced {
                mirrored.replace(&mut replaced, key, vector.as_ref(), asof);
                lost_rows |= mirrored.rows().is_some();
            } else {
                refused.insert(*entity);
            }
        }
        if let Some(refusal) = if replaced.is_empty() { None } else { connection.send(&replaced)?.into_iter().next() } {
            return Err(refusal.into());
        }
        if lost_rows {
            self.replicas.lose(connection)?;
            self.queue.requeue_everything();
        }
        Ok(refused)
    }

    /// Pauses, but not beyond the deadline.
    fn rest(&mut self, wait: Duration) {
        self.queue.update_gauges();
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
}
