//! Labels: known at once, or joined from a stream later.
//!
//! A label of classes is a string, an int or a bool; any other is a bool or a number.

use toml::de::DeValue;

use super::Label;
use super::checker::Checker;
use super::keys::LABEL;
use super::problem::Mistake;
use super::reader::{Fields, TomlValue, number, text};
use crate::expr::{Expr, Scope};
use crate::model::{ModelKind, Task};
use crate::relation::StreamId;
use crate::value::{Scalar, Type};

impl<'a> Checker<'a> {
    /// Reads the label of a model. The examples come with their name, `None` if they are not known. The kind is that of the
    /// model, if it is known.
    pub fn label(
        &self,
        value: &'a TomlValue<'a>,
        examples: Option<(StreamId, &str)>,
        kind: Option<&'static ModelKind>,
    ) -> Option<Label> {
        let fields = Fields::of(value, &LABEL, self.problems)?;
        let task = kind.map(|kind| kind.task);
        match fields.text("from") {
            Some(from_name) => {
                let from = self.stream(&from_name).map(|from| (from, from_name.value));
                let (from_on, example_on) = self.columns_on(&fields, from, examples);
                let scope =
                    from.map_or_else(Scope::undeclared, |(from, name)| Scope::of(name, self.spec.stream_schema(from)));
                let value = self.label_value(&fields, &scope, task);
                let within_ms = fields.duration("within");
                let otherwise = fields.get("otherwise").and_then(|value| self.otherwise(value, kind));
                Some(Label::Joined {
                    from: from?.0,
                    from_on: from_on?,
                    example_on: example_on?,
                    value: value?,
                    within_ms: within_ms?,
                    otherwise,
                })
            }
            None if fields.get("from").is_some() => None,
            None => self.immediate(&fields, examples, task),
        }
    }

    fn immediate(&self, fields: &Fields<'a>, examples: Option<(StreamId, &str)>, task: Option<Task>) -> Option<Label> {
        for key in ["on", "within", "otherwise"] {
            if fields.get(key).is_some() {
                let message = format!("'{key}' without 'from'");
                self.problems.expected(fields.span(key), message, "'from' beside it, or 'value' alone");
            }
        }
        let scope = examples.map_or_else(Scope::undeclared, |(examples, name)| self.example_scope(examples, name));
        Some(Label::Immediate { value: self.label_value(fields, &scope, task)? })
    }

    /// Returns the columns that a label's stream and the examples must share, in both. A stream comes with its name, `None`
    /// if it is not known.
    fn columns_on(
        &self,
        fields: &Fields<'a>,
        from: Option<(StreamId, &str)>,
        examples: Option<(StreamId, &str)>,
    ) -> (Option<Vec<usize>>, Option<Vec<usize>>) {
        for key in ["on", "within"] {
            if fields.get(key).is_none() {
                self.problems.expected(
                    fields.at.clone(),
                    format!("'from' without '{key}'"),
                    format!("'{key}' beside it"),
                );
            }
        }
        let on = fields.texts("on");
        let columns_of = |stream: Option<(StreamId, &str)>| {
            let ((stream, name), names) = stream.zip(on.as_ref())?;
            self.columns(names, self.spec.stream_schema(stream), name)
        };
        let (from_on, example_on) = (columns_of(from), columns_of(examples));
        if let (Some(names), Some((from, _)), Some((examples, _)), Some(from_on), Some(example_on)) =
            (&on, from, examples, &from_on, &example_on)
        {
            let (there, here) = (self.spec.stream_schema(from), self.spec.stream_schema(examples));
            for ((column, theirs), ours) in names.iter().zip(from_on).zip(example_on) {
                let (theirs, ours) = (there.columns[*theirs].ty, here.columns[*ours].ty);
                if theirs != ours && !self.is_broken(column.value) {
                    let message = format!("'{}' is of type {ours} here and {theirs} there", column.value);
                    self.problems.expected(column.span.clone(), message, "both of one type");
                }
            }
        }
        (from_on, example_on)
    }

    /// Returns the label of an example for which none came: a number that the kind can learn, or the name of a class.
    fn otherwise(&self, value: &TomlValue, kind: Option<&'static ModelKind>) -> Option<Scalar> {
        let classes = kind.is_some_and(|kind| kind.task == Task::Multiclass);
        let label = match value.get_ref() {
            DeValue::Boolean(value) if classes => return Some(Scalar::String(value.to_string().into())),
            DeValue::Integer(digits) if classes => return Some(Scalar::String(digits.as_str().into())),
            _ if classes => return Some(Scalar::String(text(value, self.problems)?.value.into())),
            DeValue::Boolean(value) => f64::from(u8::from(*value)),
            _ => number(value, self.problems)?,
        };
        if let Some(kind) = kind.filter(|kind| kind.labels.fault(label).is_some()) {
            let message = format!("{label} cannot be a label of kind '{}'", kind.name);
            self.problems.expected(value.span(), message, kind.labels.describe());
        }
        Some(Scalar::Float(label))
    }

    /// Returns the expression that is the label, of a type that the task can have.
    fn label_value(&self, fields: &Fields<'a>, scope: &Scope, task: Option<Task>) -> Option<Expr> {
        let text = fields.text("value")?;
        let value = self.expr(&text, scope)?;
        let (fits, expected) = match (task, value.ty()) {
            (None, _) => (true, ""),
            (Some(Task::Multiclass), ty) => {
                (matches!(ty, Type::String | Type::Int | Type::Bool), "a string, an int or a bool, for classes")
            }
            (Some(_), ty) => (ty == Type::Bool || ty.is_numeric(), "a bool or a number"),
        };
        if !fits && !self.touches_broken(text.value) {
            let mistake = Mistake::new(0..0, format!("this label is of type {}", value.ty()));
            self.problems.add_inside(&text, [mistake.expected(expected)]);
        }
        Some(value)
    }
}
