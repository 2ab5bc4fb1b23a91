//! One request to one server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer_body::AnswerBody;
use super::backend::{Backend, InFlightRequest};
use super::forwarded::remove_of_connection;
use super::idle::{self, BackendConnection};

/// The longest time that a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(1);

/// The largest answer that is read whole before it is passed on.
const WHOLE: u64 = 256 << 10;

/// A request that can be sent more than once.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub method: Method,
    /// The path and the query.
    pub target: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Sending it twice does what sending it once does.
    pub is_repeatable: bool,
}

/// The reason why a server did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error("it cannot be connected to: {0}")]
    Connect(std::io::Error),
    #[error("the connection broke off: {0}")]
    Broken(hyper::Error),
    #[error("it did not answer in time")]
    Late,
}

/// Sends a request to a server and returns its answer, or its beginning if it is large. A request that is repeatable is
/// sent on a connection that is kept, if there is one; should that turn out to be closed, on a new one.
///
/// # Errors
/// If the server does not answer within `time`.
pub async fn exchange(
    backend: &Arc<Backend>,
    request: &Outgoing,
    time: Duration,
) -> Result<Response<AnswerBody>, ExchangeError> {
    let until = Instant::now() + time;
    if request.is_repeatable
        && let Some(connection) = idle::take(backend)
    {
        match send(backend, connection, request, until).await {
            Err(ExchangeError::Broken(_)) => {}
            answered => return answered,
        }
    }
    let connection = connect(backend).await?;
    send(backend, connection, request, until).await
}

/// Connects to a server.
///
/// # Errors
/// If that fails or takes too long.
pub async fn connect(backend: &Backend) -> Result<BackendConnection, ExchangeError> {
    let outages = backend.outages();
    let stream =
        timeout(CONNECT, TcpStream::connect(backend.url.authority())).await.map_err(|_| ExchangeError::Late)?;
    let stream = stream.map_err(ExchangeError::Connect)?;
    let _ = stream.set_nodelay(true);
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(ExchangeError::Broken)?;
    // An error of the connection is one of its request, too.
    tokio::spawn(async move { _ = connection.await });
    Ok(BackendConnection { sender, outages })
}

/// Sends a request on a connection. After one that is repeatable, it is kept once the answer has been read.
async fn send(
    backend: &Arc<Backend>,
    mut connection: BackendConnection,
    request: &Outgoing,
    until: Instant,
) -> Result<Response<AnswerBody>, ExchangeError> {
    let guard = InFlightRequest::begin(backend);
    let mut sent = Request::new(Full::new(request.body.clone()));
    *sent.method_mut() = request.method.clone();
    *sent.uri_mut() = request.target.clone();
    *sent.headers_mut() = request.headers.clone();
    let host = HeaderValue::from_str(backend.url.authority()).expect("an authority is visible ASCII");
    sent.headers_mut().insert(HOST, host);
    let answered = timeout_at(until, connection.sender.send_request(sent)).await.map_err(|_| ExchangeError::Late)?;
    let (mut parts, body) = answered.map_err(ExchangeError::Broken)?.into_parts();
    remove_of_connection(&mut parts.headers);
    if body.size_hint().exact().is_some_and(|bytes| bytes <= WHOLE) {
        let whole = timeout_at(until, body.collect()).await.map_err(|_| ExchangeError::Late)?;
        let whole = whole.map_err(ExchangeError::Broken)?.to_bytes();
        if request.is_repeatable {
            idle::keep(backend, connection);
        }
        return Ok(Response::from_parts(parts, AnswerBody::Whole(Full::new(whole))));
    }
    if request.is_repeatable {
        let backend = backend.clone();
        tokio::spawn(async move {
            // Ready once the answer has been read to its end.
            if connection.sender.ready().await.is_ok() {
                idle::keep(&backend, connection);
            }
        });
    }
    Ok(Response::from_parts(parts, AnswerBody::Stream { body, _request: guard }))
}
