//! Sliding windows of aggregates that cannot subtract: for each entity, the panes that may still matter.
//!
//! A pane that a later one [supersedes](Aggregate::supersedes) can never matter again, so what is kept of a minimum or a
//! last value is a monotonic deque: the oldest pane is the answer, and a record is pushed and popped at most once. Of an
//! aggregate whose panes supersede nothing, all panes in the window are kept and merged.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use super::closed::{ClosedWindow, Expired, LineUpdates, Single};
use super::panes::Sliding;
use super::saved_panes::{self, SavedPanes};
use super::schedule::PaneSchedule;
use crate::aggregate::algebra::Aggregate;
use crate::aggregate::assumed_records::{AssumedRecords, SCHEDULED};
use crate::aggregate::cow_vec::CowVec;
use crate::aggregate::feature::PaneSet;
use crate::aggregate::heap::{grown, sampled, sum_of};
use crate::aggregate::snapshot::Encoder;
use crate::aggregate::step_budget::StepBudget;
use crate::time::EventTime;

/// Panes ascending, none superseded by the next.
pub(super) type Panes<T> = VecDeque<(i64, T)>;

/// The panes of an aggregate in a sliding window, for every entity.
pub struct Merging<A: Aggregate> {
    window: Sliding,
    aggregate: A,
    /// By slot.
    panes: CowVec<Panes<A::Acc>>,
    /// The slots that have had a pane.
    expiries: PaneSchedule,
}

impl<A: Aggregate> Merging<A> {
    /// The bytes of an entity.
    pub fn bytes_per_entity(window: Sliding, aggregate: &A, records: &AssumedRecords) -> usize {
        let panes = records.filled_of(window.most_panes());
        let kept = aggregate.kept_panes(panes, records.a_pane);
        let heap = aggregate.estimated_heap(records);
        let ring = grown::<(i64, A::Acc)>(kept);
        let scheduled = panes.saturating_mul(SCHEDULED);
        sum_of([size_of::<Panes<A::Acc>>(), ring, kept.saturating_mul(heap), scheduled])
    }

    pub fn new(window: Sliding, aggregate: A) -> Self {
        Merging { window, aggregate, panes: CowVec::default(), expiries: PaneSchedule::default() }
    }

    pub(super) fn window(&self) -> Sliding {
        self.window
    }

    pub(super) fn aggregate(&self) -> A {
        self.aggregate
    }

    /// The panes of a slot.
    pub(super) fn panes_of(&self, slot: u32) -> &Panes<A::Acc> {
        self.panes.get(slot)
    }

    /// Adds to a pane of a slot, and drops the panes that it supersedes.
    fn add(&mut self, slot: u32, pane: i64, add: impl Fn(&mut A::Acc)) {
        let panes = self.panes.get_mut(slot);
        let at = panes.partition_point(|(known, _)| *known < pane);
        let known = panes.get(at).is_some_and(|(known, _)| *known == pane);
        if known {
            add(&mut panes[at].1);
        } else {
            let mut acc = A::Acc::default();
            add(&mut acc);
            if panes.get(at).is_some_and(|(_, later)| self.aggregate.supersedes(later, &acc)) {
                return;
            }
            panes.insert(at, (pane, acc));
        }
        let newest = &panes[at].1;
        let superseded = |before: &usize| self.aggregate.supersedes(newest, &panes[*before].1);
        let superseded = (0..at).rev().take_while(superseded).count();
        panes.drain(at - superseded..at);
        if !known {
            self.expiries.register(pane, slot);
        }
    }
}

impl<A: Aggregate> ClosedWindow<A> for Merging<A> {
    fn grow(&mut self, slots: usize) {
        self.panes.grow(slots);
    }

    fn clear(&mut self, slot: u32) {
        *self.panes.get_mut(slot) = Panes::default();
    }

    fn compact(&mut self) {
        let panes = &self.panes;
        self.expiries.retain(|pane, slot| panes.get(slot).binary_search_by_key(&pane, |(known, _)| *known).is_ok());
    }

    fn admits(&self, event_time: EventTime, time: EventTime) -> bool {
        self.window.admits(event_time, time)
    }

    fn insert(&mut self, updates: LineUpdates<'_>, sequence: i64, rejected: &mut Vec<u32>) {
        let aggregate = self.aggregate;
        for (update, sequence) in updates.updates.iter().zip(sequence..) {
            let pane = self.window.pane(update.event_time);
            let counts = self.window.expires_at(pane) > update.time;
            match updates.observed(self.aggregate.reads(), update, sequence).filter(|_| counts) {
                Some(record) => self.add(update.slot, pane, |acc| aggregate.insert(acc, record)),
                None => rejected.push(update.slot),
            }
        }
    }

    fn insert_single(&mut self, slot: u32, single: &Single<A::Acc>) -> bool {
        let (aggregate, pane) = (self.aggregate, self.window.pane(single.event_time));
        let counts = self.window.expires_at(pane) > single.time;
        if counts {
            self.add(slot, pane, |acc| aggregate.merge(acc, &single.acc));
        }
        counts
    }

    fn advance(&mut self, asof: EventTime, budget: &mut StepBudget, expired: &mut Expired) {
        let window = self.window;
        while let Some((pane, slot)) = self.expiries.pop_due(budget, |pane| window.expires_at(pane) <= asof) {
            let panes = self.panes.get_mut(slot);
            while panes.pop_front_if(|(oldest, _)| *oldest <= pane).is_some() {}
            expired.changed.push(slot);
            if panes.is_empty() {
                expired.emptied.push(slot);
            }
        }
    }

    fn next_expiry(&self) -> EventTime {
        self.expiries.oldest().map_or(EventTime::MAX, |pane| self.window.expires_at(pane))
    }

    fn is_empty(&self, slot: u32) -> bool {
        self.panes.get(slot).is_empty()
    }

    fn accumulated(&self, slot: u32) -> Cow<'_, A::Acc> {
        let panes = self.panes.get(slot);
        match panes.len() {
            1 => Cow::Borrowed(&panes[0].1),
            _ => Cow::Owned(self.aggregate.merged(panes.iter().map(|(_, acc)| acc))),
        }
    }

    fn panes(&self, slot: Option<u32>, provisional: &[Single<A::Acc>]) -> Option<Arc<dyn PaneSet>> {
        Some(self.shared(slot, provisional))
    }

    fn accumulated_of(&self, panes: &dyn PaneSet, asof: EventTime) -> Option<A::Acc> {
        Some(self.of_shared(panes, asof))
    }

    fn save(&mut self) -> Encoder {
        saved_panes::encoder(self.aggregate, &self.panes)
    }

    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error> {
        let aggregate = self.aggregate;
        for SavedPanes { slot, panes } in saved_panes::decode(bytes, slots, self.window, aggregate)? {
            for (pane, acc) in panes {
                self.add(slot, pane, |into| aggregate.merge(into, &acc));
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let slots = self.panes.capacity();
        let panes = |slot: usize| {
            let panes = self.panes.get(slot as u32);
            let heap: usize = panes.iter().map(|(_, acc)| self.aggregate.heap_bytes(acc)).sum();
            panes.capacity() * size_of::<(i64, A::Acc)>() + heap
        };
        slots * size_of::<Panes<A::Acc>>() + sampled(slots, panes) + self.expiries.bytes()
    }
}
