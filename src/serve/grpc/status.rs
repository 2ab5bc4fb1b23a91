//! The statuses of gRPC, and the trailers of an answer.

use std::convert::Infallible;
use std::future::{Ready, ready};

use bytes::Bytes;
use http_body_util::combinators::WithTrailers;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::serve::RequestError;
use crate::serve::message_frame::GRPC;
use crate::serve::reply::Reply;

/// The body of an answer: one message, or none after an error, and the status in trailers.
pub type MessageBody = WithTrailers<Full<Bytes>, Ready<Option<Result<HeaderMap, Infallible>>>>;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// The compressions of requests that are read.
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The bytes of a text in trailers that are percent-encoded.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// The most bytes of an encoded text: clients take 8 KiB of metadata by default.
const MOST_TEXT: usize = 4 << 10;

/// A status other than OK that requests get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RpcStatus {
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl RpcStatus {
    fn of(error: &RequestError) -> Self {
        if let RequestError::UnknownRoute(_) = error {
            return RpcStatus::Unimplemented;
        }
        match error.status() {
            StatusCode::BAD_REQUEST => RpcStatus::InvalidArgument,
            StatusCode::UNAUTHORIZED => RpcStatus::Unauthenticated,
            StatusCode::FORBIDDEN => RpcStatus::PermissionDenied,
            StatusCode::NOT_FOUND => RpcStatus::NotFound,
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNSUPPORTED_MEDIA_TYPE => RpcStatus::Unimplemented,
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => RpcStatus::DeadlineExceeded,
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => RpcStatus::ResourceExhausted,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY => RpcStatus::Unavailable,
            _ => RpcStatus::Unknown,
        }
    }
}

/// The error shape of the family: no message, and the status beside that of HTTP, by which it is counted.
pub fn refusal(error: &RequestError) -> Reply {
    let mut reply = Reply::new(Full::default());
    *reply.status_mut() = error.status();
    let headers = reply.headers_mut();
    headers.insert(STATUS, HeaderValue::from(RpcStatus::of(error) as u16));
    headers.insert(MESSAGE, text(&error.to_string()));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity,gzip"));
    reply
}

/// An answer in the form of gRPC, where the status of HTTP is 200 and that of the call is in trailers.
pub fn finished(reply: Reply) -> Response<MessageBody> {
    let (mut head, body) = reply.into_parts();
    head.status = StatusCode::OK;
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    // HTTP/2 has no such header.
    head.headers.remove(CONNECTION);
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, head.headers.remove(STATUS).unwrap_or(HeaderValue::from_static("0")));
    if let Some(message) = head.headers.remove(MESSAGE) {
        trailers.insert(MESSAGE, message);
    }
    Response::from_parts(head, body.with_trailers(ready(Some(Ok(trailers)))))
}

/// A text as trailers have it, its end left out if it is long.
fn text(text: &str) -> HeaderValue {
    let mut encoded = String::new();
    for part in text.char_indices().map(|(at, char)| &text[at..at + char.len_utf8()]) {
        let part = utf8_percent_encode(part, ENCODED).to_string();
        if encoded.len() + part.len() > MOST_TEXT {
            break;
        }
        encoded += &part;
    }
    HeaderValue::try_from(encoded).expect("what is left is visible ASCII and spaces")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_trailers_is_percent_encoded_and_not_too_long() {
        assert_eq!(text("a b%\n\"é\""), "a b%25%0A\"%C3%A9\"");
        assert_eq!(text(&"é".repeat(10_000)).len(), 4092);
        assert_eq!(text(&"a".repeat(10_000)).len(), 4096);
    }

    #[test]
    fn errors_have_the_statuses_of_the_protocol() {
        for (error, expected) in [
            (RequestError::UnknownRoute("/".to_owned()), RpcStatus::Unimplemented),
            (RequestError::UnknownVersion { model: "m".to_owned(), version: 1 }, RpcStatus::NotFound),
            (RequestError::Malformed(String::new()), RpcStatus::InvalidArgument),
            (RequestError::NoToken("read"), RpcStatus::Unauthenticated),
            (RequestError::WrongRole("read"), RpcStatus::PermissionDenied),
            (RequestError::TooLarge(1), RpcStatus::ResourceExhausted),
            (RequestError::TooMuchWaiting, RpcStatus::ResourceExhausted),
            (RequestError::TooManyBodies, RpcStatus::ResourceExhausted),
            (RequestError::TooSlow, RpcStatus::DeadlineExceeded),
            (RequestError::NoVersion("m".to_owned()), RpcStatus::Unavailable),
            (RequestError::ContentEncoding("br".to_owned()), RpcStatus::Unimplemented),
        ] {
            assert_eq!(RpcStatus::of(&error), expected, "{error}");
            let answer = finished(refusal(&error));
            assert_eq!(answer.status(), StatusCode::OK);
            assert!(!answer.headers().contains_key(STATUS), "{error}");
        }
    }
}
