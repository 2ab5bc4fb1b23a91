//! The versions that can be asked for, and their statistics, in Triton's forms.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::metadata::named;
use crate::serve::call::Unanswered;
use crate::serve::payload::Payload;
use crate::serve::prediction_stats::RequestCount;
use crate::serve::reply::{self, Reply};
use crate::serve::{Captures, Service, json_error};

/// The body of a request for the index, which may be empty.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct IndexRequest {
    /// List only what can be asked for.
    #[serde(default)]
    ready: bool,
}

/// Lists every version that can be asked for, and every model that has none yet.
///
/// # Errors
/// If the body is malformed.
pub fn index(service: &Service, _: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let text = payload.text()?;
    let request = match text.trim_ascii() {
        "" => IndexRequest::default(),
        json => json_error::parse(json, "an object")?,
    };
    let mut all = Vec::new();
    for model in service.models.iter() {
        let manifests = service.models.manifests(model);
        if manifests.is_empty() && !request.ready {
            all.push(json!({ "name": model.name, "state": "UNAVAILABLE", "reason": "no version yet" }));
        }
        let ready = |version: u64| json!({ "name": model.name, "version": version.to_string(), "state": "READY" });
        all.extend(manifests.iter().map(|manifest| ready(manifest.version)));
    }
    Ok(reply::value(StatusCode::OK, &all.into()))
}

/// Shows the requests of a version that were answered, and those with a mistake in an instance, since the start of the
/// process; those of all versions if the path names none.
///
/// # Errors
/// If there is no such model or version.
pub fn stats(service: &Service, captures: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let model = named(service, captures)?;
    let versions = match captures.version(1)? {
        Some(version) => vec![version],
        None => service.models.manifests(model).iter().map(|manifest| manifest.version).collect(),
    };
    let of = |version: u64| {
        let counted = model.stats.find(version);
        let (successes, failures) =
            counted.as_ref().map_or_else(Default::default, |stats| (stats.successes(), stats.failures()));
        json!({
            "name": model.name,
            "version": version.to_string(),
            "last_inference": counted.as_ref().map_or(0, |stats| stats.last_ms()),
            "inference_count": counted.as_ref().map_or(0, |stats| stats.instances()),
            "execution_count": successes.requests,
            "inference_stats": { "success": total(successes), "fail": total(failures) },
            "batch_stats": [],
        })
    };
    let all: Vec<Value> = versions.into_iter().map(of).collect();
    Ok(reply::value(StatusCode::OK, &json!({ "model_stats": all })))
}

fn total(count: RequestCount) -> Value {
    json!({ "count": count.requests, "ns": count.nanos })
}
