//! Inputs of a plan: files and Kafka topics, as the config binds each topic.

use std::sync::Arc;
use std::time::Duration;

use super::Failure;
use super::config::Config;
use super::kafka_supervisor::{KafkaInputs, KafkaSupervisor};
use super::resume::{RecordBounds, ResumePoints};
use crate::flow::Plan;
use crate::flow::op::Assignments;
use crate::source::kafka::{Cluster, KafkaError};
use crate::source::{DELETED, FORMATS, FilePartition, Format, Partitions, SourcePlan};
use crate::spec::{Spec, Topic};
use crate::time::PartitionId;

pub use super::kafka_supervisor::{KafkaState, KafkaStatus};

/// The opened inputs of a job. Dropping them stops the supervisor of Kafka.
pub struct Inputs {
    supervisor: Option<KafkaSupervisor>,
}

impl Inputs {
    /// Returns the status of Kafka; `None` if no topic is read from it.
    pub fn kafka(&self) -> Option<&Arc<KafkaStatus>> {
        self.supervisor.as_ref().map(KafkaSupervisor::status)
    }
}

/// Opens the inputs of a plan: files at once, Kafka's partitions as soon as the brokers answer. When all are known,
/// discovery is complete. If `bounded`, topics are read only up to where they end now.
///
/// # Errors
/// If a topic has no input or a format that its input cannot have, a file cannot be opened, a setting of Kafka is wrong,
/// or brokers that answer within a few seconds know no such topic.
pub fn open(
    plan: &Plan,
    config: &Config,
    partitions: &Arc<Partitions>,
    assignments: &Arc<Assignments>,
    mut resume: ResumePoints,
    bounded: bool,
) -> Result<Inputs, Failure> {
    check_formats(&plan.spec, config)?;
    let cluster = cluster(config, &plan.spec.name)?;
    let bounds = message_bounds(config);
    let mut topics = Vec::new();
    for (topic, source) in plan.readers().enumerate() {
        if is_file(source, config) || cluster.is_none() {
            let mut partition = file(source, config)?;
            let id = PartitionId { source: source.source.clone(), partition: 0 };
            if let Some(position) = resume.position(&id) {
                position.place.iter().try_for_each(|place| partition.resume(place))?;
                position.read.iter().try_for_each(|place| partition.compare_to(place))?;
            }
            let bounds = file_bounds(source, config);
            assignments.add(topic, resume.assign(Box::new(partition), source, 0, bounds, partitions));
        } else {
            topics.push((topic, source.clone()));
        }
    }
    let supervisor = match cluster.filter(|_| !topics.is_empty()) {
        None => {
            partitions.complete_discovery();
            None
        }
        Some(cluster) => {
            let (partitions, assignments) = (partitions.clone(), assignments.clone());
            let inputs = KafkaInputs { cluster, topics, partitions, assignments, resume, bounded, bounds };
            Some(KafkaSupervisor::start(inputs)?)
        }
    };
    Ok(Inputs { supervisor })
}

/// Checks the formats of the topics that are read from Kafka, or would be if it were configured.
///
/// # Errors
/// If one has a format that its messages cannot have; see [`check_messages`].
pub fn check_formats(spec: &Spec, config: &Config) -> Result<(), Failure> {
    check_messages(spec.topics().filter(|topic| !config.topics.contains_key(&topic.topic)))
}

/// Checks the files that topics of a plan are bound to.
///
/// # Errors
/// If there are none, or the first of a topic cannot be opened.
pub fn check_files(plan: &Plan, config: &Config) -> Result<(), Failure> {
    plan.readers().filter(|source| is_file(source, config)).try_for_each(|source| file(source, config).map(drop))
}

/// Checks the formats of topics whose records are messages.
///
/// # Errors
/// If one has a format that only files have, or if two that read one topic differ in how they decode its messages.
pub fn check_messages<'a>(topics: impl Iterator<Item = &'a Topic>) -> Result<(), Failure> {
    let mut known: Vec<&Topic> = Vec::new();
    for topic in topics {
        let Topic { name, topic: of, format: named, .. } = topic;
        let Some(format) = Format::named(named) else {
            let formats: Vec<_> = FORMATS.iter().map(|format| format.name).collect();
            let formats = formats.join(", ");
            return Err(Failure::Usage(format!(
                "error: {name}: messages cannot have the format {named:?}, which is one of files; expected one of {formats}, or a file with [topics.{of}] file = \"…\""
            )));
        };
        for other in known.iter().filter(|other| other.topic == *of) {
            let (before, columns) = (&other.name, topic.schema.names().collect::<Vec<_>>().join(", "));
            if other.format != *named {
                let first = other.format;
                return Err(Failure::Usage(format!(
                    "error: {name}: topic {of:?} has the format {first:?} in {before} and {named:?} here; expected one format"
                )));
            }
            let (before_it, here) = (other.schema.separator.text(), topic.schema.separator.text());
            if !format.names_columns && before_it != here {
                return Err(Failure::Usage(format!(
                    "error: {name}: topic {of:?} has the separator {before_it:?} in {before} and {here:?} here; expected one separator"
                )));
            }
            if !format.names_columns && other.schema != topic.schema {
                return Err(Failure::Usage(format!(
                    "error: {name}: the columns {columns} are not those of {before}; expected the same, since messages of topic {of:?} have the format {named:?}, which does not name them"
                )));
            }
        }
        known.push(topic);
    }
    Ok(())
}

/// Returns whether a topic of the plan is read from Kafka.
pub fn uses_kafka(plan: &Plan, config: &Config) -> bool {
    !config.kafka.is_empty() && plan.readers().any(|source| !is_file(source, config))
}

/// Returns whether a topic is bound to files.
pub fn is_file(source: &SourcePlan, config: &Config) -> bool {
    config.topics.contains_key(&source.topic)
}

/// Returns the cluster of a config; `None` if it has no `[kafka]`.
///
/// # Errors
/// If a key under `[kafka]` is wrong.
pub fn cluster(config: &Config, dataflow: &str) -> Result<Option<Arc<Cluster>>, Failure> {
    match config.kafka.is_empty() {
        true => Ok(None),
        false => Cluster::new(&config.kafka, dataflow).map(Some).map_err(|error| match error {
            KafkaError::Config { ref key, .. } => {
                let path: Vec<&str> = std::iter::once("kafka").chain(key.as_deref()).collect();
                Failure::Usage(format!("{}: error: {error}", config.origin.place(&path)))
            }
            error => Failure::of_kafka(error),
        }),
    }
}

/// Returns the bounds on the records of topics that are read from Kafka.
pub fn message_bounds(config: &Config) -> RecordBounds {
    RecordBounds { max_ahead_ms: ms(config.max_ahead), outliers_ms: None, max_record_bytes: config.max_record_bytes }
}

/// Returns the bounds on the records of a topic that is bound to files.
pub fn file_bounds(source: &SourcePlan, config: &Config) -> RecordBounds {
    let outliers_ms = config.topics.get(&source.topic).map(|topic| ms(topic.max_ahead));
    RecordBounds { max_ahead_ms: i64::MAX, outliers_ms, max_record_bytes: config.max_record_bytes }
}

/// Returns a duration in ms; the maximum if it is longer than that.
fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Opens the files that a topic is bound to.
///
/// # Errors
/// If it is bound to none, or the first cannot be opened.
pub fn file(source: &SourcePlan, config: &Config) -> Result<FilePartition, Failure> {
    let topic = &source.topic;
    let bound = config.topics.get(topic).ok_or_else(|| {
        Failure::Usage(format!(
            "error: topic {topic:?} has no input; bind it to a file with [topics.{topic}] file = \"…\" or set [kafka] \"bootstrap.servers\""
        ))
    })?;
    // Only the mark of a delete may be missing from a file that names its columns.
    let optional = vec![DELETED.to_owned()];
    let opened = bound
        .binding()
        .paths(&config.base)
        .and_then(|paths| FilePartition::open(paths, source.schema.clone(), bound.nulls.clone(), optional));
    opened.map_err(|error| {
        let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
        let place = config.origin.place(&["topics", topic.as_str(), "file"]);
        Failure::Usage(format!("{place}: error: [topics.{topic}]: {error}{cause}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sources: &[[&str; 3]]) -> Result<(), String> {
        let mut text = String::from("name = \"demo\"\n");
        for [name, format, columns] in sources {
            text += &format!(
                "[source.{name}]\ntopic = \"clicks\"\nformat = \"{format}\"\ntime = \"at\"\ncolumns = {{ at = \"timestamp\", {columns} }}\n"
            );
        }
        let spec = crate::spec::parse(&text, "demo.toml").unwrap_or_else(|errors| panic!("{errors}"));
        check_messages(spec.topics()).map_err(|failure| match failure {
            Failure::Usage(text) => text,
            Failure::Runtime(error) => panic!("{error}"),
        })
    }

    #[test]
    fn a_format_that_messages_cannot_have_is_refused() {
        assert_eq!(check(&[["a", "csv", ""], ["b", "csv", ""]]), Ok(()));
        let wrong = check(&[["a", "parquet", ""]]).unwrap_err();
        assert!(wrong.starts_with("error: a: messages cannot have the format \"parquet\""), "{wrong}");
        assert!(wrong.contains("expected one of json, csv, or a file with [topics.clicks]"), "{wrong}");
    }

    #[test]
    fn two_sources_of_a_topic_must_agree_on_how_it_is_decoded() {
        let wrong = check(&[["a", "json", ""], ["b", "csv", ""]]).unwrap_err();
        assert!(wrong.contains("has the format \"json\" in a and \"csv\" here"), "{wrong}");
        assert_eq!(check(&[["a", "json", "x = \"int\""], ["b", "json", "y = \"int\""]]), Ok(()));
        let wrong = check(&[["a", "csv", ""], ["b", "csv\"\nseparator = \";", ""]]).unwrap_err();
        assert!(wrong.contains("has the separator \",\" in a and \";\" here; expected one separator"), "{wrong}");
        let wrong = check(&[["a", "csv", "x = \"int\""], ["b", "csv", "y = \"int\""]]).unwrap_err();
        assert!(wrong.contains("the columns at, y are not those of a"), "{wrong}");
    }
}
