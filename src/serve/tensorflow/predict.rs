//! `POST /v1/models/{model}[/versions/{version}|/labels/{alias}]:predict`: rows or columns in, rows or columns out; and the
//! same with `:explain`, which also explains what it predicts.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::example::Frame;
use crate::model::{Predictions, Task};
use crate::serve::answered::Answered;
use crate::serve::call::{Call, Scratch, Unanswered, VersionRef};
use crate::serve::json_columns::JsonColumns;
use crate::serve::payload::Payload;
use crate::serve::reply::{self, Reply};
use crate::serve::{Captures, RequestError, Service, json_error};

/// The signature that a request may name.
const SIGNATURE: &str = "serving_default";

/// The body of a request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureRequest<'a> {
    signature_name: Option<String>,
    #[serde(borrow)]
    instances: Option<&'a RawValue>,
    #[serde(borrow)]
    inputs: Option<&'a RawValue>,
}

/// The form of a request, and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServingForm {
    Rows,
    Columns,
}

/// The answer that a request asks for: predictions alone, or their explanations, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServingVerb {
    Predict,
    Explain,
}

/// Predicts with the version that the path names; without one with the champion, or the arms of a split.
///
/// # Errors
/// If there is no such model or version, or the body is malformed.
pub fn predict(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    answer(service, ServingVerb::Predict, by_number(service, captures)?, payload)
}

/// Predicts with the version that an alias points to.
///
/// # Errors
/// If there is no such model or alias, or the body is malformed.
pub fn predict_by_label(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    answer(service, ServingVerb::Predict, by_label(service, captures)?, payload)
}

/// Predicts as [`predict`] does, and explains the predictions.
///
/// # Errors
/// The same, and if the model does not explain.
pub fn explain(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    answer(service, ServingVerb::Explain, by_number(service, captures)?, payload)
}

/// Predicts as [`predict_by_label`] does, and explains the predictions.
///
/// # Errors
/// The same, and if the model does not explain.
pub fn explain_by_label(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    answer(service, ServingVerb::Explain, by_label(service, captures)?, payload)
}

/// The model and the version that a path names.
struct NamedVersion {
    /// The position of the model.
    model: usize,
    version: VersionRef,
}

fn by_number(service: &Service, captures: &Captures<'_>) -> Result<NamedVersion, RequestError> {
    let model = service.models.find(&captures.text(0)?)?;
    Ok(NamedVersion { model, version: VersionRef::from(captures.version(1)?) })
}

fn by_label(service: &Service, captures: &Captures<'_>) -> Result<NamedVersion, RequestError> {
    let model = service.models.find(&captures.text(0)?)?;
    Ok(NamedVersion { model, version: service.models.alias(&service.models[model], &captures.text(1)?)? })
}

fn answer(
    service: &Service,
    verb: ServingVerb,
    named: NamedVersion,
    payload: Payload<'_>,
) -> Result<Reply, Unanswered> {
    let NamedVersion { model, version } = named;
    let malformed = |what: &str| RequestError::Malformed(what.to_owned());
    let request: SignatureRequest<'_> = json_error::parse(payload.text()?, "an object with instances or inputs")?;
    if let Some(found) = request.signature_name.filter(|name| !["", SIGNATURE].contains(&name.as_str())) {
        return Err(malformed(&format!("signature_name: expected {SIGNATURE}, found {found:?}")).into());
    }
    Scratch::with(|scratch| {
        let (models, newest, frame) = (&service.models, service.newest(payload), &mut scratch.frame);
        let (form, body) = match (request.instances, request.inputs) {
            (Some(rows), None) => (ServingForm::Rows, rows),
            (None, Some(columns)) => (ServingForm::Columns, columns),
            (None, None) => return Err(malformed("instances: missing, or inputs in the form of columns").into()),
            (Some(_), Some(_)) => return Err(malformed("both instances and inputs; expected one of them").into()),
        };
        let read = |model: usize, frame: &mut Frame| match form {
            ServingForm::Rows => {
                models.read_instances(model, &mut serde_json::Deserializer::from_str(body.get()), newest, frame)
            }
            ServingForm::Columns => {
                let program = &models[model].program;
                let columns = JsonColumns::read("inputs", body)?.unnested(|name| program.takes_list(name));
                models.read_instances(model, columns.table(), newest, frame)
            }
        };
        let fault = read(model, frame)?;
        let call = Call { model, version, explain: verb == ServingVerb::Explain, fault };
        let answered = models.predict(&call, service.moment(payload), scratch, &read)?;
        Ok(reply::with_arms(reply::json(write(form, verb, &answered, &scratch.predictions)), &answered))
    })
}

fn write(form: ServingForm, verb: ServingVerb, answered: &Answered, predictions: &Predictions) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + 24 * predictions.values().len());
    out.extend_from_slice(match form {
        ServingForm::Rows => b"{\"predictions\":",
        ServingForm::Columns => b"{\"outputs\":",
    });
    match (form, answered.task()) {
        (ServingForm::Columns, Task::Multiclass) => {
            for (at, class) in answered.classes().iter().enumerate() {
                out.push(if at == 0 { b'{' } else { b',' });
                reply::write_text(class, &mut out);
                out.push(b':');
                let column: Vec<f64> = predictions.rows().map(|row| row[at]).collect();
                serde_json::to_writer(&mut out, &column).expect("writing to memory cannot fail");
            }
            out.push(b'}');
        }
        _ => reply::write_predictions(answered, predictions, &mut out),
    }
    if verb == ServingVerb::Explain {
        out.push(b',');
        reply::write_explanations(answered, predictions.len(), &mut out);
    }
    out.push(b'}');
    out
}
