//! Cuts of numbers into bins.

use crate::model::kind::number_cuts::{between, cuts_of_parts};

/// Most bins of a number and most categories that a leaf tells apart.
pub(super) const BINS: usize = 16;

/// Returns cuts at quantiles of a sample. NaN is null.
pub(super) fn quantile_cuts(sample: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = sample.filter(|x| !x.is_nan()).map(|x| x + 0.0).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    cuts_of_parts(&sorted, BINS)
}

/// Returns the cuts of a child, whose values are from `low` to `high`: those of its parent that lie there, without those
/// between empty bins, and then the middle of the heaviest bin again and again. `weights` are those of the parent's bins.
pub(super) fn finer_cuts(cuts: &[f64], [low, high]: [f64; 2], weights: Vec<f64>) -> Vec<f64> {
    if low >= high {
        return Vec::new();
    }
    // The bins within the child: upper edges and weights.
    let edges = cuts.iter().copied().chain([f64::INFINITY]).zip(weights);
    let mut bins: Vec<(f64, f64)> = Vec::with_capacity(BINS);
    let mut lower = f64::NEG_INFINITY;
    for (upper, weight) in edges {
        if upper > low && lower < high {
            match bins.last_mut() {
                Some(last) if last.1 <= 0.0 && weight <= 0.0 => last.0 = upper.min(high),
                _ => bins.push((upper.min(high), weight)),
            }
        }
        lower = upper;
    }
    // Halve the heaviest that can be halved.
    while bins.len() < BINS {
        let lower = |at: usize| if at == 0 { low } else { bins[at - 1].0 };
        let middle = |at: usize| Some(between(lower(at), bins[at].0)).filter(|middle| *middle > lower(at));
        let heaviest = (0..bins.len()).filter(|at| bins[*at].1 > 0.0 && middle(*at).is_some());
        let Some(at) = heaviest.reduce(|best, at| if bins[at].1 > bins[best].1 { at } else { best }) else { break };
        let (middle, half) = (middle(at).expect("it can be halved"), bins[at].1 / 2.0);
        bins[at].1 = half;
        bins.insert(at, (middle, half));
    }
    bins.pop();
    bins.into_iter().map(|(upper, _)| upper).collect()
}
