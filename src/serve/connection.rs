//! Connections: each answers its requests, and is closed when it is inactive for too long.
//!
//! A connection is active when the head of a request has arrived and when the request has been answered. A connection
//! that was inactive for the request timeout is closed, whatever it was doing: idling, sending a head byte by byte, not
//! reading its answers. There is no timer for each request, only one sweep over all connections of a thread every
//! quarter of the timeout.
//!
//! Requests in HTTP/1.1 are answered in turn, those in HTTP/2 at the same time. An inactive connection of HTTP/2 is
//! sent GOAWAY first, so that its client sends nothing more on it, and is closed after as long again.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
#[cfg(feature = "grpc")]
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::activity::{ABORT, Activity, CONTINUE, FINISH, WatchedStream};
use super::admission::Admitted;
use super::request_service::{HttpVersion, RequestService};
use super::rules::ConnectionRules;
use super::tls;

/// The largest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// The most header fields of a request.
const MAX_HEADERS: usize = 100;

/// The most requests of a connection of HTTP/2 at a time. Each may hold the part of its body that is not counted.
#[cfg(feature = "grpc")]
const MAX_STREAMS: u32 = 32;
/// Bytes that a client may send on a stream, and on all of a connection, before they are read.
#[cfg(feature = "grpc")]
const WINDOW_BYTES: u32 = 256 << 10;

/// The most connections of a thread beyond the limits.
const MAX_RESERVED: usize = 64;
/// The longest time that one of them may take to send its request and read the answer.
const RESERVED_TIME: Duration = Duration::from_secs(2);

/// Sweeps without activity after which a connection is closed.
pub const SWEEPS: u32 = 4;

/// A connection and its activity at the previous sweep.
#[derive(Debug)]
struct WatchedConnection {
    activity: Arc<Activity>,
    /// True once GOAWAY was sent.
    is_warned: bool,
    touches: u32,
    /// Sweeps since the last activity.
    inactive: u32,
}

/// The connections of one thread.
#[derive(Debug, Default)]
pub struct Connections {
    watched: Vec<WatchedConnection>,
    reserve: Reserve,
}

impl Connections {
    /// Closes connections that are inactive and removes those that have ended.
    pub fn sweep(&mut self) {
        self.watched.retain_mut(|watched| {
            let touches = watched.activity.touches();
            watched.inactive = if touches == watched.touches { watched.inactive + 1 } else { 0 };
            watched.touches = touches;
            match watched.inactive / SWEEPS {
                0 => {}
                1 if watched.is_warned => watched.activity.signal(FINISH),
                _ => watched.activity.signal(ABORT),
            }
            !watched.activity.has_ended()
        });
    }

    /// Signals every connection to end after its current request.
    pub fn finish(&self) {
        self.watched.iter().for_each(|watched| watched.activity.signal(FINISH));
    }

    /// Removes connections that have ended; returns whether none is left.
    pub fn is_empty(&mut self) -> bool {
        self.watched.retain(|watched| !watched.activity.has_ended());
        self.watched.is_empty()
    }

    /// Spawns a task that answers the requests of a connection, which has a place until it ends.
    pub fn admit<S: RequestService>(
        &mut self,
        stream: TcpStream,
        service: Arc<S>,
        rules: ConnectionRules,
        place: Admitted,
    ) {
        let activity = rules.activity.clone();
        let is_warned = S::HTTP != HttpVersion::Http1;
        self.watched.push(WatchedConnection { activity: activity.clone(), is_warned, touches: 0, inactive: 0 });
        let guard = ConnectionGuard { activity, _place: Some(place) };
        tokio::spawn(async move {
            let guard = guard;
            serve(stream, service, rules, &guard.activity).await;
        });
    }

    /// Spawns a task that answers one request of a connection for which there is no place.
    pub fn admit_reserved<S: RequestService>(&mut self, stream: TcpStream, service: Arc<S>, rules: ConnectionRules) {
        let activity = rules.activity.clone();
        self.reserve.begin(activity.clone());
        let guard = ConnectionGuard { activity, _place: None };
        tokio::spawn(async move {
            let guard = guard;
            let _ = timeout(RESERVED_TIME, serve(stream, service, rules, &guard.activity)).await;
        });
    }
}

/// Connections beyond the limits, on which health and metrics are answered, and anything else is refused.
///
/// There are few of them, each for a short time and a single request. A further one takes the place of the oldest, so
/// however many clients connect and send nothing, one that sends its request at once is answered.
#[derive(Debug, Default)]
struct Reserve {
    /// Oldest first.
    open: VecDeque<Arc<Activity>>,
}

impl Reserve {
    /// Begins a connection, in place of the oldest if there are as many as there may be.
    fn begin(&mut self, activity: Arc<Activity>) {
        self.open.retain(|activity| !activity.has_ended());
        if self.open.len() == MAX_RESERVED
            && let Some(oldest) = self.open.pop_front()
        {
            oldest.signal(ABORT);
        }
        self.open.push_back(activity);
    }
}

/// Marks a connection as ended when it is dropped, however its task ends.
struct ConnectionGuard {
    activity: Arc<Activity>,
    /// Its place among all connections, unless it is reserved.
    _place: Option<Admitted>,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.activity.end();
    }
}

/// Answers the requests of a connection, encrypted or not, until it ends or is signalled to.
async fn serve<S: RequestService>(
    stream: TcpStream,
    service: Arc<S>,
    rules: ConnectionRules,
    activity: &Arc<Activity>,
) {
    let stream = WatchedStream::new(stream, activity.clone());
    let Some(tls) = rules.tls.clone() else { return answer_requests(stream, service, rules, activity).await };
    // A handshake takes no longer than a request may: it is no activity, so the sweep ends it.
    match unless_signalled(activity, tls::handshake(tls, stream)).await.flatten() {
        Some(stream) => {
            activity.touch();
            answer_requests(stream, service, rules, activity).await;
        }
        None => service.metrics().handshake_failed(),
    }
}

/// Does work of a connection that has no request yet; `None` if the connection is signalled to end before it is done.
async fn unless_signalled<T>(activity: &Activity, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        activity.register(cx.waker());
        match activity.newest_signal() {
            CONTINUE => work.as_mut().poll(cx).map(Some),
            _ => Poll::Ready(None),
        }
    })
    .await
}

/// Answers the requests of a connection, in the version of HTTP that it speaks, until it ends or is signalled to.
async fn answer_requests<S, T>(stream: T, service: Arc<S>, rules: ConnectionRules, activity: &Arc<Activity>)
where
    S: RequestService,
    T: AsyncRead + AsyncWrite + Unpin,
{
    match S::HTTP {
        HttpVersion::Http1 => answer_in_turn(stream, service, rules, activity).await,
        #[cfg(feature = "grpc")]
        HttpVersion::Http2 => answer_streams(stream, service, rules, activity).await,
    }
}

/// Answers the requests of a connection of HTTP/1.1.
async fn answer_in_turn<S, T>(stream: T, service: Arc<S>, rules: ConnectionRules, activity: &Activity)
where
    S: RequestService,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let answer = service_fn(|request| {
        activity.touch();
        let (service, rules) = (&service, &rules);
        async move {
            let reply = service.answer(request, rules).await;
            activity.touch();
            Ok::<_, Infallible>(reply)
        }
    });
    // A client that has sent its request may close its sending side and still be answered.
    let connection = Builder::new()
        .half_close(true)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_header_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), answer);
    until_signalled(connection, activity, |connection| connection.graceful_shutdown()).await;
}

/// Answers the requests of a connection of HTTP/2, each in a task of its own on the same thread. A request that the client
/// cancels is dropped.
#[cfg(feature = "grpc")]
async fn answer_streams<S, T>(stream: T, service: Arc<S>, rules: ConnectionRules, activity: &Arc<Activity>)
where
    S: RequestService,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let rules = Arc::new(rules);
    let answer = service_fn(|request| {
        activity.touch();
        let (service, rules, activity) = (service.clone(), rules.clone(), activity.clone());
        async move {
            let reply = service.answer(request, &rules).await;
            activity.touch();
            Ok::<_, Infallible>(reply)
        }
    });
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .serve_connection(TokioIo::new(stream), answer);
    until_signalled(connection, activity, |connection| connection.graceful_shutdown()).await;
}

/// Runs a connection until it ends or is signalled to; `finish` lets it end after its current requests.
async fn until_signalled<C: Future>(connection: C, activity: &Activity, finish: impl Fn(Pin<&mut C>)) {
    let mut connection = pin!(connection);
    let mut finishing = false;
    poll_fn(|cx| {
        activity.register(cx.waker());
        match activity.newest_signal() {
            ABORT => return Poll::Ready(()),
            FINISH if !finishing => {
                finishing = true;
                finish(connection.as_mut());
            }
            _ => debug_assert!(activity.newest_signal() == CONTINUE || finishing),
        }
        // An error is the client's: it disconnected, or sent something that is not HTTP and was answered so.
        connection.as_mut().poll(cx).map(drop)
    })
    .await;
}
