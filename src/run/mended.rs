//! Mended dead letters: the records of a file of dead letters, to be loaded into their topics again.
//!
//! The file is one that a run or a replay has written, with letters taken out and their `value` mended. Nothing is loaded
//! unless every record can be read: what remains at fault is reported by its line, so that a second attempt loads no
//! record twice.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use serde::Deserialize;

use super::Failure;
use crate::flow::Plan;
use crate::source::{DELETED, Format, Ingest, InputStatus, Partition, RecordText, RecordsPartition, SourcePlan};
use crate::time::Offset;

/// The most faults that are reported one by one.
const MOST_FAULTS: usize = 10;

/// The records of one topic.
#[derive(Debug, Default)]
struct TopicRecords {
    records: Vec<RecordText>,
    /// The line of each record in the file.
    lines: Vec<usize>,
    /// The value and the line of each record by its place in the log.
    known: BTreeMap<(u32, Offset), (String, usize)>,
}

/// Mended records by topic.
#[derive(Debug)]
pub struct MendedLetters {
    path: String,
    topics: BTreeMap<String, TopicRecords>,
}

/// The fields of a dead letter that are needed to load it.
#[derive(Deserialize)]
struct MendedLetter {
    source: String,
    partition: u32,
    offset: Offset,
    value: Option<String>,
    format: Option<String>,
    header: Option<Arc<str>>,
}

impl MendedLetters {
    /// Reads a file of dead letters.
    ///
    /// # Errors
    /// If it cannot be read, or a line is no dead letter of this dataflow.
    pub fn read(path: &Path, plan: &Plan) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut mended = MendedLetters { path: path.display().to_string(), topics: BTreeMap::new() };
        let mut faults = Vec::new();
        for (line, letter) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            if let Err(why) = mended.add(line, letter, plan) {
                faults.push((line, why));
            }
        }
        mended.report(faults)?;
        Ok(mended)
    }

    fn add(&mut self, line: usize, letter: &str, plan: &Plan) -> Result<(), String> {
        let letter: MendedLetter =
            serde_json::from_str(letter).map_err(|error| format!("not a dead letter: {error}"))?;
        let MendedLetter { source, partition, offset, value, format, header } = letter;
        let reader = plan.readers().find(|reader| reader.source == source);
        let reader = reader.ok_or_else(|| format!("the dataflow has no source or table {source:?}"))?;
        let value = value.ok_or("a delete, which has no value to mend")?;
        let format = match &format {
            Some(name) => Some(Format::named(name).ok_or_else(|| format!("there is no message format {name:?}"))?),
            None => reader.format,
        };
        let format = format.ok_or("it has no \"format\"; expected \"json\" or \"csv\"")?;

        // Several sources of a topic may have refused one record, which is loaded once.
        let topic = self.topics.entry(reader.topic.clone()).or_default();
        if let Some((known, before)) = topic.known.get(&(partition, offset)) {
            return match *known == value {
                true => Ok(()),
                false => Err(format!("the same record as in line {before}, but mended otherwise")),
            };
        }
        topic.known.insert((partition, offset), (value.clone(), line));
        topic.lines.push(line);
        topic.records.push(RecordText { format, header, value });
        Ok(())
    }

    /// Returns whether a topic has records.
    pub fn has(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// Returns the records of a topic as a partition.
    pub fn partition(&self, plan: &SourcePlan, nulls: &[String]) -> RecordsPartition {
        let records = self.topics.get(&plan.topic).map(|topic| topic.records.clone()).unwrap_or_default();
        RecordsPartition::new(records, plan.schema.clone(), nulls.to_vec(), vec![DELETED.to_owned()])
    }

    /// Checks that every record of some topics can be read.
    ///
    /// # Errors
    /// If one cannot; the text has its line.
    pub fn check(&self, plans: &[(SourcePlan, Vec<String>)]) -> Result<(), Failure> {
        let mut faults = Vec::new();
        for (plan, nulls) in plans {
            let lines = self.topics.get(&plan.topic).map_or(&[][..], |topic| &topic.lines);
            let mut partition = self.partition(plan, nulls);
            let mut ingest = Ingest::new(Arc::new(plan.for_reading_all()), 0);
            while partition.read(1024, &mut ingest)? != InputStatus::EndOfInput {}
            for letter in ingest.take_unsorted().letters {
                let line = lines.get(letter.offset as usize).copied().unwrap_or_default();
                faults.push((line, letter.detail));
            }
        }
        self.report(faults)
    }

    /// Returns the error for these faults; `Ok` if there are none.
    fn report(&self, mut faults: Vec<(usize, String)>) -> Result<(), Failure> {
        if faults.is_empty() {
            return Ok(());
        }
        faults.sort();
        faults.dedup_by_key(|(line, _)| *line);
        let mut text = format!("{} dead letters cannot be loaded, so none was:", faults.len());
        for (line, why) in faults.iter().take(MOST_FAULTS) {
            write!(text, "\n  {}:{line}: {why}", self.path).expect("writing to a string does not fail");
        }
        if faults.len() > MOST_FAULTS {
            text += "\n  …";
        }
        Err(Failure::Runtime(anyhow!(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Scalar;

    const FILE: &str = r#"
name = "demo"
[source.a]
topic = "t"
format = "csv"
time = "at"
columns = { n = "int", s = "string?", at = "timestamp" }
[source.b]
topic = "t"
format = "csv"
time = "at"
columns = { n = "int", s = "string?", at = "timestamp" }
"#;

    /// Returns the rows of the topic, or the reason why nothing can be loaded.
    fn load(letters: &[&str]) -> Result<Vec<Vec<Scalar>>, String> {
        let plan =
            Plan::new(Arc::new(crate::spec::parse(FILE, "demo.toml").unwrap_or_else(|errors| panic!("{errors}"))));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), letters.join("\n")).unwrap();
        let told = |failure| match failure {
            Failure::Usage(text) => text,
            Failure::Runtime(error) => error.to_string(),
        };
        let reader = plan.readers().next().unwrap();
        let plans = [(reader.for_reading_all(), vec![String::new()])];
        let mended = MendedLetters::read(file.path(), &plan).map_err(told)?;
        mended.check(&plans).map_err(told)?;
        let mut ingest = Ingest::new(Arc::new(reader.for_reading_all()), 0);
        mended.partition(&plans[0].0, &plans[0].1).read(100, &mut ingest).unwrap();
        let batch = ingest.take_unsorted().batch;
        let row = |row| batch.columns.iter().map(|column| Scalar::of(column, row)).collect();
        Ok((0..batch.len()).map(row).collect())
    }

    #[test]
    fn mended_records_of_every_format_are_loaded_once() {
        let csv_file = r#"{"source":"a","partition":0,"offset":3,"format":"csv","header":"at,\"s\",more,n","value":"5,\"x, \"\"y\"\"\",,7"}"#;
        let json = r#"{"source":"a","topic":"t","partition":0,"offset":4,"format":"json","key":null,"value":"{\"n\":8,\n\"at\":6}"}"#;
        let message = r#"{"source":"b","partition":1,"offset":4,"reason":"malformed","format":"csv","value":"9,,7"}"#;
        let row = |n, s: Option<&str>, at| {
            vec![Scalar::Int(n), s.map_or(Scalar::Null, |s| Scalar::String(s.into())), Scalar::Timestamp(at)]
        };
        let expected = vec![row(7, Some("x, \"y\""), 5), row(8, None, 6), row(9, None, 7)];
        let again = csv_file.replace("\"a\"", "\"b\"");
        assert_eq!(load(&[csv_file, "", json, &again, message]), Ok(expected));
    }

    #[test]
    fn nothing_is_loaded_while_a_letter_is_at_fault() {
        let letter =
            |value: &str| format!(r#"{{"source":"a","partition":0,"offset":1,"format":"csv","value":"{value}"}}"#);
        let wrong = |letters: &[&str], expected: &str| {
            let told = load(letters).unwrap_err();
            assert!(told.contains("cannot be loaded, so none was") && told.contains(expected), "{told}");
        };
        let good = letter("1,,2");
        wrong(&[&good, &letter("x,,2").replace(":1,", ":2,")], ":2: n: expected int, found the text \"x\"");
        wrong(&[&good, &letter("3,,2")], ":2: the same record as in line 1, but mended otherwise");
        wrong(&["{"], ":1: not a dead letter");
        wrong(&[&good.replace("\"a\"", "\"c\"")], ":1: the dataflow has no source or table \"c\"");
        wrong(&[&good.replace("\"1,,2\"", "null")], ":1: a delete");
        let header = r#""header":"n,s","format""#;
        wrong(&[&good.replace("\"format\"", header)], ":1: has no column \"at\"");
    }
}
