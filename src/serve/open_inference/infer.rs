//! `POST /v2/models/{model}[/versions/{version}]/infer`: tensors in, tensors out.

use super::infer_request::InferRequest;
use super::infer_response;
use crate::example::Frame;
use crate::serve::call::{Call, Scratch, Unanswered, VersionRef};
use crate::serve::payload::Payload;
use crate::serve::reply::Reply;
use crate::serve::{Captures, Service};

/// Predicts for the rows of the input tensors.
///
/// # Errors
/// If there is no such model or version, or the body is malformed.
pub fn infer(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let model = service.models.find(&captures.text(0)?)?;
    let version = VersionRef::from(captures.version(1)?);
    let (request, binary) = InferRequest::read(payload)?;
    let columns = request.columns(binary)?;
    Scratch::with(|scratch| {
        let read = |model: usize, frame: &mut Frame| {
            service.models.read_instances(model, columns.table(), service.newest(payload), frame)
        };
        let fault = read(model, &mut scratch.frame)?;
        let moment = service.moment(payload);
        let call = Call { model, version, explain: false, fault };
        let answered = service.models.predict(&call, moment, scratch, &read)?;
        let watermark = scratch.watermark_text(moment.watermark).map(str::to_owned);
        Ok(infer_response::answer(&request, &answered, watermark.as_deref(), &scratch.predictions)?)
    })
}
