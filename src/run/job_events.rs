//! Handles the running graph's events: versions go to the registry, dead letters to their sink, overtaken records to the
//! journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};

use super::dead_letters::DeadLetterSink;
use super::digest::VersionDigest;
use super::letter_limit::DeadLetterLimit;
use super::rollout::RolloutWatch;
use super::training::TrainingReports;
use super::{job, model_reports, print_err};
use crate::checkpoint::{Journal, Overtaken};
use crate::flow::build::JobEvent;
use crate::flow::op::label::AttributionReport;
use crate::flow::op::learn::LearningReport;
use crate::flow::op::source::SourceEvent;
use crate::flow::{Job, Plan};
use crate::metrics::Metrics;
use crate::model::{Decision, Version, WaitingWindow};
use crate::registry::{LiveModels, Manifest, Publication, Registry, Writer};
use crate::serve::{LetterBoard, ShownLetter};
use crate::source::DeadLetter;
use crate::time::EventTime;

/// The versions that the registry's thread has written.
type WrittenVersions = Arc<Mutex<Written>>;

#[derive(Default)]
struct Written {
    digests: VersionsByModel,
    /// By model and number, the manifests of champions that the next checkpoint may contain.
    champions: BTreeMap<String, BTreeMap<u64, Manifest>>,
}

/// Digests of versions by model and number.
type VersionsByModel = BTreeMap<String, BTreeMap<u64, VersionDigest>>;

/// The state of a [`JobEvents`] that a checkpoint contains.
#[derive(Serialize, Deserialize)]
struct SavedVersions {
    versions: VersionsByModel,
    /// By model, the manifest of the champion.
    champions: BTreeMap<String, Manifest>,
}

/// Returns the manifests of the champions that a state saved by [`JobEvents::save`] has, by model.
///
/// # Errors
/// If the bytes are not such a state.
pub fn saved_champions(bytes: &[u8]) -> anyhow::Result<BTreeMap<String, Manifest>> {
    Ok(decode(bytes)?.champions)
}

fn decode(bytes: &[u8]) -> anyhow::Result<SavedVersions> {
    postcard::from_bytes(bytes).context("the list of versions in the checkpoint cannot be decoded")
}

/// The registry that versions are published to.
pub struct VersionSink {
    pub registry: Registry,
    /// The number of versions of a model that are kept.
    pub keep: usize,
}

/// The counts of events that belong to the checkpoint in progress: they must be durable before it may become current.
#[derive(Clone, Copy, Debug, Default)]
struct CheckpointMark {
    /// The number of versions queued for the registry.
    versions: u64,
    /// The number of dead letters sent to the brokers.
    letters: usize,
}

/// Handles the events of a job.
pub struct JobEvents {
    plan: Arc<Plan>,
    job: Arc<Job>,
    metrics: Arc<Metrics>,
    live: Arc<LiveModels>,
    writer: Writer,
    /// Follows the registry; asked once more when all is written.
    watch: RolloutWatch,
    /// The registry that is written.
    pub registry: Registry,
    written: WrittenVersions,
    marked: CheckpointMark,
    letters: DeadLetterSink,
    limit: DeadLetterLimit,
    /// The journal of overtaken records, if the job takes checkpoints.
    pub journal: Option<Journal>,
    /// The newest dead letters, if somebody shows them.
    pub board: Option<Arc<LetterBoard>>,
    /// The number of versions made so far.
    pub versions: u64,
    /// Reports on examples and scores, by position of the model.
    pub training: Vec<TrainingReports>,
    /// The number of dead letters so far.
    pub dead_letters: u64,
    /// The sources, and the parts of their declarations, that advice was given on.
    advised: BTreeSet<(String, &'static str)>,
}

impl JobEvents {
    /// Starts to publish to a registry, on a thread of its own.
    ///
    /// # Errors
    /// If the registry's thread cannot be started.
    pub fn new(
        job: &Arc<Job>,
        metrics: &Arc<Metrics>,
        versions: VersionSink,
        live: &Arc<LiveModels>,
        letters: impl Into<DeadLetterSink>,
        limit: DeadLetterLimit,
    ) -> anyhow::Result<Self> {
        let written = WrittenVersions::default();
        let (live_models, written_by_thread) = (live.clone(), written.clone());
        // Moves of aliases and splits that others make are noticed while all versions are written.
        let watch = RolloutWatch::new(&job.plan, live, metrics);
        let (of_thread, follow) = (watch.clone(), watch.clone());
        // Written versions go into the digest and into checkpoints.
        let on_written = move |manifest: Manifest, deleted: &[u64]| {
            let version = VersionDigest {
                version: manifest.version,
                window_end: manifest.window.end,
                sha256: manifest.sha256.clone(),
                champion: manifest.decision == Decision::Published.name(),
            };
            let mut written = written_by_thread.lock().expect("no holder panics");
            if version.champion {
                let champions = written.champions.entry(manifest.name.clone()).or_default();
                champions.insert(manifest.version, manifest.clone());
            }
            written.digests.entry(manifest.name.clone()).or_default().insert(manifest.version, version);
            drop(written);
            live_models.stored(&manifest, deleted);
            of_thread.written();
        };
        let VersionSink { registry, keep } = versions;
        let writer = Writer::start(registry.clone(), keep, on_written, move |registry| follow.poll(registry))?;
        Ok(JobEvents {
            plan: job.plan.clone(),
            job: job.clone(),
            metrics: metrics.clone(),
            live: live.clone(),
            writer,
            watch,
            registry,
            written,
            marked: CheckpointMark::default(),
            letters: letters.into(),
            limit,
            journal: None,
            board: None,
            versions: 0,
            training: job.plan.models.iter().map(|_| TrainingReports::default()).collect(),
            dead_letters: 0,
            advised: BTreeSet::new(),
        })
    }

    /// Returns what the newest window without a version lacked, by model.
    pub fn waiting_windows(&self) -> BTreeMap<String, WaitingWindow> {
        let models = self.plan.models.iter().zip(&self.training);
        models.filter_map(|(plan, reports)| Some((plan.name.clone(), reports.waiting_window?))).collect()
    }

    /// Returns the number of examples whose label never came, by model.
    pub fn unlabelled(&self) -> BTreeMap<String, u64> {
        let models = self.plan.models.iter().zip(&self.training);
        let counts = models.map(|(plan, reports)| (plan.name.clone(), reports.unlabelled()));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Handles one event. If it was a version, returns it with its model's position in the plan.
    ///
    /// # Errors
    /// If the job cannot continue: a source or the offline store failed, or a dead letter or an overtaken record cannot be
    /// written.
    pub fn handle(&mut self, event: JobEvent) -> anyhow::Result<Option<(usize, Version)>> {
        match event {
            JobEvent::Learning(model, LearningReport::Version { version, busy }) => {
                self.publish(model, &version, busy);
                return Ok(Some((model, *version)));
            }
            JobEvent::Learning(model, LearningReport::Drift(alarm)) => {
                model_reports::drift(&self.metrics, &self.plan.models[model].name, &alarm);
            }
            JobEvent::Learning(model, LearningReport::Waiting(end, waiting)) => {
                model_reports::waiting(&self.plan.models[model].name, end, &waiting);
                self.training[model].waiting_window = Some(waiting);
            }
            JobEvent::Learning(model, LearningReport::Refused(refused)) => {
                model_reports::refused(&self.metrics, &self.plan.models[model], &refused);
            }
            JobEvent::Learning(model, LearningReport::Ended(totals)) => self.training[model].ended(*totals),
            JobEvent::Attribution(model, report) => {
                if let AttributionReport::Counts(counts) = &report {
                    let name = self.plan.models[model].name.as_str();
                    self.metrics.unlabelled.with_label_values(&[name]).inc_by(counts.unlabelled);
                }
                self.training[model].attributed(report);
            }
            JobEvent::Source(SourceEvent::DeadLetters(letters)) => self.keep(&letters)?,
            JobEvent::Source(SourceEvent::Overtaken(records)) => self.overtaken(&records)?,
            JobEvent::Source(SourceEvent::Advice { source, advice }) => {
                if self.advised.insert((source, advice.subject)) {
                    print_err(advice.text);
                }
            }
            JobEvent::Source(SourceEvent::Failed(error)) => return Err(error).context("a source cannot be read"),
            JobEvent::OfflineFailed(error) => return Err(error).context("the offline store failed"),
        }
        Ok(None)
    }

    /// Waits until all dead letters are durable.
    ///
    /// # Errors
    /// If one cannot be written, or not within `patience`.
    pub fn flush_letters(&mut self, patience: Duration) -> anyhow::Result<()> {
        self.letters.flush(patience).context("dead letters cannot be kept")
    }

    fn keep(&mut self, letters: &[DeadLetter]) -> anyhow::Result<()> {
        self.dead_letters += letters.len() as u64;
        self.limit.observe(letters);
        if let Some(board) = &self.board {
            letters.iter().for_each(|letter| board.add(shown(letter)));
        }
        self.letters.write(letters).context("dead letters cannot be kept")
    }

    /// Returns the failure of a job that has too many dead letters.
    ///
    /// # Errors
    /// If a source is beyond the limit: the reasons, with an example.
    pub fn check_letters(&mut self) -> anyhow::Result<()> {
        match self.limit.exceeded(&self.job) {
            None => Ok(()),
            Some(what) => Err(anyhow!(
                "{what}; all are in {}; mend the columns, the time or the format of the source, or raise max_dead_letters",
                self.letters.place()
            )),
        }
    }

    /// Returns the first dead letters of sources, in words, each once.
    pub fn take_first_letters(&mut self) -> Vec<String> {
        self.limit.take_firsts()
    }

    /// Returns a warning for each source that has dead letters.
    pub fn letter_warnings(&self) -> Vec<String> {
        let read = job::tallies(&self.job);
        let warnings = self.limit.warnings(|source| read.get(source).map_or(0, |counts| counts.read));
        warnings.into_iter().map(|what| format!("warning: {what}; all are in {}", self.letters.place())).collect()
    }

    fn publish(&mut self, model: usize, version: &Version, busy: Duration) {
        let plan = &self.plan.models[model];
        self.versions += 1;
        if self.job.from.is_some_and(|from| version.window_end <= from) {
            return;
        }
        model_reports::version(&self.metrics, &plan.name, version, busy);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64);
        let publication = Publication {
            model: plan.name.clone(),
            version: version.clone(),
            offsets: job::offsets_at(&self.job, plan.training_window(), version.window_end),
            definition: plan.definition.clone(),
            wall_time: now,
        };
        self.live.install(&publication);
        self.writer.publish(publication);
    }

    /// Adds overtaken records to the journal, before anything derived from them is published.
    fn overtaken(&mut self, records: &[Overtaken]) -> anyhow::Result<()> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        journal.add(records).context("overtaken records cannot be added to the journal")
    }

    /// Marks everything handled so far as part of the checkpoint in progress.
    ///
    /// # Errors
    /// If a dead letter cannot be written.
    pub fn mark_checkpoint(&mut self) -> anyhow::Result<()> {
        let letters = self.letters.mark().context("dead letters cannot be kept")?;
        self.marked = CheckpointMark { versions: self.writer.queued(), letters };
        Ok(())
    }

    /// Returns whether everything that was marked is durable, so that the checkpoint may become current. Never waits for the
    /// registry or the brokers.
    ///
    /// # Errors
    /// If a dead letter cannot be written.
    pub fn are_durable(&self) -> anyhow::Result<bool> {
        let has_letters = self.letters.is_durable(self.marked.letters).context("dead letters cannot be kept")?;
        Ok(has_letters && self.writer.written() >= self.marked.versions)
    }

    /// Returns why the registry cannot be written, while it cannot.
    pub fn last_error(&self) -> Option<String> {
        self.writer.last_error()
    }

    /// Returns the state for a checkpoint as of `time`. Complete once [`JobEvents::are_durable`].
    pub fn save(&self, time: EventTime) -> Vec<u8> {
        let mut written = self.written.lock().expect("no holder panics");
        let mut champions = BTreeMap::new();
        for (model, manifests) in &mut written.champions {
            // Versions made after the checkpoint will be made again by a run that starts from it.
            let newest = manifests.iter().rev().find(|(_, manifest)| manifest.window.end <= time);
            if let Some((number, manifest)) = newest.map(|(number, manifest)| (*number, manifest.clone())) {
                manifests.retain(|other, _| *other >= number);
                champions.insert(model.clone(), manifest);
            }
        }
        let saved = SavedVersions { versions: written.digests.clone(), champions };
        postcard::to_stdvec(&saved).expect("plain values always encode")
    }

    /// Restores a saved state.
    ///
    /// # Errors
    /// If the bytes are not one that [`JobEvents::save`] returned.
    pub fn restore(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let SavedVersions { versions, champions } = decode(bytes)?;
        let champions = champions.into_iter().map(|(model, champion)| (model, [(champion.version, champion)].into()));
        *self.written.lock().expect("no holder panics") = Written { digests: versions, champions: champions.collect() };
        Ok(())
    }

    /// Waits until all versions are written, and returns their digests by model.
    ///
    /// # Errors
    /// If a version cannot be written.
    pub fn finish(self) -> anyhow::Result<BTreeMap<String, Vec<VersionDigest>>> {
        self.writer.finish()?;
        self.watch.poll(&self.registry);
        let mut versions: BTreeMap<String, Vec<VersionDigest>> =
            self.plan.models.iter().map(|model| (model.name.clone(), Vec::new())).collect();
        for (model, written) in self.written.lock().expect("no holder panics").digests.iter() {
            versions.entry(model.clone()).or_default().extend(written.values().cloned());
        }
        Ok(versions)
    }
}

/// Returns a dead letter without its value.
fn shown(letter: &DeadLetter) -> ShownLetter {
    ShownLetter {
        source: letter.source.clone(),
        partition: letter.partition,
        offset: letter.offset,
        reason: letter.reason.name().to_owned(),
        detail: letter.detail.clone(),
    }
}
