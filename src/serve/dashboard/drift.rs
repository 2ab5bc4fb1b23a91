//! Drift of a model: how far the inputs and predictions of each window are from those that its champion was trained on.

use maud::{Markup, html};

use super::chart::{ChartLine, chart};
use super::text::short;
use crate::model::Stability;
use crate::registry::{DriftPoint, ScorePoint};
use crate::time::EventTime;

/// The classes of the lines of inputs, in the style sheet: there are as many lines.
const INPUTS: [&str; 4] = ["arm1", "arm2", "arm3", "arm5"];

/// Returns the section of the points of a model's windows: a chart of its predictions and of the inputs that have changed most.
pub fn section(points: &[ScorePoint]) -> Markup {
    let times: Vec<EventTime> = points.iter().map(|point| point.window_end).collect();
    let values = |of: &dyn Fn(&DriftPoint) -> Option<f64>| -> Vec<Option<f64>> {
        points.iter().map(|point| of(&point.drift)).collect()
    };
    let predictions = values(&|drift| drift.predictions);
    let inputs = most_changed(points);
    let line_of = |(class, input): (&&'static str, &&str)| ChartLine {
        class,
        name: (*input).to_owned().into(),
        values: values(&|drift| drift.inputs.get(*input).copied()),
    };
    let lines: Vec<ChartLine> = [ChartLine { class: "predecessor", name: "predictions".into(), values: predictions }]
        .into_iter()
        .chain(INPUTS.iter().zip(&inputs).map(line_of))
        .filter(|line| line.values.iter().any(Option::is_some))
        .collect();
    let newest = points.last().map(|point| &point.drift).into_iter().flat_map(|drift| &drift.inputs);
    let changed: Vec<(&String, &f64)> = newest.filter(|(_, index)| **index > Stability::MUCH).collect();
    html! {
        section #drift data-live {
            h2 { "Drift" }
            @if lines.is_empty() {
                p.muted { "Nothing to compare yet: it takes two windows of 100 examples." }
            } @else {
                p.notice {
                    "Population stability index of each window against the champion's training window: below 0.1 nothing has "
                    "changed, above " (Stability::MUCH) " much has."
                    @if !changed.is_empty() {
                        " In the newest: "
                        @for (at, (input, index)) in changed.iter().enumerate() {
                            @if at > 0 { ", " }
                            strong.warn { (input) } " " (short(**index))
                        }
                        "."
                    }
                }
                (chart("Population stability index in each window", &times, &lines))
            }
        }
    }
}

/// Returns the inputs with the largest indices of all windows, the largest first, as many as there are lines.
fn most_changed(points: &[ScorePoint]) -> Vec<&str> {
    let mut most: std::collections::BTreeMap<&str, f64> = Default::default();
    for (input, index) in points.iter().flat_map(|point| &point.drift.inputs) {
        let known = most.entry(input).or_insert(*index);
        *known = known.max(*index);
    }
    let mut inputs: Vec<(&str, f64)> = most.into_iter().collect();
    inputs.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    inputs.truncate(INPUTS.len());
    inputs.into_iter().map(|(input, _)| input).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::SegmentPoints;

    fn point(window: i64, inputs: &[(&str, f64)], predictions: Option<f64>) -> ScorePoint {
        let inputs = inputs.iter().map(|(input, index)| ((*input).to_owned(), *index)).collect();
        let none = Default::default;
        ScorePoint {
            version: window as u64,
            window_end: window * 86_400_000,
            examples: 100,
            champion: none(),
            predecessor: none(),
            newest: none(),
            no_skill: none(),
            persistence: none(),
            segments: SegmentPoints::new(),
            drift: DriftPoint { inputs, predictions },
            arms: Vec::new(),
        }
    }

    #[test]
    fn the_inputs_that_changed_most_have_lines_and_those_that_did_now_are_named() {
        let all = [("a", 0.01), ("b", 0.3), ("c", 0.02), ("d", 0.5), ("e", 0.03), ("<f>", 0.04)];
        let points = [point(1, &[], None), point(2, &all, Some(0.1)), point(3, &[("b", 0.26), ("d", 0.2)], Some(0.2))];
        assert_eq!(most_changed(&points), ["d", "b", "<f>", "e"]);
        let drawn = section(&points).into_string();
        for shown in ["predictions", "&lt;f&gt;", "<strong class=\"warn\">b</strong> 0.26"] {
            assert!(drawn.contains(shown), "{shown}: {drawn}");
        }
        assert!(!drawn.contains("<strong class=\"warn\">d</strong>"), "it has come back: {drawn}");
        assert!(section(&points[..1]).into_string().contains("Nothing to compare yet"));
    }
}
