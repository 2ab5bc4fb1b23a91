//! Threads that the process cannot do without.
//!
//! A thread that is started here must not end before it is asked to: if it panics or returns, or if the system no longer
//! knows it, that is recorded as a [`ThreadEnd`], and the watchdog can end the process. Without that, a process
//! whose thread has died would stay and look healthy while part of its work is not done.
//!
//! [`spawn`] and the other functions of the module use the threads of this process. A [`Threads`] of one's own is for
//! tests:
//!
//! ```
//! use std::sync::Arc;
//! use tidemill::threads::{EndCause, Threads};
//!
//! let threads: Arc<Threads> = Arc::default();
//! let (ask, asked) = std::sync::mpsc::channel::<()>();
//! let thread = threads.spawn("good", move || asked.recv()).unwrap();
//! thread.expect_end();
//! drop(ask);
//! thread.join().unwrap().unwrap_err();
//! assert_eq!(threads.first_end(), None);
//!
//! let thread = threads.spawn("bad", || ()).unwrap();
//! while threads.first_end().is_none() {}
//! assert_eq!(threads.first_end().unwrap().cause, EndCause::Returned);
//! assert_eq!(threads.first_end().unwrap().to_string(), "thread bad has ended");
//! # drop(thread);
//! ```

use std::any::Any;
use std::fmt;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::SeqCst};
use std::sync::{Arc, LazyLock};
use std::thread::{Builder, JoinHandle};

use parking_lot::Mutex;

/// The threads of this process.
static PROCESS: LazyLock<Arc<Threads>> = LazyLock::new(Arc::default);

/// Returns the threads of this process.
pub fn process() -> &'static Arc<Threads> {
    &PROCESS
}

/// Starts a thread of this process. See [`Threads::spawn`].
///
/// # Errors
/// If the system cannot start it.
pub fn spawn<T: Send + 'static>(
    name: impl Into<String>,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<Thread<T>> {
    PROCESS.spawn(name, work)
}

/// Starts a thread of this process that may return. See [`Threads::spawn_finite`].
///
/// # Errors
/// If the system cannot start it.
pub fn spawn_finite<T: Send + 'static>(
    name: impl Into<String>,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<Thread<T>> {
    PROCESS.spawn_finite(name, work)
}

/// Runs work on the present thread of this process. See [`Threads::watch`].
pub fn watch<T>(name: impl Into<String>, work: impl FnOnce() -> T) -> T {
    PROCESS.watch(name, work)
}

/// Threads of a process, and the first of them that ended before it was asked to.
#[derive(Debug, Default)]
pub struct Threads {
    watched: Mutex<Vec<Arc<WatchedThread>>>,
    first_end: Mutex<Option<ThreadEnd>>,
}

/// An end of a thread that was not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadEnd {
    /// The name of the thread.
    pub thread: String,
    pub cause: EndCause,
}

/// The way in which a thread ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndCause {
    /// The thread panicked, with this message.
    Panicked(String),
    /// Its work was done, though it never should be.
    Returned,
    /// The system no longer knows it.
    Vanished,
}

impl fmt::Display for ThreadEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thread = &self.thread;
        match &self.cause {
            EndCause::Panicked(message) => write!(f, "thread {thread} has panicked: {message}"),
            EndCause::Returned => write!(f, "thread {thread} has ended"),
            EndCause::Vanished => write!(f, "thread {thread} no longer exists"),
        }
    }
}

#[derive(Debug)]
struct WatchedThread {
    name: String,
    /// The system's id, 0 until the thread runs.
    id: AtomicI32,
    /// True if the thread may return.
    may_end: AtomicBool,
    /// True if the thread no longer does its work.
    has_ended: AtomicBool,
}

/// A handle of a thread. Dropping it leaves the thread alone and lets it end.
#[derive(Debug)]
pub struct Thread<T> {
    watched: Arc<WatchedThread>,
    handle: Option<JoinHandle<T>>,
}

impl Threads {
    /// Starts a thread that must not end before [`Thread::expect_end`].
    ///
    /// # Errors
    /// If the system cannot start it.
    pub fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        name: impl Into<String>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<Thread<T>> {
        self.start(self.enlist(name.into(), false), work)
    }

    /// Starts a thread that may return, but not panic.
    ///
    /// # Errors
    /// If the system cannot start it.
    pub fn spawn_finite<T: Send + 'static>(
        self: &Arc<Self>,
        name: impl Into<String>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<Thread<T>> {
        self.start(self.enlist(name.into(), true), work)
    }

    fn start<T: Send + 'static>(
        self: &Arc<Self>,
        watched: Arc<WatchedThread>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<Thread<T>> {
        let (threads, of_thread) = (self.clone(), watched.clone());
        let spawned = Builder::new().name(watched.name.clone()).spawn(move || threads.run(&of_thread, work));
        match spawned {
            Ok(handle) => Ok(Thread { watched, handle: Some(handle) }),
            Err(error) => {
                watched.has_ended.store(true, SeqCst);
                Err(error)
            }
        }
    }

    /// Runs work on the present thread, which may return from it, but not panic. A panic is recorded and goes on.
    pub fn watch<T>(&self, name: impl Into<String>, work: impl FnOnce() -> T) -> T {
        self.run(&self.enlist(name.into(), true), work)
    }

    /// Returns the first thread that ended before it was asked to.
    pub fn first_end(&self) -> Option<ThreadEnd> {
        self.first_end.lock().clone()
    }

    /// Records a thread that the system no longer knows, as when a debugger has ended it.
    pub fn find_vanished(&self) {
        let watched = self.watched.lock().clone();
        let lost = |thread: &&Arc<WatchedThread>| {
            let id = thread.id.load(SeqCst);
            // The order matters: a thread says that it has ended before the system forgets it.
            id != 0 && !exists(id) && !thread.has_ended.load(SeqCst)
        };
        if let Some(thread) = watched.iter().find(lost) {
            self.record(thread, EndCause::Vanished);
        }
    }

    fn enlist(&self, name: String, may_end: bool) -> Arc<WatchedThread> {
        let watched = Arc::new(WatchedThread {
            name,
            id: AtomicI32::new(0),
            may_end: AtomicBool::new(may_end),
            has_ended: AtomicBool::new(false),
        });
        let mut all = self.watched.lock();
        all.retain(|thread| !thread.has_ended.load(SeqCst));
        all.push(watched.clone());
        watched
    }

    fn run<T>(&self, watched: &WatchedThread, work: impl FnOnce() -> T) -> T {
        watched.id.store(rustix::thread::gettid().as_raw_nonzero().get(), SeqCst);
        let done = catch_unwind(AssertUnwindSafe(work));
        match &done {
            Err(panic) => self.record(watched, EndCause::Panicked(message(panic.as_ref()))),
            Ok(_) if !watched.may_end.load(SeqCst) => self.record(watched, EndCause::Returned),
            Ok(_) => {}
        }
        watched.has_ended.store(true, SeqCst);
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn record(&self, thread: &WatchedThread, cause: EndCause) {
        self.first_end.lock().get_or_insert_with(|| ThreadEnd { thread: thread.name.clone(), cause });
    }
}

impl<T> Thread<T> {
    /// Allows the thread to return from now on. To be called before it is asked to.
    pub fn expect_end(&self) {
        self.watched.may_end.store(true, SeqCst);
    }

    /// Returns whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.handle.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until the thread returns, which it may from now on.
    ///
    /// # Errors
    /// The payload of its panic.
    pub fn join(mut self) -> std::thread::Result<T> {
        self.expect_end();
        self.handle.take().expect("a handle is joined once").join()
    }
}

impl<T> Drop for Thread<T> {
    fn drop(&mut self) {
        self.expect_end();
    }
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("with a payload that is not text").to_owned()
}

/// Returns whether the system knows a thread of this process; true if that cannot be found out.
fn exists(id: i32) -> bool {
    match std::fs::read_to_string(format!("/proc/self/task/{id}/stat")) {
        // The state follows the name, which is in parentheses and may contain some. Z and X are of a dead thread.
        Ok(stat) => !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X'])),
        Err(error) => error.kind() != ErrorKind::NotFound || !Path::new("/proc/self/task").exists(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_panic_is_recorded_with_its_message_and_the_first_one_stays() {
        let threads: Arc<Threads> = Arc::default();
        let first = threads.spawn("one", move || -> () { panic!("at {}", 7) }).unwrap();
        assert!(first.join().is_err(), "the one that joins it learns of it, too");
        assert!(threads.spawn_finite("two", || -> () { panic!("later") }).unwrap().join().is_err());
        let end = threads.first_end().unwrap();
        assert_eq!(end.to_string(), "thread one has panicked: at 7");
        assert_eq!(end.cause, EndCause::Panicked("at 7".to_owned()));
    }

    #[test]
    fn a_thread_may_return_once_that_is_expected() {
        let threads: Arc<Threads> = Arc::default();
        let (ask, asked) = channel::<()>();
        let waiting = threads.spawn("waiting", move || asked.recv().is_err()).unwrap();
        assert!(!waiting.is_finished());
        waiting.expect_end();
        drop(ask);
        assert!(waiting.join().unwrap());
        threads.spawn_finite("finite", || ()).unwrap().join().unwrap();
        assert_eq!(threads.watch("watched", || 3), 3);
        assert_eq!(threads.first_end(), None);

        let (tell, told) = channel::<()>();
        let early = threads.spawn("early", move || drop(tell)).unwrap();
        assert!(told.recv().is_err());
        while !early.is_finished() {
            std::thread::yield_now();
        }
        assert_eq!(threads.first_end().unwrap().to_string(), "thread early has ended");
    }

    #[test]
    fn a_panic_of_watched_work_is_recorded_and_goes_on() {
        let threads: Arc<Threads> = Arc::default();
        let caught = catch_unwind(AssertUnwindSafe(|| threads.watch("worker", || std::panic::panic_any(5))));
        assert!(caught.is_err());
        assert_eq!(
            threads.first_end().unwrap().to_string(),
            "thread worker has panicked: with a payload that is not text"
        );
    }

    #[test]
    fn a_thread_that_the_system_no_longer_knows_is_recorded() {
        let threads: Arc<Threads> = Arc::default();
        let (ask, asked) = channel::<()>();
        let alive = threads.spawn_finite("alive", move || asked.recv()).unwrap();
        while alive.watched.id.load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        threads.find_vanished();
        assert_eq!(threads.first_end(), None);
        // No thread has this id: the system's greatest is 2^22.
        let id = alive.watched.id.swap(i32::MAX, SeqCst);
        threads.find_vanished();
        assert_eq!(threads.first_end().unwrap().to_string(), "thread alive no longer exists");
        alive.watched.id.store(id, SeqCst);
        drop(ask);
        assert!(alive.join().unwrap().is_err());
    }
}
