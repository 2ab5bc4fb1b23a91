//! The methods of `inference.GRPCInferenceService`, each the same as a route of `/v2`.

use super::messages::{
    ModelInferRequest, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse,
    ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest,
    ServerReadyResponse, TensorMetadata,
};
use super::{answer, decode, tensors};
use crate::serve::call::{Call, Unanswered, VersionRef};
use crate::serve::open_inference::infer::predict;
use crate::serve::open_inference::metadata::{EXTENSIONS, ModelDescription, TensorDescription, found, is_ready};
use crate::serve::payload::Payload;
use crate::serve::reply::Reply;
use crate::serve::router::version_of;
use crate::serve::{Captures, Service, operations};

/// Predicts for the rows of the input tensors.
///
/// # Errors
/// If there is no such model or version, or the message is malformed.
pub fn infer(service: &Service, _: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    tensors::check_count(payload.bytes)?;
    let request: ModelInferRequest = decode(payload)?;
    let model = service.models.find(&request.model_name)?;
    let version = VersionRef::from(version_of(&request.model_version)?);
    let is_raw = tensors::wants_raw(&request)?;
    let columns = tensors::columns(&request)?;
    predict(service, payload, &Call { model, version, explain: false, fault: None }, &columns, |inferred| {
        Ok(answer(&tensors::response(&request, is_raw, inferred)?))
    })
}

/// Answers as long as the process does.
pub fn live(_: &Service, _: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    decode::<ServerLiveRequest>(payload)?;
    Ok(answer(&ServerLiveResponse { live: true }))
}

/// Answers whether every model has a version and there is no other reason against readiness.
pub fn ready(service: &Service, _: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    decode::<ServerReadyRequest>(payload)?;
    Ok(answer(&ServerReadyResponse { ready: operations::reasons(service).is_empty() }))
}

/// Answers whether a model has a version, or the version that is named.
///
/// # Errors
/// If there is no such model or version.
pub fn model_ready(service: &Service, _: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let asked: ModelReadyRequest = decode(payload)?;
    let version = version_of(&asked.version)?;
    let model = found(service, &asked.name, version)?;
    Ok(answer(&ModelReadyResponse { ready: is_ready(service, model, version) }))
}

/// Describes the server.
pub fn server(_: &Service, _: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    decode::<ServerMetadataRequest>(payload)?;
    Ok(answer(&ServerMetadataResponse {
        name: "tidemill".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).into(),
    }))
}

/// Describes a model: its versions, and the tensors that it takes and returns.
///
/// # Errors
/// If there is no such model or version.
pub fn model(service: &Service, _: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let asked: ModelMetadataRequest = decode(payload)?;
    let model = found(service, &asked.name, version_of(&asked.version)?)?;
    let described = ModelDescription::of(service, model);
    let tensor = |tensor: TensorDescription| TensorMetadata {
        name: tensor.name,
        datatype: tensor.datatype.to_owned(),
        shape: tensor.shape,
    };
    Ok(answer(&ModelMetadataResponse {
        name: described.name,
        versions: described.versions,
        platform: described.platform.to_owned(),
        inputs: described.inputs.into_iter().map(tensor).collect(),
        outputs: described.outputs.into_iter().map(tensor).collect(),
    }))
}
