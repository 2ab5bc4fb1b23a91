//! The cost of a checkpoint to a run, and the time of a restart from it.
//!
//! `cargo run --release --example restart -- [entities] [records] [workers]`
//!
//! Payments of so many users are read as fast as they can be; a checkpoint is asked for half way. The pause is the
//! longest time without a record processed while it was under way, and the longest before it. Then a new graph
//! starts from the checkpoint on disk until all its entities can be served.

#[path = "../benches/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Messages, Spread, json_partitions, payments, plan};
use tidemill::checkpoint::{CheckpointCoordinator, CheckpointStore, Fingerprint};
use tidemill::flow::op::{Assignments, SliceLength};
use tidemill::flow::{Job, Plan};
use tidemill::metrics::Metrics;
use tidemill::run::job::{self, Control};
use tidemill::source::{
    AssignedPartition, Ingest, InputFrontier, Partition, Partitions, PlaybackClock, PlaybackSpeed, Volume,
};

type Graph = tidemill::threads::Thread<anyhow::Result<()>>;

fn start(
    plan: &Arc<Plan>,
    transports: Vec<Box<dyn Partition>>,
    workers: usize,
    coordinator: Arc<CheckpointCoordinator>,
) -> (Arc<Job>, Arc<Control>, Graph) {
    let partitions = Arc::new(Partitions::default());
    let frontier = InputFrontier::new(&partitions, None, None);
    let clock = PlaybackClock::new(&partitions, PlaybackSpeed::Unlimited);
    coordinator.restored_time().into_iter().for_each(|time| frontier.start_from(time));
    let (assignments, source) = (Arc::new(Assignments::default()), &plan.sources[0]);
    for (index, transport) in (0..).zip(transports) {
        let progress = partitions.register(source, index);
        assignments.add(0, AssignedPartition::new(transport, Ingest::new(source.clone(), index), progress));
    }
    partitions.complete_discovery();
    let (events, _told) = crossbeam_channel::unbounded();
    let online = Some(job::online_store(plan));
    let job = Job {
        plan: plan.clone(),
        assignments,
        partitions,
        frontier,
        clock,
        from: None,
        coordinator,
        online,
        offline: None,
        events,
        max_in_flight: Volume { records: 1 << 17, bytes: u64::MAX },
        nulls: Arc::default(),
        live: Arc::default(),
        dropped: Arc::default(),
        keep_unlabelled: false,
        slice: SliceLength::default(),
    };
    let (job, control) = (Arc::new(job), Arc::new(Control::default()));
    let graph = job::start(&job, workers, &Metrics::new("restart"), &control);
    (job, control, graph)
}

fn applied(job: &Job) -> u64 {
    job.partitions.list().iter().map(|partition| partition.stats().counts.applied).sum()
}

fn shown(job: &Job) -> usize {
    job.online.as_ref().and_then(|online| online.group("user")).map_or(0, |table| table.len())
}

/// The longest time without progress, until something is there.
fn longest_pause<T>(job: &Job, mut found: impl FnMut() -> Option<T>) -> (Duration, T) {
    let (mut longest, mut at, mut since) = (Duration::ZERO, applied(job), Instant::now());
    loop {
        if let Some(found) = found() {
            return (longest.max(since.elapsed()), found);
        }
        let now = applied(job);
        if now != at {
            longest = longest.max(since.elapsed());
            (at, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn main() {
    common::allocator::return_free_memory();
    let number = |at: usize, default: usize| {
        let text = std::env::args().nth(at + 1);
        text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")))
    };
    let (entities, records, workers) = (number(0, 1_000_000), number(1, 4_000_000), number(2, 1));
    let plan = plan(&["1h", "1d"]);
    let messages = vec![Arc::new(Messages::json(&payments(entities, records, Spread::Uniform)))];
    let (job, control, graph) =
        start(&plan, json_partitions(&plan, &messages), workers, CheckpointCoordinator::fresh());

    let half = records as u64 / 2;
    longest_pause(&job, || (applied(&job) >= half / 2).then_some(()));
    let (usual, ()) = longest_pause(&job, || (applied(&job) >= half).then_some(()));
    let asked = Instant::now();
    job.frontier.inject_barrier(|time| job.coordinator.trigger(time)).expect("something has closed");
    let (pause, (time, parts)) = longest_pause(&job, || job.coordinator.collect());
    let gathered = asked.elapsed();
    let folder = std::env::temp_dir().join(format!("tidemill-restart-{}", std::process::id()));
    let fingerprint =
        Fingerprint { dataflow: "payments".to_owned(), definition: plan.spec.definition(), topics: BTreeMap::new() };
    let store = CheckpointStore::open(&folder.to_string_lossy()).expect("a folder");
    let written =
        std::thread::spawn(move || store.write(&fingerprint, time, parts.encode(), 1).map(|written| (store, written)));
    let (pause_writing, ()) = longest_pause(&job, || written.is_finished().then_some(()));
    let (store, written) = written.join().expect("no panic").expect("a checkpoint");
    let current = asked.elapsed();
    let bytes: u64 = written.bytes.values().sum();
    let held = shown(&job);
    control.stop();
    graph.join().expect("no panic").expect("the graph runs");
    drop(job);
    println!("{entities} entities, {held} of them seen; {workers} workers; checkpoint of {} MB", bytes >> 20);
    println!("longest pause before       {:>8.1} ms", usual.as_secs_f64() * 1e3);
    println!("longest pause during       {:>8.1} ms", pause.max(pause_writing).as_secs_f64() * 1e3);
    println!("from trigger to collected  {:>8.1} ms", gathered.as_secs_f64() * 1e3);
    println!("from trigger to current    {:>8.1} ms", current.as_secs_f64() * 1e3);

    let started = Instant::now();
    let snapshot = store.newest(|_| None).expect("the folder can be read").checkpoint;
    let snapshot = snapshot.expect("the checkpoint is whole");
    let read = started.elapsed();
    let coordinator = CheckpointCoordinator::restoring(snapshot.time, snapshot.parts);
    let (job, control, graph) = start(&plan, Vec::new(), workers, coordinator);
    while shown(&job) < held * 99 / 100 {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("restart: read and checked  {:>8.1} ms", read.as_secs_f64() * 1e3);
    println!("restart: all can be served {:>8.1} ms", started.elapsed().as_secs_f64() * 1e3);
    control.stop();
    graph.join().expect("no panic").expect("the graph runs");
    std::fs::remove_dir_all(&folder).expect("the folder can be removed");
}
