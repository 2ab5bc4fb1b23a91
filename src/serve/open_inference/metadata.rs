//! Metadata of the Open Inference Protocol: of the server, its health, its models and their configuration.

use hyper::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::output_tensor::{CLASSES, output_names, output_type};
use super::tensor_type::TensorType;
use crate::example::NeededColumn;
use crate::model::Task;
use crate::serve::call::Unanswered;
use crate::serve::operations;
use crate::serve::payload::Payload;
use crate::serve::reply::{self, Reply};
use crate::serve::served_model::ServedModel;
use crate::serve::{Captures, RequestError, Service};

/// The format of every model: weights in a safetensors file.
const PLATFORM: &str = "tidemill_safetensors";

/// The extensions of the protocol that are served.
pub const EXTENSIONS: [&str; 3] = ["binary_tensor_data", "model_configuration", "statistics"];

/// A model as clients see it.
#[derive(Clone, Debug, Serialize)]
pub struct ModelDescription {
    pub name: String,
    pub versions: Vec<String>,
    pub platform: &'static str,
    pub inputs: Vec<TensorDescription>,
    pub outputs: Vec<TensorDescription>,
}

/// An input or output of a model.
#[derive(Clone, Debug, Serialize)]
pub struct TensorDescription {
    pub name: String,
    pub datatype: &'static str,
    /// -1 for a size that depends on the request.
    pub shape: Vec<i64>,
}

/// Describes the server.
pub fn server(_: &Service, _: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let server = json!({ "name": "tidemill", "version": env!("CARGO_PKG_VERSION"), "extensions": EXTENSIONS });
    Ok(reply::value(StatusCode::OK, &server))
}

/// Answers as long as the process does.
pub fn live(_: &Service, _: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    Ok(reply::value(StatusCode::OK, &json!({ "live": true })))
}

/// Answers 200 once every model has a version, else 503.
pub fn ready(service: &Service, _: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    Ok(readiness(json!({}), operations::reasons(service).is_empty()))
}

/// Lists the names of the models.
pub fn models(service: &Service, _: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let names: Vec<&str> = service.models.iter().map(|model| model.name.as_str()).collect();
    Ok(reply::value(StatusCode::OK, &json!({ "models": names })))
}

/// Describes a model: its versions, and the tensors that it takes and returns.
///
/// # Errors
/// If there is no such model or version.
pub fn model(service: &Service, captures: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let described = ModelDescription::of(service, named(service, captures)?);
    Ok(reply::value(StatusCode::OK, &serde_json::to_value(described).expect("texts and numbers have a JSON form")))
}

impl ModelDescription {
    /// The description of a model as it is now.
    pub fn of(service: &Service, model: &ServedModel) -> Self {
        let needed = model.program.needed();
        let input = |column: NeededColumn<'_>| TensorDescription {
            name: column.name.to_owned(),
            datatype: TensorType::of_column(column.ty).name(),
            shape: vec![-1],
        };
        let output = |name: &&'static str| TensorDescription {
            name: (*name).to_owned(),
            datatype: output_type(model.task, name).name(),
            shape: output_shape(service, model, name),
        };
        ModelDescription {
            name: model.name.clone(),
            versions: service.models.manifests(model).iter().map(|manifest| manifest.version.to_string()).collect(),
            platform: PLATFORM,
            inputs: needed.map(input).collect(),
            outputs: output_names(model.task).iter().map(output).collect(),
        }
    }
}

/// Answers 200 if a model has a version, or the version that the path names, else 503.
///
/// # Errors
/// If there is no such model or version.
pub fn model_ready(service: &Service, captures: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let model = named(service, captures)?;
    let is_ready = is_ready(service, model, captures.version(1)?);
    Ok(readiness(json!({ "name": model.name }), is_ready))
}

/// Returns whether a model has a version; one that is named is known to exist.
pub fn is_ready(service: &Service, model: &ServedModel, version: Option<u64>) -> bool {
    version.is_some() || service.models.servable(model).is_some()
}

/// Describes a model in the form of Triton's model configuration.
///
/// # Errors
/// If there is no such model or version.
pub fn config(service: &Service, captures: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let model = named(service, captures)?;
    let inputs: Vec<Value> = model
        .program
        .needed()
        .map(|column| {
            let ty = TensorType::of_column(column.ty).config_name();
            json!({ "name": column.name, "data_type": ty, "dims": [-1], "optional": column.nullable })
        })
        .collect();
    let outputs: Vec<Value> = output_names(model.task)
        .iter()
        .map(|name| {
            let (ty, shape) = (output_type(model.task, name).config_name(), output_shape(service, model, name));
            json!({ "name": name, "data_type": ty, "dims": shape })
        })
        .collect();
    let answer = json!({
        "name": model.name, "platform": PLATFORM, "backend": "tidemill", "max_batch_size": 0,
        "input": inputs, "output": outputs,
    });
    Ok(reply::value(StatusCode::OK, &answer))
}

/// The model that the path names, once the version that it may name is known to exist.
pub fn named<'s>(service: &'s Service, captures: &Captures<'_>) -> Result<&'s ServedModel, RequestError> {
    found(service, &captures.text(0)?, captures.version(1)?)
}

/// The model of a name, once the version is known to exist.
///
/// # Errors
/// If there is no such model or version.
pub fn found<'s>(service: &'s Service, name: &str, version: Option<u64>) -> Result<&'s ServedModel, RequestError> {
    let model = &service.models[service.models.find(name)?];
    version.map_or(Ok(()), |version| service.models.manifest(model, version).map(drop))?;
    Ok(model)
}

/// The shape of an output; -1 for the number of instances, and for that of the classes before the first version.
fn output_shape(service: &Service, model: &ServedModel, name: &str) -> Vec<i64> {
    let classes = || {
        let champion = service.models.servable(model);
        champion.map_or(-1, |version| i64::try_from(version.predictor.classes().len()).unwrap_or(-1))
    };
    match model.task {
        Task::Multiclass if name == CLASSES => vec![classes()],
        Task::Multiclass => vec![-1, classes()],
        Task::Binary | Task::Regression | Task::Clustering | Task::Anomaly => vec![-1],
    }
}

/// An answer whose status says the same as its field `ready`.
fn readiness(mut answer: Value, is_ready: bool) -> Reply {
    answer["ready"] = is_ready.into();
    reply::value(if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &answer)
}
