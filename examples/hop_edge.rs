//! The longest time for which a feature group holds its worker when the panes of all entities leave at once.
//!
//! `cargo run --release --example hop_edge -- [entities] [rounds]`
//!
//! In each round, every entity has a payment within one minute, and all of them leave the window of an hour at the same
//! time, by which the entities are gone: from the state and from the online store. Meanwhile the source goes on reading
//! one record at a time. A gap is the time between two of its reads, in which the worker ran the other operators once: in
//! wall time, and in processor time of the worker's thread, which a busy machine changes less.

#[path = "../benches/common/mod.rs"]
mod common;
#[path = "processor_time/mod.rs"]
mod processor_time;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{median, plan_of, run_with, user_name};
use tidemill::source::{Ingest, InputStatus, Partition, RawMessage, SourceError};
use tidemill::store::Online;
use tidemill::value::ColumnBuilder;

const MINUTE_MS: i64 = 60_000;

/// 2023-11-14T22:00:00Z, the beginning of a minute.
const BEGIN: i64 = 1_699_999_200_000;

/// The time for which the group is left alone before the panes leave, so that it has nothing else to do then.
const REST: Duration = Duration::from_millis(500);

/// A phase of a round.
enum Phase {
    /// Every entity has a payment; so many have had theirs.
    Fill(u32),
    /// All are in the online store, since then.
    Rest(Option<Instant>),
    /// The panes leave: the end of the newest read, and the longest gap so far.
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
        Moment { wall: Instant::now(), processor: processor_time::of_this_thread() }
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
}

impl Partition for Payments {
    fn read(&mut self, max: usize, ingest: &mut Ingest) -> Result<InputStatus, SourceError> {
        let start = BEGIN + self.round * 120 * MINUTE_MS;
        match self.phase {
            Phase::Fill(from) => {
                let to = self.entities.min(from + u32::try_from(max).unwrap_or(u32::MAX));
                for user in from..to {
                    let within = MINUTE_MS * i64::from(user) / i64::from(self.entities);
                    self.push(ingest, &user_name(user), start + within);
                }
                self.phase = if to == self.entities { Phase::Rest(None) } else { Phase::Fill(to) };
            }
            Phase::Rest(since) => {
                // Time goes on, so that all that was read closes.
                let time = (self.time + 1).clamp(start + MINUTE_MS, start + 60 * MINUTE_MS);
                self.push(ingest, "clock", time);
                let since = since.or_else(|| (self.shown() > self.entities as usize).then(Instant::now));
                self.phase = match since {
                    Some(since) if since.elapsed() >= REST => Phase::Leave(Moment::now(), Gap::default()),
                    since => Phase::Rest(since),
                };
            }
            Phase::Leave(before, longest) => {
                let longest = longest.or_between(before, Moment::now());
                self.push(ingest, "clock", (self.time + 1).max(start + 61 * MINUTE_MS));
                self.phase = Phase::Leave(Moment::now(), longest);
                if self.shown() <= 1 {
                    self.longest.lock().expect("no holder panics").push(longest);
                    (self.round, self.phase) = (self.round + 1, Phase::Fill(0));
                }
            }
        }
        Ok(if self.round == self.rounds { InputStatus::EndOfInput } else { InputStatus::MoreAvailable })
    }
}

fn main() {
    let number = |at: usize, default: u32| {
        let text = std::env::args().nth(at + 1);
        text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")))
    };
    let (entities, rounds) = (number(0, 1_000_000), number(1, 5));
    let plan = plan_of(r#"{ of = "amount", op = ["count", "mean", "max"], windows = ["1h"] }"#, "payments");
    let longest = Arc::new(Mutex::new(Vec::new()));
    let payments = |online: &Arc<Online>| -> Vec<Box<dyn Partition>> {
        vec![Box::new(Payments {
            entities,
            rounds: i64::from(rounds),
            round: 0,
            phase: Phase::Fill(0),
            time: BEGIN,
            offset: 0,
            online: online.clone(),
            longest: longest.clone(),
        })]
    };
    run_with(&plan, payments, 1);
    let longest = longest.lock().expect("no holder panics");
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    for (round, Gap { wall, processor }) in (1..).zip(longest.iter()) {
        println!("round {round}: longest gap {:>8.2} ms, {:>8.2} ms of processor time", ms(*wall), ms(*processor));
    }
    println!(
        "{entities} entities leave at once: longest gap {:.2} ms, {:.2} ms of processor time, medians of the rounds",
        median(longest.iter().map(|gap| ms(gap.wall))),
        median(longest.iter().map(|gap| ms(gap.processor)))
    );
}
