//! What feeds a plan: files and Kafka topics, by what the config binds each topic to.

use std::sync::Arc;

use super::Failure;
use super::config::Config;
use crate::source::kafka::{Cluster, Fault};
use crate::source::{FilePartition, TopicReader};

/// The cluster of a config, if it has one.
///
/// # Errors
/// If a key under `[kafka]` is wrong.
pub fn cluster(config: &Config, dataflow: &str) -> Result<Option<Arc<Cluster>>, Failure> {
    match config.kafka.contains_key("bootstrap.servers") || !config.kafka.is_empty() {
        true => Cluster::new(&config.kafka, dataflow).map(Some).map_err(failure),
        false => Ok(None),
    }
}

/// A fault of Kafka as why a verb was not done.
pub fn failure(fault: Fault) -> Failure {
    match fault {
        Fault::Config(_) | Fault::Refused(_) => Failure::Wrong(format!("error: {fault}")),
        Fault::Away { .. } => Failure::Failed(anyhow::Error::new(fault).context("the brokers cannot be reached")),
    }
}

/// Opens the files that a topic is bound to.
///
/// # Errors
/// If there is none, or the first cannot be opened.
pub fn file(reader: &TopicReader, config: &Config) -> Result<FilePartition, Failure> {
    let bound = config.topics.get(&reader.topic).ok_or_else(|| {
        Failure::Wrong(format!(
            "error: topic {:?} is bound to nothing; expected [topics.{}] with file = \"…\", or [kafka] with \"bootstrap.servers\" in the config",
            reader.topic, reader.topic
        ))
    })?;
    let optional = reader.schema.columns.iter().filter(|column| column.nullable).map(|column| column.name.clone());
    let opened = bound
        .binding()
        .paths(&config.base)
        .and_then(|paths| FilePartition::open(paths, reader.schema.clone(), bound.nulls.clone(), optional.collect()));
    opened.map_err(|error| {
        let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
        Failure::Wrong(format!("error: [topics.{}]: {error}{cause}", reader.topic))
    })
}
