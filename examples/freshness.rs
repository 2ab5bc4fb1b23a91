//! Time from a record to its features: records at a steady rate, and a reader that waits for their features.
//!
//! `cargo run --release --example freshness -- [records/s] [entities] [seconds] [lateness]`
//!
//! Every 5 ms one of the records is the reader's own, of an entity that has no others; the time from its event time,
//! which is when it is produced, to the count of that entity going up in the online store is what is measured.

#[path = "../benches/common/mod.rs"]
mod common;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::user_name;
use tidemill::aggregate::Feature;
use tidemill::checkpoint::CheckpointCoordinator;
use tidemill::flow::op::{Assignments, SliceLength};
use tidemill::flow::{Job, Plan};
use tidemill::metrics::Metrics;
use tidemill::run::job::{self, Control};
use tidemill::source::{
    AssignedPartition, Ingest, InputFrontier, InputStatus, Partition, Partitions, PlaybackClock, PlaybackSpeed,
    RawMessage, SourceError, Volume,
};
use tidemill::value::{JsonDecoder, Scalar};

const EVERY_MS: i64 = 5;

fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

/// Records that are there once their time has come.
struct Steady {
    rate: i64,
    entities: u32,
    begun_us: i64,
    made: i64,
    /// The probe's records, at most one each [`EVERY_MS`].
    probes: i64,
    decoder: JsonDecoder,
}

impl Partition for Steady {
    fn read(&mut self, max: usize, ingest: &mut Ingest) -> Result<InputStatus, SourceError> {
        let now = now_us();
        let due = (now - self.begun_us) * self.rate / 1_000_000;
        if due <= self.made {
            return Ok(InputStatus::NothingAvailable);
        }
        for _ in 0..(due - self.made).min(max as i64) {
            self.made += 1;
            let at_us = self.begun_us + self.made * 1_000_000 / self.rate;
            let user = if (at_us - self.begun_us) / 1000 / EVERY_MS > self.probes {
                self.probes += 1;
                "probe".to_owned()
            } else {
                user_name((self.made as u32).wrapping_mul(2_654_435_761) % self.entities)
            };
            let message = format!(r#"{{"user":"{user}","amount":1.5,"at":{}}}"#, at_us / 1000);
            let raw = || RawMessage::value(message.as_bytes());
            ingest.push(self.made as u64, None, raw, |columns, present| {
                self.decoder.decode(message.as_bytes(), columns, present)
            });
        }
        Ok(InputStatus::MoreAvailable)
    }
}

fn main() {
    common::allocator::return_free_memory();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: i64| {
        arguments.get(at).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")))
    };
    let (rate, entities, seconds) = (number(0, 50_000), number(1, 10_000), number(2, 10));
    let lateness = arguments.get(3).map_or("0s", String::as_str);
    let spec = format!(
        r#"
name = "payments"

[source.payments]
topic    = "payments"
format   = "json"
time     = "at"
lateness = {lateness:?}
columns  = {{ user = "string", amount = "float", at = "timestamp" }}

[features.user]
from      = "payments"
entity    = "user"
aggregate = [{{ of = "amount", op = ["count", "mean", "stddev"], windows = ["1h", "1d"] }}]
"#
    );
    let spec = tidemill::spec::parse(&spec, "payments.toml").unwrap_or_else(|problems| panic!("{problems:?}"));
    let plan = Arc::new(Plan::new(Arc::new(spec)));
    let source = &plan.sources[0];
    let partitions = Arc::new(Partitions::default());
    let frontier = InputFrontier::new(&partitions, None, None);
    let clock = PlaybackClock::new(&partitions, PlaybackSpeed::Unlimited);
    let decoder = JsonDecoder::new(&source.schema);
    let steady = Steady { rate, entities: entities as u32, begun_us: now_us(), made: 0, probes: 0, decoder };
    let (ingest, progress) = (Ingest::new(source.clone(), 0), partitions.register(source, 0));
    let assignments = Arc::new(Assignments::default());
    assignments.add(0, AssignedPartition::new(Box::new(steady), ingest, progress));
    partitions.complete_discovery();
    let online = job::online_store(&plan);
    let (events, _told) = crossbeam_channel::unbounded();
    let job = Arc::new(Job {
        plan: plan.clone(),
        assignments,
        partitions,
        frontier,
        clock,
        from: None,
        coordinator: CheckpointCoordinator::fresh(),
        online: Some(online.clone()),
        offline: None,
        events,
        max_in_flight: Volume { records: 1 << 20, bytes: u64::MAX },
        nulls: Arc::default(),
        live: Arc::default(),
        dropped: Arc::default(),
        keep_unlabelled: false,
        slice: SliceLength::default(),
    });
    let begun_us = now_us();
    let control = Arc::new(Control::default());
    let graph = job::start(&job, 1, &Metrics::new("bench"), &control);

    let table = online.group("user").expect("the spec has this group").clone();
    let key = table.codec().encode_one(&[Scalar::String("probe".into())]);
    let (mut seen, mut took_ms) = (0, Vec::new());
    while now_us() - begun_us < seconds * 1_000_000 {
        let count = match table.get(&key).as_deref() {
            Some([Feature::Value(Scalar::Int(count)), ..]) => *count,
            _ => 0,
        };
        let now = now_us();
        // The n-th of its records was due n steps after the beginning.
        for probe in seen + 1..=count {
            took_ms.push((now - begun_us) as f64 / 1e3 - (probe * EVERY_MS) as f64);
        }
        seen = seen.max(count);
        std::thread::sleep(Duration::from_micros(200));
    }
    control.stop();
    graph.join().expect("no panic").expect("the graph runs");
    took_ms.sort_by(f64::total_cmp);
    let at = |share: f64| took_ms[((took_ms.len() - 1) as f64 * share) as usize];
    println!("{rate} records/s of {entities} entities, lateness {lateness}: {} seen", took_ms.len());
    println!("from record to feature: p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms", at(0.5), at(0.99), at(1.0));
}
