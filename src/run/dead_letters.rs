//! The sink of dead letters: those of Kafka's topics go to a topic, those of files to a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::Failure;
use super::config::{Config, DeadLettersConfig};
use super::inputs::{self, Inputs};
use super::print_err;
use crate::flow::Job;
use crate::source::kafka::{Cluster, DeadLetterTopic};
use crate::source::{DeadLetter, DeadLetterFile, KeptLetters};
use crate::time::PartitionId;

/// Writes dead letters to a file and, for topics of Kafka, to a topic.
pub struct DeadLetterSink {
    file: DeadLetterFile,
    topic: Option<DeadLetterTopic>,
    /// The topics that are bound to files.
    files: BTreeSet<String>,
}

/// Returns how the letters in a file differ from those that a checkpoint has counted, in words.
fn differences(kept: &KeptLetters, counted: &BTreeMap<PartitionId, u64>) -> Vec<String> {
    let mut found = Vec::new();
    if kept.unreadable > 0 {
        found.push(format!("{} lines are not dead letters; they are kept", kept.unreadable));
    }
    if kept.incomplete {
        found.push("its last line has no end, as after an interrupted write; it is removed".to_owned());
    }
    for (id, counted) in counted {
        let letters = kept.by_partition.get(id).copied().unwrap_or(0);
        if letters != *counted {
            let PartitionId { source, partition } = id;
            found.push(format!(
                "it has {letters} letters of {source}/{partition}, the checkpoint has counted {counted}"
            ));
        }
    }
    found
}

impl From<DeadLetterFile> for DeadLetterSink {
    /// Writes all letters to a file.
    fn from(file: DeadLetterFile) -> Self {
        DeadLetterSink { file, topic: None, files: BTreeSet::new() }
    }
}

impl DeadLetterSink {
    /// Opens the sink of a live run. A job that starts from a checkpoint continues the file: letters of records that it
    /// will read again are removed. Any other job starts the file again.
    ///
    /// # Errors
    /// If the file cannot be written, or the brokers' settings are wrong.
    pub fn open(home: &Path, config: &Config, job: &Job, inputs: &Inputs) -> Result<Self, Failure> {
        let path = home.join("dead_letters.jsonl");
        let file = match job.coordinator.restored_time() {
            None => DeadLetterFile::open(&path, true)?,
            Some(_) => {
                let read = job.positions()?;
                let is_known = |id: &PartitionId, offset| read.get(id).is_some_and(|position| offset < position.next);
                let (file, kept) = DeadLetterFile::resume(&path, is_known)?;
                let is_in_file = |id: &PartitionId| {
                    let reader = job.plan.readers().find(|reader| reader.source == id.source);
                    reader.is_some_and(|reader| inputs::is_file(reader, config))
                };
                let counted = read.iter().filter(|(id, _)| is_in_file(id));
                let counted = counted.map(|(id, position)| (id.clone(), position.counts.dead_letter)).collect();
                for what in differences(&kept, &counted) {
                    print_err(format_args!("warning: {}: {what}", path.display()));
                }
                file
            }
        };
        let sink = DeadLetterSink::from(file);
        match inputs.kafka() {
            None => Ok(sink),
            Some(kafka) => sink.with_topic(kafka.cluster(), config.topics.keys().cloned(), &config.dead_letters),
        }
    }

    /// Sends the letters of topics that are not bound to files to the dead letter topic from now on.
    ///
    /// # Errors
    /// If the brokers' settings are wrong.
    pub fn with_topic(
        mut self,
        cluster: &Arc<Cluster>,
        files: impl IntoIterator<Item = String>,
        config: &DeadLettersConfig,
    ) -> Result<Self, Failure> {
        self.topic = Some(DeadLetterTopic::new(cluster, config.topic.as_deref()).map_err(Failure::of_kafka)?);
        self.files = files.into_iter().collect();
        Ok(self)
    }

    /// Writes letters. Some may still be on their way to the brokers when this returns.
    ///
    /// # Errors
    /// If these letters, or letters before them, cannot be written.
    pub fn write(&mut self, letters: &[DeadLetter]) -> anyhow::Result<()> {
        let Some(topic) = &mut self.topic else { return Ok(self.file.write(letters)?) };
        let (in_file, in_topic): (Vec<DeadLetter>, Vec<DeadLetter>) =
            letters.iter().cloned().partition(|letter| self.files.contains(&letter.topic));
        if !in_file.is_empty() {
            self.file.write(&in_file)?;
        }
        if !in_topic.is_empty() {
            topic.write(&in_topic).with_context(|| format!("topic {:?}", topic.topic()))?;
        }
        Ok(())
    }

    /// Returns where letters are kept, in words.
    pub fn place(&self) -> String {
        match &self.topic {
            None => self.file.path().to_owned(),
            Some(topic) => format!("topic {:?}, of files in {}", topic.topic(), self.file.path()),
        }
    }

    /// Syncs the file to disk, and returns the number of letters sent to the brokers so far.
    ///
    /// # Errors
    /// If the file cannot be synced.
    pub fn mark(&self) -> anyhow::Result<usize> {
        self.file.sync()?;
        Ok(self.topic.as_ref().map_or(0, DeadLetterTopic::sent))
    }

    /// Returns whether the brokers have acknowledged the first `letters` letters. Never waits for them.
    ///
    /// # Errors
    /// If the brokers rejected one.
    pub fn is_durable(&self, letters: usize) -> anyhow::Result<bool> {
        let Some(topic) = &self.topic else { return Ok(true) };
        topic.has_delivered(letters).with_context(|| format!("topic {:?}", topic.topic()))
    }

    /// Waits until all letters are durable.
    ///
    /// # Errors
    /// If one cannot be written, or not within `patience`.
    pub fn flush(&mut self, patience: Duration) -> anyhow::Result<()> {
        self.file.sync()?;
        match &mut self.topic {
            Some(topic) => topic.flush(patience).with_context(|| format!("topic {:?}", topic.topic())),
            None => Ok(()),
        }
    }
}
