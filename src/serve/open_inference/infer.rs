//! `POST /v2/models/{model}[/versions/{version}]/infer`: tensors in, tensors out.

use super::infer_request::InferRequest;
use super::infer_response;
use super::output_tensor::Inferred;
use super::tensor_columns::TensorColumns;
use crate::example::Frame;
use crate::serve::call::{Call, Scratch, Unanswered, VersionRef};
use crate::serve::payload::Payload;
use crate::serve::reply::Reply;
use crate::serve::{Captures, RequestError, Service};

/// Predicts for the rows of the input tensors.
///
/// # Errors
/// If there is no such model or version, or the body is malformed.
pub fn infer(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let model = service.models.find(&captures.text(0)?)?;
    let version = VersionRef::from(captures.version(1)?);
    let (request, binary) = InferRequest::read(payload)?;
    let columns = request.columns(binary)?;
    predict(service, payload, &Call { model, version, explain: false, fault: None }, &columns, |inferred| {
        infer_response::answer(&request, inferred)
    })
}

/// Predicts for the rows of columns, by the model and version of a call, and writes the predictions by `write`.
///
/// # Errors
/// If there is no such version, an instance is faulty, or they cannot be written.
pub fn predict(
    service: &Service,
    payload: Payload<'_>,
    call: &Call,
    columns: &TensorColumns<'_>,
    write: impl FnOnce(Inferred<'_>) -> Result<Reply, RequestError>,
) -> Result<Reply, Unanswered> {
    Scratch::with(|scratch| {
        let read = |model: usize, frame: &mut Frame| {
            service.models.read_instances(model, columns.table(), service.newest(payload), frame)
        };
        let fault = read(call.model, &mut scratch.frame)?;
        let moment = service.moment(payload);
        let call = Call { fault, ..*call };
        let answered = service.models.predict(&call, moment, scratch, &read)?;
        let watermark = scratch.watermark_text(moment.watermark).map(str::to_owned);
        let inferred =
            Inferred { answered: &answered, predictions: &scratch.predictions, watermark: watermark.as_deref() };
        Ok(write(inferred)?)
    })
}
