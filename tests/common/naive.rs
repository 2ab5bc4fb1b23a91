//! The oracle: every feature, example and label from all the records, by the definitions and nothing else.
//!
//! Slow on purpose. Sums are of integers, as the definition of exact arithmetic has it, in one fixed order; everything
//! else is a filter over all records.

use std::collections::BTreeMap;

use tidemill::source::RecordCounts;
use tidemill::value::Scalar;

use super::engine::{Inputs, Record};

/// What the engine should find.
#[derive(Debug, Default)]
pub struct Expected {
    pub tallies: BTreeMap<String, RecordCounts>,
    pub shop: Vec<Vec<Scalar>>,
    pub pair: Vec<Vec<Scalar>>,
    /// Without `_score` and `_version`, which learning adds.
    pub examples: Vec<Vec<Scalar>>,
    /// What is shown at the end: the vectors of shops that have records in some window.
    pub shown: BTreeMap<String, Vec<Scalar>>,
}

/// A record with its place in the total order.
#[derive(Clone, Debug)]
struct Placed {
    effective: i64,
    offset: usize,
    record: Record,
}

/// How long a record of each topic can matter, as the plan has it; later ones are dead.
const REACH: [(&str, i64); 3] = [("asks", i64::MAX), ("sales", i64::MAX), ("prices", i64::MAX)];

/// Effective times by the definition of the watermark in each partition, and the ledger: of what takes effect before
/// the end.
fn place(topic: &str, records: &[Record], lateness: i64, dealt: &Dealt) -> (Vec<Placed>, RecordCounts) {
    let mut tally = RecordCounts::default();
    let mut placed = Vec::new();
    let reach = REACH.iter().find(|(name, _)| *name == topic).unwrap().1;
    let end = dealt.until.unwrap_or(i64::MAX);
    for partition in 0..dealt.partitions {
        let mut newest = i64::MIN;
        let here = |(_, record): &(usize, &Record)| record.partition(topic, dealt.partitions) == partition;
        for (offset, record) in records.iter().enumerate().filter(here) {
            let watermark = if newest == i64::MIN { i64::MIN } else { newest - lateness };
            if record.at < watermark && watermark - record.at > reach {
                (tally.read, tally.dead_letter) = (tally.read + 1, tally.dead_letter + 1);
                continue;
            }
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

fn scaled(x: f64) -> i128 {
    (x * 1e9).round_ties_even() as i128
}

/// The records of a window as of `a`: event time from its oldest edge on, effective before `a`.
fn window<'a>(records: &[&'a Placed], a: i64, size: i64, hop: i64) -> Vec<&'a Placed> {
    let edge = (a - size).div_euclid(hop) * hop;
    records.iter().filter(|r| r.record.at >= edge && r.effective < a).copied().collect()
}

fn float(value: Option<f64>) -> Scalar {
    value.map_or(Scalar::Null, Scalar::Float)
}

/// count, sum, mean, variance, stddev, min, max, first, last of x.
fn all_of_x(records: &[&Placed]) -> Vec<Scalar> {
    let xs: Vec<f64> = records.iter().filter_map(|r| r.record.x).collect();
    let n = xs.len();
    let s: i128 = xs.iter().map(|x| scaled(*x)).sum();
    let q: i128 = xs.iter().map(|x| scaled(*x) * scaled(*x)).sum();
    let some = |value: f64| (n > 0).then_some(value);
    let variance = (n > 1).then(|| {
        let n = n as f64;
        (xs.len() as i128 * q - s * s) as f64 / (n * (n - 1.0)) / 1e18
    });
    vec![
        Scalar::Int(n as i64),
        float(some(s as f64 / 1e9)),
        float(some(s as f64 / n as f64 / 1e9)),
        float(variance),
        float(variance.map(f64::sqrt)),
        float(xs.iter().copied().min_by(f64::total_cmp)),
        float(xs.iter().copied().max_by(f64::total_cmp)),
        float(xs.first().copied()),
        float(xs.last().copied()),
    ]
}

fn shop_vector(sales: &[Placed], shop: &Option<String>, a: i64) -> Vec<Scalar> {
    let of: Vec<&Placed> = sales.iter().filter(|r| shop.is_some() && r.record.shop == *shop).collect();
    let mut vector = all_of_x(&window(&of, a, 60, 7));
    vector.extend(all_of_x(&window(&of, a, 300, 50)));
    let positive = window(&of, a, 100, 1).iter().filter(|r| r.record.x.is_some_and(|x| x > 0.0)).count();
    vector.push(Scalar::Int(positive as i64));
    vector
}

fn pair_vector(sales: &[Placed], shop: &Option<String>, item: i64, a: i64) -> Vec<Scalar> {
    let of: Vec<&Placed> =
        sales.iter().filter(|r| shop.is_some() && r.record.shop == *shop && r.record.item == item).collect();
    let of = window(&of, a, 120, 20);
    let sum: i64 = of.iter().map(|r| r.record.item).sum();
    let int = |value: Option<i64>| value.map_or(Scalar::Null, Scalar::Int);
    vec![int((!of.is_empty()).then_some(sum)), int(of.last().map(|r| r.record.item))]
}

fn text(value: &Option<String>) -> Scalar {
    value.as_ref().map_or(Scalar::Null, |text| Scalar::String(text.as_str().into()))
}

/// A row for every entity and time that had records: the vector just after them.
fn changes(
    sales: &[Placed],
    key: impl Fn(&Record) -> Option<Vec<Scalar>>,
    vector: impl Fn(&Record, i64) -> Vec<Scalar>,
) -> Vec<Vec<Scalar>> {
    let mut rows: BTreeMap<(i64, String), Vec<Scalar>> = BTreeMap::new();
    for sale in sales {
        if let Some(key) = key(&sale.record) {
            let mut row = vec![Scalar::Timestamp(sale.effective)];
            let place = (sale.effective, format!("{key:?}"));
            row.extend(key);
            row.extend(vector(&sale.record, sale.effective + 1));
            rows.insert(place, row);
        }
    }
    rows.into_values().collect()
}

/// How records are dealt over partitions, and where outputs stop.
pub struct Dealt {
    pub partitions: usize,
    pub until: Option<i64>,
    /// Before this, what sources had is not counted.
    pub since: Option<i64>,
}

/// Everything of topics of one partition each.
pub fn compute(inputs: &Inputs) -> Expected {
    compute_of(inputs, &Dealt { partitions: 1, until: None, since: None })
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
        examples: Vec::new(),
        shown: BTreeMap::new(),
    };
    for shop in sales.iter().filter_map(|sale| sale.record.shop.as_ref()) {
        let vector = shop_vector(&sales, &Some(shop.clone()), end);
        // The count of the longest window, which holds whatever a shorter one does.
        if vector[9] != Scalar::Int(0) {
            expected.shown.insert(shop.clone(), vector);
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
        let price = prices.iter().rfind(|p| p.record.item == ask.record.item && p.effective < t);
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
        row.extend(shop_vector(&sales, &r.shop, t));
        row.extend(pair_vector(&sales, &r.shop, r.item, t));
        row.push(Scalar::Float(f64::from(u8::from(label.record.x.unwrap() > 0.0))));
        examples.push(row);
    }
    expected.examples = examples;
    expected
}
