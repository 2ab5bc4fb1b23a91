//! `GET /models/{model}/scores?metric=&start=&end=`: a metric of a model, window by window.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::moves::refusal;
use crate::expr::nearest;
use crate::registry::ScorePoint;
use crate::serve::call::Unanswered;
use crate::serve::payload::Payload;
use crate::serve::reply::{self, Reply};
use crate::serve::{Captures, RequestError, Service};
use crate::time::{EventTime, format_time};
use crate::value::TimeRules;

/// Lists a metric of the windows that end after `start` and not after `end`, ascending: of the champion, its predecessor,
/// the newest version and no skill, null where there is no answer; with persistence and segments if the model has them.
///
/// # Errors
/// If there is no such model or metric, a time is none, or the registry cannot be read.
pub fn scores(service: &Service, captures: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let model = &service.models[service.models.find(&captures.text(0)?)?];
    let metric = match captures.parameter("metric")? {
        Some(name) => {
            let known = model.metrics.iter().find(|known| **known == name);
            *known.ok_or_else(|| RequestError::UnknownMetric {
                nearest: nearest(&name, model.metrics.iter().copied()),
                found: name.into_owned(),
                expected: model.metrics.join(", "),
            })?
        }
        None => model
            .metrics
            .first()
            .copied()
            .ok_or_else(|| RequestError::Malformed(format!("models of kind {} are not scored", model.kind)))?,
    };
    let (start, end) = (time(captures, "start")?, time(captures, "end")?);
    let (registry, model) = (service.models.registry()?, model.name.clone());
    Err(Unanswered::blocking(move || {
        let points = registry.scores(&model).map_err(|error| refusal(&model, error))?;
        let is_asked = |point: &&ScorePoint| {
            start.is_none_or(|start| start < point.window_end) && end.is_none_or(|end| point.window_end <= end)
        };
        let points: Vec<Value> = points.iter().filter(is_asked).map(|point| of_metric(point, metric)).collect();
        Ok(reply::value(StatusCode::OK, &json!({ "metric": metric, "points": points })))
    }))
}

/// Reads a time of the query.
fn time(captures: &Captures<'_>, name: &str) -> Result<Option<EventTime>, RequestError> {
    let Some(text) = captures.parameter(name)? else { return Ok(None) };
    let time = TimeRules::default().of_text(&text);
    time.map(Some).ok_or_else(|| RequestError::Malformed(format!("{name}: {text:?} is not a time")))
}

fn of_metric(point: &ScorePoint, metric: &str) -> Value {
    let mut value = json!({
        "window_end": format_time(point.window_end),
        "champion": point.champion.get(metric),
        "predecessor": point.predecessor.get(metric),
        "newest": point.newest.get(metric),
        "no_skill": point.no_skill.get(metric),
    });
    if !point.persistence.is_empty() {
        value["persistence"] = json!(point.persistence.get(metric));
    }
    if !point.segments.is_empty() {
        value["segments"] = json!(point.segments_of(metric));
    }
    value
}
