//! Where dead letters go: those of Kafka's topics to a topic, those of files to a file.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::config::DeadLettersConfig;
use super::{Failure, inputs};
use crate::source::kafka::{Cluster, DeadLetterTopic};
use crate::source::{DeadLetter, DeadLetterFile};

/// Takes dead letters in.
pub struct DeadLetterSink {
    file: DeadLetterFile,
    topic: Option<DeadLetterTopic>,
    /// The topics that files stand for.
    files: BTreeSet<String>,
}

impl From<DeadLetterFile> for DeadLetterSink {
    /// All letters to a file.
    fn from(file: DeadLetterFile) -> Self {
        DeadLetterSink { file, topic: None, files: BTreeSet::new() }
    }
}

impl DeadLetterSink {
    /// Letters of topics that files do not stand for go to the dead letter topic from now on.
    ///
    /// # Errors
    /// If the brokers' settings are wrong.
    pub fn with_topic(
        mut self,
        cluster: &Arc<Cluster>,
        files: impl IntoIterator<Item = String>,
        config: &DeadLettersConfig,
    ) -> Result<Self, Failure> {
        self.topic = Some(DeadLetterTopic::new(cluster, config.topic.as_deref()).map_err(inputs::failure)?);
        self.files = files.into_iter().collect();
        Ok(self)
    }

    /// Takes letters in; some may still be on their way to the brokers.
    ///
    /// # Errors
    /// If these, or letters before them, cannot be kept.
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

    /// Sees what is in the file to the disk; gives how many letters have been sent to the brokers by now.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn mark(&self) -> anyhow::Result<usize> {
        self.file.sync()?;
        Ok(self.topic.as_ref().map_or(0, DeadLetterTopic::sent))
    }

    /// Whether the brokers have the first so many; while they are away, they may not.
    ///
    /// # Errors
    /// If one cannot be kept.
    pub fn is_durable(&self, letters: usize) -> anyhow::Result<bool> {
        let Some(topic) = &self.topic else { return Ok(true) };
        topic.has_delivered(letters).with_context(|| format!("topic {:?}", topic.topic()))
    }

    /// Waits until all letters are where they go, and stay there.
    ///
    /// # Errors
    /// If one cannot be kept, or was not within this time.
    pub fn flush(&mut self, patience: Duration) -> anyhow::Result<()> {
        self.file.sync()?;
        match &mut self.topic {
            Some(topic) => topic.flush(patience).with_context(|| format!("topic {:?}", topic.topic())),
            None => Ok(()),
        }
    }
}
