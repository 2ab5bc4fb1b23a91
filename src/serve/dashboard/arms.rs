//! The arms of a split: their shares, and their scores beside the champion's.

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, html};

use super::chart::{ChartLine, chart};
use super::text::{short, time};
use crate::registry::{ArmTarget, ScorePoint, ServingArm, ServingSplit, percent};
use crate::time::EventTime;

/// The classes of the lines of arms in the style sheet, in their order.
const CLASSES: [&str; 8] = ["arm1", "arm2", "arm3", "arm4", "arm5", "arm6", "arm7", "arm8"];

/// A split in force.
pub struct ShownSplit {
    pub serving: Arc<ServingSplit>,
    /// The time as of which shares are shown.
    pub now: EventTime,
    /// The champions of the other models that arms stand for, by model.
    pub others: BTreeMap<String, u64>,
}

/// An arm or a shadow with its scores by window.
struct ShownArm<'a> {
    arm: &'a ServingArm,
    share: f64,
    is_shadow: bool,
    values: Vec<Option<f64>>,
}

impl ShownSplit {
    /// Returns the section of a split, with the scores by one metric. `points` are those of the model, `others` those of the
    /// other models that arms stand for.
    pub fn section(
        &self,
        metric: Option<&str>,
        points: &[ScorePoint],
        others: &BTreeMap<String, Vec<ScorePoint>>,
    ) -> Markup {
        let entry = &self.serving.entry;
        let arms = self.shown(metric, points, others);
        let times: Vec<EventTime> = points.iter().map(|point| point.window_end).collect();
        let lines = arms.iter().zip(CLASSES).map(|(shown, class)| ChartLine {
            class,
            name: shown.arm.name.clone().into(),
            values: shown.values.clone(),
        });
        html! {
            section #split data-live {
                h2 { "Split " (entry.number) }
                p.notice {
                    "since " (time(entry.time)) ", by " (entry.by) ": " (entry.reason)
                    @if let Some(split) = &entry.split {
                        @match split.step_at(entry.time, self.now) {
                            Some(step) => { "; ramp at step " (step + 1) " of " (split.ramp.len()) },
                            None => { @if !split.ramp.is_empty() { "; the ramp is over" } },
                        }
                    }
                }
                (table(&arms, metric, &self.others))
                @if let Some(metric) = metric {
                    (chart(&format!("{metric} of each arm on all examples of each window"), &times, &lines.collect::<Vec<_>>()))
                }
            }
        }
    }

    fn shown<'a>(
        &'a self,
        metric: Option<&str>,
        points: &[ScorePoint],
        others: &BTreeMap<String, Vec<ScorePoint>>,
    ) -> Vec<ShownArm<'a>> {
        let entry = &self.serving.entry;
        let shares = entry.shares_at(self.now).into_iter().map(|(_, share)| share);
        let shadows = entry.split.iter().flat_map(|split| &split.shadows).map(|shadow| shadow.share);
        let arms = self.serving.arms.iter().zip(shares).map(|(arm, share)| (arm, share, false));
        let all = arms.chain(self.serving.shadows.iter().zip(shadows).map(|(arm, share)| (arm, share, true)));
        let value = |arm: &ServingArm, point: &ScorePoint| {
            let scores = match &arm.target {
                ArmTarget::Champion => Some(&point.champion),
                ArmTarget::Model(other) => {
                    let same = others.get(other)?.iter().find(|other| other.window_end == point.window_end)?;
                    Some(&same.champion)
                }
                ArmTarget::Alias(_) | ArmTarget::Version(_) => {
                    point.arms.iter().find(|scored| scored.name == arm.name).map(|scored| &scored.scores)
                }
            };
            scores?.get(metric?).copied()
        };
        let shown = |(arm, share, is_shadow): (&'a ServingArm, f64, bool)| ShownArm {
            arm,
            share,
            is_shadow,
            values: points.iter().map(|point| value(arm, point)).collect(),
        };
        all.map(shown).collect()
    }
}

fn table(arms: &[ShownArm<'_>], metric: Option<&str>, others: &BTreeMap<String, u64>) -> Markup {
    let version = |arm: &ServingArm| match &arm.target {
        ArmTarget::Model(model) => others.get(model).copied(),
        _ => arm.servable.as_ref().map(|servable| servable.version),
    };
    html! {
        div.scroll tabindex="0" role="region" aria-label="Arms" {
            table {
                thead {
                    tr {
                        th scope="col" { "arm" }
                        th scope="col" { "target" }
                        th.number scope="col" { "version" }
                        th.number scope="col" { "share" }
                        @if let Some(metric) = metric { th.number scope="col" { (metric) ", newest window" } }
                    }
                }
                tbody {
                    @for ShownArm { arm, share, is_shadow, values } in arms {
                        tr {
                            th scope="row" { (arm.name) @if *is_shadow { " " span.muted { "shadow" } } }
                            td { (arm.target) }
                            td.number { @match version(arm) { Some(version) => { "v" (version) }, None => "–" } }
                            td.number { (percent(*share)) }
                            @if metric.is_some() {
                                td.number { (values.last().copied().flatten().map_or_else(|| "–".to_owned(), short)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
