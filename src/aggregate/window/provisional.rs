//! Provisional records: those that have arrived and are not closed, as part of the vectors that are served.
//!
//! A window keeps what an entity's provisional records add, beside the closed state, so a vector costs the same however
//! many of its entity's records are provisional. Entities with provisional records have slots of their own, as long as
//! they have some. A provisional record counts where it will count when it closes.
//!
//! In sliding and lifetime windows, a vector is the sum of what is closed and what is provisional. Other windows are
//! continued by their provisional records: a vector is that of the window just after the newest of them, as if all had
//! closed. So each kind of window chooses how they are kept.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use super::closed::{ClosedWindow, ContinuedWindow, OwnBase, Single};
use crate::aggregate::algebra::{Aggregate, Invertible, Observed};
use crate::aggregate::feature::PaneSet;
use crate::aggregate::heap::sampled;
use crate::time::EventTime;

/// The provisional records of an aggregate beside a closed window, by provisional slot.
pub trait Provisional<A: Aggregate, W: ?Sized>: Default + 'static {
    /// Makes room for this many slots.
    fn grow(&mut self, slots: usize);
    /// Registers that a record of a slot takes effect at `time`, whether it counts or not.
    fn extend_to(&mut self, _slot: u32, _time: EventTime) {}
    /// Adds a record that takes effect at `time`.
    fn add(&mut self, aggregate: &A, slot: u32, time: EventTime, record: Observed<'_>);
    /// Takes out a record that was added, and may take out all of its slot that take effect no later.
    fn confirm(&mut self, aggregate: &A, slot: u32, time: EventTime, record: Observed<'_>);
    /// Visits the accumulators that the answers of an entity are made of, as [`ClosedWindow::visit`] does: of its closed
    /// records in `slot` and the provisional ones in `provisional`.
    fn visit(&self, aggregate: &A, closed: &W, slot: Option<u32>, provisional: Option<u32>, visit: impl FnMut(&A::Acc));
    /// The same as [`ContinuedWindow::own_base`], where every provisional record is kept.
    fn own_base(&self, _closed: &W, _slot: Option<u32>, _provisional: Option<u32>) -> Option<OwnBase<A::Acc>> {
        None
    }
    /// The same as [`ClosedWindow::panes`], where every provisional record is kept.
    fn panes(&self, _closed: &W, _slot: Option<u32>, _provisional: Option<u32>) -> Option<Arc<dyn PaneSet>> {
        None
    }
    /// Empties a slot.
    fn clear(&mut self, slot: u32);
    /// Memory held, that of accumulators included.
    fn bytes(&self, aggregate: &A) -> usize;
}

/// Visits the sum of what is closed and, if there is a provisional slot, what it adds.
fn visit_sum<A: Aggregate, W: ClosedWindow<A>>(
    closed: &W,
    slot: Option<u32>,
    provisional: Option<u32>,
    add: impl Fn(u32, &mut A::Acc),
    mut visit: impl FnMut(&A::Acc),
) {
    let closed = slot.map_or_else(Cow::default, |slot| closed.accumulated(slot));
    let Some(provisional) = provisional else { return visit(&closed) };
    let mut acc = closed.into_owned();
    add(provisional, &mut acc);
    visit(&acc);
}

/// The records of an invertible aggregate: one accumulator a slot.
pub struct Summed<A: Aggregate>(Vec<A::Acc>);

impl<A: Aggregate> Default for Summed<A> {
    fn default() -> Self {
        Summed(Vec::new())
    }
}

impl<A: Invertible, W: ClosedWindow<A>> Provisional<A, W> for Summed<A> {
    fn grow(&mut self, slots: usize) {
        self.0.resize_with(slots, A::Acc::default);
    }

    fn add(&mut self, aggregate: &A, slot: u32, _time: EventTime, record: Observed<'_>) {
        aggregate.insert(&mut self.0[slot as usize], record);
    }

    fn confirm(&mut self, aggregate: &A, slot: u32, _time: EventTime, record: Observed<'_>) {
        let mut leaving = A::Acc::default();
        aggregate.insert(&mut leaving, record);
        aggregate.remove(&mut self.0[slot as usize], &leaving);
    }

    fn visit(
        &self,
        aggregate: &A,
        closed: &W,
        slot: Option<u32>,
        provisional: Option<u32>,
        visit: impl FnMut(&A::Acc),
    ) {
        let add = |slot, acc: &mut A::Acc| aggregate.merge(acc, &self.0[slot as usize]);
        visit_sum(closed, slot, provisional, add, visit);
    }

    fn clear(&mut self, slot: u32) {
        self.0[slot as usize] = A::Acc::default();
    }

    fn bytes(&self, aggregate: &A) -> usize {
        self.0.capacity() * size_of::<A::Acc>() + sampled(self.0.len(), |slot| aggregate.heap_bytes(&self.0[slot]))
    }
}

/// The records of any other aggregate: for each slot, an accumulator for each time at which records take effect, ascending,
/// without those that a later one supersedes.
pub struct Queued<A: Aggregate> {
    by_slot: Vec<VecDeque<(EventTime, A::Acc)>>,
}

impl<A: Aggregate> Default for Queued<A> {
    fn default() -> Self {
        Queued { by_slot: Vec::new() }
    }
}

impl<A: Aggregate, W: ClosedWindow<A>> Provisional<A, W> for Queued<A> {
    fn grow(&mut self, slots: usize) {
        self.by_slot.resize_with(slots, VecDeque::new);
    }

    fn add(&mut self, aggregate: &A, slot: u32, time: EventTime, record: Observed<'_>) {
        let queue = &mut self.by_slot[slot as usize];
        let at = queue.partition_point(|(known, _)| *known < time);
        let known = queue.get(at).is_some_and(|(known, _)| *known == time);
        if known {
            aggregate.insert(&mut queue[at].1, record);
        } else {
            let mut acc = A::Acc::default();
            aggregate.insert(&mut acc, record);
            if queue.get(at).is_some_and(|(_, later)| aggregate.supersedes(later, &acc)) {
                return;
            }
            queue.insert(at, (time, acc));
        }
        let newest = &queue[at].1;
        let superseded = (0..at).rev().take_while(|before| aggregate.supersedes(newest, &queue[*before].1)).count();
        queue.drain(at - superseded..at);
    }

    fn confirm(&mut self, _aggregate: &A, slot: u32, time: EventTime, _record: Observed<'_>) {
        while self.by_slot[slot as usize].pop_front_if(|(known, _)| *known <= time).is_some() {}
    }

    fn visit(
        &self,
        aggregate: &A,
        closed: &W,
        slot: Option<u32>,
        provisional: Option<u32>,
        visit: impl FnMut(&A::Acc),
    ) {
        let add = |slot, acc: &mut A::Acc| {
            let queue: &VecDeque<_> = &self.by_slot[slot as usize];
            if !queue.is_empty() {
                aggregate.merge(acc, &aggregate.merged(queue.iter().map(|(_, acc)| acc)));
            }
        };
        visit_sum(closed, slot, provisional, add, visit);
    }

    fn clear(&mut self, slot: u32) {
        self.by_slot[slot as usize] = VecDeque::new();
    }

    fn bytes(&self, aggregate: &A) -> usize {
        let entries = |slot: usize| {
            let queue = &self.by_slot[slot];
            let heap: usize = queue.iter().map(|(_, acc)| aggregate.heap_bytes(acc)).sum();
            queue.capacity() * size_of::<(EventTime, A::Acc)>() + heap
        };
        let queues = self.by_slot.capacity() * size_of::<VecDeque<(EventTime, A::Acc)>>();
        queues + sampled(self.by_slot.len(), entries)
    }
}

/// The records of a window that they continue: for each slot, every record.
pub struct Singles<A: Aggregate> {
    by_slot: Vec<OpenRecords<A::Acc>>,
}

/// The provisional records of a slot.
struct OpenRecords<T> {
    /// Records, in the order of their times.
    singles: Vec<Single<T>>,
    /// The time just after the newest record, also where that does not count.
    asof: EventTime,
}

impl<T> Default for OpenRecords<T> {
    fn default() -> Self {
        OpenRecords { singles: Vec::new(), asof: EventTime::MIN }
    }
}

impl<A: Aggregate> Default for Singles<A> {
    fn default() -> Self {
        Singles { by_slot: Vec::new() }
    }
}

impl<A: Aggregate> Singles<A> {
    /// The records of a slot, if there is one.
    fn singles(&self, provisional: Option<u32>) -> &[Single<A::Acc>] {
        provisional.map_or(&[], |provisional| &self.by_slot[provisional as usize].singles)
    }
}

impl<A: Aggregate> Provisional<A, dyn ContinuedWindow<A>> for Singles<A> {
    fn grow(&mut self, slots: usize) {
        self.by_slot.resize_with(slots, OpenRecords::default);
    }

    fn extend_to(&mut self, slot: u32, time: EventTime) {
        let open = &mut self.by_slot[slot as usize];
        open.asof = open.asof.max(time + 1);
    }

    fn add(&mut self, aggregate: &A, slot: u32, time: EventTime, record: Observed<'_>) {
        let singles = &mut self.by_slot[slot as usize].singles;
        let at = singles.partition_point(|known| known.time <= time);
        singles.insert(at, Single::of(aggregate, time, record));
    }

    fn confirm(&mut self, _aggregate: &A, slot: u32, time: EventTime, _record: Observed<'_>) {
        let singles = &mut self.by_slot[slot as usize].singles;
        let closed = singles.partition_point(|known| known.time <= time);
        singles.drain(..closed);
    }

    fn visit(
        &self,
        _aggregate: &A,
        closed: &dyn ContinuedWindow<A>,
        slot: Option<u32>,
        provisional: Option<u32>,
        mut visit: impl FnMut(&A::Acc),
    ) {
        match provisional.map(|provisional| &self.by_slot[provisional as usize]) {
            Some(open) => closed.visit_continued(slot, &open.singles, open.asof, &mut visit),
            None => closed.visit(slot, &mut visit),
        }
    }

    fn own_base(
        &self,
        closed: &dyn ContinuedWindow<A>,
        slot: Option<u32>,
        provisional: Option<u32>,
    ) -> Option<OwnBase<A::Acc>> {
        closed.own_base(slot, self.singles(provisional))
    }

    fn panes(
        &self,
        closed: &dyn ContinuedWindow<A>,
        slot: Option<u32>,
        provisional: Option<u32>,
    ) -> Option<Arc<dyn PaneSet>> {
        closed.panes(slot, self.singles(provisional))
    }

    fn clear(&mut self, slot: u32) {
        self.by_slot[slot as usize] = OpenRecords::default();
    }

    fn bytes(&self, aggregate: &A) -> usize {
        let records = |slot: usize| {
            let singles = &self.by_slot[slot].singles;
            let heap: usize = singles.iter().map(|single| aggregate.heap_bytes(&single.acc)).sum();
            singles.capacity() * size_of::<Single<A::Acc>>() + heap
        };
        self.by_slot.capacity() * size_of::<OpenRecords<A::Acc>>() + sampled(self.by_slot.len(), records)
    }
}
