//! The aggregate of any family: a list of all aggregates, and for each call the match that finds the one that is meant.
//!
//! An accumulator takes 32 bytes, or a box beside them where its own is larger.

use std::borrow::{Borrow, BorrowMut};

use super::algebra::{Aggregate, Invertible, Observed};
use super::assumed_records::AssumedRecords;
use super::erasable::Erasable;
use super::families::{
    Count, Decay, Extremes, KeepK, MomentsOf, Newest, PairSums, Powers, Select, Spanned, Spread, TallyBy, Total,
};
use super::input::Reads;
use super::members::Members;
use super::ops::{QuantileBucket, Sketched};
use super::state_codec::{StateReader, StateWriter};
use super::value_key::ValueKey;

/// An aggregate whose accumulator is a variant of [`AnyAccumulator`].
trait Variant: Erasable<Any = AnyAggregate> {
    /// The accumulator, which becomes this aggregate's if it has no records.
    ///
    /// # Panics
    /// If it is another aggregate's.
    fn own_mut(acc: &mut AnyAccumulator) -> &mut Self::Acc;

    /// The accumulator as one of any family.
    fn any(acc: Self::Acc) -> AnyAccumulator;
}

/// Lists the aggregates, each as the name of its variant, its type, and the type in which its accumulator is held: in a box
/// if it is large.
macro_rules! any_aggregate {
    (invertible: [$($group:ident: $group_type:ty, $group_held:ty;)*], others: [$($other:ident: $other_type:ty, $other_held:ty;)*]) => {
        /// An aggregate of any family.
        #[derive(Clone, Copy, Debug)]
        pub enum AnyAggregate {
            $($group($group_type),)*
            $($other($other_type),)*
        }

        /// The accumulator of an aggregate of any family.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub enum AnyAccumulator {
            /// One without records.
            #[default]
            Empty,
            $($group($group_held),)*
            $($other($other_held),)*
        }

        // Those that are not held in a box are as small as their estimates assume.
        $(const _: () = assert!(size_of::<$group_held>() <= INLINE);)*
        $(const _: () = assert!(size_of::<$other_held>() <= INLINE);)*

        any_aggregate!(@erasable $($group: $group_type;)* $($other: $other_type;)*);

        /// Evaluates an expression with the aggregate of whichever family it is.
        macro_rules! of_family {
            ($any:expr, $aggregate:ident => $body:expr) => {
                match $any {
                    $(AnyAggregate::$group($aggregate) => $body,)*
                    $(AnyAggregate::$other($aggregate) => $body,)*
                }
            };
        }

        impl Invertible for AnyAggregate {
            fn remove(&self, acc: &mut AnyAccumulator, leaving: &AnyAccumulator) {
                match self {
                    $(AnyAggregate::$group(aggregate) => remove(aggregate, acc, leaving),)*
                    $(AnyAggregate::$other(_) => unreachable!("{self:?} is only kept where panes are merged"),)*
                }
            }
        }
    };
    (@erasable $($variant:ident: $aggregate:ty;)*) => {
        $(impl Erasable for $aggregate {
            type Any = AnyAggregate;

            fn erased(self) -> AnyAggregate {
                AnyAggregate::$variant(self)
            }

            fn own(acc: &AnyAccumulator) -> Option<&Self::Acc> {
                match acc {
                    AnyAccumulator::$variant(acc) => Some(acc.borrow()),
                    _ => None,
                }
            }
        }

        impl Variant for $aggregate {
            fn own_mut(acc: &mut AnyAccumulator) -> &mut Self::Acc {
                if let AnyAccumulator::Empty = acc {
                    *acc = Self::any(Self::Acc::default());
                }
                match acc {
                    AnyAccumulator::$variant(acc) => acc.borrow_mut(),
                    other => panic!("{other:?} is an accumulator of another aggregate"),
                }
            }

            fn any(acc: Self::Acc) -> AnyAccumulator {
                AnyAccumulator::$variant(acc.into())
            }
        })*
    };
}

/// A large accumulator of an aggregate, in a box.
type Boxed<A> = Box<<A as Aggregate>::Acc>;
/// A small accumulator of an aggregate, within the enum.
type Inline<A> = <A as Aggregate>::Acc;

any_aggregate! {
    invertible: [
        Count: MomentsOf<Count>, Inline<MomentsOf<Count>>;
        Total: MomentsOf<Total>, Boxed<MomentsOf<Total>>;
        Spread: MomentsOf<Spread>, Boxed<MomentsOf<Spread>>;
        Powers: Powers, Boxed<Powers>;
        PairSums: PairSums, Boxed<PairSums>;
        Decay: Decay, Inline<Decay>;
        ValueTally: TallyBy<ValueKey>, Inline<TallyBy<ValueKey>>;
        BucketTally: TallyBy<QuantileBucket>, Inline<TallyBy<QuantileBucket>>;
    ],
    others: [
        Select: Select, Boxed<Select>;
        KeepK: KeepK, Inline<KeepK>;
        Newest: Newest, Inline<Newest>;
        Spanned: Spanned, Inline<Spanned>;
        Extremes: Extremes, Boxed<Extremes>;
        Sketched: Sketched, Inline<Sketched>;
        Members: Members, Inline<Members>;
    ]
}

/// Calls `call` on the accumulator as `A`'s own.
fn with_own<A: Variant, R>(acc: &AnyAccumulator, call: impl FnOnce(&A::Acc) -> R) -> R {
    match A::own(acc) {
        Some(acc) => call(acc),
        None => call(&A::Acc::default()),
    }
}

fn insert<A: Variant>(aggregate: &A, acc: &mut AnyAccumulator, record: Observed<'_>) {
    aggregate.insert(A::own_mut(acc), record);
}

fn merge<A: Variant>(aggregate: &A, acc: &mut AnyAccumulator, later: &AnyAccumulator) {
    if let Some(later) = A::own(later) {
        aggregate.merge(A::own_mut(acc), later);
    }
}

fn remove<A: Variant + Invertible>(aggregate: &A, acc: &mut AnyAccumulator, leaving: &AnyAccumulator) {
    let Some(leaving) = A::own(leaving) else { return };
    let own = A::own_mut(acc);
    aggregate.remove(own, leaving);
    if aggregate.is_empty(own) {
        *acc = AnyAccumulator::Empty;
    }
}

fn is_empty<A: Variant>(aggregate: &A, acc: &AnyAccumulator) -> bool {
    A::own(acc).is_none_or(|acc| aggregate.is_empty(acc))
}

fn both<A: Variant, R>(one: &AnyAccumulator, other: &AnyAccumulator, call: impl FnOnce(&A::Acc, &A::Acc) -> R) -> R {
    with_own::<A, _>(one, |one| with_own::<A, _>(other, |other| call(one, other)))
}

fn supersedes<A: Variant>(aggregate: &A, later: &AnyAccumulator, earlier: &AnyAccumulator) -> bool {
    both::<A, _>(later, earlier, |later, earlier| aggregate.supersedes(later, earlier))
}

fn are_alike<A: Variant>(aggregate: &A, one: &AnyAccumulator, other: &AnyAccumulator) -> bool {
    both::<A, _>(one, other, |one, other| aggregate.are_alike(one, other))
}

/// The bytes outside the enum: of an accumulator that is held in a box, its own as well.
fn heap_bytes<A: Variant>(aggregate: &A, acc: &AnyAccumulator) -> usize {
    A::own(acc).map_or(0, |acc| boxed_bytes::<A>() + aggregate.heap_bytes(acc))
}

fn boxed_bytes<A: Variant>() -> usize {
    if size_of::<A::Acc>() > INLINE { size_of::<A::Acc>() } else { 0 }
}

fn admits<A: Variant>(aggregate: &A, saved: &AnyAccumulator) -> bool {
    with_own::<A, _>(saved, |saved| aggregate.admits(saved))
}

fn write<A: Variant>(aggregate: &A, acc: &AnyAccumulator, to: &mut StateWriter) {
    with_own::<A, _>(acc, |acc| aggregate.write(acc, to));
}

fn read<A: Variant>(aggregate: &A, from: &mut StateReader<'_>) -> Result<AnyAccumulator, postcard::Error> {
    let acc = aggregate.read(from)?;
    Ok(if aggregate.is_empty(&acc) { AnyAccumulator::Empty } else { A::any(acc) })
}

fn merged<'a, A: Variant>(aggregate: &A, panes: impl Iterator<Item = &'a AnyAccumulator>) -> AnyAccumulator {
    let merged = aggregate.merged(panes.filter_map(A::own));
    if aggregate.is_empty(&merged) { AnyAccumulator::Empty } else { A::any(merged) }
}

/// The most bytes of an accumulator that is held within the enum.
const INLINE: usize = 24;

impl Aggregate for AnyAggregate {
    type Acc = AnyAccumulator;

    fn reads(&self) -> Reads {
        of_family!(self, aggregate => aggregate.reads())
    }

    fn insert(&self, acc: &mut AnyAccumulator, record: Observed<'_>) {
        of_family!(self, aggregate => insert(aggregate, acc, record));
    }

    fn merge(&self, acc: &mut AnyAccumulator, later: &AnyAccumulator) {
        of_family!(self, aggregate => merge(aggregate, acc, later));
    }

    fn is_empty(&self, acc: &AnyAccumulator) -> bool {
        of_family!(self, aggregate => is_empty(aggregate, acc))
    }

    fn write(&self, acc: &AnyAccumulator, to: &mut StateWriter) {
        of_family!(self, aggregate => write(aggregate, acc, to));
    }

    fn read(&self, from: &mut StateReader<'_>) -> Result<AnyAccumulator, postcard::Error> {
        of_family!(self, aggregate => read(aggregate, from))
    }

    fn supersedes(&self, later: &AnyAccumulator, earlier: &AnyAccumulator) -> bool {
        of_family!(self, aggregate => supersedes(aggregate, later, earlier))
    }

    fn kept_panes(&self, panes: usize, records: usize) -> usize {
        of_family!(self, aggregate => aggregate.kept_panes(panes, records))
    }

    fn heap_bytes(&self, acc: &AnyAccumulator) -> usize {
        of_family!(self, aggregate => heap_bytes(aggregate, acc))
    }

    fn estimated_heap(&self, records: &AssumedRecords) -> usize {
        of_family!(self, aggregate => estimated_heap(aggregate, records))
    }

    fn admits(&self, saved: &AnyAccumulator) -> bool {
        of_family!(self, aggregate => admits(aggregate, saved))
    }

    fn are_alike(&self, one: &AnyAccumulator, other: &AnyAccumulator) -> bool {
        of_family!(self, aggregate => are_alike(aggregate, one, other))
    }

    fn merged<'a>(&self, panes: impl Iterator<Item = &'a AnyAccumulator>) -> AnyAccumulator {
        of_family!(self, aggregate => merged(aggregate, panes))
    }
}

fn estimated_heap<A: Variant>(aggregate: &A, records: &AssumedRecords) -> usize {
    let boxed = if records.count() > 0 { boxed_bytes::<A>() } else { 0 };
    aggregate.estimated_heap(records).saturating_add(boxed)
}
