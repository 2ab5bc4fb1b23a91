//! `[[test]]` blocks: a name, records, and the features expected of entities.

use percent_encoding::percent_decode_str;
use toml::de::DeValue;

use super::Group;
use super::checker::Checker;
use super::keys::TEST;
use super::problem::Mistake;
use super::reader::{Fields, TomlValue, entries, texts, wrong};
use super::test_case::{Expectation, ExpectedFeature, ExpectedValue, TestCase};
use super::toml_text::Text;
use crate::aggregate::FeatureType;
use crate::error::LineColumn;
use crate::expr::nearest;
use crate::time::{EARLIEST, EventTime, LATEST, format_time, in_range};
use crate::value::{Scalar, TimeRules, Type};

/// A group and an entity, as a block names them.
struct NamedEntity {
    group: usize,
    entity: Vec<Scalar>,
}

impl<'a> Checker<'a> {
    /// Checks the blocks of a file and adds them to the spec.
    pub fn tests(&mut self, file: &Fields<'a>) {
        let Some(value) = file.get("test") else { return };
        let DeValue::Array(blocks) = value.get_ref() else {
            wrong::<()>(self.problems, value.span(), value.get_ref(), "blocks, each under [[test]]");
            return;
        };
        let mut names: Vec<&str> = Vec::new();
        for block in blocks.iter() {
            let before = self.problems.count();
            let Some(fields) = Fields::of(block, &TEST, self.problems) else { continue };
            if let Some(name) = fields.text("name") {
                self.check_test_name(&name, &names);
                names.push(name.value);
            }
            let test = self.test(&fields);
            if self.problems.count() > before {
                continue;
            }
            if fields.get("expect").is_none() && fields.get("expect_null").is_none() {
                self.problems.expected(fields.at.clone(), "nothing is expected", "'expect' or 'expect_null'");
            }
            self.spec.tests.extend(test);
        }
    }

    fn test(&self, fields: &Fields<'a>) -> Option<TestCase> {
        let records = fields.get("records").and_then(|records| self.test_records(records));
        let mut expectations = Vec::new();
        for key in ["expect", "expect_null"] {
            let Some(value) = fields.get(key) else { continue };
            let DeValue::Table(table) = value.get_ref() else {
                wrong::<()>(self.problems, value.span(), value.get_ref(), "a table from \"group/entity\" to features");
                continue;
            };
            for (path, features) in entries(table) {
                let Some(NamedEntity { group, entity }) = self.named_entity(&path) else { continue };
                let declared = &self.spec.groups[group];
                let features = match key {
                    "expect" => self.expected_values(declared, features),
                    _ => self.expected_nulls(declared, features),
                };
                let path = path.value.to_owned();
                expectations.push(Expectation { path, group, entity, features: features.unwrap_or_default() });
            }
        }
        let asked = fields.get("at").map(|at| self.asking_time(at));
        let records = records?;
        let newest = records.newest.map(|newest| newest + 1);
        let asof = asked.unwrap_or(newest)?;
        let LineColumn { line, .. } = self.problems.line_column(fields.at.start);
        Some(TestCase {
            name: fields.text("name")?.value.to_owned(),
            line,
            records: records.by_topic,
            asof,
            expectations,
        })
    }

    /// Checks a name; `names` are those of the blocks before.
    fn check_test_name(&self, name: &Text, names: &[&str]) {
        if names.contains(&name.value) {
            let message = format!("two tests are named '{}'", name.value);
            self.problems.expected(name.span.clone(), message, "a name of its own");
        }
        if name.value.trim().is_empty() || name.value.contains(char::is_control) {
            self.problems.expected(name.span.clone(), format!("{:?} cannot name a test", name.value), "a line of text");
        }
    }

    /// Finds the group and the entity of a `"group/key"`; reports what is wrong with it.
    fn named_entity(&self, path: &Text) -> Option<NamedEntity> {
        let mut segments = path.value.split('/');
        let name = segments.next().unwrap_or_default();
        let names = || self.spec.groups.iter().map(|group| group.name.as_str());
        let Some(group) = names().position(|known| known == name) else {
            if !self.is_broken(name) {
                let mistake = Mistake::new(path.span.clone(), format!("unknown feature group '{name}'"))
                    .expected("a feature group and its entity, such as \"group/key\"");
                self.problems.add(mistake.suggest(nearest(name, names())));
            }
            return None;
        };
        let segments: Vec<&str> = segments.collect();
        let declared = &self.spec.groups[group];
        let columns = &self.spec.stream_schema(declared.from).columns;
        let columns: Vec<_> = declared.entity.iter().map(|at| &columns[*at]).collect();
        if segments.len() != columns.len() {
            let expected: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            let count = segments.len();
            let message = format!("'{}' has {count} for the {} columns of the entity", path.value, columns.len());
            let expected = format!("\"{name}/{{{}}}\"", expected.join("}/{"));
            self.problems.expected(path.span.clone(), message, expected);
            return None;
        }
        let mut entity = Vec::with_capacity(columns.len());
        for (segment, column) in segments.iter().zip(columns) {
            let text = percent_decode_str(segment).decode_utf8().ok();
            let value = text.and_then(|text| Scalar::of_text(column.ty, &text));
            if value.is_none() {
                let message = format!("'{segment}' is not a value of the column '{}'", column.name);
                self.problems.expected(
                    path.span.clone(),
                    message,
                    format!("a value of type {}, percent-encoded", column.ty),
                );
            }
            entity.extend(value);
        }
        (entity.len() == segments.len()).then_some(NamedEntity { group, entity })
    }

    /// Checks the features of an entity and their values.
    fn expected_values(&self, group: &Group, value: &'a TomlValue<'a>) -> Option<Vec<ExpectedFeature>> {
        let DeValue::Table(table) = value.get_ref() else {
            return wrong(self.problems, value.span(), value.get_ref(), "a table from features to values");
        };
        let of = |(name, value): (Text, &TomlValue)| {
            let feature = self.feature_position(group, &name)?;
            Some(ExpectedFeature { feature, value: self.expected_value(group.feature_column(feature).1, value)? })
        };
        Some(entries(table).into_iter().filter_map(of).collect())
    }

    /// Checks the features of an entity that must be null.
    fn expected_nulls(&self, group: &Group, value: &'a TomlValue<'a>) -> Option<Vec<ExpectedFeature>> {
        let names = texts(value, self.problems)?;
        let of = |name: &Text| {
            Some(ExpectedFeature { feature: self.feature_position(group, name)?, value: ExpectedValue::Null })
        };
        Some(names.iter().filter_map(of).collect())
    }

    /// Returns the position of a feature by name; reports it if there is none.
    fn feature_position(&self, group: &Group, name: &Text) -> Option<usize> {
        let names = || group.feature_names();
        let found = names().position(|known| known == name.value);
        if found.is_none() {
            let message = format!("'{}' has no feature '{}'", group.name, name.value);
            let mistake = Mistake::new(name.span.clone(), message)
                .expected(format!("one of {}", names().collect::<Vec<_>>().join(", ")));
            self.problems.add(mistake.suggest(nearest(name.value, names())));
        }
        found
    }

    fn expected_value(&self, ty: FeatureType, value: &TomlValue) -> Option<ExpectedValue> {
        match (ty, value.get_ref()) {
            (FeatureType::Scalar(ty), _) => self.expected_scalar(ty, value),
            (FeatureType::List(ty), DeValue::Array(items)) => {
                let items = items.iter().map(|item| self.expected_scalar(ty, item)).collect::<Option<_>>()?;
                Some(ExpectedValue::List(items))
            }
            (FeatureType::Map(ty), DeValue::Table(table)) => {
                let entry =
                    |(key, value): (Text, &TomlValue)| Some((key.value.to_owned(), self.expected_scalar(ty, value)?));
                let mut entries: Vec<_> = entries(table).into_iter().map(entry).collect::<Option<_>>()?;
                entries.sort_by(|one, other| one.0.cmp(&other.0));
                Some(ExpectedValue::Map(entries))
            }
            (FeatureType::List(ty), other) => wrong(self.problems, value.span(), other, &format!("a list of {ty}")),
            (FeatureType::Map(ty), other) => {
                wrong(self.problems, value.span(), other, &format!("a table from text to {ty}"))
            }
        }
    }

    fn expected_scalar(&self, ty: Type, value: &TomlValue) -> Option<ExpectedValue> {
        let exact = |scalar: Scalar| Some(ExpectedValue::Exact(scalar));
        match (ty, value.get_ref()) {
            (Type::String, DeValue::String(text)) => exact(Scalar::String(text.as_ref().into())),
            (Type::Bool, DeValue::Boolean(value)) => exact(Scalar::Bool(*value)),
            (Type::Int | Type::Float, DeValue::Integer(digits)) => {
                let int = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
                if int.is_none() {
                    self.problems.expected(value.span(), format!("{digits} is out of range"), "an int of 64 bits");
                }
                exact(if ty == Type::Int { Scalar::Int(int?) } else { Scalar::Float(int? as f64) })
            }
            (Type::Float, DeValue::Float(_)) => super::reader::number(value, self.problems).map(ExpectedValue::Near),
            (Type::Timestamp, DeValue::String(_) | DeValue::Datetime(_)) => {
                exact(Scalar::Timestamp(self.time_of(value)?))
            }
            (ty, other) => wrong(self.problems, value.span(), other, &format!("a value of type {ty}")),
        }
    }

    /// Returns the time as of which features are asked for; reports one that no record may have.
    fn asking_time(&self, value: &TomlValue) -> Option<EventTime> {
        let time = self.time_of(value)?;
        if !in_range(time) {
            let message = format!("{} is outside what an event time may be", format_time(time));
            let expected = format!("a time from {} until {}", format_time(EARLIEST), format_time(LATEST));
            self.problems.expected(value.span(), message, expected);
            return None;
        }
        Some(time)
    }

    /// Returns the time that a text, a date or an int of epoch ms stands for; reports it if it stands for none.
    fn time_of(&self, value: &TomlValue) -> Option<EventTime> {
        let rules = TimeRules::default();
        let (text, time) = match value.get_ref() {
            DeValue::String(text) => (text.to_string(), rules.of_text(text)),
            DeValue::Datetime(time) => (time.to_string(), rules.of_text(&time.to_string())),
            DeValue::Integer(digits) => (digits.to_string(), i64::from_str_radix(digits.as_str(), digits.radix()).ok()),
            other => return wrong(self.problems, value.span(), other, "a timestamp"),
        };
        if time.is_none() {
            let expected = "RFC 3339, such as \"2024-01-31T08:30:00Z\", a date or epoch ms";
            self.problems.expected(value.span(), format!("'{text}' is not a timestamp"), expected);
        }
        time
    }
}
