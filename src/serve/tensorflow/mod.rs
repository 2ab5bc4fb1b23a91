//! The REST interface of TensorFlow Serving, and version 1 of KServe's: `/v1/models`.
//!
//! Both have the same routes. Where their answers differ, the answer here has the fields of both. Labels of TensorFlow Serving
//! are aliases.
//!
//! | form | request | answer |
//! |---|---|---|
//! | rows | `{"instances": [{column: value}, …]}` | `{"predictions": […]}`, as `/predict` writes them |
//! | columns | `{"inputs": {column: [value, …]}}` | `{"outputs": […]}`; of classes, `{"outputs": {class: [probability, …]}}` |
//!
//! `:explain`, which is KServe's, takes the same and answers with the list `explanations` as well, in either form.
//!
//! Errors are `{"error": "text"}`.

mod predict;
mod status;

use super::{HttpRoute, RouteFamily, reply};

/// The family.
pub static FAMILY: RouteFamily = RouteFamily {
    error: reply::error,
    routes: &[
        HttpRoute::post("/v1/models/{model}:predict", predict::predict),
        HttpRoute::post("/v1/models/{model}/versions/{version}:predict", predict::predict),
        HttpRoute::post("/v1/models/{model}/labels/{alias}:predict", predict::predict_by_label),
        HttpRoute::post("/v1/models/{model}:explain", predict::explain),
        HttpRoute::post("/v1/models/{model}/versions/{version}:explain", predict::explain),
        HttpRoute::post("/v1/models/{model}/labels/{alias}:explain", predict::explain_by_label),
        HttpRoute::get("/v1/models", status::models),
        HttpRoute::get("/v1/models/{model}", status::model),
        HttpRoute::get("/v1/models/{model}/versions/{version}", status::version),
        HttpRoute::get("/v1/models/{model}/labels/{alias}", status::label),
    ],
};
