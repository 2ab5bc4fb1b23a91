//! More aggregates by their definitions: statistics of distinct values, spreads, times, decay, and lists and maps.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use num_bigint::BigInt;
use tidemill::aggregate::Feature;
use tidemill::value::Scalar;

use super::naive::{Answer, Observation};

/// An aggregate whose answer is a list or a map, by its definition: from the observations of a window in the total
/// order.
pub type Collected = fn(&[Observation]) -> Feature;

/// Aggregates with scalar answers, of floats.
pub const STATISTICS: &[(&str, Answer)] = &[
    ("skew", |observed, _| float(skew(observed))),
    ("kurtosis", |observed, _| float(kurtosis(observed))),
    ("range", |observed, _| {
        let sorted = sorted(observed);
        float(sorted.first().map(|least| sorted[sorted.len() - 1] - least))
    }),
    ("quantile(0.7)", |observed, _| {
        let sorted = sorted(observed);
        let position = (0.7 * (sorted.len() as f64 - 1.0)).floor();
        float(sorted.get(position as usize).map(|x| bucket(*x)))
    }),
    ("covariance", |observed, _| float(covariance(observed))),
    ("correlation", |observed, _| float(correlation(observed))),
    // Of few values, it is exact.
    ("approx_distinct", |observed, _| Scalar::Int(counts(observed).len() as i64)),
    ("distinct", |observed, _| Scalar::Int(counts(observed).len() as i64)),
    ("mode", |observed, _| {
        let most = counts(observed).into_iter().max_by_key(|(value, count)| (*count, Reverse(*value)));
        float(most.map(|(value, _)| value.0))
    }),
    ("entropy", |observed, _| {
        let n = observed.len() as f64;
        let share = |count: usize| count as f64 / n;
        let terms = counts(observed).into_values().map(|count| share(count) * libm::log(share(count)));
        float((n > 0.0).then(|| terms.fold(0.0, |sum, term| sum - term)))
    }),
    ("rate", |observed, asked| {
        let n = observed.len() as f64;
        let oldest = observed.iter().map(|one| one.event_time).min();
        match (asked.length_ms, oldest) {
            (Some(length), _) => Scalar::Float(n / (length as f64 / 1000.0)),
            (None, None) => Scalar::Float(0.0),
            (None, Some(oldest)) => {
                float((asked.asking > oldest).then(|| n / ((asked.asking - oldest) as f64 / 1000.0)))
            }
        }
    }),
    ("time_since_first", |observed, asked| {
        let oldest = observed.iter().map(|one| one.event_time).min();
        float(oldest.map(|oldest| (asked.asking - oldest).max(0) as f64 / 1000.0))
    }),
    ("time_between", |observed, _| {
        let mut times: Vec<i64> = observed.iter().map(|one| one.event_time).collect();
        times.sort_unstable();
        let gaps: i64 = times.windows(2).map(|pair| pair[1] - pair[0]).sum();
        float((times.len() > 1).then(|| gaps as f64 / (times.len() - 1) as f64 / 1000.0))
    }),
    ("ewma('20ms')", |observed, _| {
        let decayed = decayed(observed, 20);
        float(decayed.map(|decayed| decayed.sum / decayed.weight))
    }),
    ("decayed_sum('20ms')", |observed, asked| {
        let since = |decayed: &Decayed| (asked.asking - decayed.as_of) as f64 / 20.0;
        float(decayed(observed, 20).map(|decayed| decayed.sum * libm::exp2(-since(&decayed))))
    }),
];

/// Aggregates with lists and maps of floats.
pub const COLLECTIONS: &[(&str, Collected)] = &[
    ("first_k(3)", |observed| list(observed.iter().take(3).map(x))),
    ("last_k(3)", |observed| list(observed.iter().skip(observed.len().saturating_sub(3)).map(x))),
    ("last_distinct(2)", |observed| {
        let mut newest: Vec<f64> = Vec::new();
        for value in observed.iter().rev().map(x) {
            if newest.len() < 2 && !newest.contains(&value) {
                newest.push(value);
            }
        }
        list(newest.into_iter().rev())
    }),
    ("top_k(3)", |observed| list(sorted(observed).into_iter().rev().take(3))),
    ("bottom_k(3)", |observed| list(sorted(observed).into_iter().take(3))),
    ("distinct_values(3)", |observed| list(counts(observed).into_keys().take(3).map(|value| value.0))),
    ("histogram(2)", |observed| {
        let mut counts: Vec<(Ordered, usize)> = counts(observed).into_iter().collect();
        counts.sort_by_key(|(value, count)| (Reverse(*count), *value));
        counts.truncate(2);
        let entry = |(value, count): (Ordered, usize)| (key_of(value.0), count as i64);
        let entries: BTreeMap<String, i64> = counts.into_iter().map(entry).collect();
        let entry = |(key, count): (String, i64)| (Arc::from(key), Scalar::Int(count));
        if entries.is_empty() { Feature::NULL } else { Feature::Map(entries.into_iter().map(entry).collect()) }
    }),
];

/// The key of a map that a float is: its text in JSON, without the fraction of a whole number.
fn key_of(value: f64) -> String {
    let text = serde_json::Value::from(value).to_string();
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// A float in its total order; −0.0 as 0.0.
#[derive(Clone, Copy, Debug)]
struct Ordered(f64);

impl Ord for Ordered {
    fn cmp(&self, other: &Ordered) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Ordered) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ordered {
    fn eq(&self, other: &Ordered) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

fn float(value: Option<f64>) -> Scalar {
    value.map_or(Scalar::Null, Scalar::Float)
}

fn list(values: impl Iterator<Item = f64>) -> Feature {
    let values: Vec<Scalar> = values.map(Scalar::Float).collect();
    if values.is_empty() { Feature::NULL } else { Feature::List(values.into()) }
}

fn x(observation: &Observation) -> f64 {
    match observation.x {
        Scalar::Float(x) => x,
        ref other => panic!("{other:?} is not a float"),
    }
}

fn sorted(observed: &[Observation]) -> Vec<f64> {
    let mut values: Vec<f64> = observed.iter().map(x).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn counts(observed: &[Observation]) -> BTreeMap<Ordered, usize> {
    let mut counts = BTreeMap::new();
    observed.iter().for_each(|one| *counts.entry(Ordered(x(one) + 0.0)).or_default() += 1);
    counts
}

/// The middle of the DDSketch bucket of a value, for a relative error of 1 %.
fn bucket(x: f64) -> f64 {
    let gamma: f64 = 1.01 / 0.99;
    if x == 0.0 {
        return 0.0;
    }
    let index = libm::ceil(libm::log(x.abs()) / libm::log(gamma));
    libm::exp(index * libm::log(gamma) + libm::log(2.0 / (gamma + 1.0))).copysign(x)
}

fn scaled(observation: &Observation) -> BigInt {
    BigInt::from(super::naive::scaled(observation))
}

/// The float nearest to an integer.
fn nearest(value: &BigInt) -> f64 {
    value.to_string().parse().expect("an integer is a number")
}

/// Returns n^(k−1)·Σ(x − mean)^k: the deviations times n are integers.
fn central(observed: &[Observation], power: u32) -> f64 {
    let n = BigInt::from(observed.len());
    let sum: BigInt = observed.iter().map(scaled).sum();
    let deviations = observed.iter().map(|one| scaled(one) * &n - &sum);
    let powers: BigInt = deviations.map(|deviation| deviation.pow(power)).sum();
    // Each deviation has a factor n, so the sum of powers has n^k.
    nearest(&(powers / n))
}

fn skew(observed: &[Observation]) -> Option<f64> {
    let second = central(observed.get(..).filter(|all| !all.is_empty())?, 2);
    (observed.len() > 2 && second > 0.0).then(|| central(observed, 3) / (second * second.sqrt()))
}

fn kurtosis(observed: &[Observation]) -> Option<f64> {
    let second = central(observed.get(..).filter(|all| !all.is_empty())?, 2);
    (observed.len() > 3 && second > 0.0).then(|| central(observed, 4) / second / second - 3.0)
}

/// The scaled inputs of the observations that have both.
fn pairs(observed: &[Observation]) -> Vec<(BigInt, BigInt)> {
    let both = observed.iter().filter(|one| one.with != Scalar::Null);
    both.map(|one| (scaled(one), BigInt::from(super::naive::scaled_number(&one.with)))).collect()
}

/// Returns nΣAB − ΣAΣB.
fn joint(pairs: &[(BigInt, BigInt)], a: fn(&(BigInt, BigInt)) -> &BigInt, b: fn(&(BigInt, BigInt)) -> &BigInt) -> f64 {
    let products: BigInt = pairs.iter().map(|pair| a(pair) * b(pair)).sum();
    let (sum_a, sum_b): (BigInt, BigInt) = (pairs.iter().map(a).sum(), pairs.iter().map(b).sum());
    nearest(&(products * pairs.len() - sum_a * sum_b))
}

fn covariance(observed: &[Observation]) -> Option<f64> {
    let pairs = pairs(observed);
    let n = pairs.len() as f64;
    let unit = if observed.iter().any(|one| matches!(one.with, Scalar::Float(_))) { 1e18 } else { 1e9 };
    (pairs.len() > 1).then(|| joint(&pairs, |pair| &pair.0, |pair| &pair.1) / (n * (n - 1.0)) / unit)
}

fn correlation(observed: &[Observation]) -> Option<f64> {
    let pairs = pairs(observed);
    let spread = joint(&pairs, |pair| &pair.0, |pair| &pair.0) * joint(&pairs, |pair| &pair.1, |pair| &pair.1);
    (spread > 0.0).then(|| (joint(&pairs, |pair| &pair.0, |pair| &pair.1) / spread.sqrt()).clamp(-1.0, 1.0))
}

/// Weighted sums as of the beginning of the half-life of the newest record.
struct Decayed {
    weight: f64,
    sum: f64,
    as_of: i64,
}

fn decayed(observed: &[Observation], half_life_ms: i64) -> Option<Decayed> {
    let mut terms: BTreeMap<i64, (BigInt, BigInt)> = BTreeMap::new();
    for one in observed {
        let rest = one.event_time.rem_euclid(half_life_ms) as f64 / half_life_ms as f64;
        let weight = BigInt::from((libm::exp2(rest) * 2f64.powi(52)).round_ties_even() as i128);
        let (weights, sums) = terms.entry(one.event_time.div_euclid(half_life_ms)).or_default();
        *sums += &weight * scaled(one);
        *weights += weight;
    }
    let newest = *terms.keys().next_back()?;
    let mut decayed = Decayed { weight: 0.0, sum: 0.0, as_of: newest * half_life_ms };
    for (half_life, (weight, sum)) in &terms {
        let scale = libm::exp2((half_life - newest) as f64) / 2f64.powi(52);
        decayed.weight += nearest(weight) * scale;
        decayed.sum += nearest(sum) * scale;
    }
    decayed.sum /= 1e9;
    Some(decayed)
}
