//! The thread that writes to the registry, so that no worker waits for a disk or a network.
//!
//! Versions are written in the order in which they were made. A write that fails is tried again, with a growing pause,
//! until it succeeds: a registry that is away or full delays versions and loses none. Only a writer that is finished or
//! dropped gives up, after a few tries, and says which version it leaves behind.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::{Manifest, Publication, Registry, RegistryError};

/// The pause after the first failure, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];

/// How often a writer that pauses looks whether it is to end.
const LOOK: Duration = Duration::from_millis(10);

/// Tries after which a writer that is to end gives up on a version, and on all after it.
const LAST_TRIES: u32 = 3;

/// Writes publications on a thread of its own. Dropping it waits for what is left.
pub struct Writer {
    sender: Option<Sender<Box<Publication>>>,
    queued: AtomicU64,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Option<RegistryError>>>,
}

/// What the thread is told, and tells.
#[derive(Debug, Default)]
struct Shared {
    closing: AtomicBool,
    /// Versions done with.
    done: AtomicU64,
    /// Why the one that is being tried again was not written.
    trouble: Mutex<Option<String>>,
}

impl Writer {
    /// Starts the thread. `keep` versions of a model are kept; `written` is told of each, on that thread.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        registry: Registry,
        keep: usize,
        written: impl FnMut(Manifest) + Send + 'static,
    ) -> Result<Self, std::io::Error> {
        let (sender, receiver) = unbounded();
        let shared = Arc::new(Shared::default());
        let told = Arc::clone(&shared);
        let run = move || write_all(&registry, keep, &receiver, &told, written);
        let thread = std::thread::Builder::new().name("registry".to_owned()).spawn(run)?;
        Ok(Writer { sender: Some(sender), queued: AtomicU64::new(0), shared, thread: Some(thread) })
    }

    /// Queues a version. Never waits: while the registry is away, versions are kept in memory.
    pub fn publish(&self, publication: Publication) {
        self.queued.fetch_add(1, SeqCst);
        let sender = self.sender.as_ref().expect("the channel is open until the writer is dropped");
        sender.send(Box::new(publication)).expect("the registry thread lives as long as its writer");
    }

    /// Versions queued so far.
    pub fn queued(&self) -> u64 {
        self.queued.load(SeqCst)
    }

    /// Of those, the ones that are written. A checkpoint that holds versions may become current only once they are, since
    /// they would not be published again.
    pub fn written(&self) -> u64 {
        self.shared.done.load(SeqCst)
    }

    /// Why the registry cannot be written, while it cannot.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble.lock().expect("no holder panics").clone()
    }

    /// Writes what is left, and ends.
    ///
    /// # Errors
    /// If a version cannot be written, not at the third try either.
    pub fn finish(mut self) -> Result<(), RegistryError> {
        self.end().map_or(Ok(()), Err)
    }

    fn end(&mut self) -> Option<RegistryError> {
        self.shared.closing.store(true, SeqCst);
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

/// Gives the first version that was left behind, if one was.
fn write_all(
    registry: &Registry,
    keep: usize,
    receiver: &Receiver<Box<Publication>>,
    shared: &Shared,
    mut written: impl FnMut(Manifest),
) -> Option<RegistryError> {
    let mut left = None;
    for publication in receiver {
        // What comes after a version that is not there is not there either.
        if left.is_some() {
            continue;
        }
        match write(registry, &publication, shared) {
            Ok(manifest) => written(manifest),
            Err(error) => {
                left = Some(error);
                continue;
            }
        }
        if let Err(error) = registry.retain(&publication.model, keep) {
            tracing::warn!(model = publication.model, "old versions could not be deleted: {}", chain(&error));
        }
        shared.done.fetch_add(1, SeqCst);
    }
    left
}

fn write(registry: &Registry, publication: &Publication, shared: &Shared) -> Result<Manifest, RegistryError> {
    let mut pause = PAUSES[0];
    let mut last_tries = 0;
    let trouble = |new| *shared.trouble.lock().expect("no holder panics") = new;
    loop {
        let error = match registry.publish(publication) {
            Ok(manifest) => {
                trouble(None);
                return Ok(manifest);
            }
            Err(error) => error,
        };
        let (model, version) = (publication.model.clone(), publication.version.number);
        last_tries += u32::from(shared.closing.load(SeqCst));
        if last_tries >= LAST_TRIES {
            let url = registry.url().to_owned();
            return Err(RegistryError::Unwritten { model, version, url, source: Box::new(error) });
        }
        tracing::warn!(model, version, "the registry could not be written; trying again: {}", chain(&error));
        trouble(Some(chain(&error)));
        let since = Instant::now();
        while since.elapsed() < pause.min(if shared.closing.load(SeqCst) { PAUSES[0] } else { PAUSES[1] }) {
            std::thread::sleep(LOOK);
        }
        pause = (pause * 2).min(PAUSES[1]);
    }
}

/// An error with its causes.
fn chain(error: &RegistryError) -> String {
    let first: Option<&dyn std::error::Error> = Some(error);
    let causes = std::iter::successors(first, |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
