//! The whole of `dataflows/flights.toml` on Kafka: what a record costs from the topic to features, examples, versions and
//! their scores, beside a bare loop that consumes and decodes the same topics.
//!
//! `cargo run --release --example flights_kafka -- SERVERS [rounds]`, from the root of the repository
//!
//! The topics are filled by `tidemill load` unless they are there. Rates are messages a second of this process's processor
//! time, librdkafka's threads among it; medians of the rounds. `replay` writes every example and feature change as
//! Parquet and hashes them; `run --until-end` does not, but keeps the online store, the endpoint and checkpoints.

#[path = "../benches/common/bare.rs"]
mod bare;
#[path = "../benches/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hint::black_box;
use std::path::Path;

use clap::Parser;
use common::{Contender, compare};
use serde::Deserialize;
use tidemill::run::{Cli, Failure};
use tidemill::source::kafka::{Cluster, Consumer};

const FILE: &str = "dataflows/flights.toml";
const TOPICS: [&str; 3] = ["schedule", "departures", "weather"];
const PARTITIONS: usize = 4;

/// A message of any of the three topics.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    flight_id: Option<&'a str>,
    carrier: Option<&'a str>,
    flight: Option<i64>,
    tail: Option<&'a str>,
    origin: Option<&'a str>,
    dest: Option<&'a str>,
    distance: Option<f64>,
    delay: Option<f64>,
    temp: Option<f64>,
    wind: Option<f64>,
    visibility: Option<f64>,
    precip: Option<f64>,
}

fn tidemill(arguments: &[&str]) {
    let arguments = ["tidemill"].iter().chain(arguments).map(OsString::from);
    match Cli::parse_from(arguments).run() {
        Ok(()) => {}
        Err(Failure::Usage(text)) => panic!("{text}"),
        Err(Failure::Runtime(error)) => panic!("{error:#}"),
    }
}

fn main() {
    common::allocator::return_free_memory();
    let mut arguments = std::env::args().skip(1);
    let servers = arguments.next().expect("the first argument is the brokers' address, as 127.0.0.1:9092");
    let rounds: usize = arguments.next().map_or(3, |text| text.parse().expect("a number of rounds"));
    let kafka = format!("kafka.bootstrap.servers={servers}");
    let folder = std::env::temp_dir().join(format!("tidemill-flights-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let config = folder.join("config.toml");
    std::fs::write(&config, "").expect("the folder can be written");
    let config = config.to_str().expect("a plain path");
    let common = ["--config", config, "--set", &kafka, "-q"];

    let settings = BTreeMap::from([("bootstrap.servers".to_owned(), servers.clone())]);
    let consumer = Consumer::new(&Cluster::new(&settings, "bench").expect("the settings are right")).expect("a client");
    if consumer.partitions(TOPICS[0]).expect("the broker answers").is_none() {
        let load = ["load", FILE, "--from", "config/embedded.toml", "--partitions", "4"];
        tidemill(&[&load[..], &common].concat());
    }
    let end = |topic: &str, partition| consumer.bounds(topic, partition).expect("the broker answers").end;
    let all = TOPICS.iter().flat_map(|topic| (0..PARTITIONS as u32).map(move |partition| (*topic, partition)));
    let messages: usize = all.map(|(topic, partition)| end(topic, partition) as usize).sum();
    println!("{messages} messages of {} topics with {PARTITIONS} partitions each, 1 worker", TOPICS.len());

    let topics = TOPICS.map(|topic| (topic, PARTITIONS));
    let out = folder.join("replay");
    let data = format!("data_dir={}", folder.display());
    let contenders: [Contender<'_>; 3] = [
        ("bare", "consume and decode, no more", Box::new(|| consume(&servers, &topics, messages))),
        (
            "replay",
            "tidemill replay",
            Box::new(|| tidemill(&[&["replay", FILE, "--out", text(&out)], &common[..]].concat())),
        ),
        (
            "run",
            "tidemill run --until-end",
            Box::new(|| {
                let own = ["run", FILE, "--until-end", "--fresh", "--set", &data, "--set", "http.listen=127.0.0.1:0"];
                tidemill(&[&own[..], &["--set", "clock=stream"], &common].concat());
            }),
        ),
    ];
    compare(rounds, messages, "messages", &contenders);
    std::fs::remove_dir_all(&folder).expect("the folder can be removed");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Reads all partitions and decodes each message, nothing more.
fn consume(servers: &str, topics: &[(&str, usize)], messages: usize) {
    bare::consume(servers, topics, messages, |value| {
        let Message { flight_id, carrier, flight, tail, origin, dest, distance, delay, temp, wind, visibility, precip } =
            serde_json::from_slice(value).expect("what was loaded is JSON");
        black_box((flight_id, carrier, flight, tail, origin, dest));
        black_box((distance, delay, temp, wind, visibility, precip));
    });
}
