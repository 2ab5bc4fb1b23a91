//! `GET` and `POST /models/{model}/split`: which arms answer for a model.

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::moves::{HandMove, refusal};
use crate::expr::nearest;
use crate::registry::{ArmTarget, AskedSplit, Split, SplitByHand, SplitEntry, When, split_at};
use crate::serve::call::Unanswered;
use crate::serve::payload::Payload;
use crate::serve::reply::{self, Reply};
use crate::serve::{Captures, RequestError, Service, json_error};
use crate::time::EventTime;

/// The fields of a request beside those of a split.
const REASON: &str = "reason";
const BY: &str = "by";
const CLEAR: &str = "clear";

/// Shows the split in force of the model that the path names, with the share of each arm now, and all splits so far.
///
/// # Errors
/// If there is no such model, or the registry cannot be read.
pub fn split(service: &Service, captures: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let model = service.models[service.models.find(&captures.text(0)?)?].name.clone();
    let (registry, now) = (service.models.registry()?, service.times().closed());
    Err(Unanswered::blocking(move || {
        let entries = registry.splits(&model).map_err(|error| refusal(&model, error))?;
        let newest = now.map_or(entries.last(), |now| split_at(&entries, now));
        let current = newest.filter(|entry| entry.split.is_some()).map(|entry| shown(entry, now));
        Ok(reply::value(StatusCode::OK, &json!({ "model": model, "current": current, "splits": entries })))
    }))
}

/// Splits the entities of the model that the path names, or clears its split, and answers with the new entry.
///
/// # Errors
/// If there is no such model, an arm cannot be served, the body is malformed, or the registry cannot be written.
pub fn set(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let moving = HandMove::of(service, captures)?;
    let RequestedSplit { split, reason, by } = RequestedSplit::read(payload.text()?)?;
    if let Some(split) = &split {
        check(service, &moving.model, split)?;
    }
    Err(Unanswered::blocking(move || {
        let HandMove { model, registry, live, .. } = &moving;
        if let Some(split) = &split {
            check_inputs(&moving, split)?;
        }
        // A split holds after the window that is being learnt, whose arms are known, has begun.
        let before = live.splits().newest(model).map(|entry| entry.time);
        let event = moving.when.event.max(live.splits().opened(model).unwrap_or(EventTime::MIN));
        let when = When { event: event.max(before.unwrap_or(EventTime::MIN)), ..moving.when };
        let by_hand = SplitByHand { when, reason: &reason, by: &by };
        let entry = registry.split(model, split.as_ref(), &by_hand).map_err(|error| refusal(model, error))?;
        live.refresh_splits(registry, model).map_err(|error| refusal(model, error))?;
        Ok(reply::value(StatusCode::OK, &shown(&entry, Some(entry.time))))
    }))
}

/// Returns an entry with the share of each arm at a time.
fn shown(entry: &SplitEntry, now: Option<EventTime>) -> Value {
    let mut value = serde_json::to_value(entry).expect("a split has a JSON form");
    let shares = entry.shares_at(now.unwrap_or(entry.time));
    value["shares"] = shares.into_iter().map(|(name, share)| (name.to_owned(), json!(share))).collect();
    value
}

/// A change that a request asks for.
struct RequestedSplit {
    /// `None` to clear the split.
    split: Option<Split>,
    reason: String,
    by: String,
}

impl RequestedSplit {
    fn read(body: &str) -> Result<Self, RequestError> {
        let malformed = |error: serde_json::Error| json_error::malformed(&error);
        let mut fields: Map<String, Value> = json_error::parse(body, "an object with weights")?;
        let mut text = |name: &str, default: &str| match fields.remove(name) {
            None | Some(Value::Null) => Ok(default.to_owned()),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(RequestError::Malformed(format!("{name}: expected text"))),
        };
        let (reason, by) = (text(REASON, "split by hand")?, text(BY, super::moves::BY)?);
        let clears = match fields.remove(CLEAR) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(_) => return Err(RequestError::Malformed(format!("{CLEAR}: expected true or false"))),
        };
        if clears {
            return match fields.keys().next() {
                Some(name) => Err(RequestError::Malformed(format!("{name}: a split that is cleared has none"))),
                None => Ok(RequestedSplit { split: None, reason, by }),
            };
        }
        let asked: AskedSplit = serde_json::from_value(Value::Object(fields)).map_err(malformed)?;
        Ok(RequestedSplit { split: Some(asked.split().map_err(RequestError::Move)?), reason, by })
    }
}

/// Checks the columns of a split's entity, and the other models that it names.
fn check(service: &Service, model: &str, split: &Split) -> Result<(), RequestError> {
    let served = &service.models[service.models.find(model)?];
    for column in &split.entity {
        if served.program.entity(std::slice::from_ref(column)).is_none() {
            return Err(RequestError::Malformed(match nearest(column, served.program.fields()) {
                Some(name) => format!("entity: instances have no column {column}; did you mean {name}?"),
                None => format!("entity: instances have no column {column} with a single value"),
            }));
        }
    }
    for name in split.models() {
        let other = &service.models[service.models.find(name)?];
        if other.task != served.task {
            return Err(RequestError::Malformed(format!("model:{name}: its predictions are of another kind")));
        }
        let missing = other.program.needed().find(|column| !served.program.fields().any(|field| field == column.name));
        if let Some(column) = missing {
            return Err(RequestError::Malformed(format!(
                "model:{name}: it needs the column {}, which instances of {model} do not have",
                column.name
            )));
        }
    }
    Ok(())
}

/// Checks that the versions that a split names take the inputs of the dataflow.
fn check_inputs(moving: &HandMove, split: &Split) -> Result<(), RequestError> {
    let HandMove { model, registry, .. } = moving;
    for (_, target) in split.targets() {
        let version = match target {
            ArmTarget::Champion | ArmTarget::Model(_) => continue,
            ArmTarget::Version(version) => Some(*version),
            ArmTarget::Alias(alias) => {
                registry.aliases(model).map_err(|error| refusal(model, error))?.get(alias).copied()
            }
        };
        // An alias that does not exist is reported when the split is made.
        let Some(version) = version else { continue };
        let (_, predictor) = registry.load(model, version).map_err(|error| refusal(model, error))?;
        if predictor.inputs() != moving.inputs {
            return Err(RequestError::OtherInputs { model: model.clone(), version });
        }
    }
    Ok(())
}
