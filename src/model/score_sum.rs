//! Raw scores: sums in floating point, rounded to bits that all their terms have.
//!
//! An explanation splits a raw score into numbers that add up to it exactly. Floats do so in every order if all of them are
//! multiples of one unit and their sizes together are below 2^53 of it. So a raw score is rounded to such a unit, which
//! follows from the sizes of its terms:
//! ```text
//! size  = Σ |term|, in [2^k, 2^(k+1))
//! unit  = 2^(k − 50)
//! raw   = the multiple of the unit that is nearest to Σ term
//! ```
//! The rounding error is below the error that adding such terms has anyway, and rounding leaves two bits of room: numbers
//! that are rounded to the same unit add up without an error as long as their sizes are below four times the size.
//!
//! Every prediction takes its raw score from here, explained or not, so that an explanation changes no bit of it.

/// Sizes from which on nothing is rounded: a model whose terms are that large has diverged.
const LARGEST_SIZE: f64 = 1e300;

/// A sum of terms, and the sum of their sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ScoreSum {
    sum: f64,
    size: f64,
}

impl ScoreSum {
    /// A sum, of terms whose sizes together are at most `size`.
    #[inline]
    pub fn new(sum: f64, size: f64) -> Self {
        ScoreSum { sum, size }
    }

    #[inline]
    pub fn add(&mut self, term: f64) {
        self.sum += term;
        self.size += term.abs();
    }

    /// Adds another sum.
    #[inline]
    pub fn plus(self, other: ScoreSum) -> Self {
        ScoreSum { sum: self.sum + other.sum, size: self.size + other.size }
    }

    /// Returns `offset` plus the sum times `factor`.
    #[inline]
    pub fn scaled(self, factor: f64, offset: f64) -> Self {
        ScoreSum { sum: offset + self.sum * factor, size: offset.abs() + self.size * factor.abs() }
    }

    /// Returns the raw score.
    #[inline]
    pub fn raw(self) -> f64 {
        self.unit().round(self.sum)
    }

    /// Returns the unit of the raw score, and of what it is split into.
    #[inline]
    pub fn unit(self) -> ScoreUnit {
        ScoreUnit::of(self.size)
    }
}

/// The unit of a raw score.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScoreUnit {
    /// 1.5 · 2^52 units: a float next to which neighbours are one unit apart, on both sides. 0 for no unit.
    shift: f64,
}

impl ScoreUnit {
    /// Returns the unit of terms of a size.
    #[inline]
    pub fn of(size: f64) -> Self {
        const EXPONENT: u64 = 0x7FF << 52;
        let shift = f64::from_bits(((size.to_bits() & EXPONENT) + (2 << 52)) | (1 << 51));
        ScoreUnit { shift: if size < LARGEST_SIZE { shift } else { 0.0 } }
    }

    /// Returns the nearest multiple of the unit to a number that is not larger than the terms; of two, the even one.
    #[inline]
    pub fn round(self, x: f64) -> f64 {
        (x + self.shift) - self.shift
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum_of(terms: &[f64]) -> ScoreSum {
        let mut sum = ScoreSum::default();
        terms.iter().for_each(|term| sum.add(*term));
        sum
    }

    proptest! {
        #[test]
        fn rounded_terms_and_the_rest_add_up_to_the_raw_score_in_every_order(
            terms in prop::collection::vec((-1.0..1.0f64, -30..30i32), 1..60),
            order in any::<u64>(),
        ) {
            let terms: Vec<f64> = terms.into_iter().map(|(x, power)| x * f64::from(power).exp2()).collect();
            let sum = sum_of(&terms);
            let (raw, unit) = (sum.raw(), sum.unit());
            let mut parts: Vec<f64> = terms[1..].iter().map(|term| unit.round(*term)).collect();
            parts.push(raw - parts.iter().sum::<f64>());
            prop_assert!((raw - sum.sum).abs() <= sum.size * f64::EPSILON * 2.0);
            let mut state = order;
            for _ in 0..4 {
                for at in (1..parts.len()).rev() {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    parts.swap(at, (state >> 33) as usize % (at + 1));
                }
                prop_assert_eq!(parts.iter().sum::<f64>(), raw);
                prop_assert_eq!(parts.iter().rev().sum::<f64>(), raw);
            }
        }
    }

    #[test]
    fn a_sum_of_nothing_is_nothing_and_one_beyond_all_bounds_stays() {
        assert_eq!(ScoreSum::default().raw(), 0.0);
        assert_eq!(sum_of(&[1e305, 3.0]).raw(), 1e305);
        assert_eq!(sum_of(&[0.1, -0.3]).scaled(2.0, 1.0).unit().round(0.5), 0.5);
    }
}
