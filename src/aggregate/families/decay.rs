//! Decaying sums: a record of age g weighs 2^(−g / h), for a half-life h.
//!
//! Ages grow while sums are kept, so a sum is kept by half-lives. A record at t, with e = floor(t / h) and r = t − e·h, is
//! added to term e: its weight in integers w = round(2^(r/h)·2^52), in [2^52, 2^53), and w·X for its scaled value X. A
//! sum as of a is Σ term_e·2^(e − a/h) / 2^52. The terms are exact integers, so they merge and subtract in any order; the
//! final sum over terms is of floats, from the oldest term to the newest. Terms more than 256 half-lives older than the
//! newest are left out: they add less than the rounding of the weights does.

use arrow_buffer::i256;
use serde::{Deserialize, Serialize};

use crate::aggregate::algebra::{Aggregate, Invertible, Observed};
use crate::aggregate::answers::Answers;
use crate::aggregate::assumed_records::AssumedRecords;
use crate::aggregate::estimate::StateEstimate;
use crate::aggregate::exact::{Sum256, power_of_ten, to_f64};
use crate::aggregate::family::{Family, OpsInWindow, PlacedOp};
use crate::aggregate::feature::Feature;
use crate::aggregate::heap::{grown, sum_of};
use crate::aggregate::input::Reads;
use crate::aggregate::op::{Op, OpParameter, ParameterType};
use crate::aggregate::state_codec::{StateReader, StateWriter};
use crate::aggregate::window::{Window, WindowState};
use crate::time::EventTime;

/// The parameter of ops that decay.
pub const HALF_LIFE: OpParameter = OpParameter {
    name: "half-life",
    summary: "age at which a record weighs half",
    of: ParameterType::Duration,
    least: 1.0,
    greatest: f64::INFINITY,
    short: "",
};

/// Half-lives after which a term adds nothing.
const REACH: i64 = 256;

/// 2^52, the unit of weights.
const UNIT: f64 = 4_503_599_627_370_496.0;

/// The aggregate whose accumulators are decaying sums.
#[derive(Clone, Copy, Debug)]
pub struct Decay {
    half_life_ms: i64,
    /// True if terms out of reach are dropped as they are added to. A sum from which records are taken out keeps them.
    forgets: bool,
    /// The time that a pane of the window spans, if that does not depend on the records.
    pane_ms: Option<i64>,
}

/// The terms of a decaying sum, ascending by half-life.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DecayingSum(Vec<Term>);

/// The records of one half-life.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Term {
    /// Half-lives since the epoch.
    half_life: i64,
    n: i64,
    /// Sum of the weights.
    weight: i128,
    /// Sum of the weighted scaled values.
    sum: Sum256,
}

impl Term {
    fn add(&mut self, other: &Term) {
        self.n += other.n;
        self.weight += other.weight;
        self.sum.add(other.sum.value());
    }

    fn remove(&mut self, other: &Term) {
        self.n -= other.n;
        self.weight -= other.weight;
        self.sum.add(other.sum.value().wrapping_neg());
    }
}

/// Decayed totals as of one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decayed {
    /// Σ weight.
    pub weight: f64,
    /// Σ weight·x.
    pub sum: f64,
    /// The moment, in epoch ms.
    pub as_of: EventTime,
    pub half_life_ms: i64,
}

impl DecayingSum {
    fn add(&mut self, term: &Term) {
        match self.0.binary_search_by_key(&term.half_life, |known| known.half_life) {
            Ok(at) => self.0[at].add(term),
            Err(at) => self.0.insert(at, *term),
        }
    }

    fn remove(&mut self, term: &Term) {
        if let Ok(at) = self.0.binary_search_by_key(&term.half_life, |known| known.half_life) {
            self.0[at].remove(term);
            if self.0[at].n == 0 {
                self.0.remove(at);
            }
        }
    }

    /// The terms within reach of the newest.
    fn within_reach(&self) -> &[Term] {
        let newest = self.0.last().map_or(0, |term| term.half_life);
        &self.0[self.0.partition_point(|term| term.half_life < newest - REACH)..]
    }

    /// Drops the terms out of reach.
    fn forget(&mut self) {
        let forgotten = self.0.len() - self.within_reach().len();
        self.0.drain(..forgotten);
    }

    /// The totals as of the beginning of the newest half-life; `None` of no records.
    fn totals(&self, half_life_ms: i64, digits: u32) -> Option<Decayed> {
        let newest = self.0.last()?.half_life;
        let (mut weight, mut sum) = (0.0, 0.0);
        for term in self.within_reach() {
            let scale = libm::exp2((term.half_life - newest) as f64) / UNIT;
            weight += term.weight as f64 * scale;
            sum += to_f64(term.sum.value()) * scale;
        }
        let as_of = newest.saturating_mul(half_life_ms);
        Some(Decayed { weight, sum: sum / power_of_ten(digits), as_of, half_life_ms })
    }
}

impl Aggregate for Decay {
    type Acc = DecayingSum;

    fn reads(&self) -> Reads {
        Reads::SCALED
    }

    fn admits(&self, saved: &DecayingSum) -> bool {
        let is_term = |term: &Term| {
            term.half_life.unsigned_abs() <= 1 << 60
                && (1..=1 << 48).contains(&term.n)
                && term.weight.unsigned_abs() <= 1 << 118
        };
        saved.0.iter().all(is_term) && saved.0.is_sorted_by(|one, other| one.half_life < other.half_life)
    }

    fn insert(&self, acc: &mut DecayingSum, record: Observed<'_>) {
        let half_life = record.event_time.div_euclid(self.half_life_ms);
        let rest = record.event_time.rem_euclid(self.half_life_ms) as f64 / self.half_life_ms as f64;
        let weight = (libm::exp2(rest) * UNIT).round_ties_even() as i128;
        let sum = i256::from_i128(weight).wrapping_mul(i256::from_i128(record.summable())).into();
        acc.add(&Term { half_life, n: 1, weight, sum });
        if self.forgets {
            acc.forget();
        }
    }

    fn merge(&self, acc: &mut DecayingSum, later: &DecayingSum) {
        later.0.iter().for_each(|term| acc.add(term));
        if self.forgets {
            acc.forget();
        }
    }

    fn heap_bytes(&self, acc: &DecayingSum) -> usize {
        acc.0.capacity() * size_of::<Term>()
    }

    /// A term for each record, or for each half-life that the panes span if these are fewer.
    fn estimated_heap(&self, records: &AssumedRecords) -> usize {
        let spanned = self.pane_ms.map_or(REACH, |pane_ms| pane_ms * records.panes as i64 / self.half_life_ms);
        grown::<Term>(records.count().min(spanned as usize + 2))
    }

    fn is_empty(&self, acc: &DecayingSum) -> bool {
        acc.0.is_empty()
    }

    fn write(&self, acc: &Self::Acc, to: &mut StateWriter) {
        to.value(acc);
    }

    fn read(&self, from: &mut StateReader<'_>) -> Result<Self::Acc, postcard::Error> {
        from.value()
    }
}

impl Invertible for Decay {
    fn remove(&self, acc: &mut DecayingSum, leaving: &DecayingSum) {
        leaving.0.iter().for_each(|term| acc.remove(term));
    }
}

/// The family of ops that are functions of decayed totals.
#[derive(Debug)]
pub struct DecayOp {
    pub finish: fn(Decayed) -> Feature,
}

impl DecayOp {
    fn half_life_ms(op: &Op) -> i64 {
        op.parameters.get(0) as i64
    }

    fn aggregate(op: &Op, window: Window) -> Decay {
        let half_life_ms = Self::half_life_ms(op);
        Decay { half_life_ms, forgets: window.reach_ms().is_none(), pane_ms: window.pane_ms() }
    }
}

impl Family for DecayOp {
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>> {
        let digits = ops.digits;
        let build = |ops: OpsInWindow<'_>| {
            let PlacedOp { op, position, .. } = ops.ops[0];
            let half_life_ms = Self::half_life_ms(op);
            let finish = op.kind.family_as::<DecayOp>().finish;
            let write = move |acc: &DecayingSum, row: &mut Answers<'_>| {
                row[position] = acc.totals(half_life_ms, digits).map_or(Feature::NULL, finish);
            };
            match Self::aggregate(op, ops.window) {
                decay if decay.forgets => ops.erased(decay, write),
                decay => ops.erased_invertible(decay, write),
            }
        };
        ops.each().map(build).collect()
    }

    fn bytes(&self, ops: &[&Op], estimate: &StateEstimate) -> usize {
        let of_one = |op: &&Op| match Self::aggregate(op, estimate.window) {
            decay if decay.forgets => estimate.erased(decay),
            decay => estimate.erased_invertible(decay),
        };
        sum_of(ops.iter().map(of_one))
    }

    fn reads(&self) -> Reads {
        Reads::SCALED
    }

    fn is_ordered(&self) -> bool {
        false
    }

    fn depends_on_asking(&self, _window: Window) -> bool {
        matches!((self.finish)(Decayed { weight: 1.0, sum: 1.0, as_of: 0, half_life_ms: 1 }), Feature::AsOf(_))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array};
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::{Deferred, InputColumns, LineInput};
    use crate::value::Scalar;

    const HALF_LIFE_MS: i64 = 1_000;

    /// The decaying sum of values at times.
    fn sum_of(values: &[(EventTime, f64)], forgets: bool) -> DecayingSum {
        let decay = Decay { half_life_ms: HALF_LIFE_MS, forgets, pane_ms: None };
        let column: ArrayRef = Arc::new(values.iter().map(|(_, x)| Some(*x)).collect::<Float64Array>());
        let columns =
            InputColumns { of: Some(&column), digits: 9, needs: Reads::SCALED.needs, ..InputColumns::default() };
        let input = LineInput::new(&columns, &mut 0);
        let mut sum = DecayingSum::default();
        for (row, (time, _)) in values.iter().enumerate() {
            decay.insert(&mut sum, Observed::of(Reads::SCALED, &input, row, *time, 0).expect("no value is null"));
        }
        sum
    }

    /// The decayed sum as of a time.
    fn decayed(sum: &DecayingSum, asking: EventTime) -> f64 {
        let totals = sum.totals(HALF_LIFE_MS, 9).expect("there are records");
        match Deferred::decaying(totals.sum, totals.as_of, HALF_LIFE_MS).at(asking) {
            Scalar::Float(sum) => sum,
            other => panic!("{other:?} is no sum"),
        }
    }

    proptest! {
        #[test]
        fn decayed_sums_and_means_are_within_the_error_that_is_stated(
            steps in prop::collection::vec((0..9_000i64, -1_000_000_000..1_000_000_000i64), 1..40),
            after in 1..100_000i64,
        ) {
            // Values that the resolution leaves as they are.
            let mut time = 1_700_000_000_000;
            let values: Vec<(EventTime, f64)> = steps.iter().map(|(step, x)| {
                time += step;
                (time, *x as f64 / 1024.0)
            }).collect();
            let asking = time + after;
            let weight = |time: EventTime| libm::exp2(-((asking - time) as f64) / HALF_LIFE_MS as f64);
            let weighted = |of: fn(f64) -> f64| values.iter().map(|(time, x)| weight(*time) * of(*x)).sum::<f64>();
            let (sum, magnitude, weights) = (weighted(|x| x), weighted(f64::abs), weighted(|_| 1.0));
            let found = sum_of(&values, false);
            prop_assert!((decayed(&found, asking) - sum).abs() <= 1e-12 * magnitude);
            let totals = found.totals(HALF_LIFE_MS, 9).expect("there are records");
            prop_assert!((totals.sum / totals.weight - sum / weights).abs() <= 1e-12 * magnitude / weights);
        }

        #[test]
        fn a_sum_that_forgets_is_the_one_that_does_not(
            values in prop::collection::vec((-400_000..400_000i64, -1e6..1e6f64), 1..40),
        ) {
            let (all, few) = (sum_of(&values, false), sum_of(&values, true));
            prop_assert_eq!(all.totals(HALF_LIFE_MS, 9), few.totals(HALF_LIFE_MS, 9));
            prop_assert!(few.0.len() <= REACH as usize + 1);
        }
    }

    #[test]
    fn a_record_out_of_reach_does_not_count() {
        let old = (0, 1e18);
        let alone = sum_of(&[(300 * HALF_LIFE_MS, 0.0)], true);
        let both = sum_of(&[old, (300 * HALF_LIFE_MS, 0.0)], true);
        assert_eq!((&both, decayed(&both, 300 * HALF_LIFE_MS)), (&alone, 0.0));
        assert!(decayed(&sum_of(&[old, (200 * HALF_LIFE_MS, 0.0)], true), 200 * HALF_LIFE_MS) > 0.0);
    }
}
