//! The Open Inference Protocol and health checks over gRPC: `inference.GRPCInferenceService` and `grpc.health.v1.Health`.
//!
//! A call of gRPC is a POST in HTTP/2 whose path names a method, whose body is a message with a prefix, and whose status is
//! in trailers. So the methods are routes of a [`RouteFamily`], behind the same rules, limits and counters as all others, on
//! a port of their own; only the body's form and that of the status differ.
//!
//! | file | covers |
//! |---|---|
//! | `messages` | the messages of both services |
//! | `status` | the statuses of gRPC, and the trailers of an answer |
//! | `health` | `Check`: of all models or of one |
//! | `inference` | the methods of the Open Inference Protocol |
//! | `tensors` | input tensors as columns, predictions as output tensors; what they mean is that of `open_inference` |
//!
//! `Watch` and `List` of the health service are not there (UNIMPLEMENTED), as clients may expect of a server.
//!
//! There is no framework of gRPC under this: hyper speaks HTTP/2 and prost reads the messages. A framework would accept
//! connections, limit, encrypt and authenticate requests in another way than all other routes do.

mod health;
mod inference;
mod messages;
mod status;
mod tensors;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};
use prost::Message;

use super::payload::Payload;
use super::reply::Reply;
use super::request_service::{HttpVersion, RequestService};
use super::router::Router;
use super::rules::ConnectionRules;
use super::{BodyRule, Handler, HttpRoute, RequestError, Role, RouteFamily, Service, message_frame};
use crate::metrics::Metrics;
use status::MessageBody;

/// The family.
pub static FAMILY: RouteFamily = RouteFamily {
    error: status::refusal,
    routes: &[
        method("/inference.GRPCInferenceService/ModelInfer", Role::Predict, inference::infer),
        method("/inference.GRPCInferenceService/ServerLive", Role::Open, inference::live).reserved(),
        method("/inference.GRPCInferenceService/ServerReady", Role::Open, inference::ready).reserved(),
        method("/inference.GRPCInferenceService/ModelReady", Role::Read, inference::model_ready),
        method("/inference.GRPCInferenceService/ServerMetadata", Role::Read, inference::server),
        method("/inference.GRPCInferenceService/ModelMetadata", Role::Read, inference::model),
        method("/grpc.health.v1.Health/Check", Role::Open, health::check).reserved(),
    ],
};

/// A route for a method that takes one message and returns one.
const fn method(path: &'static str, role: Role, handler: Handler) -> HttpRoute {
    let mut route = HttpRoute::post(path, handler).of_role(role);
    route.body = BodyRule::Message;
    route
}

/// Answers calls of gRPC from the state that answers all other requests.
#[derive(Debug)]
pub struct GrpcService {
    service: Arc<Service>,
    router: Router,
}

impl GrpcService {
    pub fn new(service: Arc<Service>) -> Self {
        GrpcService { router: Router::new(&[&FAMILY], &service.metrics), service }
    }
}

impl RequestService for GrpcService {
    type Answer = MessageBody;

    const HTTP: HttpVersion = HttpVersion::Http2;

    async fn answer(&self, request: Request<Incoming>, rules: &ConnectionRules) -> Response<MessageBody> {
        status::finished(self.service.answer_by(&self.router, request, rules).await)
    }

    fn metrics(&self) -> &Arc<Metrics> {
        &self.service.metrics
    }
}

/// Reads the message of a request.
fn decode<M: Message + Default>(payload: Payload<'_>) -> Result<M, RequestError> {
    M::decode(payload.bytes).map_err(|error| RequestError::Malformed(error.to_string()))
}

/// An answer of one message.
fn answer(message: &impl Message) -> Reply {
    Reply::new(message_frame::framed(&message.encode_to_vec()).into())
}
