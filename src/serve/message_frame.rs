//! The frame of a message of gRPC: a byte that tells whether it is compressed, its length in four, and the message.

use bytes::{Buf, Bytes};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};

use super::RequestError;
use super::body::{self, HeldBody, Limits};

/// The content type of every request and answer, to which a client may add the form of its messages.
pub const GRPC: &str = "application/grpc";

/// The header that names the compression of messages.
const ENCODING: &str = "grpc-encoding";

/// The bytes before a message.
const PREFIX: usize = 5;

/// Reads a body that is one message, within the limits, and decompresses it.
///
/// # Errors
/// As [`body::read_body`], or if the body is not one message.
pub async fn read_message(headers: &HeaderMap, body: Incoming, limits: &Limits) -> Result<HeldBody, RequestError> {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !matches!(media.strip_prefix(GRPC), Some("" | "+proto")) {
        body::discard_within(headers, body, limits).await;
        return Err(RequestError::ContentType { found: media.to_owned(), expected: GRPC });
    }
    let mut held = body::read_as_sent(body, limits).await?;
    let is_compressed = unframe(&mut held.bytes).map_err(RequestError::Malformed)?;
    let encoding = headers.get(ENCODING).map_or(&b"identity"[..], |value| value.as_bytes());
    match (is_compressed, encoding) {
        (false, _) => Ok(held),
        (true, b"gzip") => held.decompressed(limits),
        (true, other) => Err(RequestError::ContentEncoding(String::from_utf8_lossy(other).into_owned())),
    }
}

/// Removes the frame of the one message in `bytes`; returns whether it is compressed.
fn unframe(bytes: &mut Bytes) -> Result<bool, String> {
    if bytes.len() < PREFIX {
        return Err(format!("the body has {} bytes; expected a message with its prefix of {PREFIX}", bytes.len()));
    }
    let (flag, length) = (bytes.get_u8(), bytes.get_u32() as usize);
    if length != bytes.len() {
        return Err(format!("the prefix tells of {length} bytes and {} came; expected one message", bytes.len()));
    }
    match flag {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(format!("the first byte of the prefix is {other}; expected 0, or 1 for a compressed message")),
    }
}

/// A message with its prefix, not compressed.
pub fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("an answer is shorter than 4 GiB");
    [&[0], &length.to_be_bytes()[..], message].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_message() {
        let unframed = |bytes: &[u8]| {
            let mut left = Bytes::copy_from_slice(bytes);
            unframe(&mut left).map(|is_compressed| (is_compressed, left))
        };
        assert_eq!(unframed(&framed(b"ab")), Ok((false, Bytes::from_static(b"ab"))));
        assert_eq!(unframed(&[1, 0, 0, 0, 0]), Ok((true, Bytes::new())));
        for (wrong, words) in [
            (&b""[..], "the body has 0 bytes"),
            (&[0, 0, 0, 0], "the body has 4 bytes"),
            (&[0, 0, 0, 0, 2, 7], "tells of 2 bytes and 1 came"),
            (&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "tells of 0 bytes and 5 came"),
            (&[0, 255, 255, 255, 255], "tells of 4294967295 bytes"),
            (&[2, 0, 0, 0, 0], "first byte of the prefix is 2"),
        ] {
            assert!(unframed(wrong).unwrap_err().contains(words), "{wrong:?}");
        }
    }
}
