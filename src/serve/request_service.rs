//! The state that answers the requests of a server.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::{Request, Response};

use super::rules::ConnectionRules;
use crate::metrics::Metrics;

/// Answers requests on all serving threads. One implementation answers from a dataflow, the other one passes requests on.
pub trait RequestService: Send + Sync + 'static {
    /// The body of an answer.
    type Answer: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;

    /// Answers a request and counts it. Whatever is wrong becomes an answer, too.
    fn answer(
        &self,
        request: Request<Incoming>,
        rules: &ConnectionRules,
    ) -> impl Future<Output = Response<Self::Answer>> + Send;

    /// The metrics that connections are counted in.
    fn metrics(&self) -> &Arc<Metrics>;
}
