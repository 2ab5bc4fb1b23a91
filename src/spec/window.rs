//! Windows of features, and how their names end.

use toml::de::DeValue;

use super::Window;
use super::checker::Checker;
use super::keys::WINDOW;
use super::reader::{Fields, TomlValue, positive, wrong};
use super::toml_text::Text;
use crate::time::{DAY_MS, format_duration, parse_duration};

const HOUR_MS: i64 = 3_600_000;

impl Window {
    /// A sliding window whose hop is the usual one for its length.
    pub fn sliding(size_ms: i64) -> Self {
        let hop_ms = match size_ms {
            _ if size_ms > 12 * DAY_MS => DAY_MS,
            _ if size_ms > 12 * HOUR_MS => HOUR_MS,
            _ if size_ms > HOUR_MS => 300_000,
            _ => (size_ms / 60).max(1),
        };
        Window::Sliding { size_ms, hop_ms }
    }
}

impl<'a> Checker<'a> {
    /// A window and the end of its features' names.
    pub fn window(&self, value: &'a TomlValue<'a>) -> Option<(Window, String)> {
        match value.get_ref() {
            DeValue::String(text) => {
                let text = Text { value: text, span: value.span() };
                let Some(ms) = parse_duration(text.value) else {
                    let message = format!("unknown window '{}'", text.value);
                    let expected = "a duration such as \"3h\", or { sliding = \"1d\", hop = \"1ms\" }";
                    self.problems.expected(text.span, message, expected);
                    return None;
                };
                let size_ms = positive(&text, ms, self.problems)?;
                Some((Window::sliding(size_ms), suffix(&text, size_ms)))
            }
            DeValue::Table(_) => {
                let fields = Fields::of(value, &WINDOW, self.problems)?;
                let chosen = fields.span_of_time("hop");
                let size_ms = fields.span_of_time("sliding")?;
                let Window::Sliding { hop_ms: usual, .. } = Window::sliding(size_ms);
                let hop_ms = chosen.unwrap_or(usual);
                if hop_ms > size_ms {
                    let message = format!("a hop of {} is longer than the window", format_duration(hop_ms));
                    self.problems.expected(
                        fields.span("hop"),
                        message,
                        format!("{} at most", format_duration(size_ms)),
                    );
                }
                Some((Window::Sliding { size_ms, hop_ms }, suffix(&fields.text("sliding")?, size_ms)))
            }
            other => wrong(self.problems, value.span(), other, "a window, such as \"3h\""),
        }
    }
}

/// A window's length as it was written; names hold no dots.
fn suffix(text: &Text, ms: i64) -> String {
    if text.value.contains('.') { format_duration(ms) } else { text.value.to_owned() }
}
