//! The thread that writes the online store's changes to Redis.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use redis::{Client, pipe};
use tracing::{info, warn};

use super::catch_up::CatchUp;
use super::connection::{MirrorConnection, ServerState};
use super::layout::write;
use super::{Mirror, RedisError};
use crate::error::chain;
use crate::store::Vector;
use crate::threads::{self, Thread};
use crate::time::PartitionId;
use crate::value::Key;

/// The largest number of entities in a pipeline.
const BATCH: usize = 1000;
/// The pause while nothing is pending.
const IDLE: Duration = Duration::from_millis(5);
/// The interval at which the server is asked whether it still has what was written.
const CHECK: Duration = Duration::from_secs(1);
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

/// Mirrors feature groups into Redis until it is finished or dropped.
#[derive(Debug)]
pub struct RedisWriter {
    status: Arc<Mutex<MirrorStatus>>,
    /// Sends the deadline for writing what is pending; closed without one, the thread stops at once.
    end: Option<Sender<Instant>>,
    thread: Option<Thread<usize>>,
}

impl RedisWriter {
    /// Starts the thread; from now on the groups' tables record what changes. The server need not be reachable.
    ///
    /// # Errors
    /// If the address is not one of a Redis server, or the thread cannot be started.
    pub fn start(mirror: Mirror) -> Result<RedisWriter, RedisError> {
        let client = Client::open(mirror.url.as_str()).map_err(RedisError::Address)?;
        mirror.groups.iter().for_each(|group| group.table.track_changes());
        mirror.metrics.redis_up.with_label_values::<&str>(&[]).set(0);
        let status = Arc::new(Mutex::new(MirrorStatus::Starting));
        let (end, ends) = bounded(1);
        let token =
            format!("{}-{:x}", std::process::id(), std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0));
        let groups = mirror.groups.len();
        let writer = MirrorLoop {
            mirror,
            client,
            token,
            status: status.clone(),
            ends,
            deadline: None,
            pending: vec![Vec::new(); groups],
            run_id: None,
            positions_known: false,
        };
        let thread = threads::spawn("redis", move || writer.run());
        Ok(RedisWriter { status, end: Some(end), thread: Some(thread.map_err(RedisError::Thread)?) })
    }

    /// Returns the present status.
    pub fn status(&self) -> MirrorStatus {
        self.status.lock().expect("no holder panics").clone()
    }

    /// Writes what is pending, for no longer than `within`, and ends. Returns the number of entities that are still pending.
    pub fn finish(mut self, within: Duration) -> usize {
        self.thread.iter().for_each(Thread::expect_end);
        if let Some(end) = self.end.take() {
            let _ = end.send(Instant::now() + within);
        }
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for RedisWriter {
    fn drop(&mut self) {
        self.thread.iter().for_each(Thread::expect_end);
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The state of the thread.
struct MirrorLoop {
    mirror: Mirror,
    client: Client,
    token: String,
    status: Arc<Mutex<MirrorStatus>>,
    ends: Receiver<Instant>,
    /// The time at which the thread ends, once it has been asked to.
    deadline: Option<Instant>,
    /// By group, dirty keys that were taken from its table and are not written yet.
    pending: Vec<Vec<Key>>,
    /// The `run_id` of the server that has what was written.
    run_id: Option<String>,
    /// True once this process has written: from then on nothing in Redis is newer than its store.
    positions_known: bool,
}

impl MirrorLoop {
    /// Runs until asked to end, and returns the number of entities that are still pending.
    fn run(mut self) -> usize {
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

    /// Writes up to [`BATCH`] pending entities and returns their number. With `always`, writes the progress even if nothing
    /// is pending.
    fn write(&mut self, connection: &mut MirrorConnection, always: bool) -> Result<usize, RedisError> {
        let mirror = &self.mirror;
        // The order matters: a vector that is read after the watermark includes everything before it, and a vector that
        // is read before the progress includes nothing beyond it.
        let asof = mirror.online.watermark();
        let mut batch: Vec<(usize, Key, Option<Vector>)> = Vec::new();
        for (index, (group, pending)) in mirror.groups.iter().zip(&mut self.pending).enumerate() {
            if pending.is_empty() {
                *pending = group.table.drain_dirty();
            }
            let some = pending.len().min(BATCH - batch.len());
            batch.extend(pending.drain(pending.len() - some..).map(|key| {
                let vector = group.table.get(&key);
                (index, key, vector)
            }));
        }
        if batch.is_empty() && !always {
            return Ok(0);
        }
        let mut pipe = pipe();
        connection.record(&mut pipe, &(mirror.progress)());
        for (group, key, vector) in &batch {
            write(&mut pipe, &mirror.dataflow, &mirror.groups[*group], key, vector.as_ref(), asof);
        }
        self.positions_known = true;
        let sent = if pipe.is_empty() { Ok(()) } else { connection.send(&pipe) };
        let count = batch.len();
        match &sent {
            Ok(()) => batch.iter().for_each(|(group, ..)| {
                let name = mirror.groups[*group].name.as_str();
                mirror.metrics.redis_written.with_label_values(&[name]).inc();
            }),
            // Back to the dirty keys: what has changed in the meantime is written once, not twice.
            Err(_) => {
                batch.into_iter().for_each(|(group, key, _)| self.pending[group].push(key));
                for (group, pending) in mirror.groups.iter().zip(&mut self.pending) {
                    group.table.requeue(pending.drain(..));
                }
            }
        }
        self.update_gauges();
        sent.map(|()| count)
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
        let groups = self.mirror.groups.iter().zip(&self.pending);
        groups.map(|(group, pending)| group.table.dirty_len() + pending.len()).sum()
    }

    fn update_gauges(&self) {
        for (group, pending) in self.mirror.groups.iter().zip(&self.pending) {
            let pending = i64::try_from(group.table.dirty_len() + pending.len()).unwrap_or(i64::MAX);
            self.mirror.metrics.redis_pending.with_label_values(&[group.name.as_str()]).set(pending);
        }
    }
}
