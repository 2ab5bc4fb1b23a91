//! What the graph tells while it runs, followed: versions into the registry, dead letters into their file.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;

use super::digest::VersionDigest;
use crate::flow::Plan;
use crate::flow::build::Event;
use crate::metrics::Metrics;
use crate::model::{Decision, Version};
use crate::registry::Publisher;
use crate::source::{DeadLetter, DeadLetterFile};

/// Follows a job's events.
pub struct Outputs {
    plan: Arc<Plan>,
    metrics: Arc<Metrics>,
    publisher: Publisher,
    letters: DeadLetterFile,
    /// By model.
    pub versions: BTreeMap<String, Vec<VersionDigest>>,
    /// Examples whose label never came, by model.
    pub unlabelled: BTreeMap<String, u64>,
    pub dead_letters: u64,
}

impl Outputs {
    pub fn new(plan: Arc<Plan>, metrics: Arc<Metrics>, publisher: Publisher, letters: DeadLetterFile) -> Self {
        let versions = plan.models.iter().map(|model| (model.name.clone(), Vec::new())).collect();
        Outputs { plan, metrics, publisher, letters, versions, unlabelled: BTreeMap::new(), dead_letters: 0 }
    }

    /// Follows one event; gives the version, if it was one, with its model's position.
    ///
    /// # Errors
    /// If the job cannot go on.
    pub fn follow(&mut self, event: Event) -> anyhow::Result<Option<(usize, Version)>> {
        match event {
            Event::Version(model, version) => {
                self.publish(model, &version)?;
                return Ok(Some((model, *version)));
            }
            Event::Unlabelled(model, dropped) => {
                let name = &self.plan.models[model].name;
                *self.unlabelled.entry(name.clone()).or_default() += dropped;
                self.metrics.unlabelled.with_label_values(&[name.as_str()]).inc_by(dropped);
            }
            Event::Letters(letters) => self.keep(&letters)?,
            Event::SourceFailed(error) => return Err(error).context("a source cannot be read"),
            Event::OfflineFailed(error) => return Err(error).context("the offline store failed"),
        }
        Ok(None)
    }

    fn keep(&mut self, letters: &[DeadLetter]) -> anyhow::Result<()> {
        self.dead_letters += letters.len() as u64;
        self.letters.write(letters).context("dead letters cannot be kept")
    }

    fn publish(&mut self, model: usize, version: &Version) -> anyhow::Result<()> {
        let name = self.plan.models[model].name.clone();
        let published = version.decision == Decision::Published;
        let gauge = |alias: &str, number: u64| {
            let number = i64::try_from(number).expect("versions are counted one by one");
            self.metrics.model_version.with_label_values(&[name.as_str(), alias]).set(number);
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
                self.metrics.model_score.with_label_values(&[name.as_str(), metric, role]).set(*value);
            }
        }
        let sha256 = self.publisher.publish(&name, version)?;
        let digest =
            VersionDigest { version: version.number, window_end: version.window_end, sha256, champion: published };
        self.versions.entry(name).or_default().push(digest);
        Ok(())
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// If something cannot be.
    pub fn finish(self) -> anyhow::Result<BTreeMap<String, Vec<VersionDigest>>> {
        self.publisher.finish()?;
        Ok(self.versions)
    }
}
