//! Deadlines: one time a slot, which may move on while it waits.
//!
//! A deadline that moves on is not registered again: it is looked at when the first one is due, and waits on then. Far
//! deadlines wait in coarse buckets and are sorted only when their bucket is near, so a slot costs about one step a
//! waiting time, however often its deadline moves.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashSet;

use super::schedule::PaneSchedule;
use crate::aggregate::step_budget::StepBudget;
use crate::time::EventTime;

/// A deadline for each registered slot.
pub struct Deadlines {
    /// The length of a bucket.
    bucket_ms: i64,
    far: PaneSchedule,
    /// Deadlines in buckets that have begun.
    near: BinaryHeap<Reverse<(EventTime, u32)>>,
    /// The newest bucket that has begun.
    begun: i64,
}

impl Deadlines {
    /// Bytes of a deadline, far or near, about: lists grow by doubling.
    pub const BYTES: usize = size_of::<(EventTime, u32)>();

    /// No deadlines; most will be about `ahead_ms` ahead.
    pub fn new(ahead_ms: i64) -> Self {
        let bucket_ms = (ahead_ms / 16).max(1);
        Deadlines { bucket_ms, far: PaneSchedule::default(), near: BinaryHeap::new(), begun: i64::MIN }
    }

    /// Registers a slot that is not registered.
    pub fn register(&mut self, slot: u32, deadline: EventTime) {
        match deadline.div_euclid(self.bucket_ms) {
            bucket if bucket > self.begun => self.far.register(bucket, slot),
            _ => self.near.push(Reverse((deadline, slot))),
        }
    }

    /// Takes out the slots whose deadline is no later than a time: `look` returns the deadline of a slot, if it is later
    /// by now. Each look takes a step of the budget.
    pub fn advance(
        &mut self,
        asof: EventTime,
        budget: &mut StepBudget,
        mut look: impl FnMut(u32) -> Option<EventTime>,
    ) {
        let bucket_ms = self.bucket_ms;
        while let Some((bucket, slot)) = self.far.pop_due(budget, |bucket| bucket * bucket_ms <= asof) {
            self.begun = self.begun.max(bucket);
            self.look_again(slot, &mut look);
        }
        while self.near.peek().is_some_and(|Reverse((deadline, _))| *deadline <= asof) && budget.take() {
            let Some(Reverse((_, slot))) = self.near.pop() else { break };
            self.look_again(slot, &mut look);
        }
    }

    fn look_again(&mut self, slot: u32, look: &mut impl FnMut(u32) -> Option<EventTime>) {
        if let Some(deadline) = look(slot) {
            self.register(slot, deadline);
        }
    }

    /// Keeps the slots that still have a deadline, each with its first registration.
    pub fn retain(&mut self, has: impl Fn(u32) -> bool) {
        let mut seen = HashSet::new();
        let mut near = std::mem::take(&mut self.near).into_sorted_vec();
        near.reverse();
        near.retain(|Reverse((_, slot))| has(*slot) && seen.insert(*slot));
        self.near = near.into();
        self.far.retain(|_, slot| has(slot) && seen.insert(slot));
    }

    /// A time before which no deadline is due; `EventTime::MAX` if there are none.
    pub fn next(&self) -> EventTime {
        let far = self.far.oldest().map_or(EventTime::MAX, |bucket| bucket * self.bucket_ms);
        far.min(self.near.peek().map_or(EventTime::MAX, |Reverse((deadline, _))| *deadline))
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        self.far.bytes() + self.near.capacity() * size_of::<(EventTime, u32)>()
    }
}
