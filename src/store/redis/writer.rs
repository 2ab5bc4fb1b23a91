//! The thread that writes to Redis what the online store has that Redis has not.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use redis::{Client, pipe};
use tracing::{info, warn};

use super::connection::{CatchUp, MirrorConnection, ServerState};
use super::layout::write;
use super::{Mirror, RedisError};
use crate::store::Vector;
use crate::value::Key;

/// Entities in a pipeline.
const BATCH: usize = 1000;
/// How long to wait where nothing is owed.
const IDLE: Duration = Duration::from_millis(5);
/// How often the server is asked whether it still has what was written.
const CHECK: Duration = Duration::from_secs(1);
/// The first and the longest pause before Redis is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// How the mirror is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum MirrorStatus {
    /// Not reached yet, or not any more, and why.
    Away(String),
    /// Connected; nothing is written before the job has come again to where it was.
    CatchingUp,
    Writing,
    #[default]
    Starting,
}

/// Mirrors feature groups into Redis until it is finished or dropped.
#[derive(Debug)]
pub struct RedisWriter {
    status: Arc<Mutex<MirrorStatus>>,
    /// Says until when what is owed may still be written; closed: stop at once.
    end: Option<Sender<Instant>>,
    thread: Option<JoinHandle<usize>>,
}

impl RedisWriter {
    /// Starts it; from now on the shelves of the groups remember what changes. The server need not be there.
    ///
    /// # Errors
    /// If the address cannot be one, or the system has no thread to give.
    pub fn start(mirror: Mirror) -> Result<RedisWriter, RedisError> {
        let client = Client::open(mirror.url.as_str()).map_err(RedisError::Address)?;
        mirror.groups.iter().for_each(|group| group.shelf.mirror());
        mirror.metrics.redis_up.with_label_values::<&str>(&[]).set(0);
        let status = Arc::new(Mutex::new(MirrorStatus::Starting));
        let (end, ends) = bounded(1);
        let token =
            format!("{}-{:x}", std::process::id(), std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0));
        let groups = mirror.groups.len();
        let pass = MirrorLoop {
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
        let thread = std::thread::Builder::new().name("redis".to_owned()).spawn(move || pass.run());
        Ok(RedisWriter { status, end: Some(end), thread: Some(thread.map_err(RedisError::Thread)?) })
    }

    pub fn status(&self) -> MirrorStatus {
        self.status.lock().expect("no holder panics").clone()
    }

    /// Writes what is owed, for no longer than this, and ends; gives how many entities are still owed.
    pub fn finish(mut self, within: Duration) -> usize {
        if let Some(end) = self.end.take() {
            let _ = end.send(Instant::now() + within);
        }
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for RedisWriter {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread works with.
struct MirrorLoop {
    mirror: Mirror,
    client: Client,
    token: String,
    status: Arc<Mutex<MirrorStatus>>,
    ends: Receiver<Instant>,
    /// Until when, once it has been asked to end.
    deadline: Option<Instant>,
    /// By group, keys taken from its shelf that are not written yet.
    pending: Vec<Vec<Key>>,
    /// The server that has what was written.
    run_id: Option<String>,
    /// Whether this process has written: nothing in Redis is newer than its store, then.
    positions_known: bool,
}

impl MirrorLoop {
    /// Gives how many entities are still owed at the end.
    fn run(mut self) -> usize {
        let mut pause = PAUSE.0;
        while !self.is_over() {
            let failed = match self.serve(&mut pause) {
                Ok(()) => break,
                Err(failed) => failed,
            };
            self.say(MirrorStatus::Away(chain(&failed)));
            self.rest(pause);
            pause = (pause * 2).min(PAUSE.1);
        }
        self.mirror.metrics.redis_up.with_label_values::<&str>(&[]).set(0);
        let owed = self.owed();
        if owed > 0 {
            warn!(target: "redis", owed, "entities were still to be written to Redis at the end");
        }
        owed
    }

    /// Writes over one connection until it breaks, or to the end.
    fn serve(&mut self, pause: &mut Duration) -> Result<(), RedisError> {
        let (mut link, handshake) = MirrorConnection::connect(&self.client, &self.mirror.dataflow, &self.token)?;
        let same = handshake.own && handshake.run_id.is_some() && handshake.run_id == self.run_id;
        if !same {
            self.mirror.groups.iter().for_each(|group| group.shelf.owe_all());
        }
        let known = if self.positions_known { Default::default() } else { handshake.positions };
        let gate = CatchUp::new(known, handshake.newest);
        let progress = &self.mirror.progress;
        if !gate.is_open(&progress(), self.mirror.online.watermark()) {
            if let Some(((topic, partition), next)) = gate.waits_for(&progress()) {
                info!(target: "redis", topic, partition, next, "holding until this is read again");
            }
            self.say(MirrorStatus::CatchingUp);
            while !gate.is_open(&(self.mirror.progress)(), self.mirror.online.watermark()) {
                if self.is_over() {
                    return Ok(());
                }
                self.rest(IDLE);
            }
        }
        self.run_id = handshake.run_id;
        let (mut checked, mut shared, mut first) = (Instant::now(), false, true);
        loop {
            let wrote = self.write(&mut link, first)?;
            if std::mem::take(&mut first) {
                *pause = PAUSE.0;
                self.say(MirrorStatus::Writing);
            }
            if checked.elapsed() >= CHECK {
                checked = Instant::now();
                match link.standing()? {
                    ServerState::Kept => {}
                    ServerState::Lost => {
                        warn!(target: "redis", "Redis has been emptied: everything is written again");
                        self.mirror.groups.iter().for_each(|group| group.shelf.owe_all());
                        first = true;
                    }
                    ServerState::Shared if !std::mem::replace(&mut shared, true) => {
                        warn!(target: "redis", "another process writes the same dataflow to this Redis");
                    }
                    ServerState::Shared => {}
                }
            }
            if wrote == 0 {
                self.gauge();
                if self.deadline.is_some() || self.is_over() {
                    return Ok(());
                }
                self.rest(IDLE);
            } else if self.is_over() {
                return Ok(());
            }
        }
    }

    /// Writes some of what is owed, even if that is nothing but positions; gives how many entities.
    fn write(&mut self, link: &mut MirrorConnection, always: bool) -> Result<usize, RedisError> {
        let mirror = &self.mirror;
        // A vector read after this shows at least what is before the watermark, and one read before the positions are
        // asked for shows no more than they say.
        let asof = mirror.online.watermark();
        let mut batch: Vec<(usize, Key, Option<Vector>)> = Vec::new();
        for (index, (group, pending)) in mirror.groups.iter().zip(&mut self.pending).enumerate() {
            if pending.is_empty() {
                *pending = group.shelf.take_owed();
            }
            let some = pending.len().min(BATCH - batch.len());
            batch.extend(pending.drain(pending.len() - some..).map(|key| {
                let vector = group.shelf.get(&key);
                (index, key, vector)
            }));
        }
        if batch.is_empty() && !always {
            return Ok(0);
        }
        let mut pipe = pipe();
        link.record(&mut pipe, &(mirror.progress)());
        for (group, key, vector) in &batch {
            write(&mut pipe, &mirror.dataflow, &mirror.groups[*group], key, vector.as_ref(), asof);
        }
        self.positions_known = true;
        let sent = if pipe.is_empty() { Ok(()) } else { link.send(&pipe) };
        let count = batch.len();
        match &sent {
            Ok(()) => batch.iter().for_each(|(group, ..)| {
                let name = mirror.groups[*group].name.as_str();
                mirror.metrics.redis_written.with_label_values(&[name]).inc();
            }),
            // Back to the others: what has changed in the meantime is owed once, not twice.
            Err(_) => {
                batch.into_iter().for_each(|(group, key, _)| self.pending[group].push(key));
                for (group, pending) in mirror.groups.iter().zip(&mut self.pending) {
                    group.shelf.owe_again(pending.drain(..));
                }
            }
        }
        self.gauge();
        sent.map(|()| count)
    }

    /// Waits, but not beyond the end.
    fn rest(&mut self, wait: Duration) {
        self.gauge();
        let now = Instant::now();
        let until = self.deadline.map_or(now + wait, |deadline| deadline.min(now + wait));
        match self.ends.recv_timeout(until - now.min(until)) {
            Ok(deadline) => self.deadline = Some(deadline),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                // Finished, with a deadline, or dropped: then there is none.
                self.deadline.get_or_insert(now);
                std::thread::sleep(until - now.min(until));
            }
        }
    }

    /// Whether it has been asked to end, and the time for it is up.
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

    fn say(&self, status: MirrorStatus) {
        let mut known = self.status.lock().expect("no holder panics");
        if *known == status {
            return;
        }
        match &status {
            MirrorStatus::Away(reason) => warn!(target: "redis", reason, "features are not written to Redis"),
            MirrorStatus::CatchingUp => info!(target: "redis", "Redis has newer features than this run so far"),
            MirrorStatus::Writing => info!(target: "redis", "features are written to Redis"),
            MirrorStatus::Starting => {}
        }
        let up = i64::from(status == MirrorStatus::Writing);
        self.mirror.metrics.redis_up.with_label_values::<&str>(&[]).set(up);
        *known = status;
    }

    fn owed(&self) -> usize {
        let groups = self.mirror.groups.iter().zip(&self.pending);
        groups.map(|(group, pending)| group.shelf.owed() + pending.len()).sum()
    }

    fn gauge(&self) {
        for (group, pending) in self.mirror.groups.iter().zip(&self.pending) {
            let owed = i64::try_from(group.shelf.owed() + pending.len()).unwrap_or(i64::MAX);
            self.mirror.metrics.redis_pending.with_label_values(&[group.name.as_str()]).set(owed);
        }
    }
}

/// An error with its causes.
fn chain(error: &RedisError) -> String {
    let first: Option<&dyn std::error::Error> = Some(error);
    let causes = std::iter::successors(first, |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
