//! The routes of operations: health, metrics and the operators of the graph.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::call::Unanswered;
use super::payload::Payload;
use super::reply::{self, Reply};
use super::{Captures, HttpRoute, Role, RouteFamily, Service};

/// The family.
pub static FAMILY: RouteFamily = RouteFamily {
    error: reply::error,
    routes: &[
        HttpRoute::get("/health/live", live).of_role(Role::Open).with_any_query().reserved(),
        HttpRoute::get("/health/ready", ready).of_role(Role::Open).with_any_query().reserved(),
        HttpRoute::get("/metrics", metrics).with_any_query().reserved(),
        HttpRoute::get("/dataflow", dataflow),
    ],
};

/// Answers as long as the process does.
fn live(_: &Service, _: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    Ok(reply::value(StatusCode::OK, &json!({ "live": true })))
}

/// Answers 200 once there is no reason against readiness and every model has a version, else 503 with the reasons. Names
/// what is served in place of something else, too.
fn ready(service: &Service, _: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let reasons = reasons(service);
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut answer = json!({ "ready": reasons.is_empty(), "reasons": reasons });
    let warnings = service.readiness.warnings();
    if !warnings.is_empty() {
        answer["warnings"] = json!(warnings);
    }
    Ok(reply::value(status, &answer))
}

/// All metrics, for Prometheus.
fn metrics(service: &Service, _: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    service.metrics.ready.with_label_values::<&str>(&[]).set(i64::from(reasons(service).is_empty()));
    Ok(reply::exposition(service.metrics.exposition()))
}

/// Every operator of the graph with its counts, and the entities that groups with a bound have dropped.
fn dataflow(service: &Service, _: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let counted = service.metrics.operators();
    let operators: Vec<Value> = counted
        .iter()
        .map(|(name, counts)| {
            json!({
                "name": name,
                "records_in": counts.records_in,
                "records_out": counts.records_out,
                "busy_seconds": counts.busy_seconds,
            })
        })
        .collect();
    let mut answer = json!({ "dataflow": service.dataflow, "operators": operators });
    let dropped = service.metrics.dropped();
    if !dropped.is_empty() {
        answer["entities_dropped"] = json!(dropped);
    }
    Ok(reply::value(StatusCode::OK, &answer))
}

/// The reasons against being ready.
pub fn reasons(service: &Service) -> Vec<String> {
    let mut reasons = service.readiness.reasons();
    let waiting = service.models.iter().filter(|model| service.models.champion(model).is_none());
    reasons.extend(waiting.map(|model| format!("no version of model {} yet", model.name)));
    reasons
}
