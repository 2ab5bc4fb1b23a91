//! The algebra of aggregates: what an accumulator is, and which windows it allows.
//!
//! An aggregate knows neither windows nor what is provisional. It is an identity (the default accumulator), an insert
//! and a merge; one whose records can be taken out again is [`Invertible`] as well, so a window may subtract what
//! expires instead of keeping it apart. A [`Family`](super::Family) turns accumulators into features.

use std::fmt::Debug;

use super::assumed_records::AssumedRecords;
use super::input::{LineInput, Reads};
use super::state_codec::{StateReader, StateWriter};
use super::value_key::ValueKey;
use crate::time::EventTime;
use crate::value::Scalar;

/// The sequence of a record whose place in the total order is not known yet: it follows all that have one.
pub const PROVISIONAL: i64 = i64::MAX;

/// A record as an aggregate reads it. Values are decoded when they are asked for.
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    input: &'a LineInput,
    row: usize,
    pub event_time: EventTime,
    /// The record's number in the total order, or `PROVISIONAL`.
    pub sequence: i64,
}

impl<'a> Observed<'a> {
    /// The record in a row of a line's input, if the line counts it (its filter holds, and neither its value nor its
    /// category is null) and the aggregate takes it.
    #[inline]
    pub fn of(reads: Reads, input: &'a LineInput, row: usize, event_time: EventTime, sequence: i64) -> Option<Self> {
        reads.counts(input, row).then_some(Observed { input, row, event_time, sequence })
    }

    /// The value as a scaled integer; 0 where the line only counts, `None` where it cannot be summed.
    pub fn scaled(&self) -> Option<i128> {
        self.input.scaled(self.row)
    }

    /// The value as a scaled integer, of an aggregate that is given no others.
    ///
    /// # Panics
    /// If it cannot be summed.
    pub fn summable(&self) -> i128 {
        self.scaled().expect("records whose value cannot be summed are rejected")
    }

    /// The second value as a scaled integer, of an aggregate that is paired.
    ///
    /// # Panics
    /// If it cannot be summed.
    pub fn paired(&self) -> i128 {
        self.input.scaled_with(self.row).expect("records without a second value are rejected")
    }

    /// The category.
    ///
    /// # Panics
    /// If the line has none.
    pub fn category(&self) -> ValueKey {
        ValueKey::of(Scalar::of(self.input.categories(), self.row))
    }

    /// The value.
    ///
    /// # Panics
    /// If the aggregate does not read values.
    pub fn value(&self) -> Scalar {
        Scalar::of(self.input.values(), self.row)
    }
}

/// An aggregate: its accumulator of a set of records, and the operations on it.
///
/// Laws, for accumulators a, b, c of disjoint sets of records and the identity 0, which is the default:
/// - merging is associative and commutative, a + (b + c) = (a + b) + c and a + b = b + a, except that accumulators of
///   provisional records are merged in the order of their times;
/// - 0 + a = a + 0 = a, and an accumulator is empty if and only if it equals 0;
/// - inserting a record is merging the accumulator that has it alone.
///
/// Equality is to the bit. So an answer is a function of the set of records; an aggregate that depends on their order
/// keeps their sequence, and its family says that [it is ordered](super::Family::is_ordered).
pub trait Aggregate: Copy + Debug + Send + Sync + 'static {
    type Acc: Clone + Default + Debug + PartialEq + Send + Sync + 'static;

    /// The parts of a record that `insert` reads.
    fn reads(&self) -> Reads;

    /// Adds a record.
    fn insert(&self, acc: &mut Self::Acc, record: Observed<'_>);

    /// Adds all records of `later`.
    fn merge(&self, acc: &mut Self::Acc, later: &Self::Acc);

    fn is_empty(&self, acc: &Self::Acc) -> bool;

    /// Appends the binary form of an accumulator.
    fn write(&self, acc: &Self::Acc, to: &mut StateWriter);

    /// Reads an accumulator from its binary form.
    ///
    /// # Errors
    /// If the bytes that follow are none of an accumulator.
    fn read(&self, from: &mut StateReader<'_>) -> Result<Self::Acc, postcard::Error>;

    /// Returns whether a pane adds nothing to any merge that has a later pane: `earlier` + `later` = `later`. Windows
    /// drop such panes.
    fn supersedes(&self, _later: &Self::Acc, _earlier: &Self::Acc) -> bool {
        false
    }

    /// Returns how many of an entity's panes are kept at most, if each has so many records.
    fn kept_panes(&self, panes: usize, _records: usize) -> usize {
        panes
    }

    /// Returns the bytes that an accumulator holds outside itself.
    fn heap_bytes(&self, _acc: &Self::Acc) -> usize {
        0
    }

    /// Returns the bytes that an accumulator of records of different values holds outside itself at most.
    fn estimated_heap(&self, _records: &AssumedRecords) -> usize {
        0
    }

    /// Returns whether records can make an accumulator. Saved ones that they cannot are refused.
    fn admits(&self, _saved: &Self::Acc) -> bool {
        true
    }

    /// Returns whether records of one column can make two accumulators that are admitted: their values have one type.
    fn are_alike(&self, _one: &Self::Acc, _other: &Self::Acc) -> bool {
        true
    }

    /// The merge of panes, oldest first, none of which is superseded by the next.
    fn merged<'a>(&self, panes: impl Iterator<Item = &'a Self::Acc>) -> Self::Acc {
        panes.fold(Self::Acc::default(), |mut all, pane| {
            self.merge(&mut all, pane);
            all
        })
    }
}

/// An aggregate whose accumulators form a commutative group: (a + b) - b = a.
pub trait Invertible: Aggregate {
    /// Takes out all records of `leaving`, which are among those of `acc`.
    fn remove(&self, acc: &mut Self::Acc, leaving: &Self::Acc);
}
