//! Weights of a model's examples: `weight`, `class_weight` and `negative_sampling`.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::checker::Checker;
use super::problem::Mistake;
use super::reader::{Fields, TomlValue, entries, number, wrong};
use super::toml_text::Text;
use crate::expr::{Expr, Scope};
use crate::model::{ClassWeights, SamplingOptions};
use crate::relation::StreamId;
use crate::value::Type;

/// The weights of examples, with the expression of its weight over the columns of its stream.
#[derive(Default)]
pub struct Sampling {
    pub options: SamplingOptions,
    pub weight: Option<Expr>,
}

impl<'a> Checker<'a> {
    /// Reads how much each example of a stream counts; the stream comes with its name, `None` if it is not known.
    pub fn sampling(&self, fields: &Fields<'a>, examples: Option<(StreamId, &str)>) -> Sampling {
        let scope = match examples {
            Some((stream, name)) => Scope::of(name, self.spec.stream_schema(stream)),
            None => Scope::undeclared(),
        };
        let weight = fields.text("weight").and_then(|text| self.weight(&text, &scope));
        let class_weight = fields.get("class_weight").and_then(|value| self.class_weight(value));
        let negative_sampling = fields.get("negative_sampling").and_then(|value| number(value, self.problems));
        let text = weight.as_ref().map(Expr::canonical);
        Sampling { options: SamplingOptions { weight: text, class_weight, negative_sampling }, weight }
    }

    fn weight(&self, text: &Text, scope: &Scope) -> Option<Expr> {
        let expr = self.expr(text, scope)?;
        if !matches!(expr.ty(), Type::Int | Type::Float | Type::Bool) {
            let message = format!("this is of type {}", expr.ty());
            self.problems.add_inside(text, [Mistake::new(0..0, message).expected("a number, or a bool for 1 or 0")]);
            return None;
        }
        Some(expr)
    }

    fn class_weight(&self, value: &'a TomlValue<'a>) -> Option<ClassWeights> {
        const EXPECTED: &str = "\"balanced\", or a table of weights by class";
        match value.get_ref() {
            DeValue::String(text) if text == "balanced" => Some(ClassWeights::Balanced),
            DeValue::String(text) => {
                self.problems.expected(value.span(), format!("'{text}' is not a class weight"), EXPECTED);
                None
            }
            DeValue::Table(table) => {
                let mut weights = BTreeMap::new();
                for (class, value) in entries(table) {
                    weights.insert(class.value.to_owned(), number(value, self.problems)?);
                }
                Some(ClassWeights::Named(weights))
            }
            other => wrong(self.problems, value.span(), other, EXPECTED),
        }
    }
}
