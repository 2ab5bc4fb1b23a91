//! The command line of `models`.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use serde_json::json;

use super::place::{AskedMove, AskedScores, ModelPlace, PlaceArgs};
use super::splits::{AskedChange, SplitArgs, with_shares};
use super::tables;
use crate::registry::{CHAMPION, champion_periods, split_at, version_at};
use crate::run::args::{CommonArgs, any_moment_argument, moment_argument};
use crate::run::{Failure, output};
use crate::serve::Role;
use crate::time::{EventTime, format_time};

/// Verbs on models.
#[derive(Subcommand, Debug)]
pub enum ModelsVerb {
    /// Lists the models with their champions and versions.
    #[command(after_help = "Example: tidemill models list --registry var/flights/registry")]
    List {
        #[command(flatten)]
        place: PlaceArgs,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows a version of a model: its window, its scores, and the decision on it.
    #[command(after_help = "Example: tidemill models show late --registry var/flights/registry")]
    Show {
        /// The model.
        model: String,
        /// The version; by default the champion.
        #[arg(long, value_name = "N")]
        version: Option<u64>,
        #[command(flatten)]
        place: PlaceArgs,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lists the moves of a model's aliases, or the champion at a time.
    #[command(after_help = "Example: tidemill models history late --at 2013-01-15T12:00:00Z")]
    History {
        /// The model.
        model: String,
        /// Prints the version that was champion at this event time only: RFC 3339, a date, epoch ms, `earliest` or `latest`. The exit code is 1 if there was none.
        #[arg(long, value_name = "T", value_parser = any_moment_argument)]
        at: Option<EventTime>,
        #[command(flatten)]
        place: PlaceArgs,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints a metric of a model, window by window: of the champion, its predecessor, the newest version and no skill.
    #[command(after_help = "Example: tidemill models scores late --metric auc --start 2013-01-15")]
    Scores {
        /// The model.
        model: String,
        /// The metric; by default the first one that the model is scored by.
        #[arg(long, value_name = "METRIC")]
        metric: Option<String>,
        /// Prints only windows that end after this event time: RFC 3339, a date, epoch ms, `earliest` or `latest`.
        #[arg(long, value_name = "T", value_parser = any_moment_argument)]
        start: Option<EventTime>,
        /// Prints only windows that end at this event time or before.
        #[arg(long, value_name = "T", value_parser = any_moment_argument)]
        end: Option<EventTime>,
        #[command(flatten)]
        place: PlaceArgs,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Points an alias of a model at a version. The champion answers until the trainer makes another one; what is learnt does not change.
    #[command(after_help = "Example: tidemill models promote late 7 --reason 'version 8 drifts'")]
    Promote {
        /// The model.
        model: String,
        /// The version.
        version: u64,
        /// The alias.
        #[arg(long, default_value = CHAMPION, value_name = "NAME")]
        alias: String,
        #[command(flatten)]
        hand: HandArgs,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Shows the split of a model, or deals its entities to arms: the champion, aliases, versions, or other models.
    #[command(
        after_help = "Example: tidemill models split late champion=90 challenger=10 --ramp '1%: 1d, 5%: 2d' --shadow 7"
    )]
    Split {
        /// The model.
        model: String,
        #[command(flatten)]
        split: SplitArgs,
        #[command(flatten)]
        hand: HandArgs,
        #[command(flatten)]
        place: PlaceArgs,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Makes the champion before the present one champion again, by taking back the newest move that has not been taken back; repeated, the move before that.
    #[command(after_help = "Example: tidemill models rollback late --url http://127.0.0.1:8080")]
    Rollback {
        /// The model.
        model: String,
        #[command(flatten)]
        hand: HandArgs,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// Flags of moves by hand.
#[derive(Args, Clone, Debug)]
pub struct HandArgs {
    /// The reason, for the history.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The author, for the history; by default the user.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Event time from which the move holds: RFC 3339, a date or epoch ms, no earlier than the newest move and no later than what is known. By default the newest of the registry; through a job, its watermark.
    #[arg(long, value_name = "T", value_parser = moment_argument, requires = "registry")]
    from: Option<EventTime>,
}

impl HandArgs {
    /// Returns the move; `version` is `None` for a rollback.
    fn asked(&self, version: Option<u64>, alias: &str) -> AskedMove {
        let default = if version.is_some() { "promoted by hand" } else { "rolled back by hand" };
        AskedMove {
            version,
            alias: alias.to_owned(),
            reason: self.reason.clone().unwrap_or_else(|| default.to_owned()),
            by: self.author(),
            from: self.from,
            wall: wall(),
        }
    }

    fn author(&self) -> String {
        let user = || std::env::var("USER").ok().filter(|user| !user.is_empty());
        self.by.clone().or_else(user).unwrap_or_else(|| "command line".to_owned())
    }
}

/// Returns the time of the wall clock.
fn wall() -> EventTime {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64)
}

impl ModelsVerb {
    /// Does what was asked.
    ///
    /// # Errors
    /// If the place of the models cannot be used, or has no such model or version.
    pub fn run(self, common: &CommonArgs) -> Result<(), Failure> {
        match self {
            ModelsVerb::List { place, json } => {
                let models = place.open(common, Role::Read)?.models()?;
                print(json, &json!({ "models": models }), || tables::models(&models))
            }
            ModelsVerb::Show { model, version, place, json } => {
                show(&place.open(common, Role::Read)?, &model, version, json)
            }
            ModelsVerb::History { model, at, place, json } => {
                history(&place.open(common, Role::Read)?, &model, at, json)
            }
            ModelsVerb::Scores { model, metric, start, end, place, json } => {
                let place = place.open(common, Role::Read)?;
                let scores = place.scores(&model, &AskedScores { metric, start, end })?;
                print(json, &json!(scores), || tables::scores(&scores))
            }
            ModelsVerb::Promote { model, version, alias, hand, place } => {
                make(&place.open(common, Role::Admin)?, &model, &hand.asked(Some(version), &alias))
            }
            ModelsVerb::Split { model, split, hand, place, json } => {
                let Some(asked) = split.asked()? else {
                    let splits = place.open(common, Role::Read)?.splits(&model)?;
                    return print(
                        json,
                        &json!({ "model": model, "current": splits.current, "splits": splits.splits }),
                        || tables::splits(&splits),
                    );
                };
                let default = if asked.is_some() { "split by hand" } else { "cleared by hand" };
                let reason = hand.reason.clone().unwrap_or_else(|| default.to_owned());
                let (by, from, wall) = (hand.author(), hand.from, wall());
                let change = AskedChange { split: asked, reason, by, from, wall };
                let entry = place.open(common, Role::Admin)?.set_split(&model, &change)?;
                print(json, &with_shares(&entry, entry.time), || tables::split(&model, &entry))
            }
            ModelsVerb::Rollback { model, hand, place } => {
                make(&place.open(common, Role::Admin)?, &model, &hand.asked(None, CHAMPION))
            }
        }
    }
}

/// Prints JSON or text.
fn print(json: bool, value: &serde_json::Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
    Ok(output::print(&if json { format!("{value:#}\n") } else { text() })?)
}

/// Prints the moves and the splits of a model, or the champion and the split at a time.
fn history(place: &ModelPlace, model: &str, at: Option<EventTime>, json: bool) -> Result<(), Failure> {
    let (moves, splits) = (place.history(model)?, place.splits(model)?.splits);
    let Some(at) = at else {
        return print(json, &json!({ "history": moves, "splits": splits }), || {
            format!("{}{}", tables::history(&moves), tables::split_history(&splits))
        });
    };
    let champion = version_at(&moves, CHAMPION, at)
        .with_context(|| format!("model {model} had no champion at {}", format_time(at)))?;
    let periods = champion_periods(&moves, champion);
    let period = periods.iter().rev().find(|period| period.from <= at).map(tables::period_value);
    let split = split_at(&splits, at).filter(|entry| entry.split.is_some());
    let shown = split.map(|entry| with_shares(entry, at));
    let time = format_time(at);
    let value = json!({ "model": model, "time": time, "champion": champion, "period": period, "split": shown });
    print(json, &value, || {
        format!("{champion}\n{}", split.map_or_else(String::new, |entry| tables::shares(entry, at, &moves)))
    })
}

fn show(place: &ModelPlace, model: &str, version: Option<u64>, json: bool) -> Result<(), Failure> {
    let moves = place.history(model)?;
    let aliases = moves.last().map(|newest| newest.made.aliases.clone()).unwrap_or_default();
    let champion = || aliases.get(CHAMPION).copied().with_context(|| format!("model {model} has no champion yet"));
    let number = version.map_or_else(champion, Ok)?;
    let manifest = place.manifest(model, number)?.ok_or_else(|| anyhow!("model {model} has no version {number}"))?;
    let pointing = tables::aliases_of(&aliases, number);
    let mut value = json!(manifest);
    value["aliases"] = json!(pointing);
    let periods = champion_periods(&moves, number);
    value["champion"] = periods.iter().map(tables::period_value).collect();
    let current = place.splits(model)?.current;
    value["split"] = current.clone().unwrap_or_default();
    print(json, &value, || {
        let version = tables::version(&manifest, &pointing, &periods);
        format!("{version}{}", tables::split_line(current.as_ref()))
    })
}

fn make(place: &ModelPlace, model: &str, asked: &AskedMove) -> Result<(), Failure> {
    let entry = place.make(model, asked)?;
    Ok(output::print(&tables::moved(model, &entry))?)
}
