//! Connections: each answers its requests in turn, and is closed when it is inactive for too long.
//!
//! A connection is active when the head of a request has arrived and when the request has been answered. A connection
//! that was inactive for the request timeout is closed, whatever it was doing: idling, sending a head byte by byte, not
//! reading its answers. There is no timer for each request, only one sweep over all connections of a thread every
//! quarter of the timeout.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::task::{Poll, Waker};
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;

use super::body::Limits;
use super::service::Service;

/// The largest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// The most header fields of a request.
const MAX_HEADERS: usize = 100;

/// Sweeps without activity after which a connection is closed.
pub const SWEEPS: u32 = 4;

/// Signals to a connection: go on, end after the current request, end at once.
const CONTINUE: u8 = 0;
const FINISH: u8 = 1;
const ABORT: u8 = 2;

/// The state that a connection shares with the thread that watches it.
#[derive(Debug, Default)]
struct Activity {
    /// Grows with each sign of activity.
    touches: AtomicU32,
    /// The newest signal.
    signal: AtomicU8,
    ended: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Activity {
    /// Records activity. Only the connection's own task calls this, so that a load and a store suffice.
    fn touch(&self) {
        self.touches.store(self.touches.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Signals to the connection and wakes its task.
    fn signal(&self, signal: u8) {
        self.signal.store(signal, Relaxed);
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }

    /// Registers the waker of the connection's task.
    fn register(&self, waker: &Waker) {
        let mut known = self.waker.lock();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }
}

/// A connection and its activity at the previous sweep.
#[derive(Debug)]
struct WatchedConnection {
    activity: Arc<Activity>,
    touches: u32,
    /// Sweeps since the last activity.
    inactive: u32,
}

/// The connections of one thread.
#[derive(Debug, Default)]
pub struct Connections {
    watched: Vec<WatchedConnection>,
}

impl Connections {
    /// Closes connections that are inactive and removes those that have ended.
    pub fn sweep(&mut self) {
        self.watched.retain_mut(|watched| {
            let touches = watched.activity.touches.load(Relaxed);
            watched.inactive = if touches == watched.touches { watched.inactive + 1 } else { 0 };
            watched.touches = touches;
            if watched.inactive >= SWEEPS {
                watched.activity.signal(ABORT);
            }
            !watched.activity.ended.load(Relaxed)
        });
    }

    /// Signals every connection to end after its current request.
    pub fn finish(&self) {
        self.watched.iter().for_each(|watched| watched.activity.signal(FINISH));
    }

    /// Removes connections that have ended; returns whether none is left.
    pub fn is_empty(&mut self) -> bool {
        self.watched.retain(|watched| !watched.activity.ended.load(Relaxed));
        self.watched.is_empty()
    }

    /// Spawns a task that answers the requests of a connection. `open` counts the connections of all threads.
    pub fn admit(&mut self, stream: TcpStream, service: Arc<Service>, limits: Limits, open: &Arc<AtomicUsize>) {
        let activity: Arc<Activity> = Arc::default();
        self.watched.push(WatchedConnection { activity: activity.clone(), touches: 0, inactive: 0 });
        open.fetch_add(1, Relaxed);
        let guard = ConnectionGuard { activity, open: open.clone() };
        tokio::spawn(async move {
            let guard = guard;
            serve(stream, service, limits, &guard.activity).await;
        });
    }
}

/// Marks a connection as ended when it is dropped, however its task ends.
struct ConnectionGuard {
    activity: Arc<Activity>,
    open: Arc<AtomicUsize>,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.activity.ended.store(true, Relaxed);
        self.open.fetch_sub(1, Relaxed);
    }
}

/// Answers the requests of a connection until it ends or is signalled to.
async fn serve(stream: TcpStream, service: Arc<Service>, limits: Limits, activity: &Activity) {
    let answer = service_fn(|request| {
        activity.touch();
        let service = &service;
        async move {
            let reply = service.answer(request, limits).await;
            activity.touch();
            Ok::<_, Infallible>(reply)
        }
    });
    let connection = Builder::new()
        .max_header_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    let mut finishing = false;
    poll_fn(|cx| {
        activity.register(cx.waker());
        match activity.signal.load(Relaxed) {
            ABORT => return Poll::Ready(()),
            FINISH if !finishing => {
                finishing = true;
                connection.as_mut().graceful_shutdown();
            }
            _ => debug_assert!(activity.signal.load(Relaxed) == CONTINUE || finishing),
        }
        // An error is the client's: it disconnected, or sent something that is not HTTP and was answered so.
        connection.as_mut().poll(cx).map(drop)
    })
    .await;
}

/// The time within which a client must send its request to receive the answer that there are too many connections.
pub const REJECTION: Duration = Duration::from_millis(500);

/// The answer to a connection that is rejected.
pub fn rejection(reason: &str) -> String {
    let body = serde_json::json!({ "error": reason }).to_string();
    format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
