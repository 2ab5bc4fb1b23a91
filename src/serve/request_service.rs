//! The state that answers the requests of a server.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::{Request, Response};

use super::rules::ConnectionRules;
use crate::metrics::Metrics;

/// The version of HTTP that a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    Http1,
    #[cfg(feature = "grpc")]
    Http2,
}

impl HttpVersion {
    /// The name in the handshake of TLS.
    pub fn alpn(self) -> &'static [u8] {
        match self {
            HttpVersion::Http1 => b"http/1.1",
            #[cfg(feature = "grpc")]
            HttpVersion::Http2 => b"h2",
        }
    }
}

/// Answers requests on all serving threads. One implementation answers from a dataflow, the other one passes requests on.
pub trait RequestService: Send + Sync + 'static {
    /// The body of an answer.
    type Answer: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;

    /// The version of HTTP of its requests.
    const HTTP: HttpVersion = HttpVersion::Http1;

    /// Answers a request and counts it. Whatever is wrong becomes an answer, too.
    fn answer(
        &self,
        request: Request<Incoming>,
        rules: &ConnectionRules,
    ) -> impl Future<Output = Response<Self::Answer>> + Send;

    /// The metrics that connections are counted in.
    fn metrics(&self) -> &Arc<Metrics>;
}
