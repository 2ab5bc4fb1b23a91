//! Erasure: treating an aggregate as one of any family.
//!
//! A window that is compiled for an aggregate is as fast as it can be, and its code is there once for each aggregate. That
//! pays for sums and extrema, which most features are. The windows of all other aggregates, and of all aggregates by
//! category, are compiled once, for [`Erasable::Any`].

use super::algebra::{Aggregate, Invertible};
use super::answers::Answers;
use super::open_answer::Finisher;

/// An aggregate that can be one of any family.
pub trait Erasable: Aggregate {
    /// The aggregate of any family. Records are only taken out of accumulators of aggregates that are invertible.
    type Any: Invertible;

    fn erased(self) -> Self::Any;

    /// The accumulator as this aggregate's own; `None` if it has no records.
    fn own(acc: &<Self::Any as Aggregate>::Acc) -> Option<&Self::Acc>;
}

/// Adapts `finish` to accumulators of any family.
pub fn finisher<A: Erasable>(
    finish: impl Fn(&A::Acc, &mut Answers<'_>) + Send + Sync + 'static,
) -> Finisher<<A::Any as Aggregate>::Acc> {
    Box::new(move |acc, row| match A::own(acc) {
        Some(acc) => finish(acc, row),
        None => finish(&A::Acc::default(), row),
    })
}
