//! `tap`: the records of a stream as they come, or the vector of an entity as it changes, from a running job.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::args::{CommonArgs, JobArgs};
use super::features::AskedEntity;
use super::http_client::{JobUrl, segment};
use super::{Failure, output, print_err};

/// The time between two requests. A job keeps the newest records of a stream for much longer.
const PAUSE: Duration = Duration::from_millis(200);

/// The flags of `tap`.
#[derive(Args, Clone, Debug)]
pub struct TapOptions {
    /// A source or a view; with an entity, a feature group.
    name: String,
    /// The values of the entity's columns, in their order.
    #[arg(allow_negative_numbers = true)]
    entity: Vec<String>,
    /// Prints only records in which a column has this value as text; may be repeated.
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
    /// Returns whether a record meets the condition. Null is the empty text.
    fn is_met(&self, record: &Value) -> bool {
        let found = match &record[&self.column] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        found == self.value
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
        return records(options, &job, most);
    }
    if !options.conditions.is_empty() {
        return Err(Failure::Usage("error: --where is for records; expected a stream without an entity".to_owned()));
    }
    vectors(&AskedEntity { group: options.name.clone(), key: options.entity.clone() }, &job, most)
}

/// Prints the records of a stream from now on.
fn records(options: &TapOptions, job: &JobUrl, most: usize) -> Result<(), Failure> {
    let path = format!("/tap/{}", segment(&options.name));
    let mut next = None;
    let mut printed = 0;
    while printed < most {
        let query = next.map_or_else(String::new, |next: u64| format!("?from={next}"));
        let answer = job.get(&(path.clone() + &query))?.body()?;
        next = Some(answer["next"].as_u64().context("the answer has no number of the next record")?);
        if let Some(missed) = answer["missed"].as_u64().filter(|missed| *missed > 0) {
            print_err(format_args!("{missed} records were missed"));
        }
        let records = answer["records"].as_array().context("the answer has no records")?;
        let wanted = records.iter().filter(|record| options.conditions.iter().all(|it| it.is_met(record)));
        for record in wanted.take(most - printed) {
            if !output::print_line(&record.to_string())? {
                return Ok(());
            }
            printed += 1;
        }
        if records.is_empty() {
            sleep(PAUSE);
        }
    }
    Ok(())
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
