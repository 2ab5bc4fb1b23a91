//! `grpc.health.v1.Health/Check`: whether requests are answered.

use super::messages::{HealthCheckRequest, HealthCheckResponse};
use crate::serve::call::Unanswered;
use crate::serve::payload::Payload;
use crate::serve::reply::Reply;
use crate::serve::{Captures, Service, operations};

/// The service that has the health of the process.
const INFERENCE: &str = "inference.GRPCInferenceService";

/// `SERVING` and `NOT_SERVING` of `HealthCheckResponse.ServingStatus`.
const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;

/// Returns SERVING once there is no reason against readiness, as `/health/ready` does; for a model, once it has a version
/// besides.
///
/// # Errors
/// If the name is neither of a service nor of a model.
pub fn check(service: &Service, _: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let asked: HealthCheckRequest = super::decode(payload)?;
    let is_serving = match asked.service.as_str() {
        "" | INFERENCE => operations::reasons(service).is_empty(),
        model => {
            let model = &service.models[service.models.find(model)?];
            service.readiness.reasons().is_empty() && service.models.servable(model).is_some()
        }
    };
    let status = if is_serving { SERVING } else { NOT_SERVING };
    Ok(super::answer(&HealthCheckResponse { status }))
}
