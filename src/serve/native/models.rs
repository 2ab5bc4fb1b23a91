//! `GET /models`, `/models/{model}`, `/models/{model}/versions`: models and their versions.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::serve::call::Unanswered;
use crate::serve::payload::Payload;
use crate::serve::reply::{self, Reply};
use crate::serve::served_model::ServedModel;
use crate::serve::served_models::ServedModels;
use crate::serve::{Captures, Service};

/// Lists every model with its champion and the versions that can be asked for.
pub fn models(service: &Service, _: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let models: Vec<Value> = service.models.iter().map(|model| summary(&service.models, model)).collect();
    Ok(reply::value(StatusCode::OK, &json!({ "models": models })))
}

/// Shows the model that the path names.
///
/// # Errors
/// If there is no such model.
pub fn model(service: &Service, captures: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let model = &service.models[service.models.find(&captures.text(0)?)?];
    Ok(reply::value(StatusCode::OK, &summary(&service.models, model)))
}

/// Lists the manifests of the model that the path names.
///
/// # Errors
/// If there is no such model.
pub fn versions(service: &Service, captures: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let model = &service.models[service.models.find(&captures.text(0)?)?];
    let manifests = service.models.manifests(model);
    let versions: Vec<_> = manifests.iter().map(|manifest| manifest.as_ref()).collect();
    Ok(reply::value(StatusCode::OK, &json!({ "versions": versions })))
}

fn summary(models: &ServedModels, model: &ServedModel) -> Value {
    let versions: Vec<u64> = models.manifests(model).iter().map(|manifest| manifest.version).collect();
    json!({ "name": model.name, "kind": model.kind, "champion": models.champion(model), "versions": versions })
}
