//! ADWIN: a window of the newest errors that shrinks when their mean has changed.
//!
//! Bifet and Gavaldà 2007. Errors are kept as buckets of 1, 2, 4, … of them, at most [`ROW`] of each size. Every
//! [`CLOCK`] errors, each border between two buckets is tried: with n₀ and n₁ errors on its sides, v the variance of all n,
//! m = 1/(1/n₀ + 1/n₁) and δ' = ln(2 ln n/δ), the mean has changed if
//! ```text
//! |μ₀ − μ₁| > sqrt(2/m · v · δ') + 2/(3m) · δ'
//! ```
//! and the oldest bucket is forgotten, as long as there is such a border. Memory grows with the logarithm of n.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Buckets of one size.
const ROW: usize = 5;

/// Errors between two trials, and the least number on either side of a border.
const CLOCK: u64 = 32;
const LEAST: f64 = 5.0;

/// Sizes of buckets: more than any count of errors needs.
const MOST_ROWS: usize = 60;

/// Errors of a bucket: their sum, and their squared deviations from the mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct ErrorBucket {
    sum: f64,
    squares: f64,
}

/// The newest errors, each from 0 to 1.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct AdaptiveWindow {
    /// Buckets of 2^row errors, oldest first.
    rows: Vec<VecDeque<ErrorBucket>>,
    count: f64,
    total: ErrorBucket,
    seen: u64,
}

/// Returns two buckets of so many errors each as one.
fn merged(one: ErrorBucket, other: ErrorBucket, size: f64) -> ErrorBucket {
    let off = (one.sum - other.sum) / size;
    ErrorBucket { sum: one.sum + other.sum, squares: one.squares + other.squares + off * off * size / 2.0 }
}

impl AdaptiveWindow {
    /// Adds an error. Returns whether the mean has risen, at a confidence of `delta`.
    pub fn add(&mut self, error: f64, delta: f64) -> bool {
        if self.count > 0.0 {
            let off = error - self.total.sum / self.count;
            self.total.squares += off * off * self.count / (self.count + 1.0);
        }
        self.total.sum += error;
        self.count += 1.0;
        self.seen += 1;
        self.push(ErrorBucket { sum: error, squares: 0.0 });
        self.seen.is_multiple_of(CLOCK) && self.shrink(delta)
    }

    /// Returns the number of errors that are left.
    pub fn len(&self) -> u64 {
        self.count as u64
    }

    /// Returns the mean of the errors that are left.
    pub fn mean(&self) -> f64 {
        if self.count > 0.0 { self.total.sum / self.count } else { 0.0 }
    }

    fn push(&mut self, bucket: ErrorBucket) {
        let mut bucket = bucket;
        for row in 0..MOST_ROWS {
            if self.rows.len() == row {
                self.rows.push(VecDeque::new());
            }
            let buckets = &mut self.rows[row];
            buckets.push_back(bucket);
            if buckets.len() <= ROW {
                return;
            }
            let oldest = [buckets.pop_front(), buckets.pop_front()].map(|bucket| bucket.expect("the row is full"));
            bucket = merged(oldest[0], oldest[1], size(row));
        }
    }

    /// Forgets the oldest buckets as long as the mean differs before and after a border. Returns whether it has risen.
    fn shrink(&mut self, delta: f64) -> bool {
        let mut has_risen = false;
        while self.count > 2.0 * LEAST {
            let Some(rise) = self.change(delta) else { break };
            has_risen |= rise > 0.0;
            self.forget_oldest();
        }
        has_risen
    }

    /// Returns by how much the mean rises at the first border where it changes, from the oldest bucket on.
    fn change(&self, delta: f64) -> Option<f64> {
        let variance = (self.total.squares / self.count).max(0.0);
        let confidence = libm::log(2.0 * libm::log(self.count) / delta);
        let (mut before, mut sum) = (0.0, 0.0);
        for (row, buckets) in self.rows.iter().enumerate().rev() {
            for bucket in buckets {
                before += size(row);
                sum += bucket.sum;
                let after = self.count - before;
                if before < LEAST || after < LEAST {
                    continue;
                }
                let inverse = 1.0 / before + 1.0 / after;
                let bound = (2.0 * inverse * variance * confidence).sqrt() + 2.0 / 3.0 * inverse * confidence;
                let rise = (self.total.sum - sum) / after - sum / before;
                if rise.abs() > bound {
                    return Some(rise);
                }
            }
        }
        None
    }

    fn forget_oldest(&mut self) {
        while self.rows.last().is_some_and(VecDeque::is_empty) {
            self.rows.pop();
        }
        let row = self.rows.len().saturating_sub(1);
        let Some(bucket) = self.rows.last_mut().and_then(VecDeque::pop_front) else { return };
        let (size, count) = (size(row), self.count - size(row));
        self.count = count;
        self.total.sum -= bucket.sum;
        if count > 0.0 {
            let off = bucket.sum / size - self.total.sum / count;
            self.total.squares -= bucket.squares + off * off * size * count / (size + count);
        }
    }

    /// Returns whether this is a consistent window.
    pub fn fits(&self) -> bool {
        let is_bucket = |bucket: &ErrorBucket| bucket.sum.is_finite() && bucket.squares.is_finite();
        let count: f64 = self.rows.iter().enumerate().map(|(row, buckets)| size(row) * buckets.len() as f64).sum();
        self.rows.len() <= MOST_ROWS
            && self.rows.iter().all(|buckets| buckets.len() <= ROW && buckets.iter().all(is_bucket))
            && is_bucket(&self.total)
            && self.count == count
    }
}

/// Returns the number of errors in a bucket of a row.
fn size(row: usize) -> f64 {
    (1_u64 << row) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(state: &mut u64) -> f64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 11) as f64 / (1_u64 << 53) as f64
    }

    #[test]
    fn a_rise_raises_an_alarm_and_a_fall_or_noise_does_not() {
        for seed in 1..20 {
            let mut state = seed;
            let mut window = AdaptiveWindow::default();
            let mut risen = Vec::new();
            for at in 0..12_000 {
                let rate = if (4000..8000).contains(&at) { 0.4 } else { 0.2 };
                if window.add(f64::from(u8::from(random(&mut state) < rate)), 0.001) {
                    risen.push(at);
                }
            }
            // The values from before the rise may still cause detections while the rate is high, but not after it has fallen.
            assert!(risen.first().is_some_and(|at| (4000..4500).contains(at)), "{seed}: {risen:?}");
            assert!(risen.last().is_some_and(|at| *at < 8000), "{seed}: {risen:?}");
            assert!(window.fits());
        }
    }

    #[test]
    fn oracle_count_mean_and_variance_of_what_is_left() {
        let mut state = 5;
        let mut window = AdaptiveWindow::default();
        let mut all = Vec::new();
        for at in 0..5000 {
            let error = random(&mut state) * if at < 2500 { 0.3 } else { 1.0 };
            all.push(error);
            window.add(error, 0.01);
            let left = &all[all.len() - window.count as usize..];
            let mean = left.iter().sum::<f64>() / window.count;
            let squares: f64 = left.iter().map(|error| (error - mean) * (error - mean)).sum();
            assert!((window.total.sum - mean * window.count).abs() < 1e-6);
            assert!((window.total.squares - squares).abs() < 1e-6);
        }
        assert!(window.count < 3000.0, "{}", window.count);
    }
}
