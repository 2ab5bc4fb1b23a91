//! Weights and inputs that each tree draws: functions of a seed and a counter.

use crate::model::preparation::mix;

/// The mean of the draws (Gomes et al. 2017).
const MEAN: f64 = 6.0;

/// Returns a number from 0 up to 1 that follows from a seed and a counter.
fn uniform(seed: u64, counter: u64) -> f64 {
    (mix(seed, counter) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Returns the weight of an example, which is 1 on average: a sixth of how often a Poisson process of rate 6 comes in one
/// unit of time.
#[inline]
pub(super) fn weight(seed: u64, counter: u64) -> f64 {
    let mut left = uniform(seed, counter);
    let mut probability = libm::exp(-MEAN);
    for count in 0..30 {
        if left < probability {
            return f64::from(count) / MEAN;
        }
        left -= probability;
        probability *= MEAN / f64::from(count + 1);
    }
    30.0 / MEAN
}

/// Returns `count` of the inputs, ascending.
pub(super) fn subspace(seed: u64, inputs: u32, count: usize) -> Vec<u32> {
    let mut all: Vec<u32> = (0..inputs).collect();
    all.sort_by_key(|input| (mix(seed, u64::from(*input)), *input));
    all.truncate(count);
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_have_mean_and_variance_of_a_poisson_process() {
        let weights: Vec<f64> = (0..100_000).map(|at| weight(7, at)).collect();
        let mean = weights.iter().sum::<f64>() / 1e5;
        let variance = weights.iter().map(|weight| (weight - mean) * (weight - mean)).sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 0.01 && (variance - 1.0 / 6.0).abs() < 0.005, "{mean} {variance}");
        assert!(weights.contains(&0.0) && weights.iter().any(|weight| *weight > 2.0));
    }

    #[test]
    fn every_input_is_drawn_about_as_often() {
        let mut drawn = [0; 10];
        (0..1000).for_each(|seed| subspace(seed, 10, 4).into_iter().for_each(|input| drawn[input as usize] += 1));
        assert!(drawn.iter().all(|times| (330..470).contains(times)), "{drawn:?}");
        assert_eq!(subspace(1, 3, 5), [0, 1, 2]);
    }
}
