//! The thread that writes to the registry, so that no worker waits for a disk or a network.
//!
//! Versions are written in the order in which they were made. A write that fails is tried again, with a growing pause,
//! until it succeeds: a registry that is away delays versions and loses none. Only a writer that is being dropped gives
//! up, after a few tries, and says which version it leaves behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{Manifest, Publication, Registry};

/// Versions that may wait; a worker with more of them waits for the registry.
const WAITING: usize = 64;

/// The pause after the first failure, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];

/// Tries after which a writer that is being dropped gives up.
const LAST_TRIES: u32 = 3;

/// Writes publications on a thread of its own. Dropping it waits for what is left.
pub struct Writer {
    sender: Option<Sender<Message>>,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

enum Message {
    Publish(Box<Publication>),
    /// Answered when all before it is written.
    Flush(Sender<()>),
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
        let (sender, receiver) = bounded(WAITING);
        let closing = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&closing);
        let run = move || write_all(&registry, keep, &receiver, &ending, written);
        let thread = std::thread::Builder::new().name("registry".to_owned()).spawn(run)?;
        Ok(Writer { sender: Some(sender), closing, thread: Some(thread) })
    }

    /// Queues a version. Blocks only while 64 are waiting.
    pub fn publish(&self, publication: Publication) {
        self.send(Message::Publish(Box::new(publication)));
    }

    /// Waits until everything queued so far is written: to be called before a checkpoint that holds those versions
    /// becomes current, since they would not be published again.
    pub fn flush(&self) {
        let (done, wait) = bounded(1);
        self.send(Message::Flush(done));
        wait.recv().expect("the registry thread answers every flush");
    }

    fn send(&self, message: Message) {
        let sender = self.sender.as_ref().expect("the channel is open until the writer is dropped");
        sender.send(message).expect("the registry thread lives as long as its writer");
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn write_all(
    registry: &Registry,
    keep: usize,
    receiver: &Receiver<Message>,
    closing: &AtomicBool,
    mut written: impl FnMut(Manifest),
) {
    for message in receiver {
        match message {
            Message::Flush(done) => drop(done.send(())),
            Message::Publish(publication) => {
                if let Some(manifest) = write(registry, &publication, closing) {
                    written(manifest);
                }
                if let Err(error) = registry.retain(&publication.model, keep) {
                    tracing::warn!(model = publication.model, %error, "old versions could not be deleted");
                }
            }
        }
    }
}

fn write(registry: &Registry, publication: &Publication, closing: &AtomicBool) -> Option<Manifest> {
    let mut pause = PAUSES[0];
    let mut last_tries = 0;
    loop {
        let error = match registry.publish(publication) {
            Ok(manifest) => return Some(manifest),
            Err(error) => error,
        };
        let (model, version) = (&publication.model, publication.version.number);
        last_tries += u32::from(closing.load(Ordering::Relaxed));
        if last_tries >= LAST_TRIES {
            tracing::error!(model, version, %error, "a version is not in the registry");
            return None;
        }
        tracing::warn!(model, version, %error, "the registry could not be written; trying again");
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSES[1]);
    }
}
