//! Line charts as SVG, coloured by the style sheet.

use std::borrow::Cow;
use std::fmt::Write;

use maud::{Markup, PreEscaped, html};

use super::text::short;
use crate::time::{EventTime, format_time};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;

/// A line of a chart: its class in the style sheet, its name, and its points in the order of time. A missing value
/// interrupts the line.
#[derive(Clone, Debug)]
pub struct ChartLine {
    pub class: &'static str,
    pub name: Cow<'static, str>,
    pub values: Vec<Option<f64>>,
}

/// Returns a chart of lines over common times, with a legend; nothing without a value.
pub fn chart(title: &str, times: &[EventTime], lines: &[ChartLine]) -> Markup {
    let finite = lines.iter().flat_map(|line| line.values.iter().flatten()).copied().filter(|value| value.is_finite());
    let (least, most) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), value| (a.min(value), b.max(value)));
    if least > most {
        return html! { p.muted { "No scores yet: they begin with the second window." } };
    }
    // A flat line is in the middle of its chart.
    let margin = if most > least { (most - least) * 0.08 } else { most.abs().max(1.0) * 0.1 };
    // An axis of values that are never negative begins at zero.
    let low = if least >= 0.0 { (least - margin).max(0.0) } else { least - margin };
    let high = most + margin;
    let x = |at: usize| LEFT + (WIDTH - LEFT - RIGHT) * (at as f64 + 0.5) / times.len() as f64;
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low);
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(title) {
            title { (title) }
            @for step in 0..=4 {
                @let value = low + (high - low) * f64::from(step) / 4.0;
                line.axis x1=(LEFT) x2=(WIDTH - RIGHT) y1=(rounded(y(value))) y2=(rounded(y(value))) {}
                text x=(LEFT - 8.0) y=(rounded(y(value) + 4.0)) text-anchor="end" { (short(value)) }
            }
            @if let (Some(first), Some(last)) = (times.first(), times.last()) {
                text x=(LEFT) y=(HEIGHT - 8.0) { (day(*first)) }
                @if first != last {
                    text x=(WIDTH - RIGHT) y=(HEIGHT - 8.0) text-anchor="end" { (day(*last)) }
                }
            }
            @for line in lines {
                @for run in runs(&line.values) {
                    @if let [(at, value)] = run[..] {
                        circle class=(line.class) cx=(rounded(x(at))) cy=(rounded(y(value))) r="2.5" {}
                    } @else {
                        (polyline(line.class, run.iter().map(|(at, value)| (x(*at), y(*value)))))
                    }
                }
            }
        }
        ul.legend {
            @for line in lines {
                li {
                    svg viewBox="0 0 28 10" aria-hidden="true" { line class=(line.class) x1="0" x2="28" y1="5" y2="5" {} }
                    (line.name)
                }
            }
        }
    }
}

/// Returns a bar that is filled by a share.
pub fn meter(share: f64, label: &str) -> Markup {
    let filled = (share.clamp(0.0, 1.0) * 90.0).round();
    html! {
        svg.meter viewBox="0 0 90 8" role="img" aria-label=(label) {
            rect.back width="90" height="8" rx="4" {}
            rect.fill width=(filled) height="8" rx="4" {}
        }
    }
}

fn polyline(class: &str, points: impl Iterator<Item = (f64, f64)>) -> Markup {
    let mut text = String::new();
    for (x, y) in points {
        write!(text, "{x:.1},{y:.1} ").expect("writing to a string does not fail");
    }
    PreEscaped(format!("<polyline class=\"{class}\" points=\"{}\"/>", text.trim_end()))
}

/// Returns the positions and values between missing ones.
fn runs(values: &[Option<f64>]) -> Vec<Vec<(usize, f64)>> {
    let mut runs: Vec<Vec<(usize, f64)>> = vec![Vec::new()];
    for (at, value) in values.iter().enumerate() {
        match value.filter(|value| value.is_finite()) {
            Some(value) => runs.last_mut().expect("there is always one").push((at, value)),
            None => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

fn rounded(value: f64) -> String {
    format!("{value:.1}")
}

/// Returns the minute of a time, and its day.
fn day(time: EventTime) -> String {
    format_time(time).replace('T', " ").chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[Option<f64>]) -> ChartLine {
        ChartLine { class: "champion", name: "champion".into(), values: values.to_vec() }
    }

    #[test]
    fn a_missing_value_interrupts_a_line_and_a_single_one_is_a_point() {
        let values = [Some(1.0), Some(2.0), None, Some(3.0), Some(f64::NAN)];
        let drawn = chart("logloss", &[0, 1, 2, 3, 4], &[line(&values)]).into_string();
        assert_eq!((drawn.matches("<polyline").count(), drawn.matches("<circle").count()), (1, 1), "{drawn}");
        assert!(!drawn.contains("NaN"), "{drawn}");
    }

    #[test]
    fn a_chart_without_values_says_so_and_a_flat_one_has_a_scale() {
        assert!(chart("auc", &[0], &[line(&[None])]).into_string().contains("No scores yet"));
        let flat = chart("auc", &[0, 1], &[line(&[Some(0.0), Some(0.0)])]).into_string();
        assert!(!flat.contains("NaN") && !flat.contains("inf"), "{flat}");
        let above = chart("psi", &[0, 1], &[line(&[Some(0.0), Some(8.0)])]).into_string();
        assert!(above.contains(">0</text>") && !above.contains(">-"), "{above}");
    }
}
