//! The page of an explanation: the records that a feature is of, and the feature recomputed from just those.

use maud::{Markup, html};
use serde_json::Value;

use super::explorer::FormField;
use super::text::count;
use super::{escaped, query};
use crate::serve::explainer::{ExplainedFeature, ExplainedRecord, ExplainedWindow, FeatureExplanation};

/// Returns the sections of an explanation of one feature of a group, of the entity in a form.
pub fn sections(group: &str, feature: &str, fields: &[FormField], explanation: &FeatureExplanation) -> Markup {
    let asked = explanation.features().find(|(name, _)| *name == feature).map(|(_, of)| of);
    let entity = fields.iter().map(|field| field.value.as_str()).collect::<Vec<_>>().join(", ");
    html! {
        section {
            h2 { code { (feature) } " of " (group) " " (entity) }
            @if let Some(expr) = asked.and_then(|of| of.expr.as_ref()) {
                p { "Derived: " code { (expr) } }
            }
            @if let Some(of) = asked { (compared(of)) }
            p.muted {
                "As it was served, closed up to " (explanation.as_of) ". The sources were read again for this page. "
                a href={ "/dashboard/features/" (escaped(group)) "?" (query(fields)) } { "All features" }
            }
        }
        @for window in &explanation.windows { (records(window, feature)) }
    }
}

/// Returns the value that was recomputed beside the one that is served.
fn compared(of: &ExplainedFeature) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Values" { table {
            tbody {
                tr { th scope="row" { "Recomputed from the records" } td.wrap { (of.value) } }
                @if let Some(served) = &of.served { tr { th scope="row" { "Served" } td.wrap { (served) } } }
                tr {
                    th scope="row" { "Equal" }
                    @match of.equal {
                        Some(true) => td.good { "yes" },
                        _ => td.bad { "no" },
                    }
                }
            }
        } }
    }
}

/// Returns the records of one window, newest first.
fn records(window: &ExplainedWindow, feature: &str) -> Markup {
    let of = window.of.as_deref().unwrap_or("records");
    let others = window.features.iter().filter(|of| of.name != feature);
    html! {
        section {
            h2 { (window.window) }
            p {
                code { (of) } @if let Some(filter) = &window.filter { " where " code { (filter) } } ": "
                (count((window.records.len() + window.not_listed) as u64)) " records, newest first"
                @for of in others { ". " code { (of.name) } " = " (of.value.value) }
            }
            @if window.not_listed > 0 {
                p.muted { (count(window.not_listed as u64)) " older records are not listed." }
            }
            @if !window.records.is_empty() {
                div.scroll tabindex="0" role="region" aria-label={ "Records of " (window.window) } {
                    table {
                        thead { tr {
                            th scope="col" { "Source" } th scope="col" { "Partition" } th.number scope="col" { "Offset" }
                            th scope="col" { "Event time" }
                            @if window.of.is_some() { th scope="col" { "Value" } }
                            th scope="col" { "Effective" }
                        } }
                        tbody { @for of in window.records.iter().rev() { (record(of)) } }
                    }
                }
            }
        }
    }
}

fn record(of: &ExplainedRecord) -> Markup {
    html! {
        tr {
            td { (of.source) } td { (of.partition) } td.number { (of.offset) } td { (of.time) }
            @if let Some(value) = &of.value { td.wrap { (shown(value)) } }
            @if of.effective == of.time { td.muted { "at once" } } @else { td.warn { "late: " (of.effective) } }
        }
    }
}

/// Returns a value without the quotes of a text.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
