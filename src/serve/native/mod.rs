//! The routes of tidemill itself: `/predict`, `/features`, `/models`. JSON in and out; an error is `{"error": "text"}`.

mod features;
mod models;
mod predict;

use super::{Route, RouteFamily, reply};

/// The family.
pub static FAMILY: RouteFamily = RouteFamily {
    error: reply::error,
    routes: &[
        Route::post("/predict", predict::predict),
        Route::get("/features/{group}/{key}", features::features).prefix(),
        Route::get("/models", models::models),
        Route::get("/models/{model}", models::model),
        Route::get("/models/{model}/versions", models::versions),
    ],
};
