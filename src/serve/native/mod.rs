//! The routes of tidemill itself: `/predict`, `/recommend`, `/features`, `/explain`, `/models`. JSON in and out;
//! an error is `{"error": "text"}`.
//!
//! ```
//! use tidemill::serve::{FAMILIES, Role};
//! let mut routes = FAMILIES.iter().flat_map(|family| family.routes);
//! assert_eq!(routes.find(|route| route.pattern == "/predict").unwrap().role, Role::Predict);
//! ```

mod entities;
mod explanation;
mod features;
mod json_fields;
mod models;
mod moves;
mod predict;
mod recommend;
mod scores;
mod splits;
mod tap;

use super::{HttpRoute, Role, RouteFamily, reply};

/// The family.
pub static FAMILY: RouteFamily = RouteFamily {
    error: reply::error,
    routes: &[
        HttpRoute::post("/predict", predict::predict),
        HttpRoute::post("/recommend", recommend::recommend),
        HttpRoute::post("/features/{group}", entities::entities).of_role(Role::Read),
        HttpRoute::get("/features/{group}/{key}", features::features).prefix().with_query(&["window"]),
        HttpRoute::get("/explain/{group}/{key}", explanation::explanation)
            .prefix()
            .with_query(&["feature", "as_of", "most"]),
        HttpRoute::get("/models", models::models),
        HttpRoute::get("/models/{model}", models::model),
        HttpRoute::get("/models/{model}/versions", models::versions),
        HttpRoute::get("/models/{model}/history", moves::history),
        HttpRoute::get("/models/{model}/scores", scores::scores).with_query(&["metric", "start", "end"]),
        HttpRoute::get("/models/{model}/split", splits::split),
        HttpRoute::post("/models/{model}/split", splits::set).of_role(Role::Admin),
        HttpRoute::get("/tap/{stream}", tap::tap).with_query(&["from", "most"]),
        HttpRoute::post("/models/{model}/promote", moves::promote).of_role(Role::Admin),
        HttpRoute::post("/models/{model}/rollback", moves::rollback).of_role(Role::Admin),
    ],
};
