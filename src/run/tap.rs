//! `tap`: the records of a stream as they come, the vectors of a group or of one entity as they change, from a running job.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::args::{CommonArgs, JobArgs};
use super::features::AskedEntity;
use super::http_client::{JobUrl, segment};
use super::{Failure, output, print_err};
use crate::expr::nearest;

/// The time between two requests. A job keeps the newest records of a stream for much longer.
const PAUSE: Duration = Duration::from_millis(200);

/// The flags of `tap`.
#[derive(Args, Clone, Debug)]
pub struct TapOptions {
    /// A source, a view or a feature group.
    name: String,
    /// The values of the columns of one entity of a group, in their order; without them, all entities.
    #[arg(allow_negative_numbers = true)]
    entity: Vec<String>,
    /// Prints only records in which a column, or vectors in which a column of the entity or a feature, has this value as text; may be repeated.
    #[arg(long = "where", value_name = "COLUMN=VALUE", value_parser = condition_argument)]
    conditions: Vec<Condition>,
    /// Ends after this many lines.
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    #[command(flatten)]
    job: JobArgs,
}

/// A value that a column must have.
#[derive(Clone, Debug)]
struct Condition {
    column: String,
    value: String,
}

fn condition_argument(text: &str) -> Result<Condition, String> {
    let (column, value) = text.split_once('=').ok_or("expected COLUMN=VALUE")?;
    Ok(Condition { column: column.to_owned(), value: value.to_owned() })
}

impl Condition {
    /// Returns whether a record or a vector meets the condition. Null is the empty text.
    ///
    /// # Errors
    /// If a record, or a vector that is not null, has no such column.
    fn is_met(&self, line: &Value) -> Result<bool, Failure> {
        let places = [line, &line["entity"], &line["features"]];
        let found = places.into_iter().find_map(|place| place.get(&self.column));
        let found = match found {
            None if line.get("features").is_some_and(Value::is_null) => String::new(),
            None => return Err(self.unknown(line)),
            Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        Ok(found == self.value)
    }

    /// Builds the error of a column that a line does not have.
    fn unknown(&self, line: &Value) -> Failure {
        let places = match line.get("features") {
            Some(features) => vec![&line["entity"], features],
            None => vec![line],
        };
        let known = places.into_iter().filter_map(Value::as_object).flat_map(|place| place.keys());
        let known: Vec<&str> = known.map(String::as_str).collect();
        let nearest = nearest(&self.column, known.iter().copied()).map(|name| format!("; did you mean \"{name}\"?"));
        let (column, nearest) = (&self.column, nearest.unwrap_or_default());
        Failure::Usage(format!(
            "error: --where: there is no column \"{column}\"{nearest}; expected {}",
            known.join(", ")
        ))
    }
}

/// Prints records or vectors, an object a line, until it is interrupted, enough have been printed or stdout is closed.
///
/// # Errors
/// If the job does not answer, or has no such stream, group or entity.
pub fn run(options: &TapOptions, common: &CommonArgs) -> Result<(), Failure> {
    let job = options.job.job(common)?;
    let most = options.count.unwrap_or(usize::MAX);
    if options.entity.is_empty() {
        return changes(options, &job, most);
    }
    if !options.conditions.is_empty() {
        return Err(Failure::Usage("error: --where is for many records or vectors; expected no entity".to_owned()));
    }
    vectors(&AskedEntity { group: options.name.clone(), key: options.entity.clone() }, &job, most)
}

/// Prints the records of a stream, or the vectors of a group as they change, from now on.
fn changes(options: &TapOptions, job: &JobUrl, most: usize) -> Result<(), Failure> {
    let path = format!("/tap/{}", segment(&options.name));
    let mut next = None;
    let mut printed = 0;
    let mut is_first = true;
    while printed < most {
        let query = next.map_or_else(String::new, |next: u64| format!("?from={next}"));
        let mut answer = job.get(&(path.clone() + &query))?.body()?;
        next = Some(answer["next"].as_u64().context("the answer has no number of the next")?);
        if let Some(missed) = answer["missed"].as_u64().filter(|missed| *missed > 0) {
            let what = if answer["group"].is_string() { "changes" } else { "records" };
            print_err(format_args!("{missed} {what} were missed"));
        }
        let lines = lines(&mut answer).context("the answer has no records")?;
        for line in &lines {
            if printed < most && meets(line, &options.conditions)? {
                if !output::print_line(&line.to_string())? {
                    return Ok(());
                }
                printed += 1;
            }
        }
        if lines.is_empty() {
            if std::mem::take(&mut is_first) {
                print_err("waiting for the next record; a job whose files are read has none any more");
            }
            sleep(PAUSE);
        }
    }
    Ok(())
}

/// Returns whether a record or a vector meets all conditions.
fn meets(line: &Value, conditions: &[Condition]) -> Result<bool, Failure> {
    for condition in conditions {
        if !condition.is_met(line)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes the lines out of an answer: records, or vectors in the form of those of one entity.
fn lines(answer: &mut Value) -> Option<Vec<Value>> {
    if let Some(Value::Array(records)) = answer.get_mut("records").map(Value::take) {
        return Some(records);
    }
    let Value::Array(mut vectors) = answer.get_mut("vectors")?.take() else { return None };
    for vector in &mut vectors {
        vector["group"] = answer["group"].clone();
        vector["watermark"] = answer["watermark"].clone();
    }
    Some(vectors)
}

/// Prints the vector of an entity, and again whenever a feature has changed.
fn vectors(asked: &AskedEntity, job: &JobUrl, most: usize) -> Result<(), Failure> {
    let mut known = Value::Null;
    let (mut printed, mut is_open) = (0, true);
    loop {
        let answer = asked.get(None, job)?;
        if answer["features"] != known {
            known = answer["features"].clone();
            is_open = output::print_line(&answer.to_string())?;
            printed += 1;
        }
        if !is_open || printed >= most {
            return Ok(());
        }
        sleep(PAUSE);
    }
}
