//! A sketch of a set of values, which answers how many there are.
//!
//! **Notation.** A value's hash has 64 bits: the first p = 12 choose one of m = 4096 registers, and its rank is the number of
//! leading zeros of the q = 52 bits that follow, plus one.
//!
//! **Definition.** Up to 256 hashes, the sketch is the set of them, and the answer is their number. Beyond, it is
//! HyperLogLog's registers, each with the greatest rank of the hashes that chose it (Flajolet, Fusy, Gandouet and Meunier,
//! "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm", 2007), and the answer is Ertl's improved
//! raw estimator ("New cardinality estimation algorithms for HyperLogLog sketches", 2017, algorithm 6).
//!
//! **Property.** Either form is a function of the set of hashes, and so are the bits of the answer: adding a value again,
//! in another order or by a merge of sketches changes nothing. Estimators that follow the order of insertion, such as the
//! HIP estimator that other implementations use before they merge, would not have this property.
//!
//! **Error.** Two values have one hash with a probability of 2^−64. The answer from registers has a relative standard error
//! of 1.04 / √m, 1.63 %, up to 10^18 values.

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use crate::aggregate::heap::grown;
use crate::aggregate::value_key::ValueKey;
use crate::value::Scalar;

/// The relative standard error of an answer that is not exact.
pub const STANDARD_ERROR: f64 = 0.016_25;

/// The most different hashes that are kept as they are.
const MOST_HASHES: usize = 256;

/// Bits of a hash that choose a register, and those from which its rank is counted.
const REGISTER_BITS: u32 = 12;
const RANK_BITS: u32 = 64 - REGISTER_BITS;
const REGISTERS: usize = 1 << REGISTER_BITS;

/// The seed of the hash of values: XXH3, 64 bits. It never changes.
const SEED: u64 = 0x7661_6c75_6573;

/// A set of values, sketched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ValueSketch {
    /// The hashes, ascending.
    Hashes(Vec<u64>),
    /// The greatest rank in each register, 0 where it has none.
    Registers(Box<[u8]>),
}

impl Default for ValueSketch {
    fn default() -> Self {
        ValueSketch::Hashes(Vec::new())
    }
}

/// The hash of a value that is not null; zeros of either sign are one value.
fn hash_of(value: Scalar) -> u64 {
    let hash = |bytes: &[u8]| XxHash3_64::oneshot_with_seed(SEED, bytes);
    match ValueKey::of(value).value() {
        Scalar::Null => hash(&[]),
        Scalar::Bool(value) => hash(&[u8::from(*value)]),
        Scalar::Int(value) | Scalar::Timestamp(value) => hash(&value.to_le_bytes()),
        Scalar::Float(value) => hash(&value.to_bits().to_le_bytes()),
        Scalar::String(value) => hash(value.as_bytes()),
    }
}

/// The rank of a hash, from 1 to q + 1.
fn rank_of(hash: u64) -> u8 {
    (hash << REGISTER_BITS).leading_zeros().min(RANK_BITS) as u8 + 1
}

/// The register that a hash chooses.
fn register_of(hash: u64) -> usize {
    (hash >> RANK_BITS) as usize
}

/// Raises the register that a hash chooses to its rank.
fn raise(registers: &mut [u8], hash: u64) {
    let register = &mut registers[register_of(hash)];
    *register = rank_of(hash).max(*register);
}

impl ValueSketch {
    /// Adds a value that is not null.
    pub fn insert(&mut self, value: Scalar) {
        self.insert_hash(hash_of(value));
    }

    fn insert_hash(&mut self, hash: u64) {
        match self {
            ValueSketch::Registers(registers) => raise(registers, hash),
            ValueSketch::Hashes(hashes) => {
                let Err(at) = hashes.binary_search(&hash) else { return };
                hashes.insert(at, hash);
                if hashes.len() > MOST_HASHES {
                    let mut registers = vec![0; REGISTERS].into_boxed_slice();
                    hashes.iter().for_each(|hash| raise(&mut registers, *hash));
                    *self = ValueSketch::Registers(registers);
                }
            }
        }
    }

    /// Adds all values of `other`.
    pub fn merge(&mut self, other: &ValueSketch) {
        match (&mut *self, other) {
            (_, ValueSketch::Hashes(hashes)) => hashes.iter().for_each(|hash| self.insert_hash(*hash)),
            (ValueSketch::Registers(registers), ValueSketch::Registers(others)) => {
                registers.iter_mut().zip(others).for_each(|(register, other)| *register = (*register).max(*other));
            }
            (ValueSketch::Hashes(hashes), ValueSketch::Registers(others)) => {
                let mut registers = others.clone();
                hashes.iter().for_each(|hash| raise(&mut registers, *hash));
                *self = ValueSketch::Registers(registers);
            }
        }
    }

    /// Returns the bytes that it holds outside itself.
    pub fn heap_bytes(&self) -> usize {
        match self {
            ValueSketch::Hashes(hashes) => hashes.capacity() * size_of::<u64>(),
            ValueSketch::Registers(registers) => registers.len(),
        }
    }

    /// Returns the bytes that a sketch of so many values holds outside itself.
    pub fn heap_of(values: usize) -> usize {
        if values > MOST_HASHES { REGISTERS } else { grown::<u64>(values) }
    }

    /// Returns whether there are no values.
    pub fn is_empty(&self) -> bool {
        matches!(self, ValueSketch::Hashes(hashes) if hashes.is_empty())
    }

    /// Returns whether adding all values of `other` would change nothing.
    pub fn holds(&self, other: &ValueSketch) -> bool {
        match (self, other) {
            (ValueSketch::Hashes(hashes), ValueSketch::Hashes(others)) => {
                others.len() <= hashes.len() && others.iter().all(|hash| hashes.binary_search(hash).is_ok())
            }
            (ValueSketch::Hashes(_), ValueSketch::Registers(_)) => false,
            (ValueSketch::Registers(registers), ValueSketch::Hashes(hashes)) => {
                hashes.iter().all(|hash| rank_of(*hash) <= registers[register_of(*hash)])
            }
            (ValueSketch::Registers(registers), ValueSketch::Registers(others)) => {
                registers.iter().zip(others).all(|(register, other)| register >= other)
            }
        }
    }

    /// Returns whether values can make it.
    pub fn is_valid(&self) -> bool {
        match self {
            ValueSketch::Hashes(hashes) => hashes.len() <= MOST_HASHES && hashes.is_sorted_by(|a, b| a < b),
            ValueSketch::Registers(registers) => {
                let is_rank = |rank: &u8| u32::from(*rank) <= RANK_BITS + 1;
                registers.len() == REGISTERS && registers.iter().all(is_rank) && registers.iter().any(|rank| *rank > 0)
            }
        }
    }

    /// The number of different values: exact up to 256, then an estimate.
    pub fn count(&self) -> i64 {
        match self {
            ValueSketch::Hashes(hashes) => hashes.len() as i64,
            ValueSketch::Registers(registers) => libm::rint(estimate(registers)) as i64,
        }
    }
}

/// Ertl's improved raw estimator.
fn estimate(registers: &[u8]) -> f64 {
    let mut counts = [0u32; RANK_BITS as usize + 2];
    registers.iter().for_each(|rank| counts[usize::from(*rank)] += 1);
    let m = REGISTERS as f64;
    let mut z = m * tau(1.0 - f64::from(counts[RANK_BITS as usize + 1]) / m);
    for rank in (1..=RANK_BITS as usize).rev() {
        z = 0.5 * (z + f64::from(counts[rank]));
    }
    z += m * sigma(f64::from(counts[0]) / m);
    m * m / (2.0 * std::f64::consts::LN_2 * z)
}

/// Returns x + Σ x^(2^k)·2^(k − 1) over k from 1, for x below 1.
fn sigma(x: f64) -> f64 {
    let (mut power, mut weight, mut sum) = (x, 1.0, x);
    loop {
        power *= power;
        let before = sum;
        sum += power * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

/// Returns (1 − x − Σ (1 − x^(2^−k))²·2^−k over k from 1) / 3, for x from 0 to 1.
fn tau(x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (x, 1.0, 1.0 - x);
    loop {
        root = root.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - root) * (1.0 - root) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sketch(values: impl IntoIterator<Item = i64>) -> ValueSketch {
        let mut sketch = ValueSketch::default();
        values.into_iter().for_each(|value| sketch.insert(Scalar::Int(value)));
        sketch
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_sketch_is_a_function_of_the_set(values in prop::collection::vec(0i64..600, 0..900), cut: usize) {
            let whole = sketch(values.iter().copied());
            let cut = cut % (values.len() + 1);
            let (left, right) = (sketch(values[..cut].iter().copied()), sketch(values[cut..].iter().copied()));
            for (mut one, other) in [(left.clone(), &right), (right.clone(), &left)] {
                one.merge(other);
                prop_assert_eq!(&one, &whole);
                prop_assert!(one.holds(other) && one.is_valid());
            }
            prop_assert_eq!(&sketch(values.iter().rev().copied()), &whole);
            let mut again = left.clone();
            again.merge(&right);
            prop_assert_eq!(left.holds(&right), again == left);
        }
    }

    /// The root of the mean squared relative error over sets of `n` values, and the greatest error.
    fn errors(answers: &[i64], n: usize) -> (f64, f64) {
        let errors = || answers.iter().map(|answer| (*answer as f64 / n as f64 - 1.0).abs());
        let squares: f64 = errors().map(|error| error * error).sum();
        (libm::sqrt(squares / answers.len() as f64), errors().fold(0.0, f64::max))
    }

    #[test]
    fn answers_are_exact_up_to_256_values_and_then_within_the_error_that_is_stated() {
        const SETS: i64 = 24;
        let sizes = [1, 2, 10, 100, 256, 257, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000];
        let mut answers = vec![Vec::new(); sizes.len()];
        for set in 0..SETS {
            let mut sketch = ValueSketch::default();
            let mut value = set << 40;
            for (size, answers) in sizes.iter().zip(&mut answers) {
                while value & ((1 << 40) - 1) < *size {
                    sketch.insert(Scalar::Int(value));
                    value += 1;
                }
                answers.push(sketch.count());
            }
        }
        for (size, answers) in sizes.iter().zip(&answers) {
            let (root_mean_square, greatest) = errors(answers, *size as usize);
            if *size <= 256 {
                assert_eq!(greatest, 0.0, "of {size} values");
            } else {
                assert!(root_mean_square < 1.35 * STANDARD_ERROR, "{root_mean_square} of {size} values");
                assert!(greatest < 4.0 * STANDARD_ERROR, "{greatest} of {size} values");
            }
        }
    }

    #[test]
    fn values_of_all_types_have_hashes_that_never_change() {
        let values = [
            Scalar::Bool(true),
            Scalar::Int(7),
            Scalar::Float(0.5),
            Scalar::String("JFK".into()),
            Scalar::Timestamp(1_700_000_000_000),
        ];
        let hashes = [
            0x0097_11ac_8d26_3688,
            0xbe0a_b9b1_05ec_6cd5,
            0x727f_620d_fc5d_ff22,
            0x80a3_755d_3f5a_f8be,
            0xe3e8_f115_9f8b_beea,
        ];
        assert_eq!(values.map(hash_of), hashes);
        assert_eq!(hash_of(Scalar::Float(-0.0)), hash_of(Scalar::Float(0.0)));
    }

    #[test]
    fn registers_that_no_values_make_are_refused() {
        let registers = |rank: u8, length: usize| ValueSketch::Registers(vec![rank; length].into());
        assert!(registers(53, REGISTERS).is_valid() && !registers(54, REGISTERS).is_valid());
        assert!(!registers(1, 16).is_valid() && !registers(0, REGISTERS).is_valid());
        assert!(!ValueSketch::Hashes(vec![2, 1]).is_valid() && !ValueSketch::Hashes(vec![1, 1]).is_valid());
    }

    #[test]
    fn full_registers_answer_a_number() {
        let full = ValueSketch::Registers(vec![53; REGISTERS].into());
        assert!(full.count() > 1 << 60);
    }
}
