//! `POST /v2/models/{model}[/versions/{version}]/infer`: tensors in, tensors out.

use super::infer_request::InferRequest;
use super::infer_response;
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
    let version = captures.version(1)?.map_or(VersionRef::Champion, VersionRef::Number);
    let (request, binary) = InferRequest::read(payload)?;
    let columns = request.columns(binary)?;
    Scratch::with(|scratch| {
        let fault = service.models.read_instances(model, columns.table(), service.newest(), &mut scratch.frame)?;
        let moment = service.moment();
        let version = service.models.predict(&Call { model, version, fault }, moment.asking, scratch)?;
        let watermark = scratch.watermark_text(moment.watermark).map(str::to_owned);
        Ok(infer_response::answer(&request, &version, watermark.as_deref(), &scratch.predictions)?)
    })
}
