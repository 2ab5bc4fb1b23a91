//! A sample of a topic: the first messages of each partition, as they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use crate::run::config::Config;
use crate::run::{Failure, inputs};
use crate::source::kafka::{Cluster, Consumer, KafkaError, PartitionRange};
use crate::source::{Format, Ingest, InputStatus, Partition, RecordSample, RecordTime, SourcePlan};
use crate::value::{Column, Schema, Type};

/// The name of a column that no message has.
const NO_COLUMN: &str = "\u{1}";

/// Records taken from a partition in one read.
const READ: usize = 1024;

/// The longest time that brokers may take to deliver the next messages.
const PATIENCE: Duration = Duration::from_secs(20);

/// The time between two reads of a partition that has nothing to read now.
const PAUSE: Duration = Duration::from_millis(5);

/// Samples messages of JSON, the oldest of each partition that are still there.
///
/// # Errors
/// If the config has no brokers, they do not answer, or there is no such topic.
pub fn sample(topic: &str, config: &Config, rows: usize) -> Result<RecordSample, Failure> {
    let cluster = inputs::cluster(config, "init")?.ok_or_else(|| {
        Failure::Usage(
            "error: --topic: there is no Kafka to read from; expected [kafka] with \"bootstrap.servers\" in --config, \
             or --set kafka.bootstrap.servers=HOST:PORT"
                .to_owned(),
        )
    })?;
    let mut messages = Vec::new();
    let has_more = read(&cluster, topic, rows, &mut messages).map_err(|error| match error {
        ReadFault::Kafka(error) => Failure::of_kafka(error),
        ReadFault::Silence(error) => Failure::Runtime(error),
    })?;
    let mut sample = RecordSample { has_more, ..RecordSample::default() };
    for message in messages {
        match serde_json::from_slice(&message) {
            Ok(record) => sample.push_json(&record),
            Err(_) => sample.refused += 1,
        }
    }
    if sample.rows == 0 && sample.refused > 0 {
        let refused = sample.refused;
        return Err(Failure::Usage(format!(
            "error: --topic: none of the {refused} messages of {topic:?} is an object of JSON; expected those"
        )));
    }
    Ok(sample)
}

/// The reason why a topic cannot be sampled.
enum ReadFault {
    Kafka(KafkaError),
    Silence(anyhow::Error),
}

impl From<KafkaError> for ReadFault {
    fn from(error: KafkaError) -> Self {
        ReadFault::Kafka(error)
    }
}

/// Reads the first messages of each partition. Returns whether there are more.
fn read(cluster: &Arc<Cluster>, topic: &str, rows: usize, messages: &mut Vec<Vec<u8>>) -> Result<bool, ReadFault> {
    let consumer = Consumer::new(cluster)?;
    let partitions = consumer.partitions_of(topic)?;
    let share = rows.div_ceil(partitions.max(1) as usize) as u64;
    let plan = Arc::new(plan_of(topic));
    let mut has_more = false;
    for number in 0..partitions {
        let available = consumer.bounds(topic, number)?;
        let end = available.end.min(available.start.saturating_add(share));
        has_more |= end < available.end;
        if end == available.start {
            continue;
        }
        let range = PartitionRange { available, start: available.start, end: Some(end) };
        let mut partition = consumer.open(&plan, number, range)?;
        drain(partition.as_mut(), Ingest::new(plan.clone(), number), &consumer, topic, messages)?;
    }
    Ok(has_more)
}

/// Reads a partition to its end. Messages are read without their only column, so each is refused as it is.
fn drain(
    partition: &mut dyn Partition,
    mut ingest: Ingest,
    consumer: &Consumer,
    topic: &str,
    messages: &mut Vec<Vec<u8>>,
) -> Result<(), ReadFault> {
    let mut progressed = Instant::now();
    loop {
        let status = partition.read(READ, &mut ingest).map_err(|error| ReadFault::Silence(error.into()))?;
        let is_idle = ingest.is_empty();
        if !is_idle {
            progressed = Instant::now();
            messages.extend(ingest.take_unsorted().letters.into_iter().filter_map(|letter| letter.value));
        }
        match status {
            InputStatus::EndOfInput => return Ok(()),
            InputStatus::MoreAvailable | InputStatus::NothingAvailable if !is_idle => {}
            InputStatus::MoreAvailable | InputStatus::NothingAvailable => {
                consumer.poll_events(topic);
                if progressed.elapsed() > PATIENCE {
                    let why = consumer.cluster().health().last_error().unwrap_or_default();
                    let seconds = PATIENCE.as_secs();
                    return Err(ReadFault::Silence(anyhow!("topic {topic:?}: no messages for {seconds} s: {why}")));
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
}

fn plan_of(topic: &str) -> SourcePlan {
    SourcePlan {
        source: topic.to_owned(),
        topic: topic.to_owned(),
        format: Format::named("json"),
        schema: Schema::new(vec![Column::new(NO_COLUMN, Type::Timestamp, false)]),
        key: Vec::new(),
        time: RecordTime::Column(0),
        lateness_ms: 0,
        filter: None,
        is_table: false,
        needs_order: false,
        retention_ms: i64::MAX,
    }
}
