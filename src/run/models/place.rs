//! The place of models: a registry that is read and written directly, or the endpoint of a running job.

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::blob::Blobs;
use crate::expr::nearest;
use crate::registry::{CHAMPION, HistoryEntry, Manifest, MoveByHand, Registry, When};
use crate::run::Failure;
use crate::run::args::{CommonArgs, JobArgs};
use crate::run::http_client::{JobUrl, segment};
use crate::serve::Role;
use crate::time::EventTime;

/// Flags that say where models are.
#[derive(Args, Clone, Debug)]
pub struct PlaceArgs {
    /// Registry to use directly, whether a job runs on it or not: a path or `file://` URL. A running job notices moves within a second.
    #[arg(long, value_name = "URL", conflicts_with_all = ["url", "token_file"])]
    registry: Option<String>,
    #[command(flatten)]
    job: JobArgs,
}

/// Where models are.
pub enum ModelPlace {
    Registry(Registry),
    Job(JobUrl),
}

/// A model in a list.
#[derive(Debug, Serialize, Deserialize)]
pub struct ModelSummary {
    pub name: String,
    pub kind: String,
    pub champion: Option<u64>,
    pub versions: Vec<u64>,
}

/// The parts of a move that a person may say.
#[derive(Clone, Debug)]
pub struct AskedMove {
    /// The version; `None` for the champion before the present one.
    pub version: Option<u64>,
    pub alias: String,
    pub reason: String,
    pub by: String,
    /// Event time from which the move holds, on a registry; `None` for the newest that the registry knows of.
    pub from: Option<EventTime>,
    /// Wall-clock time of the move.
    pub wall: EventTime,
}

impl PlaceArgs {
    /// Opens the place for a role.
    ///
    /// # Errors
    /// If there is no such registry, or a URL is wrong.
    pub fn open(&self, common: &CommonArgs, role: Role) -> Result<ModelPlace, Failure> {
        let Some(url) = &self.registry else { return Ok(ModelPlace::Job(self.job.job_for(common, role)?)) };
        // Opening it would make the folder.
        let folder = Blobs::folder_of(url).map_err(|error| Failure::Usage(format!("error: --registry: {error}")))?;
        if !folder.is_dir() {
            return Err(Failure::Usage(format!("error: --registry: there is no folder {}", folder.display())));
        }
        Ok(ModelPlace::Registry(Registry::open(url)?))
    }
}

impl ModelPlace {
    /// Returns all models by name.
    ///
    /// # Errors
    /// If the place cannot be read.
    pub fn models(&self) -> anyhow::Result<Vec<ModelSummary>> {
        match self {
            ModelPlace::Job(job) => of_json(job.get("/models")?.body()?, "models"),
            ModelPlace::Registry(registry) => {
                let summary = |name: String| {
                    let versions = registry.versions(&name)?;
                    let newest = versions.last().map(|newest| registry.manifest(&name, *newest)).transpose()?;
                    let champion = registry.aliases(&name)?.get(CHAMPION).copied();
                    Ok(ModelSummary {
                        kind: newest.map_or_else(String::new, |newest| newest.kind),
                        name,
                        champion,
                        versions,
                    })
                };
                registry.models()?.into_iter().map(summary).collect()
            }
        }
    }

    /// Returns the manifests of a model, ascending.
    ///
    /// # Errors
    /// If there is no such model, or the place cannot be read.
    pub fn manifests(&self, model: &str) -> anyhow::Result<Vec<Manifest>> {
        match self {
            ModelPlace::Job(job) => of_json(job.get(&path(model, "versions"))?.body()?, "versions"),
            ModelPlace::Registry(registry) => {
                check(registry, model)?;
                let manifests = registry.versions(model)?.into_iter().map(|version| registry.manifest(model, version));
                Ok(manifests.collect::<Result<_, _>>()?)
            }
        }
    }

    /// Returns the moves of a model's aliases, ascending.
    ///
    /// # Errors
    /// If there is no such model, or the place cannot be read.
    pub fn history(&self, model: &str) -> anyhow::Result<Vec<HistoryEntry>> {
        match self {
            ModelPlace::Job(job) => of_json(job.get(&path(model, "history"))?.body()?, "history"),
            ModelPlace::Registry(registry) => {
                check(registry, model)?;
                Ok(registry.history(model)?)
            }
        }
    }

    /// Moves an alias, and returns the move.
    ///
    /// # Errors
    /// If there is no such model or version, or the move is refused.
    pub fn make(&self, model: &str, asked: &AskedMove) -> anyhow::Result<HistoryEntry> {
        let AskedMove { version, alias, reason, by, .. } = asked;
        match self {
            ModelPlace::Job(job) => {
                let (verb, body) = match version {
                    Some(version) => {
                        ("promote", json!({ "version": version, "alias": alias, "reason": reason, "by": by }))
                    }
                    None => ("rollback", json!({ "reason": reason, "by": by })),
                };
                let entry = job.post(&path(model, verb), &body)?.body()?;
                serde_json::from_value(entry).context("the answer is no move")
            }
            ModelPlace::Registry(registry) => {
                check(registry, model)?;
                let when = When { event: event_time(registry, model, asked)?, wall: asked.wall };
                let by_hand = MoveByHand { alias, when, reason, by };
                let made = match version {
                    Some(version) => registry.promote(model, *version, &by_hand),
                    None => registry.rollback(model, &by_hand),
                };
                Ok(made?)
            }
        }
    }
}

fn path(model: &str, verb: &str) -> String {
    format!("/models/{}/{verb}", segment(model))
}

fn of_json<T: for<'de> Deserialize<'de>>(mut body: serde_json::Value, field: &str) -> anyhow::Result<T> {
    serde_json::from_value(body[field].take()).with_context(|| format!("the answer has no {field} that can be read"))
}

/// Checks that a registry has a model.
fn check(registry: &Registry, model: &str) -> anyhow::Result<()> {
    let models = registry.models()?;
    if models.iter().any(|known| known == model) {
        return Ok(());
    }
    let names = || models.iter().map(String::as_str);
    Err(match nearest(model, names()) {
        Some(name) => anyhow!("{} has no model {model}; did you mean {name}?", registry.url()),
        None if models.is_empty() => anyhow!("{} has no models", registry.url()),
        None => anyhow!("{} has no model {model}; it has {}", registry.url(), models.join(", ")),
    })
}

/// Returns the event time from which a move on a registry holds.
fn event_time(registry: &Registry, model: &str, asked: &AskedMove) -> anyhow::Result<EventTime> {
    let moved = registry.history(model)?.iter().map(|entry| entry.made.time).max();
    match (asked.from, moved) {
        // Another answer for a time that the history has told already would be a lie.
        (Some(from), Some(moved)) if from < moved => {
            let moved = crate::time::format_time(moved);
            bail!("--from is before {moved}, from which on the newest move holds; expected a later time")
        }
        (Some(from), _) => Ok(from),
        (None, moved) => {
            let newest =
                registry.versions(model)?.last().map(|newest| registry.manifest(model, *newest)).transpose()?;
            let ended = newest.map(|newest| newest.window.end);
            Ok(moved.max(ended).unwrap_or(asked.wall))
        }
    }
}
