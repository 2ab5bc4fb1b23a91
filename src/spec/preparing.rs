//! Preparation of a model's inputs, beside bins and crosses.

use super::checker::Checker;
use super::reader::{Fields, text};
use super::toml_text::Text;
use crate::model::{EXPIRE, InputOptions, MIN_COUNT, NGRAMS};
use crate::value::Type;

impl<'a> Checker<'a> {
    /// Reads how inputs are prepared; `inputs` are those of the model, if they are known.
    pub fn preparing(&self, fields: &Fields<'a>, inputs: Option<&[(String, Type)]>) -> InputOptions {
        let defaults = InputOptions::default();
        let whole = |key, range: std::ops::RangeInclusive<i64>, default: i64| {
            fields.int(key, *range.start()..*range.end() + 1).unwrap_or(default)
        };
        let winsorise = fields.number("winsorise").unwrap_or(defaults.winsorise);
        if !InputOptions::admits_winsorise(winsorise) {
            let message = format!("{winsorise} is out of range");
            self.problems.expected(fields.span("winsorise"), message, InputOptions::WINSORISE);
        }
        let tokens = fields.list("tokens").unwrap_or_default();
        let tokens: Vec<Text> = tokens.into_iter().filter_map(|value| text(value, self.problems)).collect();
        for name in &tokens {
            if let Some(ty) = self.input_type(name, inputs).filter(|ty| *ty != Type::String) {
                let message = format!("'{}' is of type {ty}", name.value);
                self.problems.expected(name.span.clone(), message, "inputs that are strings");
            }
        }
        InputOptions {
            winsorise,
            min_count: whole("min_count", MIN_COUNT, defaults.min_count as i64) as u64,
            expire: whole("expire", EXPIRE, defaults.expire as i64) as u64,
            tokens: tokens.iter().map(|name| name.value.to_owned()).collect(),
            ngrams: whole("ngrams", NGRAMS, defaults.ngrams as i64) as usize,
        }
    }
}
