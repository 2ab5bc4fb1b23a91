//! Labels: known at once, or joined from a stream later.

use toml::de::DeValue;

use super::checker::Checker;
use super::keys::LABEL;
use super::problem::Mistake;
use super::reader::{Fields, TomlValue, number};
use super::{Label, StreamRef};
use crate::expr::{Expr, Scope};
use crate::value::Type;

impl<'a> Checker<'a> {
    pub fn label(&self, value: &'a TomlValue<'a>, examples: StreamRef, name: &str) -> Option<Label> {
        let fields = Fields::of(value, &LABEL, self.problems)?;
        match fields.text("from") {
            Some(from) => self.joined(&fields, self.stream(&from)?, from.value, examples, name),
            None if fields.get("from").is_some() => None,
            None => self.immediate(&fields, examples, name),
        }
    }

    fn immediate(&self, fields: &Fields<'a>, examples: StreamRef, name: &str) -> Option<Label> {
        for key in ["on", "within", "otherwise"] {
            if fields.get(key).is_some() {
                let message = format!("'{key}' without 'from'");
                self.problems.expected(fields.span(key), message, "'from' beside it, or 'value' alone");
            }
        }
        let scope = self.example_scope(examples, name);
        Some(Label::Immediate { value: self.truth(fields, &scope)? })
    }

    fn joined(
        &self,
        fields: &Fields<'a>,
        from: StreamRef,
        from_name: &str,
        examples: StreamRef,
        name: &str,
    ) -> Option<Label> {
        for key in ["on", "within"] {
            if fields.get(key).is_none() {
                self.problems.expected(
                    fields.at.clone(),
                    format!("'from' without '{key}'"),
                    format!("'{key}' beside it"),
                );
            }
        }
        let (there, here) = (self.spec.stream_schema(from), self.spec.stream_schema(examples));
        let on = fields.texts("on");
        let from_on = on.as_ref().and_then(|names| self.columns(names, there, from_name));
        let example_on = on.as_ref().and_then(|names| self.columns(names, here, name));
        if let (Some(names), Some(from_on), Some(example_on)) = (&on, &from_on, &example_on) {
            for ((column, theirs), ours) in names.iter().zip(from_on).zip(example_on) {
                let (theirs, ours) = (there.columns[*theirs].ty, here.columns[*ours].ty);
                if theirs != ours && !self.is_broken(column.value) {
                    let message = format!("'{}' is of type {ours} here and {theirs} there", column.value);
                    self.problems.expected(column.span.clone(), message, "both of one type");
                }
            }
        }
        let value = self.truth(fields, &Scope::of(from_name, there));
        let within_ms = fields.duration("within");
        let otherwise = fields.get("otherwise").and_then(|value| match value.get_ref() {
            DeValue::Boolean(value) => Some(f64::from(u8::from(*value))),
            _ => number(value, self.problems),
        });
        Some(Label::Joined {
            from,
            from_on: from_on?,
            example_on: example_on?,
            value: value?,
            within_ms: within_ms?,
            otherwise,
        })
    }

    /// The expression that is the label: a bool or a number.
    fn truth(&self, fields: &Fields<'a>, scope: &Scope) -> Option<Expr> {
        let text = fields.text("value")?;
        let value = self.expr(&text, scope)?;
        if value.ty() != Type::Bool && !value.ty().is_numeric() && !self.touches_broken(text.value) {
            let mistake = Mistake::new(0..0, format!("this label is of type {}", value.ty()));
            self.problems.add_inside(&text, [mistake.expected("a bool or a number")]);
        }
        Some(value)
    }
}
