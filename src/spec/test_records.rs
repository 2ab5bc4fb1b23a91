//! The records of a `[[test]]` block: written in TOML, decoded as JSON messages of their topic are.
//!
//! A record that a run would refuse is a mistake at its place in the file. What is too late for all windows is known
//! only in the order of all records, so it is left to the run of the test.

use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::checker::Checker;
use super::problem::Mistake;
use super::reader::{TomlValue, entries, wrong};
use super::test_case::TestRecord;
use super::toml_text::Text;
use super::{Spec, Topic};
use crate::expr::{Expr, nearest};
use crate::source::{Format, Ingest, Json, MessageFormat, RawMessage, SourcePlan};
use crate::time::EventTime;
use crate::value::{DELETED, Schema, Type};

/// The records of a block.
pub struct BlockRecords {
    /// By position of the topic (sources, then tables).
    pub by_topic: Vec<Vec<TestRecord>>,
    /// The newest event time; `None` if there is no record.
    pub newest: Option<EventTime>,
}

/// A record and its place.
struct PlacedRecord<'a> {
    value: &'a TomlValue<'a>,
    json: String,
}

impl<'a> Checker<'a> {
    /// Checks the records of a block, by source or table.
    pub fn test_records(&self, value: &'a TomlValue<'a>) -> Option<BlockRecords> {
        let DeValue::Table(table) = value.get_ref() else {
            return wrong(self.problems, value.span(), value.get_ref(), "a table from sources to lists of records");
        };
        let before = self.problems.count();
        let topics = self.spec.sources.len() + self.spec.tables.len();
        let mut records = BlockRecords { by_topic: vec![Vec::new(); topics], newest: None };
        for (name, list) in entries(table) {
            let Some(topic) = self.topic_position(&name) else { continue };
            let DeValue::Array(list) = list.get_ref() else {
                wrong::<()>(self.problems, list.span(), list.get_ref(), "a list of records");
                continue;
            };
            let plan = decoding_plan(&self.spec, topic);
            let placed: Vec<PlacedRecord<'a>> =
                list.iter().filter_map(|record| self.placed_record(record, &plan)).collect();
            records.newest = records.newest.max(self.decode(&placed, &plan));
            let of = |record: PlacedRecord| {
                let place = self.problems.line_column(record.value.span().start);
                TestRecord { json: record.json, line: place.line }
            };
            records.by_topic[topic] = placed.into_iter().map(of).collect();
        }
        if records.by_topic.iter().all(Vec::is_empty) && self.problems.count() == before {
            self.problems.expected(value.span(), "there are no records", "one at least");
        }
        Some(records)
    }

    /// Returns the position of a source or table among the topics; reports a name that is neither.
    fn topic_position(&self, name: &Text) -> Option<usize> {
        let names = || self.spec.topics().map(|topic| topic.name.as_str());
        let found = names().position(|known| known == name.value);
        if found.is_none() && !self.is_broken(name.value) {
            let mistake = Mistake::new(name.span.clone(), format!("unknown source or table '{}'", name.value))
                .expected(format!("one of {}", names().collect::<Vec<_>>().join(", ")));
            self.problems.add(mistake.suggest(nearest(name.value, names())));
        }
        found
    }

    fn placed_record(&self, value: &'a TomlValue<'a>, plan: &SourcePlan) -> Option<PlacedRecord<'a>> {
        let DeValue::Table(table) = value.get_ref() else {
            return wrong(self.problems, value.span(), value.get_ref(), "a record: a table from columns to values");
        };
        self.check_fields(table, plan);
        Some(PlacedRecord { value, json: self.json(value)?.to_string() })
    }

    /// Reports fields of a record that no column reads. A record whose columns have paths may be part of more.
    fn check_fields(&self, table: &'a DeTable<'a>, plan: &SourcePlan) {
        let columns = &plan.schema.columns;
        if columns.iter().any(|column| column.path.len() > 1) {
            return;
        }
        let names = || columns.iter().map(|column| column.path[0].as_str()).filter(|name| *name != DELETED);
        for (name, _) in entries(table) {
            if columns.iter().all(|column| column.path[0] != name.value) {
                let message = format!("'{}' has no column '{}'", plan.source, name.value);
                let mistake = Mistake::new(name.span.clone(), message)
                    .expected(format!("one of {}", names().collect::<Vec<_>>().join(", ")));
                self.problems.add(mistake.suggest(nearest(name.value, names())));
            }
        }
    }

    /// Decodes records as a run would; reports those that it would refuse. Returns the newest event time.
    fn decode(&self, records: &[PlacedRecord], plan: &Arc<SourcePlan>) -> Option<EventTime> {
        // The time column may be a mistake of the source, which is reported there.
        let is_timestamp = |time: usize| plan.schema.columns[time].ty == Type::Timestamp;
        if !plan.time.column().is_none_or(is_timestamp) {
            return None;
        }
        let mut ingest = Ingest::new(plan.clone(), 0);
        let mut format = Json::new(&plan.schema);
        for (offset, record) in (0..).zip(records) {
            ingest.push(offset, None, RawMessage::default, |columns, present| {
                format.decode(record.json.as_bytes(), columns, present)
            });
        }
        let taken = ingest.take_unsorted();
        for letter in &taken.letters {
            // An offset is a position among the records.
            let span = records[letter.offset as usize].value.span();
            let message = format!("this record is a dead letter, {}: {}", letter.reason.name(), letter.detail);
            self.problems.expected(span, message, format!("a record of '{}'", plan.source));
        }
        taken.last
    }

    /// Converts a value to JSON: a time to text. Reports a number that JSON cannot hold.
    fn json(&self, value: &TomlValue) -> Option<serde_json::Value> {
        let out_of_range = || {
            self.problems.expected(value.span(), "this number is out of range", "a finite number, an int of 64 bits");
            None
        };
        Some(match value.get_ref() {
            DeValue::String(text) => text.as_ref().into(),
            DeValue::Boolean(value) => (*value).into(),
            DeValue::Datetime(time) => time.to_string().into(),
            DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
                Ok(int) => int.into(),
                Err(_) => return out_of_range(),
            },
            DeValue::Float(digits) => match digits.as_str().parse() {
                Ok(float) if f64::is_finite(float) => float.into(),
                _ => return out_of_range(),
            },
            DeValue::Array(items) => items.iter().map(|item| self.json(item)).collect::<Option<Vec<_>>>()?.into(),
            DeValue::Table(table) => {
                let field = |(name, value): (Text, &TomlValue)| Some((name.value.to_owned(), self.json(value)?));
                entries(table).into_iter().map(field).collect::<Option<serde_json::Map<_, _>>>()?.into()
            }
        })
    }
}

/// Returns how the records of a topic are decoded, whatever their order and the dataflow make of them.
fn decoding_plan(spec: &Spec, topic: usize) -> Arc<SourcePlan> {
    let (declared, filter): (&Topic, Option<Expr>) = match spec.sources.get(topic) {
        Some(source) => (&source.topic, source.filter.clone()),
        None => (&spec.tables[topic - spec.sources.len()].topic, None),
    };
    let is_table = topic >= spec.sources.len();
    let schema: Schema = if is_table { SourcePlan::with_deletes(&declared.schema) } else { declared.schema.clone() };
    Arc::new(SourcePlan {
        source: declared.name.clone(),
        topic: declared.topic.clone(),
        format: Format::named(Json::NAME),
        schema,
        key: declared.key.clone(),
        time: declared.time.clone(),
        // So far out of order may they be that none is late.
        lateness_ms: i64::MAX / 4,
        filter,
        is_table,
        needs_order: false,
        retention_ms: i64::MAX,
    })
}
