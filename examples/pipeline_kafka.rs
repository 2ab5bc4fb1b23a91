//! Kafka beside its limit: JSON of a real topic -> windowed features, and a bare loop that consumes and decodes it.
//!
//! `cargo run --release --example pipeline_kafka -- SERVERS [entities] [records] [workers] [contender]`
//!
//! The topic is filled first, with as many partitions as workers (`payments-{entities}-{records}-{workers}`, kept for
//! the next time). The bare loop reads in batches through librdkafka and decodes with serde_json, nothing more. Rates
//! are per second of this process's processor time, librdkafka's threads among it; medians of three rounds. At the end
//! stands the most memory that the process has held.

#[path = "../benches/common/bare.rs"]
mod bare;
#[path = "../benches/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bare::consume;
use common::{Contender, Decoded, Messages, Spread, compare, payments, plan_on, run};
use tidemill::source::Partition;
use tidemill::source::kafka::{Cluster, Consumer, NewTopic, PartitionRange, Producer, ProducerRecord};

const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    common::allocator::return_free_memory();
    let argument = |at: usize| std::env::args().nth(at + 1);
    let number = |at: usize, default: usize| {
        argument(at).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")))
    };
    let servers = argument(0).expect("the first argument is the brokers' address, as 127.0.0.1:9092");
    let (entities, records, workers) = (number(1, 10_000), number(2, 2_000_000), number(3, 1));
    let settings = BTreeMap::from([("bootstrap.servers".to_owned(), servers.clone())]);
    let cluster = Cluster::new(&settings, "bench").expect("the settings are right");
    let topic = format!("payments-{entities}-{records}-{workers}");
    fill(&cluster, &topic, entities, records, workers);
    println!("{records} records of {entities} entities on Kafka, {workers} workers, windows 1h and 1d");

    let plan = plan_on(&["1h", "1d"], &topic);
    let features = |online: bool| {
        let consumer = Consumer::new(&cluster).expect("a client");
        let reader = &plan.sources[0];
        let open = |partition: u32| -> Box<dyn Partition> {
            let available = consumer.bounds(&topic, partition).expect("the broker answers");
            let range = PartitionRange { available, start: available.start, end: Some(available.end) };
            consumer.open(reader, partition, range).expect("the partition is there")
        };
        run(&plan, (0..workers as u32).map(open).collect(), workers, online);
    };
    let mut contenders: Vec<Contender<'_>> = vec![
        ("bare", "consume and decode, no more", Box::new(|| bare(&servers, &topic, workers, records))),
        ("features", "tidemill: features", Box::new(|| features(false))),
        ("online", "tidemill: features into the online store", Box::new(|| features(true))),
    ];
    if let Some(only) = argument(4) {
        contenders.retain(|(name, _, _)| *name == only);
    }
    compare(ROUNDS, records, "records", &contenders);
    println!("most memory held: {} MB", peak_kb() >> 10);
}

/// Makes and fills the topic, unless it is there.
fn fill(cluster: &Arc<Cluster>, topic: &str, entities: usize, records: usize, partitions: usize) {
    let settings = [("retention.ms", "-1")];
    let topic_settings = NewTopic { name: topic, partitions: partitions as u32, settings: &settings };
    if !topic_settings.create(cluster).expect("the broker answers") {
        return;
    }
    let producer = Producer::new(cluster).expect("a client");
    // A slice at a time, so that this takes no more memory than what is measured.
    for (slice, payments) in payments(entities, records, Spread::Uniform).chunks(100_000).enumerate() {
        let messages = Messages::json(payments);
        for (payment, value) in payments.iter().zip(messages.iter()) {
            let key = payment.user.to_string();
            let (key, value) = (Some(key.as_bytes()), Some(value));
            let message = ProducerRecord { topic, key, value, time: Some(payment.at), headers: &[] };
            producer.send(message, PATIENCE).unwrap_or_else(|fault| panic!("slice {slice}: {fault}"));
        }
    }
    producer.flush(PATIENCE).expect("all are delivered");
}

/// Reads all partitions and decodes each message, nothing more.
fn bare(servers: &str, topic: &str, partitions: usize, records: usize) {
    consume(servers, &[(topic, partitions)], records, |value| {
        let payment: Decoded<'_> = serde_json::from_slice(value).expect("generated JSON is right");
        black_box((payment.user, payment.amount, payment.at));
    });
}

fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has procfs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the kernel says");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number")
}
