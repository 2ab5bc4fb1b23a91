//! Models: their scores over windows, their versions, and a form to try a prediction.

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, html};

use super::arms::ShownSplit;
use super::chart::{ChartLine, chart};
use super::explorer::{FormField, form};
use super::text::{count, short, time};
use super::{drift, escaped};
use crate::registry::{Manifest, ScorePoint};
use crate::time::EventTime;

/// The number of newest windows that a chart shows.
pub const MOST_WINDOWS: usize = 200;

/// The number of newest versions that a page lists.
const MOST_VERSIONS: usize = 50;

/// A model.
pub struct ShownModel {
    pub name: String,
    pub kind: String,
    /// `None` before the first version.
    pub champion: Option<u64>,
    /// The metrics that it is scored by, the first one by default.
    pub metrics: Vec<&'static str>,
    /// Manifests of its versions, ascending.
    pub versions: Vec<Arc<Manifest>>,
    /// `None` if the champion answers alone.
    pub split: Option<ShownSplit>,
}

impl ShownModel {
    /// Returns a short section for the first page.
    pub fn section(&self, points: &[ScorePoint]) -> Markup {
        html! {
            section.half id={ "model-" (self.name) } data-live {
                h2 { "Model " a href={ "/dashboard/models/" (escaped(&self.name)) } { (self.name) } }
                (self.state())
                @if let Some(metric) = self.metrics.first() {
                    (scores(metric, points))
                }
            }
        }
    }

    fn state(&self) -> Markup {
        html! {
            p.notice {
                (self.kind) ", "
                @match self.champion {
                    Some(version) => { "champion " strong { "v" (version) } },
                    None => strong.warn { "no version yet" },
                }
                @if let Some(split) = &self.split { ", split over " (split.serving.arms.len()) " arms" }
                ", " (count(self.versions.len() as u64)) " versions"
                @if let Some(newest) = self.versions.last() {
                    "; newest v" (newest.version) " " (decision(&newest.decision)) ": " (newest.reason)
                }
            }
        }
    }

    /// Returns the sections of the model's own page, which shows one metric. `others` are the scores of the other models that
    /// arms of its split stand for.
    pub fn sections(
        &self,
        metric: Option<&'static str>,
        points: &[ScorePoint],
        others: &BTreeMap<String, Vec<ScorePoint>>,
        trial: &[FormField],
    ) -> Markup {
        let link = |name: &str| format!("/dashboard/models/{}?metric={}", escaped(&self.name), escaped(name));
        html! {
            section #scores data-live {
                h2 { "Model " (self.name) }
                (self.state())
                @if let Some(metric) = metric {
                    p.notice {
                        "Scores by window: "
                        @for name in &self.metrics {
                            @if *name == metric { strong { (name) } } @else { a href=(link(name)) { (name) } }
                            " "
                        }
                    }
                    (scores(metric, points))
                } @else {
                    p.muted { "Models of this kind are not scored." }
                }
            }
            @if let Some(split) = &self.split {
                (split.section(metric, &points[points.len().saturating_sub(MOST_WINDOWS)..], others))
            }
            (drift::section(points))
            section {
                h2 { "Try a prediction" }
                p.muted { "Columns of a record of the stream. What can be looked up is; empty fields are left out." }
                form.fields method="get" action={ "/dashboard/predict/" (escaped(&self.name)) } { (fields(trial)) }
            }
            section #versions data-live { (self.versions()) }
        }
    }

    fn versions(&self) -> Markup {
        let shown = self.versions.iter().rev().take(MOST_VERSIONS);
        let metric = self.metrics.first();
        html! {
            h2 { "Versions" }
            div.scroll tabindex="0" role="region" aria-label="Versions" {
                table {
                    caption { "The newest " (self.versions.len().min(MOST_VERSIONS)) " of " (self.versions.len()) " that can be asked for" }
                    thead {
                        tr {
                            th.number scope="col" { "version" }
                            th.number scope="col" { "parent" }
                            th scope="col" { "window's end" }
                            th.number scope="col" { "examples" }
                            @if let Some(metric) = metric { th.number scope="col" { (metric) } }
                            th scope="col" { "decision" }
                            th scope="col" { "reason" }
                        }
                    }
                    tbody {
                        @for version in shown {
                            tr {
                                th.number scope="row" { "v" (version.version) }
                                td.number { @match version.parent { Some(parent) => { "v" (parent) }, None => "–" } }
                                td { (time(version.window.end)) }
                                td.number { (count(version.examples)) }
                                @if let Some(metric) = metric {
                                    td.number { (own_score(version, metric).map_or_else(|| "–".to_owned(), short)) }
                                }
                                td { (decision(&version.decision)) @if self.champion == Some(version.version) { " " strong.good { "champion" } } }
                                td.wrap { (version.reason) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// An answered trial: the prediction, and the inputs that it was made from.
pub struct Trial {
    pub version: u64,
    pub prediction: serde_json::Value,
    pub inputs: Vec<(String, serde_json::Value)>,
}

/// Returns the sections of a trial: the form again, and what came of it.
pub fn trial_sections(model: &str, trial: &[FormField], answered: Option<Result<&Trial, &str>>) -> Markup {
    html! {
        section {
            h2 { "Try a prediction of " a href={ "/dashboard/models/" (escaped(model)) } { (model) } }
            (form("Predict", trial))
        }
        section #prediction {
            h2 { "Prediction" }
            @match answered {
                None => p.muted { "Enter the inputs and press the button." }
                Some(Err(what)) => p.bad { (what) },
                Some(Ok(answered)) => {
                    p.big { (shown(&answered.prediction)) }
                    p.muted { "by version " (answered.version) }
                    h3 { "Inputs" }
                    div.scroll tabindex="0" role="region" aria-label="Inputs" {
                        table {
                            tbody {
                                @for (name, value) in &answered.inputs {
                                    tr { th scope="row" { code { (name) } } td.wrap { (value) } }
                                }
                            }
                        }
                    }
                },
            }
        }
    }
}

fn shown(prediction: &serde_json::Value) -> String {
    match prediction {
        serde_json::Value::Object(classes) => {
            let shown =
                classes.iter().map(|(class, share)| format!("{class} {}", short(share.as_f64().unwrap_or(f64::NAN))));
            shown.collect::<Vec<_>>().join(", ")
        }
        value => value.to_string(),
    }
}

fn fields(trial: &[FormField]) -> Markup {
    html! {
        @for field in trial {
            label {
                span { (field.name) " " span.muted { (field.hint) } }
                input name=(field.name) value=(field.value) autocomplete="off";
            }
        }
        button type="submit" { "Predict" }
    }
}

fn decision(decision: &str) -> Markup {
    html! { span.good[decision == "published"].bad[decision == "refused"] { (decision) } }
}

/// Returns the chart of a metric.
fn scores(metric: &str, points: &[ScorePoint]) -> Markup {
    let times: Vec<EventTime> = points.iter().map(|point| point.window_end).collect();
    let line = |class, name: &'static str, scores: fn(&ScorePoint) -> &BTreeMap<String, f64>| ChartLine {
        class,
        name: name.into(),
        values: points.iter().map(|point| scores(point).get(metric).copied()).collect(),
    };
    let lines = [
        line("no_skill", "no skill", |point| &point.no_skill),
        line("predecessor", "predecessor", |point| &point.predecessor),
        line("champion", "champion", |point| &point.champion),
    ];
    chart(&format!("{metric} of the predictions in each window"), &times, &lines)
}

/// Returns the score that a version's gate gave it.
fn own_score(version: &Manifest, metric: &str) -> Option<f64> {
    version.scores.get(&version.version)?.get(metric).copied()
}
