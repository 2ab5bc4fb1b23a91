//! Sources and tables: topics, their formats, columns and times.

use toml::de::DeValue;

use super::checker::Checker;
use super::keys::COLUMN;
use super::problem::Mistake;
use super::reader::{Fields, TomlValue, entries, text, wrong};
use super::toml_text::Text;
use super::{Source, Table, Topic};
use crate::aggregate::MAX_DIGITS;
use crate::expr::{Expr, Scope, nearest};
use crate::relation::SourceRecords;
use crate::source::{FILE_FORMATS, FORMATS, RecordTime};
use crate::time::TimeFormat;
use crate::value::{Column, Schema, Separator, TimeRules, TimeUnit, Type};

/// Names of columns that tidemill itself adds to examples, features and files.
pub static RESERVED: &[&str] =
    &["_time", "_known", "_window_end", "_label", "_score", "_version", "_watermark", "_deleted"];

impl<'a> Checker<'a> {
    /// Checks a `[source.NAME]` and adds it to the spec.
    pub fn source(&mut self, name: Text<'a>, fields: &Fields<'a>) {
        self.declare(&name, "source");
        let Some(topic) = self.topic(&name, fields) else {
            self.mark_broken(name.value);
            fields.text("where").and_then(|text| self.condition(&text, &Scope::undeclared()));
            return;
        };
        let scope = Scope::of(name.value, &topic.schema);
        let filter = fields.text("where").and_then(|text| self.condition(&text, &scope));
        let (source, schema, time) = (self.spec.sources.len(), topic.schema.clone(), topic.time.column());
        self.spec.relations.add_source(SourceRecords { source, name: name.value.to_owned(), schema, time });
        self.spec.sources.push(Source { topic, filter });
    }

    /// Checks a `[table.NAME]` and adds it to the spec.
    pub fn table(&mut self, name: Text<'a>, fields: &Fields<'a>) {
        self.declare(&name, "table");
        match self.topic(&name, fields) {
            Some(topic) => self.spec.tables.push(Table { topic }),
            None => self.mark_broken(name.value),
        }
    }

    /// Checks what sources and tables have in common. `None` if the columns are wrong; any other wrong value is replaced by
    /// a default, so that what follows can be checked.
    fn topic(&self, name: &Text, fields: &Fields<'a>) -> Option<Topic> {
        let topic = fields.text("topic");
        if let Some(topic) = &topic {
            self.check_topic(topic);
        }
        let format = fields.text("format").and_then(|text| self.one_of(&text, "format", &format_names()));
        let separator = fields.text("separator").and_then(|text| self.separator(&text)).unwrap_or_default();
        let lateness_ms = fields.duration("lateness").unwrap_or(0);
        let keys = fields.texts("key");
        let time = fields.text("time");
        let schema = fields.get("columns").and_then(|columns| self.schema(columns))?.separated_by(separator);
        let key = keys.and_then(|names| self.key(&names, &schema, name.value)).unwrap_or_default();
        let time = time.and_then(|text| self.time(&text, &schema, name.value)).unwrap_or_default();
        let topic = topic.map_or_else(String::new, |topic| topic.value.to_owned());
        let format = format.unwrap_or(FORMATS[0].name);
        Some(Topic { name: name.value.to_owned(), topic, format, schema, key, time, lateness_ms })
    }

    /// Checks the separator of CSV.
    fn separator(&self, text: &Text) -> Option<Separator> {
        let found = Separator::named(text.value);
        if found.is_none() {
            let message = format!("{:?} cannot separate the fields of CSV", text.value);
            self.problems.expected(text.span.clone(), message, Separator::EXPECTED);
        }
        found
    }

    /// Checks a topic's name by Kafka's rule.
    fn check_topic(&self, topic: &Text) {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let fits = (1..=249).contains(&topic.value.len()) && topic.value.chars().all(good);
        if !fits || matches!(topic.value, "." | "..") {
            let expected = "1 to 249 letters, digits, '.', '_' and '-'";
            self.problems.expected(topic.span.clone(), format!("'{}' cannot name a topic", topic.value), expected);
        }
    }

    /// Checks a `key`: its columns must not be nullable.
    fn key(&self, names: &[Text], schema: &Schema, of: &str) -> Option<Vec<usize>> {
        let key = self.columns(names, schema, of)?;
        for (name, at) in names.iter().zip(&key) {
            if schema.columns[*at].nullable && !self.is_broken(name.value) {
                let message = format!("key column '{}' may be null", name.value);
                let ty = schema.columns[*at].ty;
                self.problems.expected(name.span.clone(), message, format!("type \"{ty}\" rather than \"{ty}?\""));
            }
        }
        Some(key)
    }

    /// Checks a `time`: the name of a column, or an expression over the columns.
    fn time(&self, text: &Text, schema: &Schema, of: &str) -> Option<RecordTime> {
        let is_name = text.value.chars().all(|c| c.is_alphanumeric() || c == '_');
        match is_name || schema.index_of(text.value).is_some() {
            true => self.time_column(text, schema, of).map(RecordTime::Column),
            false => self.time_expression(text, &Scope::of(of, schema)).map(RecordTime::computed),
        }
    }

    /// Checks an event time by expression: a timestamp that depends on the record.
    fn time_expression(&self, text: &Text, scope: &Scope) -> Option<Expr> {
        let expr = self.expr(text, scope)?;
        let fault = match expr.ty() {
            Type::Timestamp if expr.columns().is_empty() => "the event time is the same for all records".to_owned(),
            Type::Timestamp => return Some(expr),
            other => format!("the event time is of type {other}"),
        };
        if !self.touches_broken(text.value) {
            let expected = "a timestamp made from the columns, such as \"to_timestamp(epoch)\"";
            self.problems.add_inside(text, [Mistake::new(0..0, fault).expected(expected)]);
        }
        None
    }

    /// Checks the column of an event time: a timestamp that is not nullable.
    fn time_column(&self, name: &Text, schema: &Schema, of: &str) -> Option<usize> {
        let at = self.column(name, schema, of)?;
        let column = &schema.columns[at];
        if (column.ty != Type::Timestamp || column.nullable) && !self.is_broken(name.value) {
            let mark = if column.nullable { "?" } else { "" };
            let message = format!("time column '{}' is of type \"{}{mark}\"", name.value, column.ty);
            self.problems.expected(name.span.clone(), message, "type \"timestamp\"");
        }
        Some(at)
    }

    /// Checks a table of `columns`. `None` if there are none.
    fn schema(&self, columns: &'a TomlValue<'a>) -> Option<Schema> {
        let DeValue::Table(table) = columns.get_ref() else {
            return wrong(self.problems, columns.span(), columns.get_ref(), "a table of columns and their types");
        };
        if table.is_empty() {
            self.problems.expected(columns.span(), "there are no columns", "one at least");
            return None;
        }
        let column = |(name, value): (Text<'a>, _)| {
            let label = name.value;
            self.declared_column(name, value).unwrap_or_else(|| {
                // A stand-in, so that the other columns can be checked; uses of this one are not.
                self.mark_broken(label);
                Column::new(label, Type::String, true)
            })
        };
        Some(Schema::new(entries(table).into_iter().map(column).collect()))
    }

    /// Checks a column's name and type. `None` if the type is wrong.
    fn declared_column(&self, name: Text<'a>, value: &'a TomlValue<'a>) -> Option<Column> {
        if name.value.is_empty() || name.value.contains(['.', '"']) || name.value.chars().any(char::is_control) {
            let message = format!("{:?} cannot name a column", name.value);
            self.problems.expected(
                name.span.clone(),
                message,
                "a name without dots (`path` says where records have it)",
            );
        }
        if RESERVED.contains(&name.value) {
            let message = format!("'{}' is a name of tidemill's own", name.value);
            self.problems.expected(name.span.clone(), message, "another name (`path` says where records have it)");
        }
        if let DeValue::String(ty) = value.get_ref() {
            let (ty, nullable) = self.column_type(&Text { value: ty, span: value.span() })?;
            return Some(Column::new(name.value, ty, nullable));
        }
        if !value.get_ref().is_table() {
            return wrong(self.problems, value.span(), value.get_ref(), "a type, or a table with one");
        }
        let fields = Fields::of(value, &COLUMN, self.problems)?;
        let (ty, nullable) = self.column_type(&fields.text("type")?)?;
        let mut column = Column::new(name.value, ty, nullable);
        if let Some(path) = fields.get("path") {
            column.path = self.path(path).unwrap_or_default();
        }
        column.resolution = self.resolution(&fields, Some(ty)).map(|digits| libm::pow(10.0, -f64::from(digits)));
        column.time = self.time_rules(&fields, ty);
        Some(column)
    }

    /// Checks how a column's values are read as times: `unit` or `time_format`.
    fn time_rules(&self, fields: &Fields<'a>, ty: Type) -> TimeRules {
        let mut rules = TimeRules::default();
        let (unit, format) = (fields.text("unit"), fields.text("time_format"));
        for (key, text) in [("unit", &unit), ("time_format", &format)] {
            if let Some(text) = text.as_ref().filter(|_| ty != Type::Timestamp) {
                let message = format!("'{key}' does not apply to type {ty}");
                self.problems.expected(text.span.clone(), message, "a timestamp");
            }
        }
        if let (Some(_), Some(format)) = (&unit, &format) {
            let message = "'time_format' and 'unit' exclude each other";
            self.problems.expected(format.span.clone(), message, "one of them: a format reads numbers by their digits");
        }
        rules.unit = unit.and_then(|unit| self.one_of(&unit, "unit", &TimeUnit::ALL));
        rules.format = format.and_then(|text| match TimeFormat::new(text.value) {
            Ok(format) => Some(format),
            Err(why) => {
                let message = format!("{:?} is not a time format: {why}", text.value);
                let expected = "directives of strftime that determine a date, such as \"%d/%m/%Y %H:%M\"";
                self.problems.expected(text.span.clone(), message, expected);
                None
            }
        });
        rules
    }

    /// Parses a type and whether it is nullable.
    fn column_type(&self, text: &Text) -> Option<(Type, bool)> {
        let (name, nullable) = match text.value.strip_suffix('?') {
            Some(name) => (name, true),
            None => (text.value, false),
        };
        let found = Type::ALL.into_iter().find(|ty| ty.name() == name);
        if found.is_none() {
            let names = Type::ALL.map(Type::name);
            let mistake = Mistake::new(text.span.clone(), format!("unknown type '{}'", text.value))
                .expected(format!("one of {}, with '?' if it may be null", names.join(", ")));
            self.problems.add(mistake.suggest(nearest(name, names)));
        }
        Some((found?, nullable))
    }

    /// Parses a `path`: a list of names, or names joined by dots.
    fn path(&self, value: &'a TomlValue<'a>) -> Option<Vec<String>> {
        let path: Vec<String> = match value.get_ref() {
            DeValue::Array(list) => {
                let names: Option<Vec<Text>> = list.iter().map(|name| text(name, self.problems)).collect();
                names?.iter().map(|name| name.value.to_owned()).collect()
            }
            _ => text(value, self.problems)?.value.split('.').map(str::to_owned).collect(),
        };
        if path.is_empty() || path.iter().any(String::is_empty) {
            self.problems.expected(value.span(), "a name in this path is empty", "names, such as \"payload.amount\"");
        }
        Some(path)
    }

    /// Returns the decimal digits that `resolution` keeps of a float; `None` if it is absent or wrong.
    pub fn resolution(&self, fields: &Fields, ty: Option<Type>) -> Option<u32> {
        let step = fields.number("resolution")?;
        let span = fields.span("resolution");
        if ty != Some(Type::Float) {
            let what = ty.map_or_else(|| "records".to_owned(), |ty| format!("type {ty}"));
            self.problems.expected(span, format!("'resolution' does not apply to {what}"), "a float");
            return None;
        }
        let digits = (0..=MAX_DIGITS).find(|digits| step == format!("1e-{digits}").parse().unwrap_or(f64::NAN));
        if digits.is_none() {
            self.problems.expected(span, format!("{step} is not a resolution"), format!("1, 0.1, … 1e-{MAX_DIGITS}"));
        }
        digits
    }

    /// Returns the value of a word; `None` if it is not one of `words`.
    pub fn one_of<T: Copy>(&self, text: &Text, what: &str, words: &[(&str, T)]) -> Option<T> {
        let found = words.iter().find(|(word, _)| *word == text.value).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let mistake = Mistake::new(text.span.clone(), format!("unknown {what} '{}'", text.value))
                .expected(format!("one of {}", names.join(", ")));
            self.problems.add(mistake.suggest(nearest(text.value, names.iter().copied())));
        }
        found
    }
}

/// Returns the names that `format` may have: of messages, and those that only files have.
fn format_names() -> Vec<(&'static str, &'static str)> {
    let mut names: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
    names.extend(FILE_FORMATS.iter().map(|format| format.format));
    let mut seen = Vec::new();
    names.retain(|name| {
        !seen.contains(name) && {
            seen.push(*name);
            true
        }
    });
    names.into_iter().map(|name| (name, name)).collect()
}
