//! Windows of features, and how their names end.

use toml::de::DeValue;

use super::checker::Checker;
use super::keys::WINDOW;
use super::reader::{Fields, TomlValue, positive, wrong};
use super::toml_text::Text;
use crate::aggregate::{Sliding, Window};
use crate::time::{format_duration, parse_duration};

impl<'a> Checker<'a> {
    /// A window and the end of its features' names.
    pub fn window(&self, value: &'a TomlValue<'a>) -> Option<(Window, String)> {
        match value.get_ref() {
            DeValue::String(text) => self.named_window(&Text { value: text, span: value.span() }),
            DeValue::Table(_) => {
                let fields = Fields::of(value, &WINDOW, self.problems)?;
                let chosen = fields.span_of_time("hop");
                let usual = Sliding::new(fields.span_of_time("sliding")?);
                let window = Sliding { hop_ms: chosen.unwrap_or(usual.hop_ms), ..usual };
                if window.hop_ms > window.size_ms {
                    let message = format!("a hop of {} is longer than the window", format_duration(window.hop_ms));
                    let expected = format!("{} at most", format_duration(window.size_ms));
                    self.problems.expected(fields.span("hop"), message, expected);
                }
                let window = Window::Sliding(window);
                Some((window, window.suffix(fields.text("sliding")?.value)))
            }
            other => wrong(self.problems, value.span(), other, "a window, such as \"3h\""),
        }
    }

    /// A window that is written as a text.
    fn named_window(&self, text: &Text<'a>) -> Option<(Window, String)> {
        // A duration of zero is none of a window, and told as such.
        if let Some(ms) = parse_duration(text.value) {
            positive(text, ms, self.problems)?;
        }
        let window = Window::parse(text.value);
        if window.is_none() {
            let message = format!("unknown window '{}'", text.value);
            let expected = "a duration such as \"3h\", \"lifetime\", or { sliding = \"1d\", hop = \"1ms\" }";
            self.problems.expected(text.span.clone(), message, expected);
        }
        window.map(|window| (window, window.suffix(text.value)))
    }
}
