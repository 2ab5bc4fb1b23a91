//! Labels that are made from all records of an example's horizon.

use serde::{Deserialize, Serialize};

use crate::aggregate::{MAX_DIGITS, fixed, quotient};
use crate::spec::LabelOp;

/// Aggregated label records of an example's horizon. Sums are exact: see [`fixed`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum LabelTotal {
    Count(u64),
    /// The sum of the values, times 10^9, and their number.
    Sum {
        scaled: i128,
        values: u64,
    },
    Max(Option<f64>),
}

impl LabelTotal {
    /// Returns the total of no records, `None` if a label is made from one record.
    pub fn new(op: LabelOp) -> Option<Self> {
        match op {
            LabelOp::First => None,
            LabelOp::Count => Some(LabelTotal::Count(0)),
            LabelOp::Sum => Some(LabelTotal::Sum { scaled: 0, values: 0 }),
            LabelOp::Max => Some(LabelTotal::Max(None)),
        }
    }

    /// Returns whether this is a total of the same kind as another.
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Adds a record with a value. Returns false if the value is beyond ±10^18 and cannot be summed.
    pub fn add(&mut self, value: f64) -> bool {
        match self {
            LabelTotal::Count(records) => *records += 1,
            LabelTotal::Sum { scaled, values } => {
                let Some(value) = fixed(value, MAX_DIGITS) else { return false };
                *scaled = scaled.saturating_add(value);
                *values += 1;
            }
            LabelTotal::Max(max) => {
                *max = Some(max.map_or(value, |max| if value.total_cmp(&max).is_gt() { value } else { max }))
            }
        }
        true
    }

    /// Returns the label, `None` if there is none without a record.
    pub fn label(&self) -> Option<f64> {
        match *self {
            LabelTotal::Count(records) => Some(records as f64),
            LabelTotal::Sum { values: 0, .. } => None,
            LabelTotal::Sum { scaled, .. } => Some(quotient(scaled, 10u128.pow(MAX_DIGITS))),
            LabelTotal::Max(max) => max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(op: LabelOp, values: &[f64]) -> Option<f64> {
        let mut total = LabelTotal::new(op).unwrap();
        values.iter().for_each(|value| _ = total.add(*value));
        total.label()
    }

    #[test]
    fn a_total_of_no_records_is_a_count_only() {
        assert_eq!(label(LabelOp::Count, &[]), Some(0.0));
        assert_eq!(label(LabelOp::Sum, &[]), None);
        assert_eq!(label(LabelOp::Max, &[]), None);
        assert_eq!(LabelTotal::new(LabelOp::First), None);
    }

    #[test]
    fn a_sum_is_exact_and_leaves_out_what_is_too_large() {
        assert_eq!(label(LabelOp::Sum, &[0.1, 0.2, 0.3]), Some(0.6));
        assert_eq!(label(LabelOp::Sum, &[0.3, 1e300, 0.2, 0.1]), Some(0.6));
        assert_eq!(label(LabelOp::Max, &[-2.0, 1e300, 3.0]), Some(1e300));
        assert_eq!(label(LabelOp::Count, &[5.0, 5.0]), Some(2.0));
    }
}
