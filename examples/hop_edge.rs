//! The longest time for which a feature group holds its worker when all entities leave its windows at once.
//!
//! `cargo run --release --example hop_edge -- [entities] [rounds] [case]…`
//!
//! In each round, every entity has a payment within one minute, and later all of them leave every window at the same time,
//! by which the entities are gone: from the state and from the online store. Meanwhile the source goes on reading one
//! record at a time. A gap is the time between two of its reads, in which the worker ran every other operator once: in
//! wall time, and in processor time of the worker's thread, which a busy machine changes less. Each case is a kind of
//! window. In those that are `saved`, a checkpoint is taken just before, whose snapshot shares the state meanwhile, so that
//! what leaves is copied first.

#[path = "../benches/common/mod.rs"]
mod common;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{median, plan_of, run_with, thread_time, user_name};
use tidemill::checkpoint::{CheckpointCoordinator, PendingSnapshot};
use tidemill::source::{Ingest, InputStatus, Partition, RawMessage, SourceError};
use tidemill::store::Online;
use tidemill::value::ColumnBuilder;

const MINUTE_MS: i64 = 60_000;

/// 2023-11-14T20:00:00Z, the beginning of a round: a multiple of its length.
const BEGIN: i64 = 1_699_992_000_000;

/// The time from a round to the next, and that after its beginning by which all entities have left every window.
const ROUND_MS: i64 = 240 * MINUTE_MS;
const LEFT_MS: i64 = 121 * MINUTE_MS;

/// The time for which the group is left alone before the entities leave, so that it has nothing else to do then.
const REST: Duration = Duration::from_millis(500);

/// A kind of window that is measured.
struct Case {
    name: &'static str,
    /// The windows of a `count`, a `mean` and a `max`.
    windows: &'static str,
    /// The ops of the line.
    ops: &'static str,
    is_saved: bool,
}

const FEW: &str = r#"["count", "mean", "max"]"#;

const CASES: &[Case] = &[
    Case { name: "sliding", windows: r#"["1h"]"#, ops: FEW, is_saved: false },
    Case { name: "tumbling", windows: r#"[{ tumbling = "1h" }]"#, ops: FEW, is_saved: false },
    Case { name: "cumulative", windows: r#"[{ cumulative = "1h" }]"#, ops: FEW, is_saved: false },
    Case { name: "session", windows: r#"[{ session = "1h" }]"#, ops: FEW, is_saved: false },
    Case { name: "series", windows: r#"[{ series = 3, step = "20m" }]"#, ops: FEW, is_saved: false },
    Case { name: "lagging", windows: r#"["30m"], lag = "30m""#, ops: FEW, is_saved: false },
    Case { name: "many", windows: r#"["5m", "10m", "20m", "30m", "1h"]"#, ops: FEW, is_saved: false },
    Case { name: "lists", windows: r#"["1h"]"#, ops: r#"["distinct", "last_k(5)", "quantile(0.9)"]"#, is_saved: false },
    Case { name: "saved", windows: r#"["1h"]"#, ops: FEW, is_saved: true },
    Case { name: "saved-tumbling", windows: r#"[{ tumbling = "1h" }]"#, ops: FEW, is_saved: true },
];

/// A phase of a round.
enum Phase {
    /// Every entity has a payment; so many have had theirs.
    Fill(u32),
    /// All are in the online store, since then.
    Rest(Option<Instant>),
    /// A checkpoint is taken.
    Save,
    /// The entities leave: the end of the newest read, and the longest gap so far.
    Leave(Moment, Gap),
}

/// A moment of the worker's thread.
#[derive(Clone, Copy)]
struct Moment {
    wall: Instant,
    processor: Duration,
}

impl Moment {
    fn now() -> Self {
        Moment { wall: Instant::now(), processor: thread_time() }
    }
}

/// The longest times between two moments.
#[derive(Clone, Copy, Default)]
struct Gap {
    wall: Duration,
    processor: Duration,
}

impl Gap {
    fn or_between(self, before: Moment, after: Moment) -> Self {
        Gap {
            wall: self.wall.max(after.wall - before.wall),
            processor: self.processor.max(after.processor.saturating_sub(before.processor)),
        }
    }
}

/// A partition of generated payments.
struct Payments {
    entities: u32,
    rounds: i64,
    round: i64,
    phase: Phase,
    /// The time of the newest record, and its offset.
    time: i64,
    offset: u64,
    online: Arc<Online>,
    /// Takes the checkpoints, if there are any, and the newest.
    coordinator: Option<Arc<CheckpointCoordinator>>,
    snapshot: Option<PendingSnapshot>,
    longest: Arc<Mutex<Vec<Gap>>>,
}

impl Payments {
    fn push(&mut self, ingest: &mut Ingest, user: &str, time: i64) {
        self.time = time;
        ingest.push(self.offset, None, RawMessage::default, |columns, present| {
            present.clear();
            present.resize(3, true);
            if let [ColumnBuilder::String(users), ColumnBuilder::Float(amounts), ColumnBuilder::Timestamp(times)] =
                columns
            {
                users.append_value(user);
                amounts.append_value(self.offset as f64 / 128.0);
                times.append_value(time);
            }
            Ok(())
        });
        self.offset += 1;
    }

    fn shown(&self) -> usize {
        self.online.group("user").map_or(0, |table| table.len())
    }

    fn fill(&mut self, ingest: &mut Ingest, (from, max): (u32, usize), start: i64) -> Phase {
        let to = self.entities.min(from + u32::try_from(max).unwrap_or(u32::MAX));
        for user in from..to {
            let within = MINUTE_MS * i64::from(user) / i64::from(self.entities);
            self.push(ingest, &user_name(user), start + within);
        }
        if to == self.entities { Phase::Rest(None) } else { Phase::Fill(to) }
    }

    /// Lets time go on, so that all that was read closes.
    fn tick(&mut self, ingest: &mut Ingest, start: i64) {
        let time = (self.time + 1).clamp(start + MINUTE_MS, start + 19 * MINUTE_MS);
        self.push(ingest, "clock", time);
    }

    fn rest(&mut self, ingest: &mut Ingest, since: Option<Instant>, start: i64) -> Phase {
        self.tick(ingest, start);
        let since = since.or_else(|| (self.shown() > self.entities as usize).then(Instant::now));
        match since {
            Some(since) if since.elapsed() >= REST => match &self.coordinator {
                None => Phase::Leave(Moment::now(), Gap::default()),
                Some(coordinator) => {
                    coordinator.trigger(self.time + 1);
                    Phase::Save
                }
            },
            since => Phase::Rest(since),
        }
    }

    /// Lets time go on until the checkpoint is taken. Its snapshot is kept, and not encoded.
    fn save(&mut self, ingest: &mut Ingest, start: i64) -> Phase {
        self.tick(ingest, start);
        match self.coordinator.as_ref().and_then(|coordinator| coordinator.collect()) {
            None => Phase::Save,
            Some((_, snapshot)) => {
                self.snapshot = Some(snapshot);
                Phase::Leave(Moment::now(), Gap::default())
            }
        }
    }

    fn leave(&mut self, ingest: &mut Ingest, (before, longest): (Moment, Gap), start: i64) -> Phase {
        let longest = longest.or_between(before, Moment::now());
        self.push(ingest, "clock", (self.time + 1).max(start + LEFT_MS));
        if self.shown() > 1 {
            return Phase::Leave(Moment::now(), longest);
        }
        self.longest.lock().expect("no holder panics").push(longest);
        (self.round, self.snapshot) = (self.round + 1, None);
        Phase::Fill(0)
    }
}

impl Partition for Payments {
    fn read(&mut self, max: usize, ingest: &mut Ingest) -> Result<InputStatus, SourceError> {
        let start = BEGIN + self.round * ROUND_MS;
        self.phase = match self.phase {
            Phase::Fill(from) => self.fill(ingest, (from, max), start),
            Phase::Rest(since) => self.rest(ingest, since, start),
            Phase::Save => self.save(ingest, start),
            Phase::Leave(before, longest) => self.leave(ingest, (before, longest), start),
        };
        Ok(if self.round == self.rounds { InputStatus::EndOfInput } else { InputStatus::MoreAvailable })
    }
}

/// The longest gap of each round.
fn measure(case: &Case, entities: u32, rounds: u32) -> Vec<Gap> {
    let line = format!(r#"{{ of = "amount", op = {}, windows = {} }}"#, case.ops, case.windows);
    let plan = plan_of(&line, "payments");
    let longest = Arc::new(Mutex::new(Vec::new()));
    let payments = |online: &Arc<Online>, coordinator: &Arc<CheckpointCoordinator>| -> Vec<Box<dyn Partition>> {
        vec![Box::new(Payments {
            entities,
            rounds: i64::from(rounds),
            round: 0,
            phase: Phase::Fill(0),
            time: BEGIN,
            offset: 0,
            online: online.clone(),
            coordinator: case.is_saved.then(|| coordinator.clone()),
            snapshot: None,
            longest: longest.clone(),
        })]
    };
    run_with(&plan, payments, 1);
    let longest = longest.lock().expect("no holder panics");
    longest.clone()
}

fn main() {
    common::allocator::return_free_memory();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u32| {
        let text = arguments.get(at);
        text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")))
    };
    let (entities, rounds) = (number(0, 1_000_000), number(1, 5));
    let wanted = arguments.get(2..).unwrap_or_default();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{entities} entities leave at once: the longest gap of each round in ms of processor time, and its median in wall time"
    );
    for case in CASES.iter().filter(|case| wanted.is_empty() || wanted.iter().any(|name| name == case.name)) {
        let longest = measure(case, entities, rounds);
        let each: Vec<String> = longest.iter().map(|gap| format!("{:6.2}", ms(gap.processor))).collect();
        let wall = median(longest.iter().map(|gap| ms(gap.wall)));
        println!("{:15} {}, wall {wall:6.2}", case.name, each.join(" "));
    }
}
