//! The activity of a connection, as the thread that watches it sees it, and the presence of its client during a long answer.
//!
//! An answer that takes long waits by [`Activity::while_present`]. Meanwhile the connection counts as active, and is looked
//! at a few times a second: its task is woken, flushes its [`WatchedStream`], and that asks the system whether the client
//! has closed its side. For any other answer this is not checked, so a client that has sent its request may close its sending side.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::interval;

/// Signals to a connection: go on, end after the current request, end at once.
pub const CONTINUE: u8 = 0;
pub const FINISH: u8 = 1;
pub const ABORT: u8 = 2;

/// The time between two looks at the client of a long answer.
const LOOK: Duration = Duration::from_millis(200);

/// The state that a connection shares with the thread that watches it.
#[derive(Debug, Default)]
pub struct Activity {
    /// Grows with each sign of activity.
    touches: AtomicU32,
    /// The newest signal.
    signal: AtomicU8,
    ended: AtomicBool,
    waker: Mutex<Option<Waker>>,
    /// An answer takes long, and needs its client.
    is_looked_at: AtomicBool,
    /// The client was found to have closed its side of the connection.
    has_left: AtomicBool,
}

impl Activity {
    /// Records activity. Only tasks on the connection's thread call this, so that a load and a store suffice.
    pub fn touch(&self) {
        self.touches.store(self.touches().wrapping_add(1), Relaxed);
    }

    /// The number of signs of activity so far.
    pub fn touches(&self) -> u32 {
        self.touches.load(Relaxed)
    }

    /// Signals to the connection and wakes its task.
    pub fn signal(&self, signal: u8) {
        self.signal.store(signal, Relaxed);
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }

    /// The newest signal to the connection.
    pub fn newest_signal(&self) -> u8 {
        self.signal.load(Relaxed)
    }

    /// Registers the waker of the connection's task.
    pub fn register(&self, waker: &Waker) {
        let mut known = self.waker.lock();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Records that the connection has ended.
    pub fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    /// Returns whether the connection has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// Waits for work of an answer for as long as the client keeps its side of the connection open; `None` once it has
    /// closed it.
    pub async fn while_present<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut looks = interval(LOOK);
        self.is_looked_at.store(true, Relaxed);
        let done = loop {
            tokio::select! {
                done = &mut work => break Some(done),
                _ = looks.tick() => self.touch(),
            }
            if self.has_left.load(Relaxed) {
                break None;
            }
        };
        self.is_looked_at.store(false, Relaxed);
        done
    }
}

/// The bytes of a connection, and whether its client is still there.
#[derive(Debug)]
pub struct WatchedStream {
    pub stream: TcpStream,
    activity: Arc<Activity>,
}

impl WatchedStream {
    pub fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        WatchedStream { stream, activity }
    }

    /// Looks whether the client has closed its side, without reading what it has sent before that.
    fn look(&self) {
        let ready = pin!(self.stream.ready(Interest::READABLE)).poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(found) = ready
            && found.map_or(true, |found| found.is_read_closed())
        {
            self.activity.has_left.store(true, Relaxed);
        }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Flushes, and looks at the client if an answer takes long: a connection's task flushes each time that it is woken.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if self.activity.is_looked_at.load(Relaxed) {
            self.look();
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
