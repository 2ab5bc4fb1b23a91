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

/// How many times the limit is read and thrown away of a body that is too large, so that a client that sends all before
/// it reads gets to see why it was refused.
const PATIENCE: usize = 8;

/// Checks that a body is JSON, as far as its headers say anything.
///
/// # Errors
/// If they say that it is something else.
pub fn check_type(headers: &HeaderMap) -> Result<(), RequestError> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let media_type = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if media_type.eq_ignore_ascii_case(b"application/json") {
        return Ok(());
    }
    Err(RequestError::ContentType(String::from_utf8_lossy(value.as_bytes()).into_owned()))
}

/// Reads a body of at most `most` bytes that comes within `limit`.
///
/// # Errors
/// If it is larger or takes longer, or the connection breaks off.
pub async fn read(body: Incoming, most: usize, limit: Duration) -> Result<Bytes, RequestError> {
    let mut reading = pin!(read_whole(body, most));
    // Nearly every body came in one packet with its head: then there is no need for a timer.
    match poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await {
        Poll::Ready(read) => read,
        Poll::Pending => timeout(limit, reading).await.unwrap_or(Err(RequestError::TooSlow)),
    }
}

async fn read_whole(mut body: Incoming, most: usize) -> Result<Bytes, RequestError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > most {
        let patience = if announced > most.saturating_mul(PATIENCE) { 0 } else { announced };
        return Err(refuse(&mut body, most, patience).await);
    }
    let first = next(&mut body).await?.unwrap_or_default();
    if body.is_end_stream() && first.len() <= most {
        return Ok(first);
    }
    let mut whole = BytesMut::from(first);
    while let Some(data) = next(&mut body).await? {
        if whole.len() + data.len() > most {
            drop(whole);
            return Err(refuse(&mut body, most, most.saturating_mul(PATIENCE)).await);
        }
        whole.extend_from_slice(&data);
    }
    if whole.len() > most {
        return Err(RequestError::TooLarge(most));
    }
    Ok(whole.freeze())
}

/// The next piece of a body; trailers are passed over.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, RequestError> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| RequestError::BrokenOff)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

async fn refuse(body: &mut Incoming, most: usize, mut patience: usize) -> RequestError {
    while patience > 0 {
        match next(body).await {
            Ok(Some(data)) => patience = patience.saturating_sub(data.len()),
            Ok(None) | Err(_) => break,
        }
    }
    RequestError::TooLarge(most)
}
