//! Labels: known at once, or joined from a stream later.
//!
//! A label of classes is a string, an int or a bool; any other is a bool or a number.

use std::ops::Range;

use toml::de::DeValue;

use super::checker::Checker;
use super::keys::LABEL;
use super::problem::Mistake;
use super::reader::{Fields, TomlValue, number, text};
use super::toml_text::Text;
use super::{JoinedLabel, Label, LabelOp, LearnAt};
use crate::expr::{Expr, Scope, nearest};
use crate::model::{ModelKind, Task};
use crate::relation::StreamId;
use crate::time::format_duration;
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
                let value = self.joined_value(&fields, from, examples, task);
                if let Some((from, examples)) = from.zip(examples) {
                    self.check_own_label(&fields, from, examples);
                }
                let within_ms = fields.duration("within");
                let after_ms = self.after(&fields, within_ms);
                let otherwise = fields.get("otherwise").and_then(|value| self.otherwise(value, kind));
                let op = fields.text_if_any("value").map_or(LabelOp::First, |text| total(text.value).0);
                let learn = self.learn_at(&fields, op);
                let is_decided = otherwise.is_some() || op == LabelOp::Count || fields.get("learn").is_some();
                if let Some(within_ms) = within_ms.filter(|_| !is_decided) {
                    let message =
                        format!("an example without a label within {} is left out", format_duration(within_ms));
                    let expected = "'otherwise' with its label, or learn = \"known\" if it tells nothing";
                    self.problems.warn(fields.span("within"), message, expected);
                }
                Some(Label::Joined(JoinedLabel {
                    from: from?.0,
                    from_on: from_on?,
                    example_on: example_on?,
                    op,
                    value: value?,
                    after_ms: after_ms?,
                    within_ms: within_ms?,
                    learn: learn?,
                    otherwise,
                }))
            }
            None if fields.get("from").is_some() => None,
            None => self.immediate(&fields, examples, task),
        }
    }

    fn immediate(&self, fields: &Fields<'a>, examples: Option<(StreamId, &str)>, task: Option<Task>) -> Option<Label> {
        for key in ["on", "after", "within", "otherwise", "learn"] {
            if fields.get(key).is_some() {
                let message = format!("'{key}' without 'from'");
                self.problems.expected(fields.span(key), message, "'from' as well, or 'value' alone");
            }
        }
        let scope = examples.map_or_else(Scope::undeclared, |(examples, name)| self.example_scope(examples, name));
        Some(Label::Immediate { value: self.label_value(&fields.text("value")?, &scope, task)? })
    }

    /// Returns the value of a joined label, over the columns of its stream and then those of the examples, which are named
    /// `example.column`. Both come with their names, `None` if they are not known.
    fn joined_value(
        &self,
        fields: &Fields<'a>,
        from: Option<(StreamId, &str)>,
        examples: Option<(StreamId, &str)>,
        task: Option<Task>,
    ) -> Option<Expr> {
        let text = fields.text("value")?;
        let scope = match from.zip(examples) {
            Some(((from, name), (examples, _))) => {
                Scope::of(name, self.spec.stream_schema(from)).qualified("example", self.spec.stream_schema(examples))
            }
            None => Scope::undeclared(),
        };
        let (op, argument) = total(text.value);
        // Blanks in place of the call, so that mistakes are found where they are in the file.
        let argument_text = &text.value[argument.clone()];
        let blank = |bytes: usize| " ".repeat(bytes);
        let padded = blank(argument.start) + argument_text + &blank(text.value.len() - argument.end);
        let operand = Text { value: &padded, span: text.span.clone() };
        // The value of the first record, or the total of all.
        if op == LabelOp::First {
            return self.label_value(&text, &scope, task);
        }
        let report = |message: &str, expected: &str| {
            self.problems.add_inside(&text, [Mistake::new(0..0, message).expected(expected)]);
        };
        if task == Some(Task::Multiclass) {
            report(&format!("a {} is not a class", op.name()), "the value of one record: a string, an int or a bool");
        }
        match op {
            LabelOp::Count if argument_text.trim() != "*" => {
                report("a count is of all records", "count(*), or sum(case when … then 1 else 0 end) for some of them");
                None
            }
            LabelOp::Count => {
                if fields.get("otherwise").is_some() {
                    let message = "'otherwise' with count(*), which is 0 without a record";
                    self.problems.expected(fields.span("otherwise"), message, "no 'otherwise'");
                }
                Expr::parse("true", &scope).ok()
            }
            LabelOp::Sum => {
                let value = self.expr(&operand, &scope)?;
                let is_number = value.ty().is_numeric() || self.touches_broken(text.value);
                if !is_number {
                    report(&format!("this is a sum of type {}", value.ty()), "a sum of numbers");
                }
                is_number.then_some(value)
            }
            LabelOp::First | LabelOp::Max => self.label_value(&operand, &scope, Some(Task::Regression)),
        }
    }

    /// Returns the least time from an example to its label, in ms.
    fn after(&self, fields: &Fields<'a>, within_ms: Option<i64>) -> Option<i64> {
        if fields.get("after").is_none() {
            return Some(0);
        }
        let after_ms = fields.duration("after")?;
        if let Some(within_ms) = within_ms.filter(|within_ms| after_ms > *within_ms) {
            let message = format!("an 'after' of {} is beyond the horizon", format_duration(after_ms));
            let expected = format!("at most the {} of 'within'", format_duration(within_ms));
            self.problems.expected(fields.span("after"), message, expected);
        }
        Some(after_ms)
    }

    /// Returns when the label is learnt: at the horizon by default if there is a label for examples that get none.
    /// A total of all records is known at the horizon.
    fn learn_at(&self, fields: &Fields<'a>, op: LabelOp) -> Option<LearnAt> {
        let is_total = op != LabelOp::First;
        if fields.get("learn").is_none() {
            let waits = is_total || fields.get("otherwise").is_some();
            return Some(if waits { LearnAt::Horizon } else { LearnAt::Known });
        }
        let name = fields.text("learn")?;
        let found = LearnAt::ALL.into_iter().find(|time| time.name() == name.value);
        if found.is_none() {
            let names = LearnAt::ALL.map(LearnAt::name);
            let mistake = Mistake::new(name.span, format!("unknown time '{}'", name.value));
            let expected = "\"horizon\", or \"known\" for as soon as the label is known";
            self.problems.add(mistake.expected(expected).suggest(nearest(name.value, names)));
        } else if is_total && found == Some(LearnAt::Known) {
            let message = format!("a {} is known at the horizon", op.name());
            self.problems.expected(fields.span("learn"), message, "\"horizon\", or no 'learn'");
        }
        found
    }

    /// Reports a source that both the labels and the examples have in several ways: which of its copies are of one record
    /// cannot be told.
    fn check_own_label(&self, fields: &Fields<'a>, from: (StreamId, &str), examples: (StreamId, &str)) {
        let relations = &self.spec.relations;
        let is_repeated = |source: &usize, stream| {
            let source = relations.find(relations.source_name(*source));
            source.is_some_and(|source| matches!(relations.path(source, stream), Err(2..)))
        };
        let sources = relations.sources(from.0);
        if let Some(source) =
            sources.iter().find(|source| is_repeated(source, from.0) && is_repeated(source, examples.0))
        {
            let source = relations.source_name(*source);
            let message =
                format!("'{}' and '{}' both have the records of '{source}' in several ways", from.1, examples.1);
            let expected =
                format!("in one of them once, as '{source}' itself has them, so that no example is its own label");
            self.problems.expected(fields.span("from"), message, expected);
        }
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
                    format!("'{key}' as well"),
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
    fn label_value(&self, text: &Text, scope: &Scope, task: Option<Task>) -> Option<Expr> {
        let value = self.expr(text, scope)?;
        let (fits, expected) = match (task, value.ty()) {
            (None, _) => (true, ""),
            (Some(Task::Multiclass), ty) => {
                (matches!(ty, Type::String | Type::Int | Type::Bool), "a string, an int or a bool, for classes")
            }
            (Some(_), ty) => (ty == Type::Bool || ty.is_numeric(), "a bool or a number"),
        };
        if !fits && !self.touches_broken(text.value) {
            let mistake = Mistake::new(0..0, format!("this label is of type {}", value.ty()));
            self.problems.add_inside(text, [mistake.expected(expected)]);
        }
        let literal = text.value.trim().parse::<f64>().ok();
        if let Some(number) = literal.filter(|number| task == Some(Task::Binary) && ![0.0, 1.0].contains(number)) {
            let mistake = Mistake::new(0..0, format!("this label is always {number}"));
            self.problems.add_inside(text, [mistake.expected("true or false, or 1 or 0")]);
        }
        Some(value)
    }
}

/// Returns the total that a value asks for, and the bytes of its argument: `First` and the whole value if it is not a
/// call of one.
fn total(value: &str) -> (LabelOp, Range<usize>) {
    let call = |op: LabelOp| {
        let start = value.len() - value.trim_start().len();
        let name_end = start + op.name().len();
        let is_named = value.get(start..name_end).is_some_and(|name| name.eq_ignore_ascii_case(op.name()));
        let open = name_end + value.get(name_end..).filter(|_| is_named)?.find(|c: char| !c.is_whitespace())?;
        let end = value.trim_end().len();
        let argument = value.get(open + 1..end.checked_sub(1)?)?;
        (value[open..].starts_with('(') && value[..end].ends_with(')') && closes_at_end(argument))
            .then_some((op, open + 1..end - 1))
    };
    LabelOp::TOTALS.into_iter().find_map(call).unwrap_or((LabelOp::First, 0..value.len()))
}

/// Returns whether no parenthesis of a text, outside quotes, closes one that was opened before it.
fn closes_at_end(text: &str) -> bool {
    let (mut depth, mut quote) = (0, None);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_a_call_that_is_the_whole_value() {
        for (value, op, argument) in [
            ("count(*)", LabelOp::Count, "*"),
            (" SUM ( x * (1 + y) ) ", LabelOp::Sum, " x * (1 + y) "),
            ("max(')' || x)", LabelOp::Max, "')' || x"),
            ("sum(x) > sum(y)", LabelOp::First, "sum(x) > sum(y)"),
            ("(sum(x))", LabelOp::First, "(sum(x))"),
            ("summary", LabelOp::First, "summary"),
            ("sum", LabelOp::First, "sum"),
            ("max(é)", LabelOp::Max, "é"),
            ("", LabelOp::First, ""),
        ] {
            let (found, range) = total(value);
            assert_eq!((found, &value[range]), (op, argument), "{value:?}");
        }
    }
}
