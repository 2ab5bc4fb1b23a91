//! Cost of an expression over a batch of columns, beside a plain loop that does the same.

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidemill::expr::{EvalStats, Expr, Scope};
use tidemill::value::{Column, Schema, Type};

const ROWS: usize = 8192;

fn expr(criterion: &mut Criterion) {
    let schema = Schema::new(vec![
        Column::new("delay", Type::Float, false),
        Column::new("distance", Type::Float, false),
        Column::new("flight", Type::Int, false),
        Column::new("origin", Type::String, false),
        Column::new("at", Type::Timestamp, false),
    ]);
    let delay: Vec<f64> = (0..ROWS).map(|row| (row * 37 % 500) as f64 - 20.0).collect();
    let distance: Vec<f64> = (0..ROWS).map(|row| (row * 31 % 2500) as f64 + 80.0).collect();
    let flight: Vec<i64> = (0..ROWS as i64).map(|row| row * 17 % 6000).collect();
    let origin: Vec<&str> = (0..ROWS).map(|row| ["EWR", "JFK", "LGA"][row % 3]).collect();
    let at: Vec<i64> = (0..ROWS as i64).map(|row| 1_357_000_000_000 + row * 77_777).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Float64Array::from(delay.clone())),
        Arc::new(Float64Array::from(distance.clone())),
        Arc::new(Int64Array::from(flight.clone())),
        Arc::new(StringArray::from(origin.clone())),
        Arc::new(TimestampMillisecondArray::from(at.clone())),
    ];
    let mut group = criterion.benchmark_group("expr");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(20);
    let mut compare = |text: &str, plain: &dyn Fn()| {
        let expr = Expr::parse(text, &Scope::of("flights", &schema)).expect("the expression is right");
        group.bench_function(format!("{text}/tidemill"), |b| {
            b.iter(|| black_box(expr.eval(&columns, ROWS, &mut EvalStats::default())));
        });
        group.bench_function(format!("{text}/loop"), |b| b.iter(plain));
    };

    compare("least(delay, 180)", &|| {
        black_box(delay.iter().map(|delay| delay.min(180.0)).collect::<Vec<f64>>());
    });
    compare("case when delay >= 15 then 1 else 0 end", &|| {
        black_box(delay.iter().map(|delay| i64::from(*delay >= 15.0)).collect::<Vec<i64>>());
    });
    compare("distance * 60 / 450 - delay + 3", &|| {
        let minutes = delay.iter().zip(&distance).map(|(delay, distance)| distance * 60.0 / 450.0 - delay + 3.0);
        black_box(minutes.map(|x| x.is_finite().then_some(x)).collect::<Vec<Option<f64>>>());
    });
    compare("flight % 100 < 50 and origin = 'JFK'", &|| {
        let rows = flight.iter().zip(&origin);
        black_box(rows.map(|(flight, origin)| flight % 100 < 50 && *origin == "JFK").collect::<Vec<bool>>());
    });
    compare("date_part('hour', at)", &|| {
        black_box(at.iter().map(|at| at.div_euclid(3_600_000).rem_euclid(24)).collect::<Vec<i64>>());
    });
    compare("ln(distance)", &|| {
        black_box(distance.iter().map(|distance| libm::log(*distance)).collect::<Vec<f64>>());
    });
    group.finish();
}

criterion_group!(benches, expr);
criterion_main!(benches);
