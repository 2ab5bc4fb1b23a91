//! `GET /ping` and `POST /invocations`.

use hyper::StatusCode;

use super::invocation::Invocation;
use crate::example::Frame;
use crate::serve::call::{Call, Scratch, Unanswered, VersionRef};
use crate::serve::operations;
use crate::serve::payload::Payload;
use crate::serve::reply::{self, Reply};
use crate::serve::{Captures, Service};

/// The header by which a client of SageMaker names one of several models.
const TARGET_MODEL: &str = "x-amzn-sagemaker-target-model";

/// Answers 200 once every model has a version, else 503.
pub fn ping(service: &Service, _: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let is_ready = operations::reasons(service).is_empty();
    let mut reply = reply::json("\n");
    *reply.status_mut() = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(reply)
}

/// Predicts for the rows of a data frame. The model is the one that the parameters or a header name, or the only one.
///
/// # Errors
/// If there is no such model or version, or the body is malformed.
pub fn invocations(service: &Service, _: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let text = Invocation::text(payload)?;
    let invocation = Invocation::read(payload, &text)?;
    let named = invocation.params.model.as_deref().or_else(|| payload.header(TARGET_MODEL));
    let model = service.models.named(named)?;
    let version = VersionRef::from(invocation.params.version);
    Scratch::with(|scratch| {
        let read = |model: usize, frame: &mut Frame| {
            invocation.frame.instances(&service.models, model, service.newest(payload), frame)
        };
        let fault = read(model, &mut scratch.frame)?;
        let call = Call { model, version, explain: false, fault };
        let answered = service.models.predict(&call, service.moment(payload), scratch, &read)?;
        let mut out = Vec::with_capacity(32 + 24 * scratch.predictions.values().len());
        out.extend_from_slice(b"{\"predictions\":");
        reply::write_predictions(&answered, &scratch.predictions, &mut out);
        out.push(b'}');
        Ok(reply::with_arms(reply::json(out), &answered))
    })
}
