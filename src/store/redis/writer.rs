//! The handle of the thread that writes the online store's changes to Redis.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use redis::Client;

use super::mirror_loop::{MirrorLoop, MirrorStatus};
use super::{Mirror, RedisError};
use crate::secret;
use crate::threads::{self, Thread};

/// Mirrors feature groups into Redis until it is finished or dropped.
#[derive(Debug)]
pub struct RedisWriter {
    status: Arc<Mutex<MirrorStatus>>,
    /// Sends the deadline for writing what is pending; closed without one, the thread stops at once.
    end: Option<Sender<Instant>>,
    thread: Option<Thread<usize>>,
}

impl RedisWriter {
    /// Checks the address of a server, without connecting to it.
    ///
    /// # Errors
    /// If it is not one. The text does not contain it.
    pub fn check_url(url: &str) -> Result<(), String> {
        Client::open(url).map(|_| ()).map_err(|error| secret::masked(&error.to_string()).into_owned())
    }

    /// Starts the thread; from now on the groups and tables record what changes. The server need not be reachable.
    ///
    /// # Errors
    /// If the address is not one of a Redis server, or the thread cannot be started.
    pub fn start(mirror: Mirror) -> Result<RedisWriter, RedisError> {
        let client = Client::open(mirror.url.as_str()).map_err(RedisError::Address)?;
        let tables = mirror.replicas.iter().flat_map(|replicas| &replicas.tables).map(|rows| &rows.table);
        mirror.groups.iter().map(|group| &group.table).chain(tables).for_each(|table| table.track_changes());
        mirror.metrics.redis_up.with_label_values::<&str>(&[]).set(0);
        let status = Arc::new(Mutex::new(MirrorStatus::Starting));
        let (end, ends) = bounded(1);
        let writer = MirrorLoop::new(mirror, client, status.clone(), ends);
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
