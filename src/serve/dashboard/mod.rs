//! The dashboard: pages for people, drawn by the endpoint itself.
//!
//! | page | shows |
//! |---|---|
//! | `/` | readiness, the graph with live rates, sources and their ledger, dead letters, groups, operators, models |
//! | `/dashboard/features/{group}` | the vector of an entity |
//! | `/dashboard/explain/{group}/{feature}` | the records that a feature of an entity is of |
//! | `/dashboard/models/{model}` | scores and drift over windows, arms of a split, versions with the gate's decisions |
//! | `/dashboard/predict/{model}` | a prediction for an instance from a form |
//!
//! A page is HTML with pictures in SVG, complete without a script. `live.js` fetches the page again every two seconds and
//! replaces the parts that change. Forms ask by GET. Nothing is loaded from another host, and the policy in each answer's
//! head forbids it. `maud` escapes every text; only the picture of the graph, which escapes its own, is taken as it is.
//!
//! | file | contents |
//! |---|---|
//! | `shell` | the frame of all pages, their headers, their errors |
//! | `overview`, `explorer`, `explained`, `scoring`, `arms`, `drift` | the sections of pages, from plain values |
//! | `pages` | the handlers: collect the values, from the state that other routes answer from |
//! | `chart`, `text` | charts and numbers |
//!
//! State that outlives a request is in `operator_rates` and `letter_board` beside this folder: counts of the last
//! seconds, and the newest dead letters.

mod arms;
mod chart;
mod drift;
mod explained;
mod explorer;
mod overview;
mod pages;
mod scoring;
mod shell;
mod text;

use percent_encoding::{NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use super::{HttpRoute, Role, RouteFamily};
use explorer::FormField;

/// The family.
pub static FAMILY: RouteFamily = RouteFamily {
    error: shell::error,
    routes: &[
        HttpRoute::get("/", pages::overview),
        HttpRoute::get("/dashboard/style.css", pages::style),
        HttpRoute::get("/dashboard/live.js", pages::script),
        HttpRoute::get("/dashboard/icon.svg", pages::icon),
        HttpRoute::get("/dashboard/features/{group}", pages::group).with_form(),
        HttpRoute::get("/dashboard/explain/{group}/{feature}", pages::explained).with_form(),
        HttpRoute::get("/dashboard/models/{model}", pages::model).with_query(&["metric"]),
        HttpRoute::get("/dashboard/predict/{model}", pages::predict).with_form().of_role(Role::Predict),
    ],
};

/// Returns a text as a segment of a path or a value of a query.
fn escaped(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

/// Returns the values of a form as a query.
fn query(fields: &[FormField]) -> String {
    let pairs = fields.iter().map(|field| format!("{}={}", escaped(&field.name), escaped(&field.value)));
    pairs.collect::<Vec<_>>().join("&")
}
