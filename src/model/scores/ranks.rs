//! Counts of positives and negatives by prediction, from which the area under the ROC curve follows.
//!
//! Every distinct prediction has counts of its own, up to a number of them. Beyond it, predictions that agree in their
//! leading bits share counts: as few trailing bits are dropped as it takes. How many that are depends on the set of
//! predictions alone, so neither order nor grouping matters, and what is kept is bounded.
//!
//! The area is exact until then. Afterwards pairs of a positive and a negative that share counts are taken as ties, which
//! is wrong by half of their share of all pairs at most. Of predictions that are spread at random, that is less than
//! 0.00003, however close together they lie.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Distinct predictions that have counts of their own, unless told otherwise.
pub const DISTINCT: usize = 1 << 16;

/// Predictions that are sorted in at a time, at least. While there are more counts than twice as many, as many wait as half
/// of the counts: all of those are copied then.
const PENDING: usize = 1 << 13;

/// Counts by prediction, in ascending order.
#[derive(Clone, Debug)]
pub struct RankCounts {
    /// The most counts that are kept.
    limit: usize,
    /// The number of trailing bits of a prediction that are dropped.
    dropped: u32,
    /// Counts, ascending by key.
    counts: Vec<RankCount>,
    /// Predictions that are not counted yet: their bits, and the truth as last bit.
    pending: Vec<u64>,
}

/// The examples whose predictions share a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RankCount {
    /// The leading bits of the predictions.
    key: u64,
    positives: u64,
    negatives: u64,
}

impl Default for RankCounts {
    fn default() -> Self {
        RankCounts::new(DISTINCT)
    }
}

impl RankCounts {
    /// Returns counts of at most `limit` distinct predictions.
    pub fn new(limit: usize) -> Self {
        RankCounts { limit, dropped: 0, counts: Vec::new(), pending: Vec::new() }
    }

    /// Counts a prediction, a probability. NaN counts as 0.
    #[inline]
    pub fn add(&mut self, prediction: f64, truth: bool) {
        // The bits of floats that are not negative are in the order of their values, and the sign is free.
        let bits = if prediction > 0.0 { prediction.min(1.0).to_bits() } else { 0 };
        self.pending.push(bits << 1 | u64::from(truth));
        if self.pending.len() >= PENDING.max(self.counts.len() / 2) {
            self.settle();
        }
    }

    /// Counts a prediction a number of times.
    pub fn add_times(&mut self, prediction: f64, truth: bool, times: u64) {
        let bits = if prediction > 0.0 { prediction.min(1.0).to_bits() } else { 0 };
        let (positives, negatives) = if truth { (times, 0) } else { (0, times) };
        match self.counts.binary_search_by_key(&(bits >> self.dropped), |count| count.key) {
            Ok(at) => {
                self.counts[at].positives += positives;
                self.counts[at].negatives += negatives;
            }
            Err(_) => self.join(vec![RankCount { key: bits >> self.dropped, positives, negatives }]),
        }
    }

    /// Counts what is pending.
    pub fn settle(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        self.pending.sort_unstable();
        let mut more: Vec<RankCount> = Vec::new();
        for bits in self.pending.drain(..) {
            let key = (bits >> 1) >> self.dropped;
            let (positives, negatives) = (bits & 1, !bits & 1);
            push(&mut more, RankCount { key, positives, negatives });
        }
        self.join(more);
    }

    /// Adds counts, ascending by key, of predictions that have as many bits dropped.
    fn join(&mut self, more: Vec<RankCount>) {
        if self.counts.is_empty() {
            self.counts = more;
        } else {
            let mut joined = Vec::with_capacity(self.counts.len() + more.len());
            let (mut own, mut more) = (self.counts.iter().copied().peekable(), more.into_iter().peekable());
            while let Some(next) = match (own.peek(), more.peek()) {
                (Some(one), Some(other)) if other.key < one.key => more.next(),
                (Some(_), _) => own.next(),
                (None, _) => more.next(),
            } {
                push(&mut joined, next);
            }
            self.counts = joined;
        }
        if self.counts.len() > self.limit {
            self.drop_bits(self.dropped + self.bits_to_drop());
        }
    }

    /// Returns the least number of bits without which no more counts are left than the limit.
    fn bits_to_drop(&self) -> u32 {
        // Neighbours differ until as many bits are dropped as their highest different bit has places.
        let mut parted_by = [0; u64::BITS as usize + 1];
        for pair in self.counts.windows(2) {
            parted_by[(u64::BITS - (pair[0].key ^ pair[1].key).leading_zeros()) as usize] += 1;
        }
        let mut left = 1;
        for (places, parted) in parted_by.iter().enumerate().rev() {
            left += parted;
            if left > self.limit {
                return places as u32;
            }
        }
        0
    }

    /// Drops so many bits.
    fn drop_bits(&mut self, dropped: u32) {
        let more = dropped - self.dropped;
        self.counts.iter_mut().for_each(|count| count.key >>= more);
        self.counts.dedup_by(|next, last| {
            let is_same = last.key == next.key;
            if is_same {
                last.positives += next.positives;
                last.negatives += next.negatives;
            }
            is_same
        });
        self.dropped = dropped;
    }

    /// Adds everything that `other` has counted.
    pub fn merge(&mut self, other: &RankCounts) {
        self.settle();
        let mut other = other.settled().into_owned();
        self.limit = self.limit.max(other.limit);
        match self.dropped.cmp(&other.dropped) {
            Ordering::Less => self.drop_bits(other.dropped),
            Ordering::Equal => {}
            Ordering::Greater => other.drop_bits(self.dropped),
        }
        self.join(other.counts);
    }

    /// Returns the same with nothing pending.
    fn settled(&self) -> Cow<'_, RankCounts> {
        if self.pending.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut settled = self.clone();
        settled.settle();
        Cow::Owned(settled)
    }

    /// Returns the share of pairs of a positive and a negative that are ranked right, ties counting half. None if there is
    /// no such pair.
    pub fn area(&self) -> Option<f64> {
        let (mut below, mut twice, mut positives) = (0u128, 0u128, 0u128);
        for count in &self.settled().counts {
            let [more_positives, more_negatives] = [count.positives, count.negatives].map(u128::from);
            twice += more_positives * (2 * below + more_negatives);
            below += more_negatives;
            positives += more_positives;
        }
        let pairs = positives * below;
        (pairs > 0).then(|| twice as f64 / 2.0 / pairs as f64)
    }

    /// Returns the sum of R_k·P_k over the distinct predictions, from the highest: P_k is the share of positives among the
    /// examples from there up, and R_k the share of all positives that it adds. None if there is no positive.
    ///
    /// Counts are exact, and the sum is taken in one order, so it does not depend on that of the examples.
    pub fn average_precision(&self) -> Option<f64> {
        let settled = self.settled();
        let counts = &settled.counts;
        let positives: u64 = counts.iter().map(|count| count.positives).sum();
        let (mut found, mut above, mut sum) = (0u64, 0u64, 0.0);
        for count in counts.iter().rev() {
            found += count.positives;
            above += count.positives + count.negatives;
            sum += count.positives as f64 * (found as f64 / above as f64);
        }
        (positives > 0).then(|| sum / positives as f64)
    }

    /// Returns how far [`RankCounts::area`] can be from the area of the predictions themselves; 0 while all have counts of
    /// their own.
    #[cfg(test)]
    fn error(&self) -> f64 {
        let settled = self.settled();
        let sum = |of: fn(&RankCount) -> u128| settled.counts.iter().map(of).sum::<u128>();
        let pairs = sum(|count| count.positives.into()) * sum(|count| count.negatives.into());
        let shared = sum(|count| u128::from(count.positives) * u128::from(count.negatives));
        if settled.dropped == 0 || pairs == 0 { 0.0 } else { shared as f64 / 2.0 / pairs as f64 }
    }
}

/// Appends counts, or adds them to the last ones if they have the same key.
fn push(counts: &mut Vec<RankCount>, next: RankCount) {
    match counts.last_mut() {
        Some(last) if last.key == next.key => {
            last.positives += next.positives;
            last.negatives += next.negatives;
        }
        _ => counts.push(next),
    }
}

impl PartialEq for RankCounts {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (self.settled(), other.settled());
        one.limit == other.limit && one.dropped == other.dropped && one.counts == other.counts
    }
}

/// The saved form: differences of keys, which are short.
#[derive(Serialize, Deserialize)]
struct SavedRanks {
    limit: u64,
    dropped: u32,
    /// For each count, the difference of its key from the one before, its positives and its negatives.
    counts: Vec<(u64, u64, u64)>,
}

impl Serialize for RankCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let RankCounts { limit, dropped, counts, .. } = self.settled().into_owned();
        let mut before = 0;
        let difference = |count: RankCount| (count.key - std::mem::replace(&mut before, count.key), count);
        let differences = counts.into_iter().map(difference);
        let counts = differences.map(|(step, count)| (step, count.positives, count.negatives)).collect();
        SavedRanks { limit: limit as u64, dropped, counts }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RankCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let SavedRanks { limit, dropped, counts } = SavedRanks::deserialize(deserializer)?;
        if dropped >= u64::BITS {
            return Err(serde::de::Error::custom("more bits are dropped than a prediction has"));
        }
        if limit == 0 {
            return Err(serde::de::Error::custom("no predictions are counted"));
        }
        let mut key = 0u64;
        let mut read = Vec::with_capacity(counts.len());
        for (step, positives, negatives) in counts {
            key = key.checked_add(step).ok_or_else(|| serde::de::Error::custom("keys do not ascend"))?;
            push(&mut read, RankCount { key, positives, negatives });
        }
        Ok(RankCounts { limit: limit as usize, dropped, counts: read, pending: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranks(limit: usize, pairs: &[(f64, bool)]) -> RankCounts {
        let mut ranks = RankCounts::new(limit);
        pairs.iter().for_each(|(prediction, truth)| ranks.add(*prediction, *truth));
        ranks
    }

    /// Compares all pairs of a positive and a negative, ties counting half.
    fn naive(pairs: &[(f64, bool)]) -> Option<f64> {
        let (mut twice, mut count) = (0u64, 0u64);
        for (p, _) in pairs.iter().filter(|(_, truth)| *truth) {
            for (n, _) in pairs.iter().filter(|(_, truth)| !truth) {
                count += 1;
                twice += if p > n { 2 } else { u64::from(p == n) };
            }
        }
        (count > 0).then(|| twice as f64 / 2.0 / count as f64)
    }

    /// Computes precision and recall at each threshold from all examples.
    fn naive_precision(pairs: &[(f64, bool)]) -> Option<f64> {
        let mut thresholds: Vec<f64> = pairs.iter().map(|(p, _)| *p).collect();
        thresholds.sort_by(|one, other| other.total_cmp(one));
        thresholds.dedup();
        let positives = pairs.iter().filter(|(_, truth)| *truth).count() as f64;
        let (mut recall, mut sum) = (0.0, 0.0);
        for threshold in thresholds {
            let above = pairs.iter().filter(|(p, _)| *p >= threshold);
            let (hits, all) = (above.clone().filter(|(_, truth)| *truth).count() as f64, above.count() as f64);
            sum += (hits / positives - recall) * (hits / all);
            recall = hits / positives;
        }
        (positives > 0.0).then_some(sum)
    }

    /// Predictions that are equal, close together or far apart.
    fn pairs() -> impl Strategy<Value = Vec<(f64, bool)>> {
        let close = (0u64..40).prop_map(|step| f64::from_bits(0.125f64.to_bits() + step));
        let prediction = prop_oneof![close, (0u32..5).prop_map(|x| f64::from(x) / 4.0), 0.0..1.0f64, 0.0..1e-12f64];
        prop::collection::vec((prediction, prop::bool::weighted(0.2)), 0..120)
    }

    proptest! {
        #[test]
        fn oracle_the_area_is_that_of_all_pairs(pairs in pairs()) {
            let ranks = ranks(DISTINCT, &pairs);
            prop_assert_eq!((ranks.area(), ranks.error()), (naive(&pairs), 0.0));
            match (ranks.average_precision(), naive_precision(&pairs)) {
                (Some(one), Some(other)) => prop_assert!((one - other).abs() < 1e-12),
                (one, other) => prop_assert_eq!(one, other),
            }
        }

        #[test]
        fn laws_beyond_the_limit_neither_order_nor_grouping_matters(
            (pairs, shuffled) in pairs().prop_flat_map(|pairs| (Just(pairs.clone()), Just(pairs).prop_shuffle())),
            limit in 1usize..20,
            at in 0usize..120,
        ) {
            let (whole, (left, right)) = (ranks(limit, &pairs), shuffled.split_at(at.min(shuffled.len())));
            let mut merged = ranks(limit, right);
            merged.settle();
            merged.merge(&ranks(limit, left));
            prop_assert_eq!(&merged, &whole);
            prop_assert!(whole.settled().counts.len() <= limit);
            let bytes = postcard::to_stdvec(&merged).unwrap();
            prop_assert_eq!(&postcard::from_bytes::<RankCounts>(&bytes).unwrap(), &whole);
            match (whole.area(), naive(&pairs)) {
                (Some(area), Some(exact)) => prop_assert!((area - exact).abs() <= whole.error() + 1e-15),
                (area, exact) => prop_assert_eq!(area, exact),
            }
        }
    }

    /// Pseudorandom numbers from 0 to 1.
    fn random(at: u64, seed: u64) -> f64 {
        (crate::model::preparation::mix(at, seed) >> 11) as f64 / (1u64 << 53) as f64
    }

    #[test]
    fn the_error_of_many_predictions_is_far_below_any_tolerance() {
        for spread in [1.0, 1e-6, 1e-12] {
            let mut ranks = RankCounts::default();
            let mut all: Vec<(f64, bool)> = Vec::new();
            for at in 0..100_000 {
                let prediction = 0.3 + spread * (random(at, 1) - 0.5) * 0.6;
                let truth = random(at, 2) < 0.02 * (1.0 + (prediction - 0.3) / spread);
                ranks.add(prediction, truth);
                all.push((prediction, truth));
            }
            // The same by the sum of ranks; hardly two predictions are equal but in the closest spread.
            let exact = {
                let mut unlimited = RankCounts::new(usize::MAX);
                all.iter().for_each(|(prediction, truth)| unlimited.add(*prediction, *truth));
                unlimited.area().unwrap()
            };
            assert!((ranks.area().unwrap() - exact).abs() <= ranks.error());
            assert!(ranks.error() < 3e-5, "{} at {spread}", ranks.error());
            assert!(ranks.settled().counts.len() <= DISTINCT);
        }
    }
}
