//! The page of a feature group: a form for an entity, and its vector.

use maud::{Markup, html};

use super::text::time;
use super::{escaped, query};
use crate::time::EventTime;

/// The vector of an entity that was asked for, or why there is none.
pub enum FoundEntity {
    /// Its features, by name, as JSON.
    Vector(Vec<(String, serde_json::Value)>),
    /// An entity without a vector.
    Unknown,
    /// A key that no entity can have.
    Mistake(String),
}

/// A field of a form: its name, its type, and its value so far.
pub struct FormField {
    pub name: String,
    /// The type in words, as a hint.
    pub hint: String,
    pub value: String,
    pub required: bool,
}

/// Returns the sections of a group. Each feature has a link to where it comes from, if features are explained here.
pub fn sections(
    group: &str,
    fields: &[FormField],
    found: Option<&FoundEntity>,
    watermark: Option<EventTime>,
    is_explained: bool,
) -> Markup {
    html! {
        section {
            h2 { "An entity of " (group) }
            (form("Show its features", fields))
        }
        @if let Some(found) = found {
            section #vector data-live {
                h2 { "Features" }
                @match found {
                    FoundEntity::Mistake(what) => p.bad { (what) },
                    FoundEntity::Unknown => p { "There is no vector of this entity: none of its records is in a window." },
                    FoundEntity::Vector(features) => {
                        div.scroll tabindex="0" role="region" aria-label="Features" {
                            table {
                                caption { "The newest vector" @if let Some(watermark) = watermark { "; closed up to " (time(watermark)) } }
                                tbody {
                                    @for (name, value) in features {
                                        tr {
                                            th scope="row" { code { (name) } }
                                            td.wrap { (value) }
                                            @if is_explained {
                                                td { a href=(explanation(group, name, fields)) { "explain" } }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                        @if !is_explained {
                            p.muted {
                                "Where the values come from: "
                                code { "tidemill features explain " (group) " " (keys(fields)) " --dataflow FILE" }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the path of the explanation of a feature.
fn explanation(group: &str, feature: &str, fields: &[FormField]) -> String {
    format!("/dashboard/explain/{}/{}?{}", escaped(group), escaped(feature), query(fields))
}

/// Returns a form that asks for a page by GET, so that it works without a script.
pub fn form(action: &str, fields: &[FormField]) -> Markup {
    html! {
        form.fields method="get" {
            @for field in fields {
                label {
                    span { (field.name) " " span.muted { (field.hint) } }
                    input name=(field.name) value=(field.value) required[field.required] autocomplete="off";
                }
            }
            button type="submit" { (action) }
        }
    }
}

/// Returns the keys as arguments of a shell.
fn keys(fields: &[FormField]) -> String {
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/".contains(c)) && !text.is_empty();
    let quoted = fields.iter().map(|field| match plain(&field.value) {
        true => field.value.clone(),
        false => format!("'{}'", field.value.replace('\'', "'\\''")),
    });
    quoted.collect::<Vec<_>>().join(" ")
}
