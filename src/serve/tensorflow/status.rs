//! `GET /v1/models[/{model}[/versions/{version}|/labels/{alias}]]`: models, and the states of their versions.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::serve::call::{Unanswered, VersionRef};
use crate::serve::payload::Payload;
use crate::serve::reply::{self, Reply};
use crate::serve::served_model::ServedModel;
use crate::serve::{Captures, RequestError, Service};

/// Lists the names of the models.
pub fn models(service: &Service, _: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let names: Vec<&str> = service.models.iter().map(|model| model.name.as_str()).collect();
    Ok(reply::value(StatusCode::OK, &json!({ "models": names })))
}

/// Shows whether a model is ready, and the versions that can be asked for. The status is 503 before the first version.
///
/// # Errors
/// If there is no such model.
pub fn model(service: &Service, captures: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let model = named(service, captures)?;
    let is_ready = service.models.servable(model).is_some();
    let versions = service.models.manifests(model).into_iter().map(|manifest| manifest.version);
    let answer = json!({ "name": model.name, "ready": is_ready, "model_version_status": states(versions) });
    Ok(reply::value(if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &answer))
}

/// Shows the state of a version.
///
/// # Errors
/// If there is no such model or version.
pub fn version(service: &Service, captures: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let model = named(service, captures)?;
    let version = captures.version(1)?;
    if let Some(version) = version {
        service.models.manifest(model, version)?;
    }
    Ok(reply::value(StatusCode::OK, &json!({ "model_version_status": states(version) })))
}

/// Shows the state of the version that an alias points to.
///
/// # Errors
/// If there is no such model or alias, or no version yet.
pub fn label(service: &Service, captures: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let model = named(service, captures)?;
    let version = match service.models.alias(model, &captures.text(1)?)? {
        VersionRef::Unnamed | VersionRef::Champion => service.models.champion(model),
        VersionRef::Number(number) => Some(number),
    };
    let version = version.ok_or_else(|| RequestError::NoVersion(model.name.clone()))?;
    Ok(reply::value(StatusCode::OK, &json!({ "model_version_status": states([version]) })))
}

fn named<'s>(service: &'s Service, captures: &Captures<'_>) -> Result<&'s ServedModel, RequestError> {
    Ok(&service.models[service.models.find(&captures.text(0)?)?])
}

/// The states of versions that can be asked for.
fn states(versions: impl IntoIterator<Item = u64>) -> Vec<Value> {
    let status = json!({ "error_code": "OK", "error_message": "" });
    let state = |version: u64| json!({ "version": version.to_string(), "state": "AVAILABLE", "status": status });
    versions.into_iter().map(state).collect()
}
