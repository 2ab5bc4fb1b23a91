//! Where dead letters go: those of Kafka's topics to a topic, those of files to a file.

use std::collections::BTreeSet;

use anyhow::Context;

use crate::source::kafka::DeadLetterTopic;
use crate::source::{DeadLetter, DeadLetterFile};

/// Takes dead letters in.
pub struct Letters {
    file: DeadLetterFile,
    topic: Option<DeadLetterTopic>,
    /// The topics that files stand for.
    files: BTreeSet<String>,
}

impl From<DeadLetterFile> for Letters {
    /// All letters to a file.
    fn from(file: DeadLetterFile) -> Self {
        Letters { file, topic: None, files: BTreeSet::new() }
    }
}

impl Letters {
    /// Letters of the named topics to a file, those of all others to a topic.
    pub fn split(file: DeadLetterFile, files: impl IntoIterator<Item = String>, topic: DeadLetterTopic) -> Self {
        Letters { file, topic: Some(topic), files: files.into_iter().collect() }
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

    /// Waits until all letters are where they go.
    ///
    /// # Errors
    /// If one cannot be kept.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        match &mut self.topic {
            Some(topic) => topic.flush().with_context(|| format!("topic {:?}", topic.topic())),
            None => Ok(()),
        }
    }
}
