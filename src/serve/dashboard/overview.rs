//! The first page: the whole dataflow at a glance.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};

use super::chart::meter;
use super::text::{bytes, count, seconds, short, time};
use crate::metrics::{GroupStatus, OperatorCounts, SourceStatus};
use crate::serve::letter_board::ShownLetters;
use crate::serve::operator_rates::SampledRates;
use crate::time::EventTime;

/// Outcomes of records, in the order in which they are shown.
const OUTCOMES: [(&str, &str); 6] = [
    ("read", "read"),
    ("applied", "applied"),
    ("filtered", "filtered"),
    ("duplicate", "duplicate"),
    ("late", "late"),
    ("dead_letter", "dead letters"),
];

/// The number of operators that are shown.
const MOST_OPERATORS: usize = 14;

/// The state of a process, at one moment.
pub struct Overview {
    /// The reasons against being ready.
    pub reasons: Vec<String>,
    pub warnings: Vec<String>,
    /// The time before which everything is closed.
    pub watermark: Option<EventTime>,
    /// The newest event time of a record.
    pub newest: Option<EventTime>,
    /// The picture of the graph, an SVG.
    pub graph: String,
    pub sources: BTreeMap<String, SourceStatus>,
    pub letters: ShownLetters,
    pub operators: BTreeMap<String, OperatorCounts>,
    pub rates: SampledRates,
    /// Bytes of state by operator.
    pub states: BTreeMap<String, u64>,
    pub groups: Vec<GroupSummary>,
}

/// A feature group.
pub struct GroupSummary {
    pub name: String,
    /// The columns of the entity.
    pub entity: String,
    pub features: usize,
    pub status: GroupStatus,
}

impl Overview {
    /// Returns the operator that ran for most of the last seconds, with its share of one core.
    pub fn busiest(&self) -> Option<(&str, f64)> {
        let busy = self
            .rates
            .operators
            .iter()
            .map(|(name, rates)| (name.as_str(), rates.busy))
            .filter(|(_, busy)| *busy > 0.0);
        busy.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Returns the sections before those of the models.
    pub fn sections(&self) -> Markup {
        html! {
            section #status data-live { (self.status()) }
            section {
                h2 { "Graph" }
                div #graph.graph data-live tabindex="0" role="region" aria-label="Graph of the dataflow" {
                    (PreEscaped(&self.graph))
                }
            }
            section #sources data-live { (self.sources()) }
            section.half #letters data-live { (self.letters()) }
            section.half #groups data-live { (self.groups()) }
            section #operators data-live { (self.operators()) }
        }
    }

    fn status(&self) -> Markup {
        html! {
            h2 { "Status" }
            @if self.reasons.is_empty() {
                p.notice { strong.good { "Ready" } }
            } @else {
                p.notice { strong.bad { "Not ready" } ": " (self.reasons.join("; ")) }
            }
            @for warning in &self.warnings { p.notice.warn { (warning) } }
            p.notice {
                "Closed up to " strong { (shown(self.watermark)) } ", newest record " strong { (shown(self.newest)) }
                @if let Some((name, busy)) = self.busiest() {
                    ". Busiest operator: " strong { (name) } ", " (percent(busy)) " % of a core"
                }
            }
        }
    }

    fn sources(&self) -> Markup {
        html! {
            h2 { "Sources" }
            div.scroll tabindex="0" role="region" aria-label="Sources" {
                table {
                    caption { "Every record that was read has one outcome, or is in flight" }
                    thead {
                        tr {
                            th scope="col" { "source" }
                            th scope="col" { "event time" }
                            th.number scope="col" { "records/s" }
                            th.number scope="col" { "lag" }
                            @for (_, name) in OUTCOMES { th.number scope="col" { (name) } }
                            th.number scope="col" { "in flight" }
                            th.number scope="col" { "overtaken" }
                        }
                    }
                    tbody {
                        @for (name, source) in &self.sources {
                            tr {
                                th scope="row" { (name) }
                                td { (shown(source.watermark.map(|seconds| (seconds * 1e3) as EventTime))) }
                                td.number { (short(self.rates.reads.get(name).copied().unwrap_or_default().round())) }
                                td.number { @match source.lag { Some(lag) => (count(lag)), None => "–" } }
                                @for (outcome, _) in OUTCOMES {
                                    @let records = source.outcomes.get(outcome).copied().unwrap_or_default();
                                    td.number.bad[outcome == "dead_letter" && records > 0].warn[outcome == "late" && records > 0] {
                                        (count(records))
                                    }
                                }
                                td.number { (count(source.in_flight)) }
                                td.number.warn[source.overtaken > 0] { (count(source.overtaken)) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn letters(&self) -> Markup {
        html! {
            h2 { "Dead letters" }
            @if self.letters.newest.is_empty() {
                p.muted { "None since the start." }
            } @else {
                p.notice {
                    @for ((source, reason), letters) in &self.letters.counts {
                        span { (source) ": " strong { (reason) } " " (count(*letters)) } " "
                    }
                }
                div.scroll tabindex="0" role="region" aria-label="The newest dead letters" {
                    table {
                        caption { "The newest" }
                        thead { tr { th scope="col" { "source" } th scope="col" { "offset" } th scope="col" { "what is wrong" } } }
                        tbody {
                            @for letter in &self.letters.newest {
                                tr {
                                    td { (letter.source) }
                                    td { (letter.partition) "/" (letter.offset) }
                                    td.wrap { (letter.detail) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn groups(&self) -> Markup {
        // A column that only groups with a bound have a use for.
        let has_bounds = self.groups.iter().any(|group| group.status.dropped.is_some());
        // One row a group.
        html! {
            h2 { "Feature groups" }
            div.scroll tabindex="0" role="region" aria-label="Feature groups" {
                table {
                    thead {
                        tr {
                            th scope="col" { "group" }
                            th scope="col" { "entity" }
                            th.number scope="col" { "features" }
                            th.number scope="col" { "entities" }
                            @if has_bounds { th.number scope="col" { "dropped" } }
                            th.number scope="col" { "freshness p50" }
                            th.number scope="col" { "p99" }
                        }
                    }
                    tbody {
                        @for group in &self.groups {
                            tr {
                                th scope="row" { a href={ "/dashboard/features/" (super::escaped(&group.name)) } { (group.name) } }
                                td { (group.entity) }
                                td.number { (group.features) }
                                td.number { (count(group.status.entities)) }
                                @if has_bounds {
                                    @let dropped = group.status.dropped;
                                    td.number.warn[dropped.is_some_and(|dropped| dropped > 0)] {
                                        @match dropped { Some(dropped) => (count(dropped)), None => "–" }
                                    }
                                }
                                @match group.status.freshness {
                                    Some(freshness) => {
                                        td.number { "≤ " (seconds(freshness.median)) }
                                        td.number { "≤ " (seconds(freshness.p99)) }
                                    }
                                    None => { td.number { "–" } td.number { "–" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn operators(&self) -> Markup {
        let mut names: Vec<&String> = self.operators.keys().collect();
        let busy = |name: &String| self.rates.operators.get(name).map_or(0.0, |rates| rates.busy);
        names.sort_by(|a, b| busy(b).total_cmp(&busy(a)).then_with(|| a.cmp(b)));
        html! {
            h2 { "Operators" }
            div.scroll tabindex="0" role="region" aria-label="Operators" {
                table {
                    caption {
                        "The busiest " (names.len().min(MOST_OPERATORS)) " of " (names.len()) ", all workers together"
                    }
                    thead {
                        tr {
                            th scope="col" { "operator" }
                            th scope="col" { "busy" }
                            th.number scope="col" { "in/s" }
                            th.number scope="col" { "out/s" }
                            th.number scope="col" { "records in" }
                            th.number scope="col" { "state" }
                        }
                    }
                    tbody {
                        @for name in names.into_iter().take(MOST_OPERATORS) {
                            @let rates = self.rates.operators.get(name).copied().unwrap_or_default();
                            @let percent = percent(rates.busy);
                            tr {
                                th scope="row" { (name) }
                                td { (meter(rates.busy, &format!("{percent} % of a core"))) " " (percent) " %" }
                                td.number { (short(rates.records_in.round())) }
                                td.number { (short(rates.records_out.round())) }
                                td.number { (count(self.operators[name].records_in)) }
                                td.number { @match self.states.get(name) { Some(state) => (bytes(*state)), None => "–" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn shown(moment: Option<EventTime>) -> String {
    moment.map_or_else(|| "–".to_owned(), time)
}

/// Returns a share in percent, to a tenth.
fn percent(share: f64) -> String {
    short((share * 1000.0).round() / 10.0)
}
