//! `GET /health/live`, `/health/ready`, `/dataflow`: how the process does.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::Service;
use super::reply::{self, Reply};

impl Service {
    pub(super) fn alive(&self) -> Reply {
        reply::value(StatusCode::OK, &json!({ "live": true }))
    }

    /// Ready once nothing stands against it and every model has a version.
    pub(super) fn ready(&self) -> Reply {
        let reasons = self.reasons();
        let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        reply::value(status, &json!({ "ready": reasons.is_empty(), "reasons": reasons }))
    }

    /// For Prometheus.
    pub(super) fn exposition(&self) -> Reply {
        self.metrics.ready.with_label_values::<&str>(&[]).set(i64::from(self.reasons().is_empty()));
        reply::exposition(self.metrics.exposition())
    }

    /// What stands against being ready.
    fn reasons(&self) -> Vec<String> {
        let mut reasons = self.readiness.reasons();
        let waiting = self.models.iter().filter(|model| self.live.champion(&model.name).is_none());
        reasons.extend(waiting.map(|model| format!("no version of model {} yet", model.name)));
        reasons
    }

    /// Every operator of the graph with its counts.
    pub(super) fn dataflow(&self) -> Reply {
        let counted = self.metrics.operators();
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
        reply::value(StatusCode::OK, &json!({ "dataflow": self.dataflow, "operators": operators }))
    }
}
