//! Shared by benches and examples: generated payments, a dataflow over them, and a run of it on records in memory.

#![allow(dead_code, reason = "each bench uses its part")]

#[path = "../../src/allocator.rs"]
pub mod allocator;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tidemill::checkpoint::CheckpointCoordinator;
use tidemill::flow::build::JobEvent;
use tidemill::flow::op::source::SourceEvent;
use tidemill::flow::op::{Assignments, SliceLength};
use tidemill::flow::{Job, Plan};
use tidemill::metrics::Metrics;
use tidemill::run::job::{self, Control};
use tidemill::source::{
    AssignedPartition, Ingest, InputFrontier, InputStatus, Partition, Partitions, PlaybackClock, PlaybackSpeed,
    RawMessage, SourceError, Volume,
};
use tidemill::store::Online;
use tidemill::value::JsonDecoder;

/// 2023-11-14T22:13:20Z, when the payments begin.
const BEGIN: i64 = 1_700_000_000_000;

/// Records in a batch, as the graph's sources read them.
pub const BATCH: usize = 8192;

/// Pseudo-random numbers (Knuth's LCG): the same in every run.
pub struct Random(pub u64);

impl Random {
    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The distribution of records over entities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    Uniform,
    /// The k-th in proportion to 1/k.
    Zipf,
}

/// A payment.
#[derive(Clone, Copy, Debug)]
pub struct Payment {
    pub user: u32,
    pub cents: u32,
    pub at: i64,
}

/// `records` payments of `entities` users over two days, in order of time.
pub fn payments(entities: usize, records: usize, spread: Spread) -> Vec<Payment> {
    let mut random = Random(7);
    let mut shares: Vec<f64> = (1..=entities).map(|k| 1.0 / k as f64).collect();
    let mut sum = 0.0;
    shares.iter_mut().for_each(|share| {
        sum += *share;
        *share = sum;
    });
    let span = 2.0 * 86_400_000.0;
    let user = |unit: f64| match spread {
        Spread::Uniform => (unit * entities as f64) as u32,
        Spread::Zipf => shares.partition_point(|share| *share < unit * sum).min(entities - 1) as u32,
    };
    (0..records)
        .map(|record| Payment {
            user: user(random.unit()),
            cents: (random.unit() * 50_000.0) as u32,
            at: BEGIN + (span * record as f64 / records as f64) as i64,
        })
        .collect()
}

/// The name of a user.
pub fn user_name(user: u32) -> String {
    format!("u{user:07}")
}

/// Messages one after another.
pub struct Messages {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Messages {
    /// Payments as JSON; the country is read by no one.
    pub fn json<'a>(payments: impl IntoIterator<Item = &'a Payment>) -> Messages {
        Messages::of(payments, |payment| {
            let (amount, at) = (f64::from(payment.cents) / 100.0, payment.at);
            format!(r#"{{"user":"u{:07}","amount":{amount},"country":"NL","at":{at}}}"#, payment.user)
        })
    }

    /// Payments as lines of CSV, without a header.
    pub fn csv<'a>(payments: impl IntoIterator<Item = &'a Payment>) -> Messages {
        Messages::of(payments, |payment| {
            format!("u{:07},{},NL,{}\n", payment.user, f64::from(payment.cents) / 100.0, payment.at)
        })
    }

    fn of<'a>(payments: impl IntoIterator<Item = &'a Payment>, text: impl Fn(&Payment) -> String) -> Messages {
        let mut messages = Messages { bytes: Vec::new(), ends: vec![0] };
        for payment in payments {
            messages.bytes.extend_from_slice(text(payment).as_bytes());
            messages.ends.push(messages.bytes.len());
        }
        messages
    }

    pub fn len(&self) -> usize {
        self.ends.len() - 1
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn get(&self, index: usize) -> &[u8] {
        &self.bytes[self.ends[index]..self.ends[index + 1]]
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }
}

/// A payment as a consumer without tidemill would decode it.
#[derive(serde::Deserialize)]
pub struct Decoded<'a> {
    pub user: &'a str,
    pub amount: f64,
    pub at: i64,
}

/// The dataflow: four aggregates of each user's payments in some windows.
pub fn plan(windows: &[&str]) -> Arc<Plan> {
    plan_on(windows, "payments")
}

/// The same as [`plan`], of a topic of this name.
pub fn plan_on(windows: &[&str], topic: &str) -> Arc<Plan> {
    let aggregate = format!(r#"{{ of = "amount", op = ["count", "sum", "mean", "stddev"], windows = {windows:?} }}"#);
    plan_of(&aggregate, topic)
}

/// A plan with one `aggregate` entry.
pub fn plan_of(aggregate: &str, topic: &str) -> Arc<Plan> {
    let spec = format!(
        r#"
name = "payments"

[source.payments]
topic   = "{topic}"
format  = "json"
key     = ["user"]
time    = "at"
columns = {{ user = "string", amount = "float", at = "timestamp" }}

[features.user]
from      = "payments"
entity    = "user"
aggregate = [{aggregate}]
"#
    );
    let spec = tidemill::spec::parse(&spec, "payments.toml").unwrap_or_else(|problems| panic!("{problems:?}"));
    Arc::new(Plan::new(Arc::new(spec)))
}

/// A partition of JSON messages in memory.
pub struct JsonMemory {
    pub messages: Arc<Messages>,
    pub next: usize,
    pub decoder: JsonDecoder,
}

impl Partition for JsonMemory {
    fn read(&mut self, max: usize, ingest: &mut Ingest) -> Result<InputStatus, SourceError> {
        let end = self.messages.len().min(self.next + max);
        for index in self.next..end {
            let message = self.messages.get(index);
            let raw = || RawMessage::value(message.to_vec());
            ingest.push(index as u64, None, raw, |columns, present| self.decoder.decode(message, columns, present));
        }
        self.next = end;
        Ok(if end == self.messages.len() { InputStatus::EndOfInput } else { InputStatus::MoreAvailable })
    }
}

/// Partitions of the payments' messages, for a plan of [`plan`].
pub fn json_partitions(plan: &Plan, messages: &[Arc<Messages>]) -> Vec<Box<dyn Partition>> {
    let decoder = || JsonDecoder::new(&plan.sources[0].schema);
    let partition = |messages: &Arc<Messages>| -> Box<dyn Partition> {
        Box::new(JsonMemory { messages: messages.clone(), next: 0, decoder: decoder() })
    };
    messages.iter().map(partition).collect()
}

/// Runs a plan with one source on partitions, to the end; with the online store in the process if that is wanted.
pub fn run(plan: &Arc<Plan>, transports: Vec<Box<dyn Partition>>, workers: usize, online: bool) {
    let online = online.then(|| job::online_store(plan));
    run_into(plan, transports, workers, online, CheckpointCoordinator::fresh());
}

/// The same with the online store and checkpoints, which the partitions are told.
pub fn run_with(
    plan: &Arc<Plan>,
    transports: impl FnOnce(&Arc<Online>, &Arc<CheckpointCoordinator>) -> Vec<Box<dyn Partition>>,
    workers: usize,
) {
    let (online, coordinator) = (job::online_store(plan), CheckpointCoordinator::fresh());
    run_into(plan, transports(&online, &coordinator), workers, Some(online), coordinator);
}

fn run_into(
    plan: &Arc<Plan>,
    transports: Vec<Box<dyn Partition>>,
    workers: usize,
    online: Option<Arc<Online>>,
    coordinator: Arc<CheckpointCoordinator>,
) {
    let partitions = Arc::new(Partitions::default());
    let frontier = InputFrontier::new(&partitions, None, None);
    let clock = PlaybackClock::new(&partitions, PlaybackSpeed::Unlimited);
    let source = &plan.sources[0];
    let assignments = Arc::new(Assignments::default());
    for (index, transport) in (0..).zip(transports) {
        let (ingest, progress) = (Ingest::new(source.clone(), index), partitions.register(source, index));
        assignments.add(0, AssignedPartition::new(transport, ingest, progress));
    }
    partitions.complete_discovery();
    let (events, told) = crossbeam_channel::unbounded();
    let job = Arc::new(Job {
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
    });
    let control = Arc::new(Control::default());
    control.until_end.store(true, SeqCst);
    let graph = job::start(&job, workers, &Metrics::new("bench"), &control);
    while !graph.is_finished() {
        if let Ok(JobEvent::Source(SourceEvent::Failed(error))) = told.recv_timeout(Duration::from_millis(5)) {
            panic!("{error}");
        }
    }
    graph.join().expect("no panic").expect("the graph runs");
}

/// Processor time of this process so far, all threads, in user mode and kernel, to 10 ms: from Linux's procfs.
pub fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has procfs");
    let after_name = stat.rsplit_once(')').expect("the name stands in parentheses").1;
    let ticks = |field: usize| after_name.split_whitespace().nth(field).and_then(|field| field.parse::<f64>().ok());
    (ticks(11).expect("utime") + ticks(12).expect("stime")) / 100.0
}

/// Processor time of this thread so far.
pub fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("less than a second"))
}

/// A contender of a comparison: its name on the command line, its description, and the function that runs it once.
pub type Contender<'a> = (&'a str, &'a str, Box<dyn Fn() + 'a>);

/// Does all contenders in turn, so many rounds, and prints how many of `units` each does a second of this process's
/// processor time, with its ratio to the first: medians of the rounds.
pub fn compare(rounds: usize, count: usize, units: &str, contenders: &[Contender<'_>]) {
    let rate = |run: &dyn Fn()| {
        let before = processor_seconds();
        run();
        count as f64 / (processor_seconds() - before)
    };
    let rounds: Vec<Vec<f64>> = (0..rounds).map(|_| contenders.iter().map(|(_, _, run)| rate(run)).collect()).collect();
    for (index, (name, what, _)) in contenders.iter().enumerate() {
        let rate = median(rounds.iter().map(|round| round[index]));
        let ratio = median(rounds.iter().map(|round| round[index] / round[0]));
        println!("{name:9} {what:41} {rate:>9.0} {units}/s {ratio:>6.3} of the first");
    }
}

/// The middle one.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
