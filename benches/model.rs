//! Cost of a model, per example: decoding, encoding, learning, scoring, beside a bare dot product.
//!
//! 20 inputs: 15 numbers, 5 categories. `learn/whole` is the trainer's whole way of an example in a steady state:
//! scored by champion, predecessor and newest, then learnt.

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidemill::model::preparation::{Observations, Preparation, Prepared, SlotLayout, Statistics};
use tidemill::model::{
    Classes, Examples, InputColumn, KINDS, Labels, ModelOptions, OPTIMIZERS, OptimizerOptions, SparseRows, Task,
    Trainer, TrainerConfig, Version,
};
use tidemill::value::{Key, Type};

const ROWS: usize = 100_000;
const NUMBERS: usize = 15;
const CATEGORIES: usize = 5;
const DAY: i64 = 86_400_000;

fn inputs() -> Vec<InputColumn> {
    let numbers = (0..NUMBERS).map(|i| InputColumn::new(format!("number{i}"), Type::Float));
    numbers.chain((0..CATEGORIES).map(|i| InputColumn::new(format!("category{i}"), Type::String))).collect()
}

fn random(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / (1_u64 << 53) as f64
}

fn examples(seed: u64, day: i64) -> Examples {
    let mut state = seed;
    let mut columns: Vec<ArrayRef> = Vec::new();
    for _ in 0..NUMBERS {
        columns.push(Arc::new((0..ROWS).map(|_| random(&mut state) * 1000.0).collect::<Float64Array>()));
    }
    for size in [3, 16, 100, 1000, 7] {
        let value = |state: &mut u64| Some(format!("value{}", (random(state) * f64::from(size)) as u32));
        columns.push(Arc::new((0..ROWS).map(|_| value(&mut state)).collect::<StringArray>()));
    }
    let known: Vec<i64> = (0..ROWS as i64).map(|row| day * DAY + row * DAY / ROWS as i64).collect();
    Examples {
        columns,
        labels: Labels::Numbers((0..ROWS).map(|_| f64::from(u8::from(random(&mut state) < 0.3))).collect()),
        time: known.iter().map(|known| known - 3_600_000).collect(),
        hash: known.iter().map(|known| Key::hash_of(&known.to_le_bytes())).collect(),
        weights: Vec::new(),
        segments: Vec::new(),
        keys: Vec::new(),
        users: Vec::new(),
        known,
    }
}

fn trainer(options: ModelOptions) -> Trainer {
    let config = TrainerConfig {
        name: "bench".into(),
        inputs: inputs(),
        options,
        window_ms: DAY,
        offset_ms: 0,
        within_ms: DAY,
        definition: String::new(),
    };
    Trainer::new(config).expect("the options are right")
}

fn windows(trainer: &mut Trainer, days: std::ops::Range<i64>) -> Vec<Version> {
    let learn = |day: i64| {
        let examples = examples(day as u64 + 1, day);
        trainer.learn(&examples);
        trainer.close(trainer.window_of(examples.known[0]))
    };
    days.filter_map(learn).collect()
}

fn model(criterion: &mut Criterion) {
    let examples = examples(1, 0);
    let Labels::Numbers(labels) = &examples.labels else { unreachable!("the labels are numbers") };
    let classes = Classes::default();
    let select: Vec<u32> = (0..ROWS as u32).collect();
    let mut group = criterion.benchmark_group("model");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    for bins in [0, 12] {
        let options = ModelOptions { bins, ..ModelOptions::default() };
        let layout = Arc::new(SlotLayout::new(&inputs(), &options).expect("the options are right"));
        let seen = Observations::decode(&layout, &examples.columns, ROWS);
        let mut statistics = Statistics::new(&layout, Task::Binary);
        statistics.observe(&seen, labels, &select);
        let preparation = Preparation::new(&layout, &statistics);
        let id = |name: &str| BenchmarkId::new(name, format!("{bins} bins"));
        group.bench_function(id("decode"), |b| {
            b.iter(|| {
                chunks(|from, len| {
                    let columns: Vec<ArrayRef> = examples.columns.iter().map(|c| c.slice(from, len)).collect();
                    black_box(Observations::decode(&layout, &columns, len));
                })
            });
        });
        group.bench_function(id("observe"), |b| {
            b.iter(|| statistics.observe(&seen, labels, &select));
        });
        let mut rows = SparseRows::default();
        group.bench_function(id("encode"), |b| {
            b.iter(|| chunks(|from, len| preparation.encode(&seen, &select[from..from + len], &mut rows)));
        });
        let mut all = Vec::new();
        chunks(|from, len| {
            let span = from..from + len;
            let batch = Prepared::new(&preparation, &seen, &select[span.clone()]);
            let batch = batch.with_targets(&labels[span], &classes);
            // Encoded now, so that only learning is measured.
            batch.rows();
            all.push(batch);
        });
        for optimizer in OPTIMIZERS {
            let options = OptimizerOptions { name: optimizer.name.into(), parameters: vec![] };
            let options = ModelOptions { optimizer: Some(options), bins, ..ModelOptions::default() };
            let layout = SlotLayout::new(&inputs(), &options).expect("the options are right");
            let mut learner = KINDS[0].learner(&layout).expect("the options are right");
            group.bench_function(id(&format!("learner/{}", optimizer.name)), |b| {
                b.iter(|| all.iter().for_each(|batch| learner.learn(batch)));
            });
        }
        let weights = vec![0.5; layout.slots()];
        group.bench_function(id("dot"), |b| {
            b.iter(|| {
                let dot = |rows: &SparseRows| {
                    rows.iter()
                        .map(|row| {
                            row.index.iter().zip(row.value).fold(0.0, |sum, (i, x)| sum + weights[*i as usize] * x)
                        })
                        .sum::<f64>()
                };
                black_box(all.iter().map(|batch| dot(batch.rows())).sum::<f64>())
            });
        });
        let mut trainer = trainer(options);
        let versions = windows(&mut trainer, 0..3);
        let next = self::examples(9, 3);
        group.bench_function(id("learn/whole"), |b| b.iter(|| black_box(trainer.learn(&next))));
        let predictor = &versions[2].predictor;
        group.bench_function(id("predict/batch"), |b| b.iter(|| black_box(predictor.predict(&next.columns, ROWS))));
        let one: Vec<ArrayRef> = next.columns.iter().map(|column| column.slice(7, 1)).collect();
        group.throughput(Throughput::Elements(1));
        group.bench_function(id("predict/one"), |b| b.iter(|| black_box(predictor.predict(&one, 1))));
        group.throughput(Throughput::Elements(ROWS as u64));
    }
    group.finish();
}

fn chunks(mut each: impl FnMut(usize, usize)) {
    (0..ROWS).step_by(512).for_each(|from| each(from, 512.min(ROWS - from)));
}

criterion_group!(benches, model);
criterion_main!(benches);
