//! Extrema: aggregates whose answer is the value of the one record that ranks highest.

use serde::{Deserialize, Serialize};

use crate::aggregate::algebra::{Aggregate, Observed};
use crate::aggregate::answers::Answers;
use crate::aggregate::assumed_records::AssumedRecords;
use crate::aggregate::estimate::StateEstimate;
use crate::aggregate::family::{Family, OpsInWindow, PlacedOp};
use crate::aggregate::feature::Feature;
use crate::aggregate::heap::sum_of;
use crate::aggregate::input::Reads;
use crate::aggregate::op::Op;
use crate::aggregate::state_codec::{StateReader, StateWriter};
use crate::aggregate::window::WindowState;
use crate::value::Scalar;

/// The family of ops that select a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extremum {
    /// The smallest value; floats by `total_cmp`.
    Min,
    /// The largest value; floats by `total_cmp`.
    Max,
    /// The value of the first record in the total order.
    First,
    /// The value of the last record in the total order.
    Last,
}

/// The aggregate of an extremum.
#[derive(Clone, Copy, Debug)]
pub struct Select(Extremum);

/// The record selected; none of no records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Selected(Option<Candidate>);

/// A record that may be the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Candidate {
    /// Higher wins. Candidates of equal ranks are equal, except that provisional ones of `first` and `last` are in the
    /// order in which they are merged.
    rank: i64,
    value: Scalar,
}

impl Extremum {
    fn candidate(self, record: Observed<'_>) -> Candidate {
        let value = record.value();
        let rank = match self {
            Extremum::Min => !order_preserving(&value),
            Extremum::Max => order_preserving(&value),
            Extremum::First => !record.sequence,
            Extremum::Last => record.sequence,
        };
        Candidate { rank, value }
    }

    /// Returns whether a later candidate is preferred to an earlier one.
    fn prefers(self, later: &Candidate, earlier: &Candidate) -> bool {
        match self {
            Extremum::First => later.rank > earlier.rank,
            Extremum::Min | Extremum::Max | Extremum::Last => later.rank >= earlier.rank,
        }
    }
}

impl Aggregate for Select {
    type Acc = Selected;

    fn reads(&self) -> Reads {
        Reads::VALUES
    }

    fn insert(&self, acc: &mut Selected, record: Observed<'_>) {
        let candidate = self.0.candidate(record);
        if acc.0.as_ref().is_none_or(|known| self.0.prefers(&candidate, known)) {
            acc.0 = Some(candidate);
        }
    }

    fn merge(&self, acc: &mut Selected, later: &Selected) {
        if self.supersedes(later, acc) {
            acc.clone_from(later);
        }
    }

    fn is_empty(&self, acc: &Selected) -> bool {
        acc.0.is_none()
    }

    fn write(&self, acc: &Self::Acc, to: &mut StateWriter) {
        to.value(acc);
    }

    fn read(&self, from: &mut StateReader<'_>) -> Result<Self::Acc, postcard::Error> {
        from.value()
    }

    fn supersedes(&self, later: &Selected, earlier: &Selected) -> bool {
        match (&later.0, &earlier.0) {
            (Some(later), Some(earlier)) => self.0.prefers(later, earlier),
            (later, _) => later.is_some(),
        }
    }

    fn admits(&self, saved: &Selected) -> bool {
        saved.0.as_ref().is_none_or(|candidate| !candidate.value.is_null())
    }

    fn are_alike(&self, one: &Selected, other: &Selected) -> bool {
        let kind = |selected: &Selected| selected.0.as_ref().map(|candidate| std::mem::discriminant(&candidate.value));
        kind(one) == kind(other)
    }

    fn kept_panes(&self, panes: usize, _records: usize) -> usize {
        if self.0 == Extremum::Last { panes.min(1) } else { panes }
    }

    fn heap_bytes(&self, acc: &Selected) -> usize {
        acc.0.as_ref().map_or(0, |selected| selected.value.heap_bytes())
    }

    fn estimated_heap(&self, records: &AssumedRecords) -> usize {
        if records.count() > 0 { records.value_heap } else { 0 }
    }

    /// Ranks fall from pane to pane: the oldest wins.
    fn merged<'a>(&self, mut panes: impl Iterator<Item = &'a Selected>) -> Selected {
        panes.next().cloned().unwrap_or_default()
    }
}

impl Family for Extremum {
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>> {
        let build = |ops: OpsInWindow<'_>| {
            let PlacedOp { op, position, .. } = ops.ops[0];
            let finish = move |acc: &Selected, row: &mut Answers<'_>| {
                row[position] = acc.0.as_ref().map_or(Feature::NULL, |selected| Feature::Value(selected.value.clone()));
            };
            ops.of_any(Select(*op.kind.family_as::<Extremum>()), finish)
        };
        ops.each().map(build).collect()
    }

    fn bytes(&self, ops: &[&Op], estimate: &StateEstimate) -> usize {
        sum_of(ops.iter().map(|op| estimate.of_any(Select(*op.kind.family_as::<Extremum>()))))
    }

    fn reads(&self) -> Reads {
        Select(*self).reads()
    }

    fn is_ordered(&self) -> bool {
        matches!(self, Extremum::First | Extremum::Last)
    }
}

/// An integer that orders as the value does.
pub fn order_preserving(value: &Scalar) -> i64 {
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
