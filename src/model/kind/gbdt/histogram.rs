//! Sums of gradients by bin, as integers: no order of adding changes a bit.
//!
//! A gradient g and a curvature h are rounded once, to multiples of 2^-30 and of 2^-20 (2^-22 where h <= 1/4). Fewer than
//! 2^20 examples add up without overflow, for |g| <= 2^10 and h <= 1; `max_examples` allows no more.

use super::grid::BINS;

const COUNT_BITS: u32 = 20;
const GRADIENT_SCALE: f64 = (1_u64 << 30) as f64;

/// The largest gradient that counts, either way.
const MOST_GRADIENT: f64 = 1024.0;

/// Gradient, and curvature and count in one number, of an example or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GradientSum {
    gradient: i64,
    /// Curvature · 2^20 + count.
    curvature: i64,
}

/// The unit of curvatures: they are at most 1, or at most 1/4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CurvatureUnit {
    One,
    Quarter,
}

impl CurvatureUnit {
    fn scale(self) -> f64 {
        match self {
            CurvatureUnit::One => (1_u64 << 20) as f64,
            CurvatureUnit::Quarter => (1_u64 << 22) as f64,
        }
    }
}

impl GradientSum {
    /// Rounds the gradient and the curvature of one example.
    #[inline]
    pub fn round(gradient: f64, curvature: f64, unit: CurvatureUnit) -> Self {
        let gradient = gradient.clamp(-MOST_GRADIENT, MOST_GRADIENT) * GRADIENT_SCALE;
        let curvature = (curvature * unit.scale()).round_ties_even() as i64;
        GradientSum { gradient: gradient.round_ties_even() as i64, curvature: (curvature << COUNT_BITS) + 1 }
    }

    #[inline]
    pub fn add(&mut self, other: GradientSum) {
        self.gradient += other.gradient;
        self.curvature += other.curvature;
    }

    /// Returns this sum without the examples of another.
    #[inline]
    pub fn without(self, other: GradientSum) -> GradientSum {
        GradientSum { gradient: self.gradient - other.gradient, curvature: self.curvature - other.curvature }
    }

    #[inline]
    pub fn count(self) -> u32 {
        (self.curvature & ((1 << COUNT_BITS) - 1)) as u32
    }

    #[inline]
    pub fn gradient(self) -> f64 {
        self.gradient as f64 / GRADIENT_SCALE
    }

    #[inline]
    pub fn curvature(self, unit: CurvatureUnit) -> f64 {
        (self.curvature >> COUNT_BITS) as f64 / unit.scale()
    }
}

/// Sums by input and bin.
#[derive(Clone, Debug, Default)]
pub(super) struct GradientHistogram {
    inputs: Vec<[GradientSum; BINS]>,
}

impl GradientHistogram {
    /// A histogram of no example.
    pub fn new(inputs: usize) -> Self {
        GradientHistogram { inputs: vec![[GradientSum::default(); BINS]; inputs] }
    }

    pub fn clear(&mut self) {
        self.inputs.iter_mut().for_each(|bins| bins.fill(GradientSum::default()));
    }

    /// Adds an example with a bin for each input.
    #[inline]
    pub fn add(&mut self, bins: &[u8], gradient: GradientSum) {
        for (sums, bin) in self.inputs.iter_mut().zip(bins) {
            sums[*bin as usize].add(gradient);
        }
    }

    /// Takes the examples of another histogram away.
    pub fn subtract(&mut self, other: &GradientHistogram) {
        for (own, other) in self.inputs.iter_mut().zip(&other.inputs) {
            own.iter_mut().zip(other).for_each(|(own, other)| *own = own.without(*other));
        }
    }

    /// Returns the sums of one input, by bin.
    pub fn input(&self, input: usize) -> &[GradientSum; BINS] {
        &self.inputs[input]
    }
}
