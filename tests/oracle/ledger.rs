//! Records on their way: dead letters, the ledger, back pressure, and freshness before anything closes.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use crate::common::engine::Memory;
use proptest::prelude::*;
use tidemill::aggregate::Feature;
use tidemill::checkpoint::CheckpointCoordinator;
use tidemill::flow::build::JobEvent;
use tidemill::flow::op::source::SourceEvent;
use tidemill::flow::op::{Assignments, SliceLength};
use tidemill::flow::{Job, Plan};
use tidemill::metrics::Metrics;
use tidemill::run::job::{self, Control};
use tidemill::source::{
    AssignedPartition, DeadLetter, IdlenessPolicy, Ingest, InputFrontier, PartitionReader, PartitionStats, Partitions,
    PlaybackClock, PlaybackSpeed, ReaderOptions, Reason, RecordCounts, TumblingWindow, Volume,
};
use tidemill::store::Online;
use tidemill::value::Scalar;

const SPEC: &str = r#"
name = "stream"

[source.clicks]
topic = "clicks"
format = "json"
time = "at"
lateness = "LATENESS"
where = "amount is null or amount >= 0"
columns = { user = "string", amount = "float?", at = "timestamp" }

[source.views]
topic = "views"
format = "json"
time = "at"
columns = { user = "string", amount = "float?", at = "timestamp" }

[features.user]
from = "clicks"
entity = "user"
aggregate = [{ of = "amount", op = ["count", "sum"], windows = ["1h"] }]

[features.seen]
from = "views"
entity = "user"
aggregate = [{ op = "count", windows = ["1h"] }]
"#;

/// A started job over messages in memory.
struct Started {
    job: Arc<Job>,
    control: Arc<Control>,
    graph: tidemill::threads::Thread<anyhow::Result<()>>,
    events: crossbeam_channel::Receiver<JobEvent>,
    online: Arc<Online>,
}

fn start(lateness: &str, topics: [Vec<String>; 2], read: usize, workers: usize, limit: u64, ends: bool) -> Started {
    start_until(None, lateness, topics, (read, limit), workers, ends)
}

fn start_until(
    until: Option<i64>,
    lateness: &str,
    topics: [Vec<String>; 2],
    (read, limit): (usize, u64),
    workers: usize,
    ends: bool,
) -> Started {
    launch(&SPEC.replace("LATENESS", lateness), until, topics, (read, limit), workers, ends)
}

fn launch(
    spec: &str,
    until: Option<i64>,
    topics: [Vec<String>; 2],
    (read, limit): (usize, u64),
    workers: usize,
    ends: bool,
) -> Started {
    let plan = Arc::new(Plan::new(Arc::new(tidemill::spec::parse(spec, "spec.toml").expect("a right spec"))));
    let partitions = Arc::new(Partitions::default());
    let frontier = InputFrontier::new(&partitions, until, None);
    let clock = PlaybackClock::new(&partitions, PlaybackSpeed::Unlimited);
    let assignments = Arc::new(Assignments::default());
    for (topic, (reader, messages)) in plan.sources.iter().zip(topics).enumerate() {
        let mut partition = Memory::new(messages, read, &reader.schema);
        partition.ends = ends;
        let (ingest, progress) = (Ingest::new(reader.clone(), 0), partitions.register(reader, 0));
        assignments.add(topic, AssignedPartition::new(Box::new(partition), ingest, progress));
    }
    partitions.complete_discovery();
    let (events, told) = crossbeam_channel::unbounded();
    let online = job::online_store(&plan);
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
        max_in_flight: Volume { records: limit, bytes: u64::MAX },
        nulls: Arc::default(),
        live: Arc::default(),
        dropped: Arc::default(),
        keep_unlabelled: false,
        slice: SliceLength::default(),
    });
    let control = Arc::new(Control::default());
    control.until_end.store(ends, SeqCst);
    let graph = job::start(&job, workers, &Metrics::new("test"), &control);
    Started { job, control, graph, events: told, online }
}

impl Started {
    fn end(self) -> Vec<DeadLetter> {
        self.graph.join().unwrap().expect("the graph runs");
        let letters = self.events.try_iter().filter_map(|event| match event {
            JobEvent::Source(SourceEvent::DeadLetters(letters)) => Some(letters),
            _ => None,
        });
        letters.flatten().collect()
    }
}

fn click(user: &str, amount: f64, at: i64) -> String {
    format!(r#"{{"user":"{user}","amount":{amount},"at":{at}}}"#)
}

#[test]
fn each_bad_record_is_a_dead_letter_with_its_reason_and_position() {
    let hour = 3_600_000;
    let good = click("a", 1.0, 10 * hour);
    let bad = [
        (r#"{"user":"a","amount":1,"at":36"#.to_owned(), Reason::Malformed),
        ("[]".to_owned(), Reason::Malformed),
        ("\u{0}".to_owned(), Reason::Malformed),
        (r#"{"user":7,"amount":1,"at":36000000}"#.to_owned(), Reason::WrongType),
        (r#"{"user":"a","amount":"one","at":36000000}"#.to_owned(), Reason::WrongType),
        (r#"{"amount":1,"at":36000000}"#.to_owned(), Reason::MissingField),
        (r#"{"user":null,"amount":1,"at":36000000}"#.to_owned(), Reason::MissingField),
        (r#"{"user":"a","amount":1}"#.to_owned(), Reason::MissingField),
        (r#"{"user":"a","amount":1,"at":"yesterday"}"#.to_owned(), Reason::UnparsableTime),
        (r#"{"user":"a","amount":1,"at":"9999-01-01T00:00:00Z"}"#.to_owned(), Reason::TimeOutOfRange),
        (r#"{"user":"a","amount":1,"at":-9000000000000}"#.to_owned(), Reason::TimeOutOfRange),
        (r#"{"user":"a","amount":1e999,"at":36000000}"#.to_owned(), Reason::NonFinite),
        (click("a", 1.0, 8 * hour), Reason::TooLate),
    ];
    let mut messages = vec![good];
    messages.extend(bad.iter().map(|(message, _)| message.clone()));
    let started = start("0s", [messages, Vec::new()], 5, 1, 1000, true);
    let job = started.job.clone();
    let letters = started.end();
    let found: Vec<_> = letters.iter().map(|letter| (letter.offset, letter.reason)).collect();
    let expected: Vec<_> = bad.iter().enumerate().map(|(index, (_, reason))| (index as u64 + 1, *reason)).collect();
    assert_eq!(found, expected);
    for (letter, (message, _)) in letters.iter().zip(&bad) {
        assert_eq!(letter.value.as_deref(), Some(message.as_bytes()), "the record is kept as it was");
        assert_eq!((letter.topic.as_str(), letter.partition), ("clicks", 0));
        assert!(!letter.detail.is_empty());
        let is_named = letter.detail.starts_with("amount: ");
        assert!(letter.reason != Reason::NonFinite || is_named, "{letter:?}");
    }
    let tally = job::tallies(&job)["clicks"];
    assert_eq!((tally.read, tally.applied, tally.dead_letter), (14, 1, 13));
}

/// Messages good and bad, in and out of order.
fn messages() -> impl Strategy<Value = Vec<String>> {
    let message = (0u8..10, -2i32..8, 0i64..20).prop_map(|(kind, amount, back)| (kind, amount, back));
    prop::collection::vec(message, 0..400).prop_map(|shapes| {
        let mut now = 1_000_000_000i64;
        let made = shapes.into_iter().map(|(kind, amount, back)| {
            now += 60_000;
            match kind {
                0 => "{\"user\":".to_owned(),
                1 => format!(r#"{{"user":"u{amount}","at":{}}}"#, now - back * 600_000),
                2 => r#"{"user":"a","at":"never"}"#.to_owned(),
                _ => click(&format!("u{}", amount % 3), f64::from(amount), now - back * 60_000),
            }
        });
        made.collect()
    })
}

#[test]
fn records_that_wait_to_close_count_in_the_state() {
    const CLICKS: u64 = 5_000;
    let at = 1_000_000_000;
    let clicks = (0..CLICKS as i64).map(|n| click("a", 1.0, at + n)).collect();
    let started = start("1h", [clicks, vec![click("a", 1.0, at)]], 500, 1, 1 << 20, false);
    let bytes = || started.job.coordinator.state_bytes().get("features.user").copied().unwrap_or_default();
    let begun = Instant::now();
    // Two times, a name and an amount each.
    while bytes() < CLICKS * 30 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} bytes are measured", bytes());
        std::thread::sleep(Duration::from_millis(10));
    }
    started.control.stop();
    started.end();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_closes_at_every_frontier(
        clicks in messages(),
        views in messages(),
        read in 1usize..50,
        workers in 1usize..3,
        lateness in prop_oneof![Just("0s"), Just("5m"), Just("1h")],
    ) {
        let (sent, seen) = (clicks.len() as u64, views.len() as u64);
        let started = start(lateness, [clicks, views], read, workers, 50, true);
        while !started.graph.is_finished() {
            for partition in started.job.partitions.list() {
                let PartitionStats { counts, in_flight, .. } = partition.stats();
                prop_assert_eq!(counts.in_flight(), in_flight, "{:?}", counts);
            }
            std::thread::yield_now();
        }
        let job = started.job.clone();
        let letters = started.end();
        let tallies = job::tallies(&job);
        prop_assert_eq!((tallies["clicks"].read, tallies["views"].read), (sent, seen));
        prop_assert!(tallies.values().all(|counts| counts.in_flight() == 0), "{:?}", tallies);
        let dead: u64 = tallies.values().map(|tally| tally.dead_letter).sum();
        prop_assert_eq!(letters.len() as u64, dead);
    }
}

#[test]
fn a_model_is_made_from_the_least_offset_of_all_sources_that_read_a_topic() {
    let spec = SPEC.replace("LATENESS", "0s").replace("topic = \"views\"", "topic = \"clicks\"");
    let clicks = |count: i64| -> Vec<String> { (0..count).map(|at| click("a", 1.0, 1_000_000_000 + at)).collect() };
    for (one, other) in [(5, 3), (3, 5)] {
        let started = launch(&spec, None, [clicks(one), clicks(other)], (10, 1000), 1, true);
        let job = started.job.clone();
        started.end();
        let offsets = job::offsets_at(&job, TumblingWindow { window_ms: 1000, offset_ms: 0 }, 2_000_000_000);
        assert_eq!(offsets, [("clicks".to_owned(), [(0, 3)].into())].into());
        let read = job::tallies(&job).into_iter().map(|(source, tally)| (source, tally.read));
        let expected = [("clicks", one), ("views", other)].map(|(source, read)| (source.to_owned(), read as u64));
        assert_eq!(read.collect::<Vec<_>>(), expected, "each source has its own ledger");
    }
}

/// The ledger of the clicks before an end, by the definitions, with the offsets of the dead letters.
fn ledger(messages: &[String], lateness: i64, end: i64) -> (RecordCounts, Vec<u64>) {
    let hour = 3_600_000 + 60_000;
    let (mut tally, mut dead, mut newest) = (RecordCounts::default(), Vec::new(), None::<i64>);
    for (offset, message) in (0..).zip(messages) {
        let watermark = newest.map_or(i64::MIN, |newest| newest - lateness);
        if watermark >= end {
            break;
        }
        let decoded: Option<serde_json::Value> = serde_json::from_str(message).ok();
        let time = decoded.as_ref().and_then(|record| record["at"].as_i64());
        let too_late = |time: &i64| *time < watermark && watermark - time > hour;
        let Some(time) = time.filter(|time| !too_late(time)) else {
            (tally.read, tally.dead_letter) = (tally.read + 1, tally.dead_letter + 1);
            dead.push(offset);
            continue;
        };
        newest = newest.max(Some(time));
        let amount = decoded.and_then(|record| record["amount"].as_f64());
        if time.max(watermark) >= end {
            continue;
        }
        tally.read += 1;
        match amount {
            Some(amount) if amount < 0.0 => tally.filtered += 1,
            _ if time < watermark => tally.late += 1,
            _ => tally.applied += 1,
        }
    }
    (tally, dead)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_before_an_end_are_counted_the_same_in_batches_of_any_size(
        clicks in messages(),
        read in prop_oneof![1usize..50, Just(1000usize)],
        workers in 1usize..3,
        lateness in prop_oneof![Just(("0s", 0i64)), Just(("5m", 300_000)), Just(("1h", 3_600_000))],
        end in -10i64..300,
    ) {
        let end = 1_000_000_000 + end * 60_000 + 30_000;
        let (expected, dead) = ledger(&clicks, lateness.1, end);
        let started = start_until(Some(end), lateness.0, [clicks, Vec::new()], (read, 50), workers, true);
        let job = started.job.clone();
        let letters = started.end();
        prop_assert_eq!(job::tallies(&job)["clicks"], expected);
        prop_assert_eq!(letters.iter().map(|letter| letter.offset).collect::<Vec<_>>(), dead);
    }
}

#[test]
fn a_job_ends_just_after_its_newest_record_filtered_or_not_in_batches_of_any_size() {
    let at = 1_000_000_000;
    let clicks = vec![click("a", 1.0, at), click("a", 2.0, at + 500), click("a", -1.0, at + 1000)];
    for read in [1, 2, 3, 100] {
        let started = start("0s", [clicks.clone(), vec![click("a", 1.0, at)]], read, 1, 1000, true);
        let job = started.job.clone();
        started.end();
        assert_eq!(job.frontier.watermark(), at + 1001, "read {read} at a time");
    }
}

#[test]
fn playback_waits_for_no_live_partition_and_never_goes_back() {
    let spec = tidemill::spec::parse(&SPEC.replace("LATENESS", "0s"), "spec.toml").expect("a right spec");
    let source = Plan::new(Arc::new(spec)).sources[0].clone();
    let partitions = Arc::new(Partitions::default());
    let clock = PlaybackClock::new(&partitions, PlaybackSpeed::Factor(1e6));
    let [file, live, _] = [0, 1, 2].map(|partition| partitions.register(&source, partition));
    partitions.list()[1..].iter().for_each(|partition| partition.set_live());
    partitions.complete_discovery();
    assert_eq!(clock.now(), i64::MIN);
    clock.start(&file, 1000);
    let now = clock.now();
    assert!(now >= 1000);
    clock.start(&live, 5);
    assert!(clock.now() >= now);

    // A file restarts a clock that a live partition has started.
    let partitions = Arc::new(Partitions::default());
    let still = PlaybackClock::new(&partitions, PlaybackSpeed::Factor(0.0));
    let [file, live] = [0, 1].map(|partition| partitions.register(&source, partition));
    live.set_live();
    partitions.complete_discovery();
    still.start(&live, 5);
    still.start(&file, 1000);
    assert_eq!(still.now(), 1000);
}

#[test]
fn records_in_flight_are_bounded_if_one_topic_is_far_ahead_of_another() {
    let clicks: Vec<String> = (0..60_000).map(|index| click("a", 1.0, 1_000_000_000 + index * 1000)).collect();
    // All views are after all clicks, so none can close before the clicks are through.
    let views: Vec<String> = (0..60_000).map(|index| click("b", 1.0, 1_100_000_000 + index * 1000)).collect();
    let (read, limit) = (500, 2_000);
    let started = start("0s", [clicks, views], read, 2, limit, true);
    let mut most = 0;
    while !started.graph.is_finished() {
        let in_flight =
            started.job.partitions.list().iter().map(|partition| partition.stats().in_flight).max().unwrap_or(0);
        most = most.max(in_flight);
        std::thread::yield_now();
    }
    let job = started.job.clone();
    started.end();
    assert_eq!(job::tallies(&job)["views"].applied, 60_000);
    assert!(most >= limit, "the test had the limit at work: {most}");
    assert!(most <= limit + read as u64, "{most} records were in flight");
}

/// A file that covers a thousand times as much time in as many records as another waits for that one; it reads on once
/// the other has no backlog any more, and the one that is behind never waits.
#[test]
fn partitions_with_a_backlog_are_read_in_step() {
    const READ: usize = 8192;
    let spec = tidemill::spec::parse(&SPEC.replace("LATENESS", "0s"), "spec.toml").expect("a right spec");
    let plan = Plan::new(Arc::new(spec));
    let partitions = Partitions::default();
    let clock = PlaybackClock::new(&Arc::default(), PlaybackSpeed::Unlimited);
    let options = Arc::new(ReaderOptions {
        max_in_flight: Volume { records: u64::MAX, bytes: u64::MAX },
        resume: i64::MIN,
        until: i64::MAX,
        idle_after: None,
        windows: Vec::new(),
    });
    let reader = |topic: usize, reads: usize, step_ms: i64| {
        let source = &plan.sources[topic];
        let messages = (0..(reads * READ) as i64).map(|n| click("a", 1.0, n * step_ms)).collect();
        let partition = Box::new(Memory { ends: false, ..Memory::new(messages, READ, &source.schema) });
        let progress = partitions.register(source, 0);
        PartitionReader::new(AssignedPartition::new(partition, Ingest::new(source.clone(), 0), progress), &options)
    };
    let read = |reader: &mut PartitionReader| {
        let was_behind = reader.progress().is_behind();
        reader.read(i64::MIN, &clock);
        // The batch waits to be released, which says nothing of a backlog.
        assert_eq!(reader.progress().is_behind(), was_behind);
        while reader.release(i64::MAX).is_some() {}
        reader.report_progress();
        reader.close(i64::MIN);
    };
    let (mut slow, mut fast) = (reader(0, 3, 1), reader(1, 9, 1_000));
    read(&mut slow);
    let mut reads = 0;
    while fast.may_read(partitions.slowest_positions(), false) {
        read(&mut fast);
        reads += 1;
    }
    assert_eq!(reads, 2, "two reads are under way at a time");
    // Two more reads of records, and one in vain, after which there is no backlog.
    for _ in 0..3 {
        assert!(slow.may_read(partitions.slowest_positions(), false));
        assert!(!fast.may_read(partitions.slowest_positions(), true));
        read(&mut slow);
    }
    assert!(fast.may_read(partitions.slowest_positions(), false));
}

#[test]
fn a_record_shows_at_once_however_long_its_time_stays_open() {
    let at = 1_000_000_000;
    let clicks = vec![click("a", 2.0, at), click("b", 1.0, at + 60_000), click("a", 3.5, at + 120_000)];
    let views = vec![click("a", 1.0, at)];
    let started = start("1h", [clicks, views], 10, 2, 1000, false);
    let table = started.online.group("user").unwrap().clone();
    let key = table.codec().encode_one(&[Scalar::String("a".into())]);
    let (begun, expected) = (Instant::now(), [Scalar::Int(2), Scalar::Float(5.5)].map(Feature::Value));
    while table.get(&key).is_none_or(|vector| *vector != expected) {
        assert!(begun.elapsed() < Duration::from_secs(20), "found {:?}", table.get(&key));
        std::thread::yield_now();
    }
    assert!(started.online.watermark() <= at, "nothing of it is closed");
    started.control.stop();
    started.end();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_reported_as_published_are_in_the_online_store(
        amounts in prop::collection::vec((0usize..4, -1i32..5), 1..300),
        read in 1usize..50,
        workers in 1usize..4,
        lateness in prop_oneof![Just("0s"), Just("1s"), Just("1h")],
    ) {
        let at = 1_000_000_000;
        let message = |(index, (user, amount)): (usize, &(usize, i32))| {
            click(&format!("u{user}"), f64::from(*amount), at + 10 * index as i64)
        };
        let clicks = amounts.iter().enumerate().map(message).collect();
        let started = start(lateness, [clicks, vec![click("a", 1.0, at)]], read, workers, 1000, false);
        let table = started.online.group("user").unwrap().clone();
        let keys = [0, 1, 2, 3].map(|user| table.codec().encode_one(&[Scalar::String(format!("u{user}").into())]));
        let list = started.job.partitions.list();
        let partition = list.iter().find(|partition| partition.id.source == "clicks").unwrap();
        let begun = Instant::now();
        loop {
            let served = partition.stats().served_offset as usize;
            for (user, key) in keys.iter().enumerate() {
                // A negative one is filtered.
                let expected = amounts[..served].iter().filter(|(of, amount)| *of == user && *amount >= 0).count() as i64;
                let found = match table.get(key).as_deref() {
                    Some([Feature::Value(Scalar::Int(count)), _]) => *count,
                    _ => 0,
                };
                prop_assert!(found >= expected, "{served} are served, {found} of {expected} of user {user}");
            }
            if served == amounts.len() {
                break;
            }
            prop_assert!(begun.elapsed() < Duration::from_secs(60), "{served} of {} are served", amounts.len());
            std::thread::yield_now();
        }
        started.control.stop();
        started.end();
    }
}

#[test]
fn event_time_that_a_wrong_wall_clock_has_moved_is_noticed_until_records_or_the_clock_catch_up() {
    let spec = tidemill::spec::parse(&SPEC.replace("LATENESS", "0s"), "spec.toml").expect("a right spec");
    let source = Plan::new(Arc::new(spec)).sources[0].clone();
    let frontier = |wall: bool| {
        let partitions = Arc::new(Partitions::default());
        let progress = partitions.register(&source, 0);
        partitions.complete_discovery();
        let frontier = InputFrontier::new(&partitions, None, Some(IdlenessPolicy { after_ms: 5_000, wall }));
        (partitions, progress, frontier)
    };
    let (partitions, progress, live) = frontier(true);
    let (hour, now) = (3_600_000, partitions.clock().now());
    live.start_from(now - hour);
    assert_eq!(live.ahead_ms(), 0);
    // The state that a wall clock two hours ahead leaves behind.
    live.start_from(now + 2 * hour);
    let ahead = live.ahead_ms();
    assert!((2 * hour - 60_000..=2 * hour).contains(&ahead), "{ahead} ms ahead");
    progress.advance(now + hour);
    assert_eq!(live.ahead_ms(), hour, "records may be ahead of the wall clock");
    progress.advance(now + 3 * hour);
    assert_eq!(live.ahead_ms(), 0);
    // An idle partition follows the wall clock, no further.
    progress.set_idle(true);
    let (_, idle, at_rest) = frontier(true);
    idle.set_idle(true);
    let closed = at_rest.advance(|| ()).0;
    assert!((now - 5_000..now + 60_000).contains(&closed), "{closed}");
    // Historical records have nothing to do with the wall clock.
    let (_, _, stream) = frontier(false);
    stream.start_from(now + 2 * hour);
    assert_eq!(stream.ahead_ms(), 0);
}
