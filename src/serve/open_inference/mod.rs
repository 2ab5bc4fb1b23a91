//! The Open Inference Protocol, version 2, with the binary tensor extension: `/v2`.
//!
//! | file | covers |
//! |---|---|
//! | `tensor_type` | datatypes, and the values of binary tensors |
//! | `tensor_columns` | the input tensors, each of which is one column of the instances |
//! | `output_tensor` | the predictions as output tensors |
//! | `infer_request` | reading a body: JSON, then binary tensors |
//! | `infer_response` | writing output tensors, in JSON or binary |
//! | `infer` | the route that puts the two around a prediction |
//! | `metadata` | the server, its health, its models and their configuration |
//! | `repository` | the versions that can be asked for, and their statistics |
//!
//! An input tensor has the shape `[N]` or `[N, 1]` and the name of a column, as pandas frames are sent. The columns that
//! metadata list are those from which the model's inputs are made; features and columns of views may be given as well.
//! A NaN in a binary tensor is null, as in a pandas frame.
//!
//! The output `predictions` has the shape `[N]`, or `[N, C]` for a model of `C` classes. Such a model has the output
//! `classes` besides, of shape `[C]`: the class of each column of the predictions.
//!
//! Errors are `{"error": "text"}`, as everywhere.

pub(super) mod infer;
mod infer_request;
mod infer_response;
pub(super) mod metadata;
pub(super) mod output_tensor;
mod repository;
pub(super) mod tensor_columns;
pub(super) mod tensor_type;

use super::{HttpRoute, Role, RouteFamily, reply};

/// The family.
pub static FAMILY: RouteFamily = RouteFamily {
    error: reply::error,
    routes: &[
        HttpRoute::post("/v2/models/{model}/infer", infer::infer),
        HttpRoute::post("/v2/models/{model}/versions/{version}/infer", infer::infer),
        HttpRoute::get("/v2", metadata::server),
        HttpRoute::get("/v2/health/live", metadata::live).of_role(Role::Open).with_any_query().reserved(),
        HttpRoute::get("/v2/health/ready", metadata::ready).of_role(Role::Open).with_any_query().reserved(),
        HttpRoute::get("/v2/models", metadata::models),
        HttpRoute::get("/v2/models/{model}", metadata::model),
        HttpRoute::get("/v2/models/{model}/versions/{version}", metadata::model),
        HttpRoute::get("/v2/models/{model}/ready", metadata::model_ready),
        HttpRoute::get("/v2/models/{model}/versions/{version}/ready", metadata::model_ready),
        HttpRoute::get("/v2/models/{model}/config", metadata::config),
        HttpRoute::get("/v2/models/{model}/versions/{version}/config", metadata::config),
        HttpRoute::get("/v2/models/{model}/stats", repository::stats),
        HttpRoute::get("/v2/models/{model}/versions/{version}/stats", repository::stats),
        HttpRoute::post("/v2/repository/index", repository::index).of_role(Role::Read),
    ],
};
