//! Modifiers of an aggregate: a second input, categories, and the answer without records.

use toml::de::DeValue;

use super::SecondInput;
use super::checker::Checker;
use super::group::digits;
use super::reader::{Fields, TomlValue};
use super::toml_text::Text;
use crate::aggregate::{FeatureType, KINDS, Op, OpInput, OwnPlace, Window};
use crate::expr::Scope;
use crate::time::parse_time;
use crate::value::{Scalar, Schema, Type};

impl<'a> Checker<'a> {
    /// Reads `with`, the second input, which some ops need and the others do not read.
    pub fn second_input(
        &self,
        fields: &Fields<'a>,
        scope: &Scope,
        schema: &Schema,
        ops: &[(Op, Text)],
    ) -> Option<SecondInput> {
        let Some(text) = fields.text("with") else {
            let needing = ops.iter().filter(|(op, _)| fields.get("with").is_none() && op.kind.input == OpInput::Pair);
            for (op, place) in needing {
                let message = format!("op '{}' needs 'with'", op.kind.name);
                self.problems.expected(place.span.clone(), message, "a second column or expression in 'with'");
            }
            return None;
        };
        if ops.iter().all(|(op, _)| op.kind.input != OpInput::Pair) {
            let pairs = KINDS.iter().filter(|kind| kind.input == OpInput::Pair).map(|kind| kind.name);
            let expected = format!("one of {} in 'op'", pairs.collect::<Vec<_>>().join(", "));
            self.problems.expected(text.span.clone(), "no op of this line reads 'with'", expected);
        }
        let expr = self.expr(&text, scope)?;
        if !expr.ty().is_numeric() && !self.touches_broken(text.value) {
            self.problems.expected(text.span, format!("'with' is of type {}", expr.ty()), "int or float");
        }
        let digits = digits(&expr, schema, None);
        Some(SecondInput { expr, digits })
    }

    /// Reads `by`, the column that has the categories.
    pub fn category(&self, name: &Text, schema: &Schema, from: &str, ops: &[(Op, Text)]) -> Option<usize> {
        for (op, place) in ops {
            let answer = match op.output(None) {
                FeatureType::Scalar(_) => continue,
                FeatureType::List(_) => "a list",
                FeatureType::Map(_) => "a map",
            };
            let message = format!("op '{op}' answers {answer}, which cannot be 'by' a column");
            self.problems.expected(place.span.clone(), message, "ops that answer one value");
        }
        self.column(name, schema, from)
    }

    /// Reads `default`: for each op, the answer without counted records.
    pub fn defaults(&self, fields: &Fields<'a>, ops: &[(Op, Text)], of: Option<Type>) -> Vec<Scalar> {
        let Some(value) = fields.get("default") else { return Vec::new() };
        if fields.get("by").is_some() {
            let message = "a line with 'by' has no default: a category without records has no entry";
            self.problems.expected(value.span(), message, "'default' without 'by'");
            return Vec::new();
        }
        ops.iter().filter_map(|(op, _)| self.default_of(op, value, of)).collect()
    }

    /// Reads `current`: true if the record that looks up counts, which it can in windows that reach up to the asking time. A
    /// line with no such window is a mistake; beside one, windows that end before do not have the record.
    pub fn current(&self, fields: &Fields<'a>, windows: &[(Window, String)]) -> bool {
        let current = fields.bool("current").unwrap_or(false);
        let is_outside = |(window, _): &(Window, String)| window.own_place() == OwnPlace::Outside;
        if let Some((window, _)) = windows.first().filter(|_| current && windows.iter().all(is_outside)) {
            let message = format!("the record that looks up is never in {}", window.describe());
            let expected = "'current' in a line without a lag, with a window that is not tumbling";
            self.problems.expected(fields.span("current"), message, expected);
        }
        current
    }

    fn default_of(&self, op: &Op, value: &TomlValue, of: Option<Type>) -> Option<Scalar> {
        let output = op.output(of);
        let FeatureType::Scalar(ty) = output else {
            let message = format!("op '{op}' answers {output}, which has no default");
            self.problems.expected(value.span(), message, "ops that answer one value");
            return None;
        };
        let default = scalar(value.get_ref(), ty);
        if default.is_none() {
            let message = format!("this is not an answer of op '{op}', which is of type {ty}");
            self.problems.expected(value.span(), message, form(ty));
        }
        default
    }
}

/// A value of a type, as the file writes it.
fn scalar(value: &DeValue, ty: Type) -> Option<Scalar> {
    match (ty, value) {
        (Type::Bool, DeValue::Boolean(value)) => Some(Scalar::Bool(*value)),
        (Type::Int, DeValue::Integer(digits)) => {
            i64::from_str_radix(digits.as_str(), digits.radix()).ok().map(Scalar::Int)
        }
        (Type::Float, DeValue::Integer(digits)) => {
            i64::from_str_radix(digits.as_str(), digits.radix()).ok().map(|int| Scalar::Float(int as f64))
        }
        (Type::Float, DeValue::Float(digits)) => {
            digits.as_str().parse().ok().filter(|x: &f64| x.is_finite()).map(Scalar::Float)
        }
        (Type::String, DeValue::String(text)) => Some(Scalar::String(text.as_ref().into())),
        (Type::Timestamp, DeValue::String(text)) => parse_time(text).map(Scalar::Timestamp),
        (Type::Timestamp, DeValue::Datetime(time)) => parse_time(&time.to_string()).map(Scalar::Timestamp),
        _ => None,
    }
}

/// The form of a value of a type in the file.
fn form(ty: Type) -> &'static str {
    match ty {
        Type::Bool => "true or false",
        Type::Int => "an int of 64 bits",
        Type::Float => "a finite number",
        Type::String => "a string",
        Type::Timestamp => "a time, such as \"2024-01-31T08:00:00Z\"",
    }
}
