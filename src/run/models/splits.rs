//! `models split`: shows, makes and clears the split of a model.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::place::{ModelPlace, check, newest_of, not_ahead, path};
use crate::registry::{AskedSplit, Registry, SplitByHand, SplitEntry, When, split_at};
use crate::run::Failure;
use crate::time::{EventTime, format_time};

/// The arms of a split, on the command line.
#[derive(Args, Clone, Debug)]
pub struct SplitArgs {
    /// The arms with their weights, as champion=90 challenger=10. Without any, the split is shown.
    #[arg(value_name = "ARM=WEIGHT")]
    weights: Vec<String>,
    /// The version that an arm or a shadow stands for, if its name does not say: champion, an alias, the number of a version, or model:NAME.
    #[arg(long = "arm", value_name = "NAME=TARGET", requires = "weights")]
    arms: Vec<String>,
    /// An arm that predicts beside the answer, with the share of the entities that it predicts for; 1 by default.
    #[arg(long = "shadow", value_name = "NAME[=SHARE]", requires = "weights")]
    shadows: Vec<String>,
    /// A column of an instance that is its entity, which has one arm; repeated, the columns together. By default the entity of the first feature group that the model looks up.
    #[arg(long = "entity", value_name = "COLUMN", requires = "weights")]
    entity: Vec<String>,
    /// Lets the arms but champion grow to their weights by event time: over a duration as 4h, or in steps as '5%: 1h, 20%: 6h'.
    #[arg(long, value_name = "STEPS", requires = "weights")]
    ramp: Option<String>,
    /// The most by which an arm may be worse than the champion over a window before the ramp goes back; by default the tolerance of the gate.
    #[arg(long, value_name = "X", requires = "ramp", allow_negative_numbers = true)]
    tolerance: Option<f64>,
    /// Clears the split: the champion answers.
    #[arg(long, conflicts_with = "weights")]
    clear: bool,
}

/// A change of a split that is asked for.
#[derive(Clone, Debug)]
pub struct AskedChange {
    /// `None` to clear the split.
    pub split: Option<AskedSplit>,
    pub reason: String,
    pub by: String,
    /// Event time from which it holds, on a registry; `None` for the newest that the registry knows of.
    pub from: Option<EventTime>,
    /// Wall-clock time of the change.
    pub wall: EventTime,
}

/// The splits of a model.
#[derive(Debug, Serialize, Deserialize)]
pub struct ModelSplits {
    /// The split in force, with the share of each arm.
    pub current: Option<Value>,
    /// All so far, ascending.
    pub splits: Vec<SplitEntry>,
}

impl SplitArgs {
    /// Returns the split that is asked for; the outer `None` to show it, the inner to clear it.
    ///
    /// # Errors
    /// If an argument is not of its form.
    pub fn asked(&self) -> Result<Option<Option<AskedSplit>>, Failure> {
        if self.clear {
            return Ok(Some(None));
        }
        if self.weights.is_empty() {
            return Ok(None);
        }
        let arms = self.arms.iter().map(|text| {
            let (name, target) = text.split_once('=').ok_or_else(|| wrong("--arm", "NAME=TARGET", text))?;
            Ok((name.to_owned(), target.to_owned()))
        });
        Ok(Some(Some(AskedSplit {
            weights: numbers(&self.weights, "ARM=WEIGHT", None)?,
            arms: arms.collect::<Result<_, Failure>>()?,
            shadows: numbers(&self.shadows, "--shadow", Some(1.0))?,
            entity: self.entity.clone(),
            ramp: self.ramp.clone(),
            tolerance: self.tolerance,
        })))
    }
}

fn wrong(place: &str, expected: &str, found: &str) -> Failure {
    Failure::Usage(format!("error: {place}: expected {expected}, found {found:?}"))
}

/// Reads names with numbers; one without has the default.
fn numbers(texts: &[String], place: &str, default: Option<f64>) -> Result<BTreeMap<String, f64>, Failure> {
    let mut read = BTreeMap::new();
    for text in texts {
        let (name, number) = match (text.rsplit_once('='), default) {
            (Some((name, number)), _) => {
                let number = number.parse().map_err(|_| wrong(place, "NAME=NUMBER", text))?;
                (name, number)
            }
            (None, Some(default)) => (text.as_str(), default),
            (None, None) => return Err(wrong(place, "NAME=NUMBER", text)),
        };
        if read.insert(name.to_owned(), number).is_some() {
            return Err(wrong(place, "each name once", text));
        }
    }
    Ok(read)
}

impl ModelPlace {
    /// Returns the splits of a model.
    ///
    /// # Errors
    /// If there is no such model, or the place cannot be read.
    pub fn splits(&self, model: &str) -> anyhow::Result<ModelSplits> {
        match self {
            ModelPlace::Job(job) => {
                let body = job.get(&path(model, "split"))?.body()?;
                serde_json::from_value(body).context("the answer has no splits that can be read")
            }
            ModelPlace::Registry(registry) => {
                check(registry, model)?;
                let splits = registry.splits(model)?;
                // A registry does not know the time of a job: the newest that it does know.
                let now = newest_time(registry, model, &splits)?.unwrap_or(EventTime::MAX);
                let current = split_at(&splits, now).filter(|entry| entry.split.is_some());
                let current = current.map(|entry| with_shares(entry, now));
                Ok(ModelSplits { current, splits })
            }
        }
    }

    /// Makes or clears the split of a model, and returns the new entry.
    ///
    /// # Errors
    /// If there is no such model, or the split is refused.
    pub fn set_split(&self, model: &str, asked: &AskedChange) -> anyhow::Result<SplitEntry> {
        let AskedChange { split, reason, by, from, wall } = asked;
        match self {
            ModelPlace::Job(job) => {
                let mut body = match split {
                    Some(split) => serde_json::to_value(split).expect("a split has a JSON form"),
                    None => json!({ "clear": true }),
                };
                body["reason"] = json!(reason);
                body["by"] = json!(by);
                let entry = job.post(&path(model, "split"), &body)?.body()?;
                serde_json::from_value(entry).context("the answer is not a split")
            }
            ModelPlace::Registry(registry) => {
                check(registry, model)?;
                let splits = registry.splits(model)?;
                let newest = splits.last().map(|entry| entry.time);
                let event = match (from, newest) {
                    (Some(from), Some(newest)) if *from < newest => {
                        let newest = format_time(newest);
                        bail!("--from is before {newest}, from which on the newest split holds; expected a later time")
                    }
                    (from, _) => {
                        let known = newest_time(registry, model, &splits)?;
                        from.map_or(Ok(()), |from| not_ahead(from, known, *wall))?;
                        from.or(known).unwrap_or(*wall)
                    }
                };
                let split = split.as_ref().map(AskedSplit::split).transpose()?;
                let by_hand = SplitByHand { when: When { event, wall: *wall }, reason, by };
                Ok(registry.split(model, split.as_ref(), &by_hand)?)
            }
        }
    }
}

/// Returns an entry with the share of each arm at a time.
pub fn with_shares(entry: &SplitEntry, now: EventTime) -> Value {
    let mut value = json!(entry);
    value["shares"] = entry.shares_at(now).into_iter().map(|(name, share)| (name.to_owned(), json!(share))).collect();
    value
}

/// Returns the newest event time that a registry knows of.
fn newest_time(registry: &Registry, model: &str, splits: &[SplitEntry]) -> anyhow::Result<Option<EventTime>> {
    let moved = registry.history(model)?.iter().map(|entry| entry.made.time).max();
    let ended = newest_of(registry, model, &registry.versions(model)?)?.map(|newest| newest.window.end);
    Ok(moved.max(ended).max(splits.iter().map(|entry| entry.time).max()))
}
