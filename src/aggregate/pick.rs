//! Picks: aggregates whose answer is the value of one record.

use serde::{Deserialize, Serialize};

use crate::value::Scalar;

/// Which record wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// The smallest value; floats by `total_cmp`.
    Least,
    /// The largest value; floats by `total_cmp`.
    Greatest,
    /// The first in the total order.
    First,
    /// The last in the total order.
    Last,
}

/// A record that may be the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// What it competes by: higher wins. Equal ranks have equal values.
    pub rank: i64,
    pub value: Scalar,
}

impl Rank {
    /// Whether the answer depends on the total order, not only on the set of records.
    pub fn is_ordered(self) -> bool {
        matches!(self, Rank::First | Rank::Last)
    }

    /// The candidate that a value at `position` in the total order makes.
    pub fn candidate(self, value: Scalar, position: i64) -> Candidate {
        let rank = match self {
            Rank::Least => !order_preserving(&value),
            Rank::Greatest => order_preserving(&value),
            Rank::First => !position,
            Rank::Last => position,
        };
        Candidate { rank, value }
    }

    /// What a value competes by among records that are not closed, of which it is `at`: its time, then how many came
    /// before it.
    pub fn open(self, value: &Scalar, at: (i64, i64)) -> (i64, i64) {
        match self {
            Rank::Least => (!order_preserving(value), 0),
            Rank::Greatest => (order_preserving(value), 0),
            Rank::First => (!at.0, !at.1),
            Rank::Last => at,
        }
    }

    /// Whether an open record of this rank beats a closed one: every open one comes after every closed one.
    pub fn prefers(self, open: i64, closed: &Candidate) -> bool {
        match self {
            Rank::Least | Rank::Greatest => open > closed.rank,
            Rank::First => false,
            Rank::Last => true,
        }
    }
}

/// An integer that orders as the value does.
fn order_preserving(value: &Scalar) -> i64 {
    match value {
        Scalar::Float(value) => {
            let bits = value.to_bits() as i64;
            bits ^ (((bits >> 63) as u64) >> 1) as i64
        }
        Scalar::Int(value) | Scalar::Timestamp(value) => *value,
        Scalar::Bool(value) => i64::from(*value),
        Scalar::String(_) | Scalar::Null => unreachable!("the spec admits ordered types only, and nulls are skipped"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_rank_of_floats_is_their_total_order(a: f64, b: f64) {
            let rank = |x| order_preserving(&Scalar::Float(x));
            prop_assert_eq!(rank(a).cmp(&rank(b)), a.total_cmp(&b));
        }
    }
}
