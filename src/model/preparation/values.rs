//! Single values as numbers and as hashes of categories.

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use super::moments::LARGEST;
use crate::value::Scalar;

/// A category of a map.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapEntry {
    /// The position of its map among those with entries.
    pub(super) map: u32,
    pub(super) hash: u64,
    pub(super) number: f64,
}

impl MapEntry {
    /// Returns the position of its map among those with entries.
    #[inline]
    pub(in crate::model) fn position(self) -> usize {
        self.map as usize
    }
}

/// Returns a value as a number; NaN of one that is null to a model.
pub(super) fn number_of(value: &Scalar) -> f64 {
    match value {
        Scalar::Null => f64::NAN,
        Scalar::Float(value) => bounded(*value),
        Scalar::Int(value) => bounded(*value as f64),
        Scalar::Bool(value) => f64::from(u8::from(*value)),
        Scalar::String(_) | Scalar::Timestamp(_) => unreachable!("the layout makes no number of {value:?}"),
    }
}

/// Returns the hash of a value as a category of the input that has the hash `seed`.
pub(super) fn hash_of(value: &Scalar, seed: u64) -> u64 {
    match value {
        Scalar::Null => null_of(seed),
        Scalar::String(text) => hash(seed, text.as_bytes()),
        Scalar::Int(value) => hash(seed, &value.to_le_bytes()),
        Scalar::Float(value) => hash_float(seed, *value),
        Scalar::Bool(value) => hash(seed, &[u8::from(*value)]),
        Scalar::Timestamp(_) => unreachable!("the layout makes no category of {value:?}"),
    }
}

/// Returns whether a value is a number that is null to a model because it is beyond ±10^18.
pub(super) fn is_beyond(value: &Scalar) -> bool {
    match value {
        Scalar::Float(x) => x.is_finite() && bounded(*x).is_nan(),
        Scalar::Int(x) => bounded(*x as f64).is_nan(),
        _ => false,
    }
}

#[inline]
pub(super) fn bounded(x: f64) -> f64 {
    if x.abs() <= LARGEST { x } else { f64::NAN }
}

#[inline]
pub(super) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, bytes)
}

#[inline]
pub(super) fn hash_float(seed: u64, x: f64) -> u64 {
    if x.is_nan() { null_of(seed) } else { hash(seed, &(x + 0.0).to_le_bytes()) }
}

/// Returns the hash of null as a category of the input that has the hash `seed`.
#[inline]
pub(super) fn null_of(seed: u64) -> u64 {
    mix(seed, NULL)
}

/// The hash of null.
const NULL: u64 = 0x6E75_6C6C;

/// Combines two hashes. Order matters, and every bit of either reaches the top bits (SplitMix64's finaliser, Steele et
/// al. 2014).
#[inline]
pub(in crate::model) fn mix(one: u64, other: u64) -> u64 {
    let mut bits = one.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) ^ other;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
