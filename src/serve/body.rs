//! Request bodies: read whole, within limits of size and time.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use tokio::time::timeout;

use super::RequestError;

/// The limits of one request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub body_bytes: usize,
    /// The longest time that a body may take to arrive.
    pub body_time: Duration,
}

/// A body that is too large is read and discarded up to this multiple of the limit, so that a client that sends all of
/// it before it reads still receives the error.
const DISCARDED: usize = 8;

/// Reads a JSON body within the limits.
///
/// # Errors
/// If its headers declare another type, it is larger or takes longer, or the connection breaks off.
pub async fn read_json(headers: &HeaderMap, body: Incoming, limits: Limits) -> Result<Bytes, RequestError> {
    check_type(headers)?;
    read(body, limits.body_bytes, limits.body_time).await
}

/// Checks that headers which declare a type declare JSON.
fn check_type(headers: &HeaderMap) -> Result<(), RequestError> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let media_type = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if media_type.eq_ignore_ascii_case(b"application/json") {
        return Ok(());
    }
    Err(RequestError::ContentType(String::from_utf8_lossy(value.as_bytes()).into_owned()))
}

/// Reads a body of at most `max_bytes` bytes that arrives within `limit`.
async fn read(body: Incoming, max_bytes: usize, limit: Duration) -> Result<Bytes, RequestError> {
    let mut reading = pin!(read_whole(body, max_bytes));
    // Nearly every body arrives in one packet with its head. A first poll then saves the timer.
    match poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await {
        Poll::Ready(read) => read,
        Poll::Pending => timeout(limit, reading).await.unwrap_or(Err(RequestError::TooSlow)),
    }
}

async fn read_whole(mut body: Incoming, max_bytes: usize) -> Result<Bytes, RequestError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max_bytes {
        let discarded = if announced > max_bytes.saturating_mul(DISCARDED) { 0 } else { announced };
        return Err(discard(&mut body, max_bytes, discarded).await);
    }
    let first = next(&mut body).await?.unwrap_or_default();
    if body.is_end_stream() && first.len() <= max_bytes {
        return Ok(first);
    }
    let mut whole = BytesMut::from(first);
    while let Some(data) = next(&mut body).await? {
        if whole.len() + data.len() > max_bytes {
            drop(whole);
            return Err(discard(&mut body, max_bytes, max_bytes.saturating_mul(DISCARDED)).await);
        }
        whole.extend_from_slice(&data);
    }
    if whole.len() > max_bytes {
        return Err(RequestError::TooLarge(max_bytes));
    }
    Ok(whole.freeze())
}

/// The next data frame of a body, `None` at its end. Trailers are skipped.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, RequestError> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| RequestError::BrokenOff)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Discards up to `left` bytes of a body that is too large.
async fn discard(body: &mut Incoming, max_bytes: usize, mut left: usize) -> RequestError {
    while left > 0 {
        match next(body).await {
            Ok(Some(data)) => left = left.saturating_sub(data.len()),
            Ok(None) | Err(_) => break,
        }
    }
    RequestError::TooLarge(max_bytes)
}
