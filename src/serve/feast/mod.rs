//! The feature server of Feast: `/get-online-features`.
//!
//! A feature view is a feature group, a feature service the features of a model. An error is the JSON of one of Feast's
//! exceptions in a JSON string, from which its clients make the exception again.

mod online_features;

use serde_json::{Value, json};

use super::{HttpRoute, RequestError, Role, RouteFamily, reply, reply::Reply};

/// The family.
pub static FAMILY: RouteFamily = RouteFamily {
    error,
    routes: &[HttpRoute::post("/get-online-features", online_features::online_features).of_role(Role::Read)],
};

/// Writes an error as Feast does.
fn error(error: &RequestError) -> Reply {
    let class = match error {
        RequestError::UnknownGroup { .. } => "FeatureViewNotFoundException",
        RequestError::UnknownModel { .. } => "FeatureServiceNotFoundException",
        _ => "FeastError",
    };
    let exception = json!({ "module": "feast.errors", "class": class, "message": error.to_string() });
    reply::failure(error, &Value::String(exception.to_string()))
}
