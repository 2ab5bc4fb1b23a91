//! What the graph tells while it runs, followed: versions into the registry, dead letters into their file.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::dead_letters::DeadLetterSink;
use super::digest::VersionDigest;
use super::job;
use crate::checkpoint::{Journal, Overtaken};
use crate::flow::build::JobEvent;
use crate::flow::op::source::Notice;
use crate::flow::{Job, Plan};
use crate::metrics::Metrics;
use crate::model::{Decision, Version};
use crate::registry::{LiveModels, Publication, Registry, Writer};
use crate::source::DeadLetter;

/// What the registry's thread has written.
type WrittenVersions = Arc<Mutex<VersionsByModel>>;
type VersionsByModel = BTreeMap<String, BTreeMap<u64, VersionDigest>>;

/// What a restart has to know of what was followed.
#[derive(Serialize, Deserialize)]
struct SavedVersions {
    versions: VersionsByModel,
}

/// Follows a job's events.
pub struct JobEvents {
    plan: Arc<Plan>,
    job: Arc<Job>,
    metrics: Arc<Metrics>,
    live: Arc<LiveModels>,
    writer: Writer,
    written: WrittenVersions,
    /// Versions that had been made when the snapshot under way was gathered, and letters sent.
    marked: (u64, usize),
    letters: DeadLetterSink,
    /// Where records that came below the frontier are taken down.
    pub journal: Option<Journal>,
    /// Versions made so far.
    pub versions: u64,
    /// Examples whose label never came, by model.
    pub unlabelled: BTreeMap<String, u64>,
    pub dead_letters: u64,
}

impl JobEvents {
    /// Outputs into a registry, of which `keep` versions a model are kept.
    ///
    /// # Errors
    /// If the registry's thread cannot be started.
    pub fn new(
        job: &Arc<Job>,
        metrics: &Arc<Metrics>,
        (registry, keep): (Registry, usize),
        live: &Arc<LiveModels>,
        letters: impl Into<DeadLetterSink>,
    ) -> anyhow::Result<Self> {
        let written = WrittenVersions::default();
        let (shown, told) = (live.clone(), written.clone());
        let writer = Writer::start(registry, keep, move |manifest| {
            let version = VersionDigest {
                version: manifest.version,
                window_end: manifest.window.end,
                sha256: manifest.sha256.clone(),
                champion: manifest.decision == Decision::Published.name(),
            };
            let mut written = told.lock().expect("no holder panics");
            written.entry(manifest.name.clone()).or_default().insert(manifest.version, version);
            drop(written);
            shown.add_manifest(manifest);
        })?;
        Ok(JobEvents {
            plan: job.plan.clone(),
            job: job.clone(),
            metrics: metrics.clone(),
            live: live.clone(),
            writer,
            written,
            marked: (0, 0),
            letters: letters.into(),
            journal: None,
            versions: 0,
            unlabelled: BTreeMap::new(),
            dead_letters: 0,
        })
    }

    /// Follows one event; gives the version, if it was one, with its model's position.
    ///
    /// # Errors
    /// If the job cannot go on.
    pub fn handle(&mut self, event: JobEvent) -> anyhow::Result<Option<(usize, Version)>> {
        match event {
            JobEvent::Version(model, version) => {
                self.publish(model, &version);
                return Ok(Some((model, *version)));
            }
            JobEvent::Unlabelled(model, dropped) => {
                let name = &self.plan.models[model].name;
                *self.unlabelled.entry(name.clone()).or_default() += dropped;
                self.metrics.unlabelled.with_label_values(&[name.as_str()]).inc_by(dropped);
            }
            JobEvent::Source(Notice::Letters(letters)) => self.keep(&letters)?,
            JobEvent::Source(Notice::Overtaken(records)) => self.overtaken(&records)?,
            JobEvent::Source(Notice::Failed(error)) => return Err(error).context("a source cannot be read"),
            JobEvent::OfflineFailed(error) => return Err(error).context("the offline store failed"),
        }
        Ok(None)
    }

    /// Waits until all dead letters are where they go.
    ///
    /// # Errors
    /// If one cannot be kept, or was not within this time.
    pub fn flush_letters(&mut self, patience: Duration) -> anyhow::Result<()> {
        self.letters.flush(patience).context("dead letters cannot be kept")
    }

    fn keep(&mut self, letters: &[DeadLetter]) -> anyhow::Result<()> {
        self.dead_letters += letters.len() as u64;
        self.letters.write(letters).context("dead letters cannot be kept")
    }

    fn publish(&mut self, model: usize, version: &Version) {
        let plan = &self.plan.models[model];
        self.versions += 1;
        if self.job.board.from().is_some_and(|from| version.window_end <= from) {
            return;
        }
        let gauge = |alias: &str, number: u64| {
            let number = i64::try_from(number).expect("versions are counted one by one");
            self.metrics.model_version.with_label_values(&[plan.name.as_str(), alias]).set(number);
        };
        gauge("champion", version.champion);
        gauge("newest", version.number);
        let scores = &version.prequential;
        for (role, scores) in [
            ("champion", &scores.champion),
            ("predecessor", &scores.predecessor),
            ("newest", &scores.newest),
            ("no_skill", &scores.no_skill),
        ] {
            for (metric, value) in scores {
                self.metrics.model_score.with_label_values(&[plan.name.as_str(), metric, role]).set(*value);
            }
        }
        self.live.install(&plan.name, version);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64);
        self.writer.publish(Publication {
            model: plan.name.clone(),
            version: version.clone(),
            offsets: job::offsets_at(&self.job, plan.grid(), version.window_end),
            definition: plan.definition.clone(),
            wall_time: now,
        });
    }

    /// Has records that came below the frontier taken down, before anything follows from them.
    fn overtaken(&mut self, records: &[Overtaken]) -> anyhow::Result<()> {
        let Some(journal) = &self.journal else { return Ok(()) };
        journal.add(records).context("overtaken records cannot be taken down")
    }

    /// What was followed so far belongs to a snapshot.
    ///
    /// # Errors
    /// If a dead letter cannot be kept.
    pub fn mark_checkpoint(&mut self) -> anyhow::Result<()> {
        let letters = self.letters.mark().context("dead letters cannot be kept")?;
        self.marked = (self.writer.queued(), letters);
        Ok(())
    }

    /// Whether all that belongs to the snapshot is where a restart will look for it. Nothing waits here for a registry
    /// or brokers that are away.
    ///
    /// # Errors
    /// If a dead letter cannot be kept.
    pub fn are_durable(&self) -> anyhow::Result<bool> {
        let (versions, letters) = self.marked;
        let is_durable = self.letters.is_durable(letters).context("dead letters cannot be kept")?;
        Ok(is_durable && self.writer.written() >= versions)
    }

    /// Why the registry cannot be written, while it cannot.
    pub fn last_error(&self) -> Option<String> {
        self.writer.trouble()
    }

    /// What a restart has to know, once all is settled.
    pub fn save(&self) -> Vec<u8> {
        let saved = SavedVersions { versions: self.written.lock().expect("no holder panics").clone() };
        postcard::to_stdvec(&saved).expect("plain values always encode")
    }

    /// Takes over what was saved.
    ///
    /// # Errors
    /// If it is not what [`Outputs::save`] writes.
    pub fn restore(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let saved: SavedVersions = postcard::from_bytes(bytes).context("the saved list of versions cannot be read")?;
        *self.written.lock().expect("no holder panics") = saved.versions;
        Ok(())
    }

    /// Waits until everything is written; gives the versions of each model.
    ///
    /// # Errors
    /// If a version cannot be written.
    pub fn finish(self) -> anyhow::Result<BTreeMap<String, Vec<VersionDigest>>> {
        self.writer.finish()?;
        let mut versions: BTreeMap<String, Vec<VersionDigest>> =
            self.plan.models.iter().map(|model| (model.name.clone(), Vec::new())).collect();
        for (model, written) in self.written.lock().expect("no holder panics").iter() {
            versions.entry(model.clone()).or_default().extend(written.values().cloned());
        }
        Ok(versions)
    }
}
