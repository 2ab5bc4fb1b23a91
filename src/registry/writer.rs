//! The thread that writes to the registry, so that no worker of the graph waits for a disk or a network.
//!
//! Versions are written in the order in which they were made. A write that fails is retried, with growing pauses, until it
//! succeeds: an unreachable or full registry delays versions and loses none. Only a writer that is finished or dropped
//! gives up, after a few tries, and returns which version it could not write.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::{Manifest, Publication, Registry, RegistryError};
use crate::error::chain;
use crate::threads::{self, Thread};

/// The pauses after the first failure, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];

/// The interval at which a pausing writer checks whether it is to end.
const CHECK: Duration = Duration::from_millis(10);

/// The interval at which a writer that has nothing to write calls its `idle`.
const IDLE: Duration = Duration::from_millis(500);

/// The number of tries after which a writer that is to end gives up on a version, and on all after it.
const LAST_TRIES: u32 = 3;

/// Writes publications on a thread of its own. Dropping it waits for those that are queued.
pub struct Writer {
    sender: Option<Sender<Box<Publication>>>,
    queued: AtomicU64,
    state: Arc<WriterState>,
    thread: Option<Thread<Option<RegistryError>>>,
}

/// The state that a writer shares with its thread.
#[derive(Debug, Default)]
struct WriterState {
    /// Set once the writer is to end.
    closing: AtomicBool,
    /// The number of versions written.
    done: AtomicU64,
    /// The error for which the version that is being retried was not written.
    last_error: Mutex<Option<String>>,
}

impl Writer {
    /// Starts the thread. `keep` versions of a model are kept. `written` is called on that thread with the manifest of each
    /// version, and with those that were deleted after it; `idle` about twice a second while all versions are written.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        registry: Registry,
        keep: usize,
        written: impl FnMut(Manifest, &[u64]) + Send + 'static,
        idle: impl FnMut(&Registry) + Send + 'static,
    ) -> Result<Self, std::io::Error> {
        let (sender, receiver) = unbounded();
        let state = Arc::new(WriterState::default());
        let of_thread = Arc::clone(&state);
        let run = move || write_all(&registry, keep, &receiver, &of_thread, written, idle);
        let thread = threads::spawn("registry", run)?;
        Ok(Writer { sender: Some(sender), queued: AtomicU64::new(0), state, thread: Some(thread) })
    }

    /// Queues a version. Never waits: while the registry is unreachable, versions are kept in memory.
    pub fn publish(&self, publication: Publication) {
        self.queued.fetch_add(1, SeqCst);
        let sender = self.sender.as_ref().expect("the channel is open until the writer is dropped");
        sender.send(Box::new(publication)).expect("the registry thread lives as long as its writer");
    }

    /// Returns the number of versions queued so far.
    pub fn queued(&self) -> u64 {
        self.queued.load(SeqCst)
    }

    /// Returns the number of versions written so far. A checkpoint may become current only once the versions before it are
    /// written, since a restart would not publish them again.
    pub fn written(&self) -> u64 {
        self.state.done.load(SeqCst)
    }

    /// Returns why the registry cannot be written, while it cannot.
    pub fn last_error(&self) -> Option<String> {
        self.state.last_error.lock().expect("no holder panics").clone()
    }

    /// Writes the queued versions and ends the thread.
    ///
    /// # Errors
    /// If a version cannot be written after three tries.
    pub fn finish(mut self) -> Result<(), RegistryError> {
        self.end().map_or(Ok(()), Err)
    }

    fn end(&mut self) -> Option<RegistryError> {
        self.thread.iter().for_each(Thread::expect_end);
        self.state.closing.store(true, SeqCst);
        drop(self.sender.take());
        self.thread.take().and_then(|thread| thread.join().ok()).flatten()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(error) = self.end() {
            tracing::error!("{}", chain(&error));
        }
    }
}

/// Writes publications until the channel is closed. Returns the error of the first version that could not be written.
fn write_all(
    registry: &Registry,
    keep: usize,
    receiver: &Receiver<Box<Publication>>,
    state: &WriterState,
    mut written: impl FnMut(Manifest, &[u64]),
    mut idle: impl FnMut(&Registry),
) -> Option<RegistryError> {
    let mut left = None;
    loop {
        let publication = match receiver.recv_timeout(IDLE) {
            Ok(publication) => publication,
            Err(RecvTimeoutError::Timeout) => {
                idle(registry);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return left,
        };
        // Versions are written in order: without this one, none after it may be.
        if left.is_some() {
            continue;
        }
        let manifest = match write(registry, &publication, state) {
            Ok(manifest) => manifest,
            Err(error) => {
                left = Some(error);
                continue;
            }
        };
        let deleted = registry.retain(&publication.model, keep).unwrap_or_else(|error| {
            tracing::warn!(model = publication.model, "old versions could not be deleted: {}", chain(&error));
            Vec::new()
        });
        written(manifest, &deleted);
        state.done.fetch_add(1, SeqCst);
    }
}

fn write(registry: &Registry, publication: &Publication, state: &WriterState) -> Result<Manifest, RegistryError> {
    let mut pause = PAUSES[0];
    let mut last_tries = 0;
    let last_error = |new| *state.last_error.lock().expect("no holder panics") = new;
    loop {
        let error = match registry.publish(publication) {
            Ok(manifest) => {
                last_error(None);
                return Ok(manifest);
            }
            Err(error) => error,
        };
        let (model, version) = (publication.model.clone(), publication.version.number);
        last_tries += u32::from(state.closing.load(SeqCst));
        if last_tries >= LAST_TRIES {
            let url = registry.url().to_owned();
            return Err(RegistryError::Unwritten { model, version, url, source: Box::new(error) });
        }
        tracing::warn!(model, version, "the registry cannot be written; retrying: {}", chain(&error));
        last_error(Some(chain(&error)));
        let since = Instant::now();
        while since.elapsed() < pause.min(if state.closing.load(SeqCst) { PAUSES[0] } else { PAUSES[1] }) {
            std::thread::sleep(CHECK);
        }
        pause = (pause * 2).min(PAUSES[1]);
    }
}
