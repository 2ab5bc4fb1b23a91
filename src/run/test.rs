//! `test`: the `[[test]]` blocks of a dataflow file.
//!
//! Each block runs in a graph of its own, that of a replay, with its records in memory. One line a test says whether all
//! features are as expected; one that fails goes on with what differs, and with the records.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;

use super::args::CommonArgs;
use super::in_memory::{self, InMemoryResult, json_partition};
use super::{Failure, inspect, output};
use crate::expr::nearest;
use crate::flow::Plan;
use crate::spec::{Expectation, ExpectedFeature, TestCase};

/// The most records of a failed test that are printed.
const MOST_RECORDS: usize = 50;

/// Runs the tests of a file: all, or those of these names.
///
/// # Errors
/// If the file has mistakes, or no test of a name, or if a test fails.
pub fn run(file: &Path, common: &CommonArgs, names: &[String]) -> Result<(), Failure> {
    let plan = Arc::new(Plan::new(Arc::new(inspect::load(file)?)));
    let tests = chosen(&plan.spec.tests, names, file)?;
    let workers = common.workers.unwrap_or(1).max(1);
    let mut failures = 0;
    for test in &tests {
        let faults = faults(&plan, test, workers)?;
        let report = match faults.is_empty() {
            true if common.quiet => String::new(),
            true => format!("ok    {}\n", test.name),
            false => failed(&plan, test, &faults, file),
        };
        output::print(&report)?;
        failures += usize::from(!faults.is_empty());
    }
    match failures {
        0 => Ok(()),
        failures => {
            let count = tests.len();
            Err(Failure::Runtime(anyhow!("{failures} of {count} {} failed", if count == 1 { "test" } else { "tests" })))
        }
    }
}

/// Returns the tests of these names in the order of the file; all if there are no names.
fn chosen<'a>(tests: &'a [TestCase], names: &[String], file: &Path) -> Result<Vec<&'a TestCase>, Failure> {
    let file = file.display();
    if tests.is_empty() {
        return Err(Failure::Usage(format!("error: {file} has no tests; expected blocks under [[test]]")));
    }
    let known = || tests.iter().map(|test| test.name.as_str());
    if let Some(unknown) = names.iter().find(|name| known().all(|known| known != name.as_str())) {
        let hint = match nearest(unknown, known()) {
            Some(name) => format!("did you mean {name:?}?"),
            None => {
                let names: Vec<String> = known().map(|name| format!("{name:?}")).collect();
                format!("expected one of {}", names.join(", "))
            }
        };
        return Err(Failure::Usage(format!("error: --name: {file} has no test {unknown:?}; {hint}")));
    }
    Ok(tests.iter().filter(|test| names.is_empty() || names.contains(&test.name)).collect())
}

/// Runs a test and returns what is not as it should be, in words.
fn faults(plan: &Arc<Plan>, test: &TestCase, workers: usize) -> Result<Vec<String>, Failure> {
    let inputs = plan.readers().zip(&test.records).map(|(reader, records)| {
        let messages = records.iter().map(|record| record.json.as_str());
        json_partition(reader, messages)
    });
    let result = in_memory::run(plan, inputs.collect(), test.asof, workers)?;
    let mut faults = Vec::new();
    for letter in &result.letters {
        let topic = plan.readers().position(|reader| reader.source == letter.source);
        let record = topic.and_then(|topic| test.records[topic].get(letter.offset as usize));
        let line = record.map_or_else(String::new, |record| format!(" of line {}", record.line));
        faults.push(format!("the record{line} is a dead letter, {}: {}", letter.reason.name(), letter.detail));
    }
    test.expectations.iter().for_each(|expected| compare(plan, test, expected, &result, &mut faults));
    Ok(faults)
}

/// Adds the features of an entity that are not as expected.
fn compare(plan: &Plan, test: &TestCase, expected: &Expectation, result: &InMemoryResult, faults: &mut Vec<String>) {
    let group = &plan.groups[expected.group];
    let table = result.online.group(&group.name).expect("the store has all groups");
    let found = table.get(&group.codec.encode_one(&expected.entity));
    let empty;
    let vector = match &found {
        Some(vector) => vector.as_ref(),
        None => {
            empty = group.layout.empty();
            &empty
        }
    };
    for ExpectedFeature { feature, value } in &expected.features {
        let found = group.feature(vector, *feature, test.asof);
        if !value.admits(&found, test.asof) {
            let (name, got) = (&group.names[*feature], found.to_json(test.asof));
            faults.push(format!("{} {name}: expected {}, got {got}", expected.path, value.to_json()));
        }
    }
}

/// Returns the report of a test that failed.
fn failed(plan: &Plan, test: &TestCase, faults: &[String], file: &Path) -> String {
    let mut report = format!("FAIL  {} ({}:{})\n", test.name, file.display(), test.line);
    let mut line = |text: &str| writeln!(report, "      {text}").expect("writing to a string does not fail");
    faults.iter().for_each(|fault| line(fault));
    line("from the records");
    let records = plan.readers().zip(&test.records).flat_map(|(reader, records)| {
        records.iter().map(|record| format!("  {}:{} {}", reader.source, record.line, record.json))
    });
    let records: Vec<String> = records.collect();
    records.iter().take(MOST_RECORDS).for_each(|record| line(record));
    if records.len() > MOST_RECORDS {
        line(&format!("  and {} more", records.len() - MOST_RECORDS));
    }
    report
}
