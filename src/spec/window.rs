//! Windows of features, and how their names end.

use toml::de::DeValue;

use super::checker::Checker;
use super::keys::WINDOW;
use super::reader::{Fields, TomlValue, positive, wrong};
use super::toml_text::Text;
use crate::aggregate::{Cumulative, Cycle, FeatureType, KEPT, LastN, Op, Series, Session, Sliding, Tumbling, Window};
use crate::time::{format_duration, parse_duration};
use crate::value::Type;

/// The keys of a window that say its kind, each with those that may stand beside it.
const KIND_KEYS: &[(&str, &[&str])] = &[
    ("sliding", &["hop"]),
    ("tumbling", &["offset"]),
    ("cumulative", &["offset"]),
    ("session", &["max"]),
    ("series", &["step", "hop"]),
];

impl<'a> Checker<'a> {
    /// A window and the end of its features' names.
    pub fn window(&self, value: &'a TomlValue<'a>) -> Option<(Window, String)> {
        match value.get_ref() {
            DeValue::String(text) => self.named_window(&Text { value: text, span: value.span() }),
            DeValue::Table(_) => {
                let fields = Fields::of(value, &WINDOW, self.problems)?;
                match self.kind_of_window(&fields)? {
                    "sliding" => self.sliding_window(&fields, "sliding").map(Window::from),
                    "tumbling" => self.cycle(&fields, "tumbling").map(|cycle| Tumbling(cycle).into()),
                    "cumulative" => self.cycle(&fields, "cumulative").map(|cycle| Cumulative(cycle).into()),
                    "session" => self.session(&fields).map(Window::from),
                    _ => self.series(&fields).map(Window::from),
                }
                .and_then(|window| {
                    let length = KIND_KEYS.iter().find_map(|(kind, _)| match *kind {
                        "series" => fields.text_if_any("step"),
                        kind => fields.text_if_any(kind),
                    })?;
                    Some((window, window.suffix(length.value)))
                })
            }
            other => wrong(self.problems, value.span(), other, "a window, such as \"3h\""),
        }
    }

    /// The key that says the kind of a window; reports keys that do not belong to it.
    fn kind_of_window(&self, fields: &Fields<'a>) -> Option<&'static str> {
        let mut present = KIND_KEYS.iter().filter(|(kind, _)| fields.get(kind).is_some());
        let names = || KIND_KEYS.iter().map(|(kind, _)| *kind).collect::<Vec<_>>().join(", ");
        let Some((kind, others)) = present.next() else {
            if !fields.is_mistyped() {
                let expected = format!("one of {}", names());
                self.problems.expected(fields.at.clone(), "this window has no kind", expected);
            }
            return None;
        };
        let mut own = true;
        for key in WINDOW.keys.iter().map(|key| key.name).filter(|key| key != kind && !others.contains(key)) {
            if fields.get(key).is_some() {
                let expected = format!("no keys but '{kind}' and '{}'", others.join("', '"));
                self.problems.expected(fields.span(key), format!("a {kind} window has no '{key}'"), expected);
                own = false;
            }
        }
        own.then_some(*kind)
    }

    /// A sliding window whose length a key has.
    fn sliding_window(&self, fields: &Fields<'a>, length: &str) -> Option<Sliding> {
        let chosen = fields.span_of_time("hop");
        let usual = Sliding::new(fields.span_of_time(length)?);
        let window = Sliding { hop_ms: chosen.unwrap_or(usual.hop_ms), ..usual };
        if window.hop_ms > window.size_ms {
            let whole = if length == "step" { "step" } else { "window" };
            let message = format!("a hop of {} is longer than the {whole}", format_duration(window.hop_ms));
            let expected = format!("{} at most", format_duration(window.size_ms));
            self.problems.expected(fields.span("hop"), message, expected);
            return None;
        }
        Some(window)
    }

    /// The cycle of a window, whose length a key has.
    fn cycle(&self, fields: &Fields<'a>, length: &str) -> Option<Cycle> {
        let (offset_ms, length_ms) = (self.offset(fields), fields.span_of_time(length)?);
        let cycle = Cycle { length_ms, offset_ms: offset_ms? };
        if cycle.offset_ms.abs() >= length_ms {
            let expected = format!("less than the length of {}", format_duration(length_ms));
            self.problems.expected(fields.span("offset"), "this offset is as long as the window", expected);
            return None;
        }
        Some(cycle)
    }

    /// The offset of a window: a duration, with a minus in front of it or not; none is zero.
    fn offset(&self, fields: &Fields<'a>) -> Option<i64> {
        if fields.get("offset").is_none() {
            return Some(0);
        }
        let text = fields.text("offset")?;
        let (sign, duration) = text.value.strip_prefix('-').map_or((1, text.value), |rest| (-1, rest));
        let offset_ms = parse_duration(duration).map(|ms| sign * ms);
        if offset_ms.is_none() {
            let message = format!("'{}' is not an offset", text.value);
            self.problems.expected(text.span, message, "a duration that may be negative, such as \"6h\" or \"-5h\"");
        }
        offset_ms
    }

    fn session(&self, fields: &Fields<'a>) -> Option<Session> {
        let max_ms = fields.span_of_time("max");
        let gap_ms = fields.span_of_time("session")?;
        if fields.get("max").is_some() && max_ms? <= gap_ms {
            let message = format!("a max of {} is not longer than the gap", format_duration(max_ms?));
            let expected = format!("more than {}", format_duration(gap_ms));
            self.problems.expected(fields.span("max"), message, expected);
            return None;
        }
        Some(Session { gap_ms, max_ms })
    }

    fn series(&self, fields: &Fields<'a>) -> Option<Series> {
        fields.require_with("step", "series");
        let steps = fields.int("series", 1..Series::MOST_STEPS as i64 + 1);
        let step = self.sliding_window(fields, "step")?;
        if fields.get("hop").is_some() && step.size_ms % step.hop_ms != 0 {
            let (hop, whole) = (format_duration(step.hop_ms), format_duration(step.size_ms));
            let message = format!("a hop of {hop} does not divide the step of {whole}");
            self.problems.expected(fields.span("hop"), message, format!("a hop of which {whole} is a multiple"));
            return None;
        }
        Some(Series { steps: steps? as usize, step })
    }

    /// A window that is written as a text.
    fn named_window(&self, text: &Text<'a>) -> Option<(Window, String)> {
        // A duration of zero is reported as such, since no window has one.
        if let Some(ms) = parse_duration(text.value) {
            positive(text, ms, self.problems)?;
        }
        let window = Window::parse(text.value);
        if window.is_none() {
            let message = format!("unknown window '{}'", text.value);
            let expected = if text.value.starts_with("last ") {
                format!("\"last N\" with N from 1 to {}", LastN::MOST_RECORDS)
            } else {
                "a duration such as \"3h\", \"lifetime\", \"last 10\", or a table such as { sliding = \"1d\", hop = \"1ms\" }"
                    .to_owned()
            };
            self.problems.expected(text.span.clone(), message, expected);
        }
        window.map(|window| (window, window.suffix(text.value)))
    }

    /// Makes the windows of a line lag, if it says so.
    pub fn lagging(&self, fields: &Fields<'a>, windows: Vec<(Window, String)>) -> Option<Vec<(Window, String)>> {
        if fields.get("lag").is_none() {
            return Some(windows);
        }
        let lag_ms = fields.span_of_time("lag")?;
        let written = fields.text("lag")?.value;
        let written = if written.contains('.') { format_duration(lag_ms) } else { written.to_owned() };
        let lagging = |(window, suffix): (Window, String)| (window.lagging(lag_ms), format!("{suffix}_lag{written}"));
        Some(windows.into_iter().map(lagging).collect())
    }

    /// Reports the ops whose answers a series of a line cannot list, and lists that are too long.
    pub fn check_series(&self, ops: &[(Op, Text)], windows: &[(Window, String)], of: Option<Type>, by: bool) {
        let steps = |(window, _): &(Window, String)| Some((*window, window.steps()?));
        let Some((series, steps)) = windows.iter().filter_map(steps).max_by_key(|(_, steps)| *steps) else { return };
        for (op, place) in ops {
            let reason = match op.output(of) {
                FeatureType::Scalar(_) if by => "has a value for each category, and a series is a list of values",
                FeatureType::Scalar(_) if op.kind.family.depends_on_asking(series) => {
                    "depends on the asking time, which a step of a series has none of"
                }
                FeatureType::Map(_) => "has a value for each category, and a series is a list of values",
                FeatureType::Scalar(_) | FeatureType::List(_) => {
                    self.check_length(op, place, steps);
                    continue;
                }
            };
            let expected = "another op, or this one in a line without the series, as in a sliding window";
            self.problems.expected(place.span.clone(), format!("op '{}' {reason}", op.kind.name), expected);
        }
    }

    /// Reports an op of which a series of so many steps is too long a list.
    fn check_length(&self, op: &Op, place: &Text, steps: usize) {
        let most = KEPT.greatest as usize;
        let values = steps * op.greatest_length().unwrap_or(1);
        if values > most {
            let message = format!("a series of {steps} steps of '{op}' is a list of {values} values");
            let expected = format!("{most} values at most: fewer steps, or a smaller {}", KEPT.name);
            self.problems.expected(place.span.clone(), message, expected);
        }
    }
}
