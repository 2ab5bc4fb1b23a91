//! The scoring server of MLflow, and the container of SageMaker, which has the same routes: `/ping` and `/invocations`.
//!
//! | file | covers |
//! |---|---|
//! | `invocation` | the body: a data frame by rows or columns, in JSON or CSV |
//! | `invocations` | the routes |
//!
//! Errors are `{"error_code": "BAD_REQUEST", "message": "text"}`, with the codes of MLflow.

mod invocation;
mod invocations;

use hyper::StatusCode;
use serde_json::json;

use super::{HttpRoute, RequestError, Role, RouteFamily, reply, reply::Reply};

/// The family.
pub static FAMILY: RouteFamily = RouteFamily {
    error,
    routes: &[
        HttpRoute::post("/invocations", invocations::invocations),
        HttpRoute::get("/ping", invocations::ping).of_role(Role::Open).with_any_query().reserved(),
    ],
};

/// Writes an error as MLflow does.
fn error(error: &RequestError) -> Reply {
    let code = match error.status() {
        StatusCode::NOT_FOUND => "RESOURCE_DOES_NOT_EXIST",
        StatusCode::TOO_MANY_REQUESTS => "REQUEST_LIMIT_EXCEEDED",
        StatusCode::SERVICE_UNAVAILABLE => "TEMPORARILY_UNAVAILABLE",
        StatusCode::FORBIDDEN => "PERMISSION_DENIED",
        _ => "BAD_REQUEST",
    };
    reply::failure(error, &json!({ "error_code": code, "message": error.to_string() }))
}
