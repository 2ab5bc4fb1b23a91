//! The place of models: a registry that is read and written directly, or the endpoint of a running job.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::blob::Blobs;
use crate::disk::LOCK;
use crate::expr::nearest;
use crate::model::{METRICS, RANKING_METRICS};
use crate::registry::{
    CHAMPION, HistoryEntry, Manifest, MoveByHand, Registry, RegistryError, ScorePoint, SegmentMetrics, When,
};
use crate::run::Failure;
use crate::run::args::{CommonArgs, JobArgs};
use crate::run::http_client::{JobUrl, segment};
use crate::serve::Role;
use crate::time::{EventTime, format_time};

/// Flags that say where models are.
#[derive(Args, Clone, Debug)]
pub struct PlaceArgs {
    /// Registry to use directly, whether a job runs on it or not: a path or `file://` URL. A running job notices moves
    /// within a second.
    #[arg(long, value_name = "URL", conflicts_with_all = ["url", "token_file", "ca_file"])]
    registry: Option<String>,
    #[command(flatten)]
    job: JobArgs,
}

/// A place that has models.
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

/// The scores that are wanted.
#[derive(Clone, Debug)]
pub struct AskedScores {
    /// `None` for the first metric that the model is scored by.
    pub metric: Option<String>,
    /// Windows that end after it.
    pub start: Option<EventTime>,
    /// Windows that do not end after it.
    pub end: Option<EventTime>,
}

/// A metric over time.
#[derive(Debug, Serialize, Deserialize)]
pub struct MetricScores {
    pub metric: String,
    pub points: Vec<MetricPoint>,
}

/// A metric of one window; `None` where there is no answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct MetricPoint {
    /// RFC 3339.
    pub window_end: String,
    pub champion: Option<f64>,
    pub predecessor: Option<f64>,
    pub newest: Option<f64>,
    pub no_skill: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<f64>,
    #[serde(default, skip_serializing_if = "SegmentMetrics::is_empty")]
    pub segments: SegmentMetrics,
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
        let registry = Registry::open(url)?;
        if !is_registry(&registry, &folder)? {
            return Err(Failure::Usage(format!(
                "error: --registry: there is no registry in {}: it has files, but no model; expected the folder that \
                 registry.url names, by default {{data_dir}}/{{dataflow}}/registry",
                folder.display()
            )));
        }
        Ok(ModelPlace::Registry(registry))
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
                    let newest = newest_of(registry, &name, &versions)?;
                    let champion = registry.aliases(&name)?.get(CHAMPION).copied();
                    Ok(ModelSummary {
                        kind: newest.map_or_else(String::new, |newest| newest.kind),
                        name,
                        champion,
                        versions,
                    })
                };
                let models: anyhow::Result<Vec<ModelSummary>> = registry.models()?.into_iter().map(summary).collect();
                // A folder without a version or a champion is not one of a model.
                let is_model = |model: &ModelSummary| model.champion.is_some() || !model.versions.is_empty();
                Ok(models?.into_iter().filter(is_model).collect())
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
                let versions = registry.versions(model)?;
                let manifests = versions.into_iter().map(|version| written(registry, model, version));
                Ok(manifests.filter_map(Result::transpose).collect::<Result<_, _>>()?)
            }
        }
    }

    /// Returns the manifest of one version of a model; `None` if there is none. In a registry, others may be damaged.
    ///
    /// # Errors
    /// If there is no such model, or the place cannot be read.
    pub fn manifest(&self, model: &str, version: u64) -> anyhow::Result<Option<Manifest>> {
        match self {
            ModelPlace::Job(_) => Ok(self.manifests(model)?.into_iter().find(|known| known.version == version)),
            ModelPlace::Registry(registry) => {
                check(registry, model)?;
                Ok(written(registry, model, version)?)
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

    /// Returns a metric of a model's windows, ascending.
    ///
    /// # Errors
    /// If there is no such model or metric, or the place cannot be read.
    pub fn scores(&self, model: &str, asked: &AskedScores) -> anyhow::Result<MetricScores> {
        let AskedScores { metric, start, end } = asked;
        match self {
            ModelPlace::Job(job) => {
                let time = |time: &Option<EventTime>| time.map(format_time);
                let parameters = [("metric", metric.clone()), ("start", time(start)), ("end", time(end))];
                let parameters = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
                let parameters: Vec<String> =
                    parameters.map(|(name, value)| format!("{name}={}", segment(&value))).collect();
                let query = if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) };
                let body = job.get(&format!("{}{query}", path(model, "scores")))?.body()?;
                serde_json::from_value(body).context("the answer has no scores that can be read")
            }
            ModelPlace::Registry(registry) => {
                check(registry, model)?;
                let points = registry.scores(model)?;
                let metric = known_metric(model, &points, metric.as_deref())?.to_owned();
                let is_asked = |point: &&ScorePoint| {
                    start.is_none_or(|start| start < point.window_end) && end.is_none_or(|end| point.window_end <= end)
                };
                let points = points.iter().filter(is_asked).map(|point| MetricPoint {
                    window_end: format_time(point.window_end),
                    champion: point.champion.get(&metric).copied(),
                    predecessor: point.predecessor.get(&metric).copied(),
                    newest: point.newest.get(&metric).copied(),
                    no_skill: point.no_skill.get(&metric).copied(),
                    persistence: point.persistence.get(&metric).copied(),
                    segments: point.segments_of(&metric),
                });
                Ok(MetricScores { points: points.collect(), metric })
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
                serde_json::from_value(entry).context("the answer is not a move")
            }
            ModelPlace::Registry(registry) => {
                check(registry, model)?;
                let when = When { event: event_time(registry, model, asked)?, wall: asked.wall };
                let by_hand = MoveByHand { alias, when, reason, by, reverts: None };
                let made = match version {
                    Some(version) => registry.promote(model, *version, &by_hand),
                    None => registry.rollback(model, &by_hand),
                };
                Ok(made?)
            }
        }
    }
}

/// Returns the path of a route on a model.
pub(super) fn path(model: &str, verb: &str) -> String {
    format!("/models/{}/{verb}", segment(model))
}

fn of_json<T: for<'de> Deserialize<'de>>(mut body: serde_json::Value, field: &str) -> anyhow::Result<T> {
    serde_json::from_value(body[field].take()).with_context(|| format!("the answer has no {field} that can be read"))
}

/// Returns the metric that was asked for, or the first one of which there is a score.
fn known_metric<'a>(model: &str, points: &[ScorePoint], asked: Option<&'a str>) -> anyhow::Result<&'a str> {
    let has =
        |name: &str| points.iter().any(|point| point.no_skill.contains_key(name) || point.champion.contains_key(name));
    let of_lists = RANKING_METRICS.iter().map(|metric| metric.name);
    let known = || METRICS.iter().map(|metric| metric.name).chain(of_lists.clone()).filter(|name| has(name));
    match asked {
        None => known().next().with_context(|| format!("model {model} has no scores yet")),
        Some(asked) if known().any(|name| name == asked) => Ok(asked),
        Some(asked) => Err(match nearest(asked, known()) {
            Some(name) => anyhow!("model {model} has no metric {asked}; did you mean {name}?"),
            None => anyhow!("model {model} has no metric {asked}; it has {}", known().collect::<Vec<_>>().join(", ")),
        }),
    }
}

/// Returns the manifest of a version; `None` while a job is writing or deleting it.
fn written(registry: &Registry, model: &str, version: u64) -> Result<Option<Manifest>, RegistryError> {
    match registry.manifest(model, version) {
        Err(RegistryError::NoVersion { .. }) => Ok(None),
        manifest => manifest.map(Some),
    }
}

/// Returns the manifest of the newest version that is written.
pub(super) fn newest_of(registry: &Registry, model: &str, versions: &[u64]) -> Result<Option<Manifest>, RegistryError> {
    let manifests = versions.iter().rev().map(|version| written(registry, model, *version));
    manifests.filter_map(Result::transpose).next().transpose()
}

/// Returns whether a folder is a registry: one that has a model, or nothing yet.
fn is_registry(registry: &Registry, folder: &Path) -> anyhow::Result<bool> {
    for model in registry.models()? {
        if !registry.versions(&model)?.is_empty() || !registry.history(&model)?.is_empty() {
            return Ok(true);
        }
    }
    let cannot_read = || format!("{} cannot be read", folder.display());
    for entry in std::fs::read_dir(folder).with_context(cannot_read)? {
        if entry.with_context(cannot_read)?.file_name() != LOCK {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Checks that a registry has a model.
pub(super) fn check(registry: &Registry, model: &str) -> anyhow::Result<()> {
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
        // The history has answered for that time already, and an answer must not change.
        (Some(from), Some(moved)) if from < moved => {
            let moved = format_time(moved);
            bail!("--from is before {moved}, from which on the newest move holds; expected a later time")
        }
        (from, moved) => {
            let newest = newest_of(registry, model, &registry.versions(model)?)?;
            let known = moved.max(newest.map(|newest| newest.window.end));
            from.map_or(Ok(()), |from| not_ahead(from, known, asked.wall))?;
            Ok(from.or(known).unwrap_or(asked.wall))
        }
    }
}

/// Checks that a move or a split does not hold from a time that is not known yet: all later ones would have to follow it.
///
/// # Errors
/// If the time is after the newest that the registry knows of, and after the wall clock.
pub(super) fn not_ahead(from: EventTime, known: Option<EventTime>, wall: EventTime) -> anyhow::Result<()> {
    let newest = known.map_or(wall, |known| known.max(wall));
    match from > newest {
        true => bail!(
            "--from is after {}, which is the newest time that is known; expected one up to then",
            format_time(newest)
        ),
        false => Ok(()),
    }
}
