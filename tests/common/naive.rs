//! The oracle: every feature, example and label from all the records, by the definitions and nothing else.
//!
//! Slow on purpose. Sums are of integers, as the definition of exact arithmetic has it, in one fixed order; everything
//! else is a filter over all records.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use tidemill::aggregate::{Feature, FeatureType, KINDS, Op};
use tidemill::source::RecordCounts;
use tidemill::value::{Scalar, Type};

use super::definitions::{COLLECTIONS, Collected, STATISTICS};
use super::engine::{Inputs, Record};
use super::windows::{NaiveShape, NaiveWindow, Times, window};

/// The results that the engine must have.
#[derive(Debug, Default)]
pub struct Expected {
    pub tallies: BTreeMap<String, RecordCounts>,
    pub shop: Vec<Vec<Scalar>>,
    pub pair: Vec<Vec<Scalar>>,
    /// Without `_score` and `_version`, which learning adds.
    pub ever: Vec<Vec<Scalar>>,
    /// Lists and maps as JSON.
    pub collected: Vec<Vec<Scalar>>,
    pub defaulted: Vec<Vec<Scalar>>,
    pub own: Vec<Vec<Scalar>>,
    /// Maps as JSON.
    pub by_shop: Vec<Vec<Scalar>>,
    pub examples: Vec<Vec<Scalar>>,
    /// The vectors in the online store at the end: of shops that have records in some window of the group `shop`,
    /// and of the group `ever`.
    pub shown: BTreeMap<String, Vec<Scalar>>,
    pub shown_ever: BTreeMap<String, Vec<Scalar>>,
}

/// A record with its place in the total order.
#[derive(Clone, Debug)]
struct Placed {
    effective: i64,
    offset: usize,
    record: Record,
}

/// The asking time of what is shown at the end.
pub const ASKING: i64 = 2_000_000;

/// Effective times by the definition of the watermark in each partition, and the ledger: of what takes effect before
/// the end. No record is too late: examples and labels keep every one.
fn place(topic: &str, records: &[Record], lateness: i64, dealt: &Dealt) -> (Vec<Placed>, RecordCounts) {
    let mut tally = RecordCounts::default();
    let mut placed = Vec::new();
    let end = dealt.until.unwrap_or(i64::MAX);
    for partition in 0..dealt.partitions {
        let mut newest = i64::MIN;
        let here = |(_, record): &(usize, &Record)| record.partition(topic, dealt.partitions) == partition;
        for (offset, record) in records.iter().enumerate().filter(here) {
            let watermark = if newest == i64::MIN { i64::MIN } else { newest - lateness };
            let effective = record.at.max(watermark);
            newest = newest.max(record.at);
            if effective >= end || dealt.since.is_some_and(|since| effective < since) {
                continue;
            }
            tally.read += 1;
            if effective > record.at {
                tally.late += 1
            } else {
                tally.applied += 1
            }
            placed.push(Placed { effective, offset, record: record.clone() });
        }
    }
    placed.sort_by(|a, b| {
        (a.effective, a.record.id.as_bytes(), a.offset).cmp(&(b.effective, b.record.id.as_bytes(), b.offset))
    });
    (placed, tally)
}

/// A record of a window as an aggregate sees it.
#[derive(Clone, Debug)]
pub struct Observation {
    pub event_time: i64,
    /// The value of `of`; null where the line has none.
    pub x: Scalar,
    /// The value of `with`.
    pub with: Scalar,
}

/// The circumstances of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The asking time.
    pub asking: i64,
    /// The length of the window, if it has one.
    pub length_ms: Option<i64>,
}

/// An aggregate by its definition: from the observations of a window in the total order, nulls left out.
pub type Answer = fn(&[Observation], Asked) -> Scalar;

/// The definition of an aggregate.
#[derive(Clone, Copy)]
pub enum Definition {
    Scalar(Answer),
    Collection(Collected),
}

impl Definition {
    pub fn answer(self, observed: &[Observation], asked: Asked) -> Feature {
        match self {
            Definition::Scalar(answer) => answer(observed, asked).into(),
            Definition::Collection(answer) => answer(observed),
        }
    }
}

/// The aggregates of sums, extrema and newest records, as a dataflow file writes them, by their definitions. Each of
/// `KINDS` must be here, in `STATISTICS` or in `COLLECTIONS`.
pub const AGGREGATES: &[(&str, Answer)] = &[
    ("count", |observed, _| Scalar::Int(observed.len() as i64)),
    ("sum", |observed, _| match observed.first() {
        None => Scalar::Null,
        Some(Observation { x: Scalar::Int(_), .. }) => Scalar::Int(sum(observed) as i64),
        Some(_) => Scalar::Float(nearest(sum(observed), 1_000_000_000)),
    }),
    ("mean", |observed, _| {
        float((!observed.is_empty()).then(|| nearest(sum(observed), observed.len() as i128 * 1_000_000_000)))
    }),
    ("variance", |observed, _| float(variance(observed))),
    ("stddev", |observed, _| float(variance(observed).map(f64::sqrt))),
    ("variance_pop", |observed, _| float(population_variance(observed))),
    ("stddev_pop", |observed, _| float(population_variance(observed).map(f64::sqrt))),
    ("min", |observed, _| by_order(observed, |floats| floats.into_iter().min_by(f64::total_cmp))),
    ("max", |observed, _| by_order(observed, |floats| floats.into_iter().max_by(f64::total_cmp))),
    ("first", |observed, _| observed.first().map_or(Scalar::Null, |first| first.x.clone())),
    ("last", |observed, _| observed.last().map_or(Scalar::Null, |last| last.x.clone())),
    ("time_since_last", |observed, asked| {
        let newest = observed.iter().map(|one| one.event_time).max();
        float(newest.map(|newest| (asked.asking - newest) as f64 / 1000.0))
    }),
];

/// The aggregate of a kind: the op as a dataflow file writes it, and its definition.
///
/// # Panics
/// If the kind has no definition.
pub fn aggregate(kind: &str) -> (&'static str, Definition) {
    let scalars = AGGREGATES.iter().chain(STATISTICS).map(|(op, answer)| (*op, Definition::Scalar(*answer)));
    let collections = COLLECTIONS.iter().map(|(op, answer)| (*op, Definition::Collection(*answer)));
    let is_of_kind = |(op, _): &(&str, Definition)| op.split('(').next() == Some(kind);
    scalars.chain(collections).find(is_of_kind).unwrap_or_else(|| panic!("{kind} has no naive definition"))
}

/// The ops of every kind, in the order of `KINDS`.
fn definitions() -> impl Iterator<Item = (&'static str, Definition)> {
    KINDS.iter().map(|kind| aggregate(kind.name))
}

/// The ops of every kind with scalar answers, in the order of `KINDS`.
pub fn ops() -> Vec<(&'static str, Answer)> {
    let scalar = |(op, definition)| match definition {
        Definition::Scalar(answer) => Some((op, answer)),
        Definition::Collection(_) => None,
    };
    definitions().filter_map(scalar).collect()
}

/// The ops of every kind whose answers are lists or maps, in the order of `KINDS`.
pub fn collections() -> Vec<(&'static str, Collected)> {
    let collection = |(op, definition)| match definition {
        Definition::Scalar(_) => None,
        Definition::Collection(answer) => Some((op, answer)),
    };
    definitions().filter_map(collection).collect()
}

/// The ops of every kind that a series can have, in the order of `KINDS`.
pub fn series_ops(window: NaiveWindow) -> Vec<(&'static str, Definition)> {
    let is_taken = |op: &str| {
        let op = Op::parse(op).expect("the table has ops");
        window.takes(op.kind, &op)
    };
    definitions().filter(|(op, _)| is_taken(op)).collect()
}

/// The values that an op's answer is in a step of a series: one, or as many as its list can have, nulls where it has fewer.
pub fn step_values(op: &str, answer: &Feature) -> Vec<Scalar> {
    let op = Op::parse(op).expect("the table has ops");
    match (op.output(Some(Type::Float)), answer) {
        (FeatureType::List(_), answer) => {
            let items: &[Scalar] = if let Feature::List(items) = answer { items } else { &[] };
            (0..op.parameters.count(0)).map(|at| items.get(at).cloned().unwrap_or(Scalar::Null)).collect()
        }
        (_, Feature::Value(value)) => vec![value.clone()],
        other => panic!("{other:?} is in no series"),
    }
}

fn float(value: Option<f64>) -> Scalar {
    value.map_or(Scalar::Null, Scalar::Float)
}

fn number(x: &Scalar) -> f64 {
    match x {
        Scalar::Float(x) => *x,
        other => panic!("{other:?} is not a float"),
    }
}

/// X of one observation: a float by 10^9, halves to even; an int itself.
pub fn scaled(observation: &Observation) -> i128 {
    scaled_number(&observation.x)
}

/// X of a number.
pub fn scaled_number(number: &Scalar) -> i128 {
    match *number {
        Scalar::Int(x) => x.into(),
        Scalar::Float(x) => scaled_float(x),
        ref other => panic!("{other:?} is not a number"),
    }
}

/// The integer nearest to x·10^9, halves to even, of a float within ±10^18: its mantissa times 10^9, shifted by its
/// exponent.
fn scaled_float(x: f64) -> i128 {
    let (fraction, exponent) = (x.to_bits() & ((1 << 52) - 1), (x.to_bits() >> 52) as i32 & 0x7ff);
    let (mantissa, exponent) = if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    let product = i128::from(mantissa) * 1_000_000_000;
    let magnitude = match exponent {
        0.. => product << exponent,
        -100..0 => {
            let (unit, floor) = (1i128 << -exponent, product >> -exponent);
            let twice = 2 * (product - floor * unit);
            floor + i128::from(twice > unit || (twice == unit && floor % 2 == 1))
        }
        _ => 0,
    };
    if x < 0.0 { -magnitude } else { magnitude }
}

/// The f64 nearest to a fraction: by one division of floats, or by its decimal text.
fn nearest(numerator: i128, denominator: i128) -> f64 {
    const FLOATS: i128 = 1 << 53;
    if numerator.abs() <= FLOATS && denominator <= FLOATS {
        return numerator as f64 / denominator as f64;
    }
    let mut rest = numerator.abs() % denominator;
    let mut text = format!("{}.", numerator.abs() / denominator);
    for _ in 0..60 {
        rest *= 10;
        text += &(rest / denominator).to_string();
        rest %= denominator;
    }
    let magnitude: f64 = format!("{text}{}", i32::from(rest > 0)).parse().expect("a number");
    if numerator < 0 { -magnitude } else { magnitude }
}

fn sum(observed: &[Observation]) -> i128 {
    observed.iter().map(scaled).sum()
}

/// The value of nQ − S², of floats.
fn spread(observed: &[Observation]) -> f64 {
    let (s, q) = (sum(observed), observed.iter().map(|one| scaled(one) * scaled(one)).sum::<i128>());
    (observed.len() as i128 * q - s * s) as f64
}

/// The sample variance of floats.
fn variance(observed: &[Observation]) -> Option<f64> {
    let n = observed.len() as f64;
    (observed.len() > 1).then(|| spread(observed) / (n * (n - 1.0)) / 1e18)
}

/// The population variance of floats.
fn population_variance(observed: &[Observation]) -> Option<f64> {
    let n = observed.len() as f64;
    (!observed.is_empty()).then(|| spread(observed) / (n * n) / 1e18)
}

fn by_order(observed: &[Observation], pick: fn(Vec<f64>) -> Option<f64>) -> Scalar {
    float(pick(observed.iter().map(|one| number(&one.x)).collect()))
}

/// The windows of the group `shop`.
pub const WINDOWS: &[NaiveWindow] =
    &[window(NaiveShape::Sliding { size: 60, hop: 7 }), window(NaiveShape::Sliding { size: 300, hop: 50 })];

/// The windows of the group `ever`, which reach back without end.
pub const ENDLESS: &[NaiveWindow] = &[window(NaiveShape::Lifetime)];

/// A window in which no example is, beside one in which it is.
const OWN_TUMBLING: NaiveWindow = window(NaiveShape::Tumbling { length: 70, offset: 0 });

/// The window of `positive` in the group `shop`, and that of the group `pair`.
const POSITIVE: NaiveWindow = window(NaiveShape::Sliding { size: 100, hop: 1 });
const PAIR: NaiveWindow = window(NaiveShape::Sliding { size: 120, hop: 20 });

/// The times of a vector: the one up to which its windows have records, and the asking time.
#[derive(Clone, Copy, Debug)]
struct AsOf {
    window: i64,
    asking: i64,
}

impl AsOf {
    /// A look-up as of a time.
    fn look_up(time: i64) -> AsOf {
        AsOf { window: time, asking: time }
    }

    /// Just after all records of a time.
    fn after(time: i64) -> AsOf {
        AsOf { window: time + 1, asking: time }
    }
}

/// The observations that an op counts of a line in a window, of records in the total order; of a series, for each step,
/// oldest first.
fn observed_steps(
    records: &[&Placed],
    window: NaiveWindow,
    at: AsOf,
    op: &str,
    x: impl Fn(&Record) -> Option<Scalar>,
) -> Vec<Vec<Observation>> {
    observed_with_own(records, window, at, (op, None), x)
}

/// The same with a record at the asking time, if there is one.
fn observed_with_own(
    records: &[&Placed],
    window: NaiveWindow,
    at: AsOf,
    (op, own): (&str, Option<&Record>),
    x: impl Fn(&Record) -> Option<Scalar>,
) -> Vec<Vec<Observation>> {
    let observation =
        |record: &Record, event_time: i64| Some(Observation { event_time, x: x(record)?, with: with(record) });
    let counts = |one: &Observation| is_counted(op, one);
    let placed = |r: &&Placed| Some((r.effective, observation(&r.record, r.record.at).filter(counts)?));
    let mut counted: Vec<(i64, Observation)> = records.iter().filter_map(placed).collect();
    let own = own.and_then(|own| observation(own, at.asking)).filter(counts);
    let is_own = own.is_some();
    counted.extend(own.map(|own| (at.window, own)));
    let times = counted.iter().map(|(effective, one)| Times { effective: *effective, event: one.event_time });
    let times: Vec<Times> = times.collect();
    let held = if is_own { window.held_with_own(&times, at.window) } else { window.held(&times, at.window) };
    held.into_iter().map(|held| held.into_iter().map(|at| counted[at].1.clone()).collect()).collect()
}

/// The same of a window that is no series.
fn observed(
    records: &[&Placed],
    window: NaiveWindow,
    at: AsOf,
    op: &str,
    x: impl Fn(&Record) -> Option<Scalar>,
) -> Vec<Observation> {
    observed_steps(records, window, at, op, x).remove(0)
}

/// The circumstances of answers in a window.
fn asked(window: NaiveWindow, at: AsOf) -> Asked {
    Asked { asking: at.asking - window.lag, length_ms: window.length_ms() }
}

fn of_shop<'a>(sales: &'a [Placed], shop: &Option<String>) -> Vec<&'a Placed> {
    sales.iter().filter(|r| shop.is_some() && r.record.shop == *shop).collect()
}

/// The `with` of a record: `nullif(item, 2)`.
fn with(record: &Record) -> Scalar {
    if record.item == 2 { Scalar::Null } else { Scalar::Int(record.item) }
}

/// Returns whether an op counts an observation: with both values, if it reads two.
pub fn is_counted(op: &str, one: &Observation) -> bool {
    !matches!(op, "covariance" | "correlation") || one.with != Scalar::Null
}

/// A number as the default of an op of floats.
pub fn default_of(op: &str, number: i64) -> Scalar {
    let op = Op::parse(op).expect("the table has ops");
    match op.output(Some(Type::Float)) {
        FeatureType::Scalar(Type::Int) => Scalar::Int(number),
        _ => Scalar::Float(number as f64),
    }
}

/// Every op of x in the first window of the group `shop`, of records with an item above 0, with a default of 7.
fn defaulted_vector(sales: &[Placed], shop: &Option<String>, at: AsOf) -> Vec<Scalar> {
    let positive = |record: &Record| record.x.filter(|_| record.item > 0).map(Scalar::Float);
    let records = of_shop(sales, shop);
    let answer = |(op, answer): (&str, Answer)| match observed(&records, WINDOWS[0], at, op, positive) {
        none if none.is_empty() => default_of(op, 7),
        counted => answer(&counted, asked(WINDOWS[0], at)),
    };
    ops().into_iter().map(answer).collect()
}

/// Every op of x in the first window of the group `shop`, of records with an item above 0, and behind them the example
/// itself as such a record at the asking time, if there is one with a shop.
fn own_vector(sales: &[Placed], shop: &Option<String>, at: AsOf, example: Option<&Record>) -> Vec<Scalar> {
    let positive = |record: &Record| record.x.filter(|_| record.item > 0).map(Scalar::Float);
    let records = of_shop(sales, shop);
    let own = example.filter(|_| shop.is_some()).and_then(|example| Some((positive(example)?, with(example))));
    let own = own.map(|(x, with)| Observation { event_time: at.asking, x, with });
    let answer = |(op, answer): (&str, Answer)| {
        let mut observed = observed(&records, WINDOWS[0], at, op, positive);
        observed.extend(own.clone().filter(|own| is_counted(op, own)));
        answer(&observed, asked(WINDOWS[0], at))
    };
    let vector: Vec<Scalar> = ops().into_iter().map(answer).collect();
    let derived = derived_of(&vector);
    [vector, derived].concat()
}

/// The derived features of the group `own`, from its vector.
fn derived_of(vector: &[Scalar]) -> Vec<Scalar> {
    let of = |op: &str| &vector[ops().iter().position(|(known, _)| *known == op).expect("every op is there")];
    let Scalar::Int(count) = of("count") else { panic!("a count is an int") };
    let average = match of("sum") {
        Scalar::Float(sum) if *count > 0 => Some(*sum / *count as f64),
        _ => None,
    };
    let waited = match of("time_since_last") {
        Scalar::Float(seconds) => *seconds,
        _ => -1.0,
    };
    let size = match count {
        0 => Scalar::Null,
        1..=2 => Scalar::String("few".into()),
        _ => Scalar::String("many".into()),
    };
    vec![float(average), Scalar::Float(waited * *count as f64), size]
}

/// Every op of x of an item by shop, in two windows, as JSON.
fn by_shop_vector(sales: &[Placed], item: i64, at: AsOf) -> Vec<Scalar> {
    let shops: BTreeSet<&String> = sales.iter().filter_map(|sale| sale.record.shop.as_ref()).collect();
    let vector = [WINDOWS[0], ENDLESS[0]].into_iter().flat_map(|window| {
        let counted = |shop: &String, op: &str| {
            let records: Vec<&Placed> = of_shop(sales, &Some(shop.clone()));
            let records: Vec<&Placed> = records.into_iter().filter(|r| r.record.item == item).collect();
            observed(&records, window, at, op, |record| record.x.map(Scalar::Float))
        };
        let map = |(op, answer): (&str, Answer)| {
            let counted = shops.iter().map(|shop| (shop, counted(shop, op)));
            let entries = counted.filter(|(_, counted)| !counted.is_empty());
            let answer = |counted: Vec<Observation>| answer(&counted, asked(window, at)).to_json();
            let map: Map<String, Value> = entries.map(|(shop, counted)| (shop.to_string(), answer(counted))).collect();
            if map.is_empty() { Scalar::Null } else { Scalar::String(Value::Object(map).to_string().into()) }
        };
        ops().into_iter().map(map).collect::<Vec<_>>()
    });
    vector.collect()
}

/// Every op of x in each of some windows.
fn all_of_x(records: &[&Placed], windows: &[NaiveWindow], at: AsOf) -> Vec<Scalar> {
    let mut vector = Vec::new();
    for window in windows {
        let observed = |op: &str| observed(records, *window, at, op, |record| record.x.map(Scalar::Float));
        vector.extend(ops().iter().map(|(op, answer)| answer(&observed(op), asked(*window, at))));
    }
    vector
}

/// Every list and map of x in each of some windows, as JSON.
fn lists_of_x(records: &[&Placed], windows: &[NaiveWindow], at: AsOf) -> Vec<Scalar> {
    let vector = windows.iter().flat_map(|window| {
        let observed = observed(records, *window, at, "", |record| record.x.map(Scalar::Float));
        collections().into_iter().map(move |(_, answer)| match answer(&observed) {
            Feature::Value(value) => value,
            other => Scalar::String(other.to_json(at.asking).to_string().into()),
        })
    });
    vector.collect()
}

/// Every op of x that a series can have in each of some series, as JSON.
fn series_of_x(records: &[&Placed], windows: &[NaiveWindow], at: AsOf) -> Vec<Scalar> {
    let vector = windows.iter().flat_map(|window| {
        let steps = |op: &str| observed_steps(records, *window, at, op, |record| record.x.map(Scalar::Float));
        series_ops(*window).into_iter().map(move |(op, definition)| listed((op, definition), &steps(op), *window, at))
    });
    vector.collect()
}

/// The list of a series, as JSON.
fn listed((op, definition): (&str, Definition), steps: &[Vec<Observation>], window: NaiveWindow, at: AsOf) -> Scalar {
    let values = |observed: &Vec<Observation>| step_values(op, &definition.answer(observed, asked(window, at)));
    let list: Vec<Scalar> = steps.iter().flat_map(values).collect();
    Scalar::String(Feature::List(list.into()).to_json(at.asking).to_string().into())
}

/// Two counts and every op of x in each of some windows, of which each that can have it has the example itself, as it is at
/// the asking time. Lists as JSON.
fn own_of_x(records: &[&Placed], windows: &[NaiveWindow], at: AsOf, own: Option<&Record>) -> Vec<Scalar> {
    let x = |record: &Record| record.x.map(Scalar::Float);
    let count = |window| {
        let counted = observed_with_own(records, window, at, ("count", own), |_| Some(Scalar::Null));
        Scalar::Int(counted[0].len() as i64)
    };
    let mut vector = [window(NaiveShape::Lifetime), OWN_TUMBLING].map(count).to_vec();
    for window in windows.iter().copied().filter(|window| window.has_own()) {
        let steps = |op| observed_with_own(records, window, at, (op, own), x);
        if window.is_series() {
            vector.extend(
                series_ops(window).into_iter().map(|(op, definition)| listed((op, definition), &steps(op), window, at)),
            );
        } else {
            vector.extend(ops().into_iter().map(|(op, answer)| answer(&steps(op)[0], asked(window, at))));
        }
    }
    vector
}

fn collected_vector(sales: &[Placed], shop: &Option<String>, at: AsOf) -> Vec<Scalar> {
    let records = of_shop(sales, shop);
    let windows: Vec<NaiveWindow> = WINDOWS.iter().chain(ENDLESS).copied().collect();
    lists_of_x(&records, &windows, at)
}

fn shop_vector(sales: &[Placed], shop: &Option<String>, at: AsOf) -> Vec<Scalar> {
    let records = of_shop(sales, shop);
    let mut vector = all_of_x(&records, WINDOWS, at);
    let positive = |record: &Record| record.x.filter(|x| *x > 0.0).map(|_| Scalar::Null);
    let positive = observed(&records, POSITIVE, at, "count", positive);
    vector.push(Scalar::Int(positive.len() as i64));
    vector
}

fn ever_vector(sales: &[Placed], shop: &Option<String>, at: AsOf) -> Vec<Scalar> {
    all_of_x(&of_shop(sales, shop), ENDLESS, at)
}

fn pair_vector(sales: &[Placed], shop: &Option<String>, item: i64, at: AsOf) -> Vec<Scalar> {
    let records: Vec<&Placed> = of_shop(sales, shop).into_iter().filter(|r| r.record.item == item).collect();
    let observed = observed(&records, PAIR, at, "", |record| Some(Scalar::Int(record.item)));
    let answer = |kind: &&str| aggregate(kind).1.answer(&observed, asked(PAIR, at)).scalar(at.asking);
    ["sum", "last"].iter().map(answer).collect()
}

fn text(value: &Option<String>) -> Scalar {
    value.as_ref().map_or(Scalar::Null, |text| Scalar::String(text.as_str().into()))
}

/// A row for every entity and time that had records: the vector just after them.
fn changes(
    sales: &[Placed],
    key: impl Fn(&Record) -> Option<Vec<Scalar>>,
    vector: impl Fn(&Record, AsOf) -> Vec<Scalar>,
) -> Vec<Vec<Scalar>> {
    let mut rows: BTreeMap<(i64, String), Vec<Scalar>> = BTreeMap::new();
    for sale in sales {
        if let Some(key) = key(&sale.record) {
            let mut row = vec![Scalar::Timestamp(sale.effective)];
            let place = (sale.effective, format!("{key:?}"));
            row.extend(key);
            row.extend(vector(&sale.record, AsOf::after(sale.effective)));
            rows.insert(place, row);
        }
    }
    rows.into_values().collect()
}

/// The distribution of records over partitions, and the time at which outputs stop.
pub struct Dealt {
    pub partitions: usize,
    pub until: Option<i64>,
    /// Before this, what sources had is not counted.
    pub since: Option<i64>,
    /// True if examples look up the group `ever`.
    pub endless: bool,
}

impl Dealt {
    /// Everything of topics of so many partitions each.
    pub fn over(partitions: usize) -> Dealt {
        Dealt { partitions, until: None, since: None, endless: true }
    }
}

/// Everything of topics of one partition each.
pub fn compute(inputs: &Inputs) -> Expected {
    compute_of(inputs, &Dealt::over(1))
}

/// Everything.
pub fn compute_of(inputs: &Inputs, dealt: &Dealt) -> Expected {
    let (asks, asked) = place("asks", &inputs.asks, 40, dealt);
    let (sales, sold) = place("sales", &inputs.sales, 25, dealt);
    let (mut prices, priced) = place("prices", &inputs.prices, 0, &Dealt { since: None, ..*dealt });
    prices.sort_by_key(|r| (r.effective, r.record.item, r.offset));
    let newest = [&asks, &sales, &prices].iter().flat_map(|topic| topic.iter().map(|r| r.effective)).max();
    let end = dealt.until.or(newest.map(|newest| newest + 1)).unwrap_or(i64::MIN);

    let shop_key = |r: &Record| r.shop.as_ref().map(|_| vec![text(&r.shop)]);
    let pair_key = |r: &Record| r.shop.as_ref().map(|_| vec![text(&r.shop), Scalar::Int(r.item)]);
    let mut expected = Expected {
        tallies: [("asks", asked), ("sales", sold), ("prices", priced)]
            .map(|(name, tally)| (name.to_owned(), tally))
            .into(),
        shop: changes(&sales, shop_key, |r, a| shop_vector(&sales, &r.shop, a)),
        pair: changes(&sales, pair_key, |r, a| pair_vector(&sales, &r.shop, r.item, a)),
        ever: changes(&sales, shop_key, |r, a| ever_vector(&sales, &r.shop, a)),
        collected: changes(&sales, shop_key, |r, a| collected_vector(&sales, &r.shop, a)),
        defaulted: changes(&sales, shop_key, |r, a| defaulted_vector(&sales, &r.shop, a)),
        own: changes(&sales, shop_key, |r, a| own_vector(&sales, &r.shop, a, None)),
        by_shop: changes(&sales, |r| Some(vec![Scalar::Int(r.item)]), |r, a| by_shop_vector(&sales, r.item, a)),
        ..Expected::default()
    };
    for shop in sales.iter().filter_map(|sale| sale.record.shop.as_ref()) {
        let at = AsOf { window: end, asking: ASKING };
        let vector = shop_vector(&sales, &Some(shop.clone()), at);
        // The count of the longest window, which holds whatever a shorter one does.
        if vector[ops().len()] != Scalar::Int(0) {
            expected.shown.insert(shop.clone(), vector);
        }
        let ever = ever_vector(&sales, &Some(shop.clone()), at);
        if ever[0] != Scalar::Int(0) {
            expected.shown_ever.insert(shop.clone(), ever);
        }
    }
    let mut examples = Vec::new();
    for ask in &asks {
        let t = ask.effective;
        let label = sales.iter().find(|sale| {
            sale.record.id == ask.record.id
                && sale.record.x.is_some()
                && sale.effective >= t
                && sale.effective <= t + 80
        });
        let Some(label) = label.filter(|label| label.effective < end) else { continue };
        let prices = prices.iter().filter(|p| p.record.item == ask.record.item && p.effective < t);
        // Of the newest event time, the last in the total order.
        let price = prices.max_by_key(|p| p.record.at);
        // A delete is a row without a shop.
        let price = price.filter(|p| p.record.shop.is_some()).and_then(|p| p.record.x);
        let known = label.effective;
        let r = &ask.record;
        let mut row = vec![
            Scalar::Timestamp(t),
            Scalar::Timestamp(known),
            Scalar::Timestamp((known.div_euclid(200) + 1) * 200),
            Scalar::String(r.id.as_str().into()),
            text(&r.shop),
            Scalar::Int(r.item),
            float(r.x),
            Scalar::Timestamp(r.at),
            float(price),
        ];
        row.extend(shop_vector(&sales, &r.shop, AsOf::look_up(t)));
        row.extend(pair_vector(&sales, &r.shop, r.item, AsOf::look_up(t)));
        row.extend(defaulted_vector(&sales, &r.shop, AsOf::look_up(t)));
        row.extend(own_vector(&sales, &r.shop, AsOf::look_up(t), Some(r)));
        if dealt.endless {
            row.extend(ever_vector(&sales, &r.shop, AsOf::look_up(t)));
        }
        row.push(Scalar::Float(f64::from(u8::from(label.record.x.unwrap() > 0.0))));
        examples.push(row);
    }
    expected.examples = examples;
    expected
}

/// The results of the dataflow of some windows.
#[derive(Debug, Default)]
pub struct ExpectedWindows {
    pub shop: Vec<Vec<Scalar>>,
    /// Lists and maps as JSON.
    pub collected: Vec<Vec<Scalar>>,
    /// Lists as JSON.
    pub own: Vec<Vec<Scalar>>,
    /// By time and id of the example, the features looked up.
    pub examples: Vec<Vec<Scalar>>,
    /// The vectors of the group `shop` in the online store at the end.
    pub shown: BTreeMap<String, Vec<Scalar>>,
}

/// The results of [`super::spec::windowed`].
pub fn compute_windows(inputs: &Inputs, windows: &[NaiveWindow], partitions: usize) -> ExpectedWindows {
    let dealt = Dealt::over(partitions);
    let (asks, _) = place("asks", &inputs.asks, 40, &dealt);
    let (sales, _) = place("sales", &inputs.sales, 25, &dealt);
    let newest = asks.iter().chain(&sales).map(|r| r.effective).max();
    let end = newest.map_or(i64::MIN, |newest| newest + 1);
    let of = |series: bool| -> Vec<NaiveWindow> {
        windows.iter().copied().filter(|window| window.is_series() == series).collect()
    };
    let count = |records: &[&Placed], at: AsOf| {
        let ever = observed(records, window(NaiveShape::Lifetime), at, "count", |_| Some(Scalar::Null));
        Scalar::Int(ever.len() as i64)
    };
    let scalars = |shop: &Option<String>, at: AsOf| {
        let records = of_shop(&sales, shop);
        [vec![count(&records, at)], all_of_x(&records, &of(false), at)].concat()
    };
    let collected = |shop: &Option<String>, at: AsOf| {
        let records = of_shop(&sales, shop);
        let (lists, series) = (lists_of_x(&records, &of(false), at), series_of_x(&records, &of(true), at));
        [vec![count(&records, at)], lists, series].concat()
    };
    let key = |r: &Record| r.shop.as_ref().map(|_| vec![text(&r.shop)]);
    let shops: BTreeMap<String, Vec<Scalar>> = sales
        .iter()
        .filter_map(|sale| sale.record.shop.clone())
        .map(|shop| (shop.clone(), scalars(&Some(shop), AsOf { window: end, asking: ASKING })))
        .collect();
    let is_labelled = |ask: &&Placed| {
        let answers = |sale: &Placed| sale.record.id == ask.record.id && sale.record.x.is_some();
        sales.iter().any(|sale| answers(sale) && (0..=80).contains(&(sale.effective - ask.effective)))
    };
    let own = |shop: &Option<String>, at: AsOf, example: Option<&Record>| {
        own_of_x(&of_shop(&sales, shop), windows, at, example.filter(|_| shop.is_some()))
    };
    let example = |ask: &Placed| {
        let row = vec![Scalar::Timestamp(ask.effective), Scalar::String(ask.record.id.as_str().into())];
        let (shop, at) = (&ask.record.shop, AsOf::look_up(ask.effective));
        [row, scalars(shop, at), own(shop, at, Some(&ask.record))].concat()
    };
    ExpectedWindows {
        shop: changes(&sales, key, |r, at| scalars(&r.shop, at)),
        collected: changes(&sales, key, |r, at| collected(&r.shop, at)),
        own: changes(&sales, key, |r, at| own(&r.shop, at, None)),
        examples: asks.iter().filter(is_labelled).map(example).collect(),
        shown: shops,
    }
}
