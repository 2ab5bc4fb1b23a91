//! Kept records: aggregates whose answer is a list of the values of the k records that rank highest.
//!
//! Of the records of a pane, only those that may be among the k of a window are kept: the k that rank highest in it. So
//! merging is exact, and memory is bounded by k a pane.

use serde::{Deserialize, Serialize};

use super::extremum::order_preserving;
use crate::aggregate::algebra::{Aggregate, Observed};
use crate::aggregate::answers::Answers;
use crate::aggregate::assumed_records::AssumedRecords;
use crate::aggregate::estimate::StateEstimate;
use crate::aggregate::family::{Family, OpsInWindow, PlacedOp};
use crate::aggregate::feature::Feature;
use crate::aggregate::heap::{grown, sum_of};
use crate::aggregate::input::Reads;
use crate::aggregate::op::{Op, OpParameter, ParameterType};
use crate::aggregate::state_codec::{StateReader, StateWriter};
use crate::aggregate::value_key::ValueKey;
use crate::aggregate::window::WindowState;
use crate::value::Scalar;

/// The parameter of ops that keep k values.
pub const KEPT: OpParameter = OpParameter {
    name: "k",
    summary: "most values in the answer",
    of: ParameterType::Count,
    least: 1.0,
    greatest: 10_000.0,
    short: "",
};

/// The family of ops that keep k records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The first in the total order, oldest first.
    First,
    /// The last in the total order, oldest first.
    Last,
    /// The last of each value, without the older ones of the same value, oldest first.
    LastDistinct,
    /// The greatest values, greatest first.
    Top,
    /// The smallest values, smallest first.
    Bottom,
}

/// The aggregate of the k records that rank highest.
#[derive(Clone, Copy, Debug)]
pub struct KeepK {
    keep: Keep,
    k: usize,
}

/// The records kept, highest rank first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept(Vec<KeptRecord>);

/// A record that is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KeptRecord {
    /// Higher ranks are preferred. Records of equal ranks have equal values, except provisional ones, which are in the
    /// order in which they are added.
    rank: i64,
    value: Scalar,
}

impl KeepK {
    fn ranked(self, record: Observed<'_>) -> KeptRecord {
        let value = record.value();
        let rank = match self.keep {
            Keep::First => !record.sequence,
            Keep::Last | Keep::LastDistinct => record.sequence,
            Keep::Top => order_preserving(&value),
            Keep::Bottom => !order_preserving(&value),
        };
        KeptRecord { rank, value }
    }

    /// Adds a record that comes after those kept that have its rank.
    fn add(self, kept: &mut Vec<KeptRecord>, record: &KeptRecord) {
        let at = match self.keep {
            Keep::First => kept.partition_point(|known| known.rank >= record.rank),
            _ => kept.partition_point(|known| known.rank > record.rank),
        };
        if at >= self.k {
            return;
        }
        if self.keep == Keep::LastDistinct {
            let key = ValueKey::of(record.value.clone());
            match kept.iter().position(|known| ValueKey::of(known.value.clone()) == key) {
                Some(newer) if newer < at => return,
                Some(older) => _ = kept.remove(older),
                None => {}
            }
        }
        kept.insert(at, record.clone());
        kept.truncate(self.k);
    }
}

impl Aggregate for KeepK {
    type Acc = Kept;

    fn reads(&self) -> Reads {
        Reads::VALUES
    }

    fn insert(&self, acc: &mut Kept, record: Observed<'_>) {
        self.add(&mut acc.0, &self.ranked(record));
    }

    fn merge(&self, acc: &mut Kept, later: &Kept) {
        // Records of equal ranks are added in their order.
        match self.keep {
            Keep::First => later.0.iter().for_each(|record| self.add(&mut acc.0, record)),
            _ => later.0.iter().rev().for_each(|record| self.add(&mut acc.0, record)),
        }
    }

    /// A pane that has k of the last records is the oldest that is kept.
    fn kept_panes(&self, panes: usize, records: usize) -> usize {
        match self.keep {
            Keep::Last | Keep::LastDistinct if records >= self.k => panes.min(1),
            _ => panes,
        }
    }

    fn heap_bytes(&self, acc: &Kept) -> usize {
        let values: usize = acc.0.iter().map(|record| record.value.heap_bytes()).sum();
        acc.0.capacity() * size_of::<KeptRecord>() + values
    }

    /// A list has one record more than k while it drops one.
    fn estimated_heap(&self, records: &AssumedRecords) -> usize {
        grown::<KeptRecord>(records.count().min(self.k + 1)) + records.count().min(self.k) * records.value_heap
    }

    fn admits(&self, saved: &Kept) -> bool {
        saved.0.len() <= self.k && saved.0.iter().all(|record| !record.value.is_null())
    }

    fn is_empty(&self, acc: &Kept) -> bool {
        acc.0.is_empty()
    }

    fn write(&self, acc: &Self::Acc, to: &mut StateWriter) {
        to.value(acc);
    }

    fn read(&self, from: &mut StateReader<'_>) -> Result<Self::Acc, postcard::Error> {
        from.value()
    }

    fn supersedes(&self, later: &Kept, earlier: &Kept) -> bool {
        let (Some(worst), Some(best)) = (later.0.last(), earlier.0.first()) else { return earlier.0.is_empty() };
        later.0.len() == self.k
            && match self.keep {
                Keep::First => worst.rank > best.rank,
                _ => worst.rank >= best.rank,
            }
    }
}

impl Keep {
    fn aggregate(op: &Op) -> KeepK {
        KeepK { keep: *op.kind.family_as::<Keep>(), k: op.parameters.count(0) }
    }
}

impl Family for Keep {
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>> {
        let build = |ops: OpsInWindow<'_>| {
            let PlacedOp { op, position, .. } = ops.ops[0];
            let keep = *op.kind.family_as::<Keep>();
            let finish = move |acc: &Kept, row: &mut Answers<'_>| {
                let values = acc.0.iter().map(|record| record.value.clone());
                row[position] = match keep {
                    _ if acc.0.is_empty() => Feature::NULL,
                    Keep::Last | Keep::LastDistinct => Feature::List(values.rev().collect()),
                    Keep::First | Keep::Top | Keep::Bottom => Feature::List(values.collect()),
                };
            };
            ops.erased(Self::aggregate(op), finish)
        };
        ops.each().map(build).collect()
    }

    fn bytes(&self, ops: &[&Op], estimate: &StateEstimate) -> usize {
        sum_of(ops.iter().map(|op| estimate.erased(Self::aggregate(op))))
    }

    fn reads(&self) -> Reads {
        Reads::VALUES
    }

    fn is_ordered(&self) -> bool {
        matches!(self, Keep::First | Keep::Last | Keep::LastDistinct)
    }
}
