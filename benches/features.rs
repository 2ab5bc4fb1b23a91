//! Cost of a record in a feature group, and of an as-of look-up, beside a plain hash map of totals.
//!
//! Payments of two days; `state` is the group's state alone, `graph` the whole timely graph fed with decoded columns,
//! `totals` the hash map. A look-up finds an entity by its key and takes its vector.

#[path = "common/mod.rs"]
mod common;

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray, TimestampMillisecondArray};
use arrow_row::Rows;
use common::{BATCH, Payment, Spread, payments, plan, plan_of, run, user_name};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hashbrown::HashMap;
use tidemill::aggregate::{Expired, Feature, GroupState, LineInput, Update};
use tidemill::expr::EvalStats;
use tidemill::flow::Plan;
use tidemill::relation::project;
use tidemill::source::{Ingest, InputStatus, Partition, RawMessage, SourceError};
use tidemill::value::{Batch, ColumnBuilder, Key};

const RECORDS: usize = 1_000_000;

/// A batch as the operator has it: keys and what each line takes.
struct Prepared {
    keys: Rows,
    inputs: Vec<LineInput>,
    times: Vec<i64>,
}

fn batch(plan: &Plan, payments: &[Payment]) -> Batch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(payments.iter().map(|payment| Some(user_name(payment.user))).collect::<StringArray>()),
        Arc::new(payments.iter().map(|payment| f64::from(payment.cents) / 100.0).collect::<Float64Array>()),
        Arc::new(payments.iter().map(|payment| payment.at).map(Some).collect::<TimestampMillisecondArray>()),
    ];
    let times: Vec<i64> = payments.iter().map(|payment| payment.at).collect();
    let batch = Batch { times: times.clone().into(), event_times: times.into(), columns, ..Batch::default() };
    project(&batch, &plan.groups[0].projection, &mut EvalStats::default())
}

fn prepare(plan: &Plan, payments: &[Payment]) -> Vec<Prepared> {
    let group = &plan.groups[0];
    let prepared = payments.chunks(BATCH).map(|chunk| {
        let batch = batch(plan, chunk);
        let keys = group.codec.encode(&batch.columns[..1]);
        Prepared { keys, inputs: group.inputs(&batch).0, times: batch.event_times.to_vec() }
    });
    prepared.collect()
}

fn fill(state: &mut GroupState, batches: &[Prepared]) {
    let (mut expired, mut rejected) = (Expired::default(), Vec::new());
    for prepared in batches {
        let update = |(row, time): (usize, &i64)| {
            let key = prepared.keys.row(row).data();
            let slot = state.slot(key, Key::hash_of(key));
            Update { slot, batch: 0, row: row as u32, time: *time, event_time: *time }
        };
        let updates: Vec<Update> = prepared.times.iter().enumerate().map(update).collect();
        state.insert(&updates, &[&prepared.inputs], &mut rejected);
        state.advance(updates[updates.len() - 1].time, &mut expired);
        expired.emptied.drain(..).for_each(|slot| _ = state.release_if_empty(slot));
        expired.changed.clear();
    }
}

fn totals(payments: &[Payment], batches: &[Prepared]) {
    let mut totals: HashMap<Key, (u64, f64, f64)> = HashMap::new();
    for (batch, payments) in batches.iter().zip(payments.chunks(BATCH)) {
        for (row, payment) in payments.iter().enumerate() {
            let key = batch.keys.row(row).data();
            if !totals.contains_key(key) {
                totals.insert(Key::from_bytes(key), Default::default());
            }
            let (n, sum, squares) = totals.get_mut(key).expect("just seen to");
            let amount = f64::from(payment.cents) / 100.0;
            (*n, *sum, *squares) = (*n + 1, *sum + amount, *squares + amount * amount);
        }
    }
    black_box(totals);
}

/// A partition of payments that need no decoding.
struct Ready {
    payments: Arc<Vec<(String, Payment)>>,
    next: usize,
}

impl Partition for Ready {
    fn read(&mut self, max: usize, ingest: &mut Ingest) -> Result<InputStatus, SourceError> {
        let end = self.payments.len().min(self.next + max);
        for (index, (user, payment)) in self.payments[self.next..end].iter().enumerate() {
            ingest.push((self.next + index) as u64, None, RawMessage::default, |columns, present| {
                present.clear();
                present.resize(3, true);
                if let [ColumnBuilder::String(users), ColumnBuilder::Float(amounts), ColumnBuilder::Timestamp(times)] =
                    columns
                {
                    users.append_value(user);
                    amounts.append_value(f64::from(payment.cents) / 100.0);
                    times.append_value(payment.at);
                }
                Ok(())
            });
        }
        self.next = end;
        Ok(if end == self.payments.len() { InputStatus::EndOfInput } else { InputStatus::MoreAvailable })
    }
}

fn features(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("features");
    group.throughput(Throughput::Elements(RECORDS as u64)).sample_size(10);
    for (entities, spread) in [(10_000, Spread::Zipf), (10_000, Spread::Uniform), (1_000_000, Spread::Uniform)] {
        let payments = payments(entities, RECORDS, spread);
        let named = Arc::new(payments.iter().map(|p| (user_name(p.user), *p)).collect::<Vec<_>>());
        let of = format!("{entities} {spread:?}");
        for windows in [&["1h"] as &[&str], &["1h", "1d"]] {
            let plan = plan(windows);
            let batches = prepare(&plan, &payments);
            let id = |name: &str| BenchmarkId::new(format!("{name}/{}", windows.join(" ")), &of);
            if windows.len() == 1 {
                group.bench_function(BenchmarkId::new("totals", &of), |b| b.iter(|| totals(&payments, &batches)));
            }
            group.bench_function(id("state"), |b| {
                let new = || GroupState::new(&plan.groups[0].layout);
                b.iter_batched(new, |mut state| fill(&mut state, &batches), BatchSize::PerIteration);
            });
            group.bench_function(id("graph"), |b| {
                let partitions =
                    || -> Vec<Box<dyn Partition>> { vec![Box::new(Ready { payments: named.clone(), next: 0 })] };
                b.iter(|| run(&plan, partitions(), 1, false));
            });
        }
    }
    group.finish();
}

/// The kinds of windows, of an aggregate whose records can be subtracted and of one whose records cannot.
fn windows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("windows");
    group.throughput(Throughput::Elements(RECORDS as u64)).sample_size(10);
    let payments = payments(10_000, RECORDS, Spread::Uniform);
    let kinds = [
        ("sliding", r#""1h""#, ""),
        ("tumbling", r#"{ tumbling = "1h" }"#, ""),
        ("cumulative", r#"{ cumulative = "1d" }"#, ""),
        ("session", r#"{ session = "30m" }"#, ""),
        ("last 10", r#""last 10""#, ""),
        ("series", r#"{ series = 7, step = "1h" }"#, ""),
        ("lag", r#""1h""#, r#", lag = "6h""#),
    ];
    for (name, window, lag) in kinds {
        for op in ["mean", "max"] {
            let plan = plan_of(&format!(r#"{{ of = "amount", op = "{op}", windows = [{window}]{lag} }}"#), "payments");
            let batches = prepare(&plan, &payments);
            group.bench_function(BenchmarkId::new(name, op), |b| {
                let new = || GroupState::new(&plan.groups[0].layout);
                b.iter_batched(new, |mut state| fill(&mut state, &batches), BatchSize::PerIteration);
            });
        }
    }
    group.finish();
}

fn lookups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lookups");
    group.throughput(Throughput::Elements(100_000)).sample_size(10);
    for entities in [10_000, 1_000_000] {
        let payments = payments(entities, RECORDS, Spread::Uniform);
        let plan = plan(&["1h", "1d"]);
        let batches = prepare(&plan, &payments);
        let mut state = GroupState::new(&plan.groups[0].layout);
        fill(&mut state, &batches);
        let keys: Vec<Key> = payments[RECORDS - 100_000..]
            .chunks(BATCH)
            .flat_map(|chunk| {
                let rows = plan.groups[0].codec.encode(&batch(&plan, chunk).columns[..1]);
                rows.iter().map(|row| Key::from_bytes(row.as_ref())).collect::<Vec<_>>()
            })
            .collect();
        let mut row = vec![Feature::NULL; plan.groups[0].layout.width];
        group.bench_function(BenchmarkId::new("vector", entities), |b| {
            b.iter(|| {
                for key in &keys {
                    let slot = state.find(key.as_bytes(), Key::hash_of(key.as_bytes()));
                    state.vector_into(slot, None, &mut row);
                    black_box(&row);
                }
            });
        });
        let all = batches.iter().flat_map(|batch| batch.keys.iter());
        let known: HashMap<Key, [f64; 8]> = all.map(|row| (Key::from_bytes(row.as_ref()), [0.5; 8])).collect();
        group.bench_function(BenchmarkId::new("hash map", entities), |b| {
            b.iter(|| keys.iter().for_each(|key| _ = black_box(known.get(key.as_bytes()).copied())));
        });
    }
    group.finish();
}

criterion_group!(benches, features, windows, lookups);
criterion_main!(benches);
