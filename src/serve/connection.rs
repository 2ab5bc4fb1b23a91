//! Connections: each answers its requests in turn, and is watched so that none holds on for nothing.
//!
//! A connection's pulse beats when a request's head has come and when it is answered. One whose pulse has not beaten for
//! the request timeout is cut off, whatever it was doing: idling, sending a head byte by byte, not reading its answers.
//! So there is no timer for each request, and only one sweep over all connections of a thread every quarter of it.

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

use super::service::{Limits, Service};

/// The most that the head of a request may have.
const HEAD_BYTES: usize = 64 << 10;
const HEADERS: usize = 100;

/// Sweeps without a beat after which a connection is cut off.
pub const SWEEPS: u32 = 4;

const GO: u8 = 0;
const FINISH: u8 = 1;
const CUT: u8 = 2;

/// What a connection and its watcher know of each other.
#[derive(Debug, Default)]
struct Pulse {
    beats: AtomicU32,
    /// Whether to go on, to end after the present request, or to end at once.
    order: AtomicU8,
    ended: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Pulse {
    fn beat(&self) {
        self.beats.store(self.beats.load(Relaxed).wrapping_add(1), Relaxed);
    }

    fn order(&self, order: u8) {
        self.order.store(order, Relaxed);
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }

    fn listen(&self, waker: &Waker) {
        let mut known = self.waker.lock();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }
}

/// A connection as its thread watches it.
#[derive(Debug)]
struct Watched {
    pulse: Arc<Pulse>,
    beats: u32,
    /// Sweeps since the last beat.
    quiet: u32,
}

/// The connections of one thread.
#[derive(Debug, Default)]
pub struct Roster {
    watched: Vec<Watched>,
}

impl Roster {
    /// Cuts off what is quiet and forgets what has ended.
    pub fn sweep(&mut self) {
        self.watched.retain_mut(|watched| {
            let beats = watched.pulse.beats.load(Relaxed);
            watched.quiet = if beats == watched.beats { watched.quiet + 1 } else { 0 };
            watched.beats = beats;
            if watched.quiet >= SWEEPS {
                watched.pulse.order(CUT);
            }
            !watched.pulse.ended.load(Relaxed)
        });
    }

    /// Has every connection end after the request that it is at.
    pub fn finish(&self) {
        self.watched.iter().for_each(|watched| watched.pulse.order(FINISH));
    }

    /// Whether all have ended.
    pub fn is_empty(&mut self) -> bool {
        self.watched.retain(|watched| !watched.pulse.ended.load(Relaxed));
        self.watched.is_empty()
    }

    /// Answers a connection's requests in a task of its own. `open` counts the connections of all threads.
    pub fn admit(&mut self, stream: TcpStream, service: Arc<Service>, limits: Limits, open: &Arc<AtomicUsize>) {
        let pulse: Arc<Pulse> = Arc::default();
        self.watched.push(Watched { pulse: pulse.clone(), beats: 0, quiet: 0 });
        open.fetch_add(1, Relaxed);
        let ending = Ending { pulse: pulse.clone(), open: open.clone() };
        tokio::spawn(async move {
            let ending = ending;
            serve(stream, service, limits, &ending.pulse).await;
        });
    }
}

/// Says that a connection has ended, however it did.
struct Ending {
    pulse: Arc<Pulse>,
    open: Arc<AtomicUsize>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.pulse.ended.store(true, Relaxed);
        self.open.fetch_sub(1, Relaxed);
    }
}

async fn serve(stream: TcpStream, service: Arc<Service>, limits: Limits, pulse: &Pulse) {
    let answer = service_fn(|request| {
        pulse.beat();
        let service = &service;
        async move {
            let reply = service.answer(request, limits).await;
            pulse.beat();
            Ok::<_, Infallible>(reply)
        }
    });
    let connection =
        Builder::new().max_header_size(HEAD_BYTES).max_headers(HEADERS).serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    let mut finishing = false;
    poll_fn(|cx| {
        pulse.listen(cx.waker());
        match pulse.order.load(Relaxed) {
            CUT => return Poll::Ready(()),
            FINISH if !finishing => {
                finishing = true;
                connection.as_mut().graceful_shutdown();
            }
            _ => debug_assert!(pulse.order.load(Relaxed) == GO || finishing),
        }
        // An error is the client's: it broke off, or what it sent is no HTTP and was told so.
        connection.as_mut().poll(cx).map(drop)
    })
    .await;
}

/// How long a client has to send its request to hear that there are too many.
pub const REFUSAL: Duration = Duration::from_millis(500);

/// The answer to a connection too many, which is then closed.
pub fn refusal(reason: &str) -> String {
    let body = serde_json::json!({ "error": reason }).to_string();
    format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
