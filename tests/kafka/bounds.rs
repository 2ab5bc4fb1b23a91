//! The end of a bounded run, on files and on Kafka: everything that takes effect before it and nothing else, in batches
//! of any size.

use std::path::Path;
use std::sync::Arc;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tidemill::source::kafka::{Cluster, Consumer, NewTopic, PartitionRange};
use tidemill::source::{FilePartition, Partition, SourcePlan};

use super::broker::{Broker, Sent};
use crate::common::engine::{Found, Inputs, Record, Run};
use crate::common::naive::{self, Dealt, Expected};
use crate::common::spec::SPEC;

const START: i64 = 1_000_000;
const TOPICS: [&str; 3] = ["asks", "sales", "prices"];

/// Topics whose records come out of order, by up to these times.
fn inputs(seed: u64, back: [i64; 3]) -> Inputs {
    let mut random = StdRng::seed_from_u64(seed);
    let mut topic = |records: i64, step: i64, back: i64| -> Vec<Record> {
        let mut record = |number: i64| Record {
            id: format!("k{}", random.random_range(0..12)),
            shop: (random.random_range(0..10) > 0).then(|| format!("s{}", random.random_range(0..3))),
            item: random.random_range(0..3),
            x: (random.random_range(0..10) > 0).then(|| f64::from(random.random_range(-4..5)) / 8.0),
            step: 0,
            at: START + number * step - random.random_range(0..=back),
        };
        (0..records).map(&mut record).collect()
    };
    Inputs { asks: topic(120, 5, back[0]), sales: topic(240, 3, back[1]), prices: topic(40, 15, back[2]) }
}

fn check(found: &Found, expected: &Expected, what: &str) {
    assert_eq!(found.tallies, expected.tallies, "{what}");
    assert_eq!(found.shop, expected.shop, "{what}");
    assert_eq!(found.pair, expected.pair, "{what}");
    let examples: Vec<_> = found.examples.iter().map(|row| row[..row.len() - 2].to_vec()).collect();
    assert_eq!(examples, expected.examples, "{what}");
}

fn on_files(run: Run, folder: &Path) -> Found {
    run.run_on(|reader, _| {
        let path = folder.join(format!("{}.jsonl", reader.topic));
        let optional = reader.schema.columns.iter().map(|column| column.name.clone()).collect();
        vec![Box::new(FilePartition::open(vec![path], reader.schema.clone(), Vec::new(), optional).unwrap())]
    })
}

fn on_kafka(run: Run, cluster: &Arc<Cluster>) -> Found {
    let consumer = Consumer::new(cluster).unwrap();
    run.run_on(|plan: &Arc<SourcePlan>, _| {
        let partition = |number| -> Box<dyn Partition> {
            let available = consumer.bounds(&plan.topic, number).unwrap();
            let range = PartitionRange { available, start: available.start, end: Some(available.end) };
            consumer.open(plan, number, range).unwrap()
        };
        (0..consumer.partitions_of(&plan.topic).unwrap()).map(partition).collect()
    })
}

/// Runs the topics up to several ends on files and on Kafka with 1 and 4 partitions; each must be what the oracle says.
fn try_ends(name: &str, inputs: &Inputs) -> Vec<[Found; 3]> {
    let broker = Broker::shared();
    // A broker answers one request after another, and holds back a fetch that finds nothing.
    let cluster = broker.cluster(&[("fetch.wait.max.ms", "10")]);
    let folder = tempfile::tempdir().unwrap();
    for topic in TOPICS {
        let text: String = inputs.messages(topic).iter().map(|message| format!("{message}\n")).collect();
        std::fs::write(folder.path().join(format!("{topic}.jsonl")), text).unwrap();
        for partitions in [1, 4] {
            let name = format!("{topic}.{name}{partitions}");
            let settings = [];
            assert!(NewTopic { name: &name, partitions, settings: &settings }.create(&cluster).unwrap());
            for (number, messages) in (0..).zip(inputs.dealt(topic, partitions as usize)) {
                let sent: Vec<Sent> = messages.into_iter().map(|message| Sent::value(message, START)).collect();
                broker.write(&name, number, &sent);
            }
        }
    }
    let named = |partitions: usize| {
        let renamed = |spec: String, topic| {
            spec.replace(&format!("topic = \"{topic}\""), &format!("topic = \"{topic}.{name}{partitions}\""))
        };
        TOPICS.into_iter().fold(SPEC.clone(), renamed)
    };
    let (one, four) = (named(1), named(4));
    let mut all = Vec::new();
    for (end, read) in [(-100, 64), (200, 1), (200, 8192), (437, 7), (437, 8192), (10_000, 64)] {
        let until = Some(START + end);
        let run = |spec| Run { spec, read, until, ..Run::default() };
        let what = format!("{name}, end {end}, {read} at a time");
        let [in_one, in_four] =
            [1, 4].map(|partitions| naive::compute_of(inputs, &Dealt { until, ..Dealt::over(partitions) }));
        let files = on_files(run(&SPEC), folder.path());
        check(&files, &in_one, &format!("{what}: files"));
        let kafka1 = on_kafka(run(&one), &cluster);
        check(&kafka1, &in_one, &format!("{what}: 1 partition"));
        let kafka4 = on_kafka(run(&four), &cluster);
        check(&kafka4, &in_four, &format!("{what}: 4 partitions"));
        all.push([files, kafka1, kafka4]);
    }
    all
}

#[test]
fn a_bounded_run_accepts_what_takes_effect_before_its_end_on_any_transport_in_any_batches() {
    try_ends("late", &inputs(1, [60, 40, 20]));
}

#[test]
fn a_bounded_run_has_the_same_ledger_on_any_number_of_partitions_if_nothing_is_late() {
    let all = try_ends("ordered", &inputs(2, [40, 25, 0]));
    for [files, kafka1, kafka4] in all {
        assert!(files.tallies.values().all(|tally| tally.late == 0), "{:?}", files.tallies);
        for other in [kafka1, kafka4] {
            assert_eq!(other.tallies, files.tallies);
            assert_eq!((&other.shop, &other.pair), (&files.shop, &files.pair));
            assert_eq!((&other.examples, &other.versions), (&files.examples, &files.versions));
        }
    }
}
