//! The payload of a request: its headers, its body, and its look-ups.

use hyper::header::HeaderMap;

use super::RequestError;
use crate::store::RequestLookups;

/// The headers of a request, its body as it is after decompression, and its look-ups.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    pub headers: &'a HeaderMap,
    pub bytes: &'a [u8],
    /// The look-ups of the request.
    pub lookups: &'a RequestLookups,
}

impl<'a> Payload<'a> {
    /// The body as text, without a byte order mark, which some clients send although it is not part of JSON (RFC 8259,
    /// section 8.1).
    ///
    /// # Errors
    /// If it is not UTF-8.
    pub fn text(&self) -> Result<&'a str, RequestError> {
        text_of(self.bytes)
    }

    /// A header as text; `None` if it is absent or not text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Text in bytes of a body, without a byte order mark.
///
/// # Errors
/// If it is not UTF-8.
pub fn text_of(bytes: &[u8]) -> Result<&str, RequestError> {
    // Checked once for the whole body, not again for each string.
    let text = std::str::from_utf8(bytes)
        .map_err(|error| RequestError::Malformed(format!("the body is not UTF-8 at byte {}", error.valid_up_to())))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}
