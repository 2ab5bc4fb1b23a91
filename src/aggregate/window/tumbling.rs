//! Tumbling windows: the records of the newest whole window that is over.
//!
//! Time is cut into stretches of W, moved by an offset o. As of `a`, the window is `[E − W, E)` with
//! E = floor((a − o) / W)·W + o: the records with an event time in it that took effect before `a`, those that came late
//! once they take effect. So the answer changes at the end of each stretch, and when a late record takes effect.
//!
//! An entity has two accumulators, of the stretch that is filling and of the one before, which is shown. Its filling
//! stretch is the newest of its own records; at the end of the stretch it becomes the shown one without being moved.

use std::borrow::Cow;

use super::closed::{ClosedWindow, ContinuedWindow, Expired, LineUpdates, Single};
use super::cycle::Cycle;
use super::kind::{WindowForm, WindowKind, end_of_names};
use super::maintained::WindowState;
use super::parts::StateParts;
use super::schedule::PaneSchedule;
use crate::aggregate::algebra::Aggregate;
use crate::aggregate::answers::Answers;
use crate::aggregate::assumed_records::{AssumedRecords, SCHEDULED};
use crate::aggregate::cow_vec::CowVec;
use crate::aggregate::heap::{sampled, sum_of};
use crate::aggregate::snapshot::{Encoder, encoded, remap_slot};
use crate::aggregate::state_codec::StateReader;
use crate::aggregate::step_budget::StepBudget;
use crate::time::{EventTime, format_duration};

/// The newest whole stretch of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tumbling(pub Cycle);

impl WindowKind for Tumbling {
    const FORM: WindowForm = WindowForm {
        name: "tumbling",
        written: "`{ tumbling = \"1h\", offset = \"0s\" }`",
        suffix: "tumbling1h",
        records: "event time in [E − W, E), where E = floor((t − offset) / W)·W + offset",
        state: "two values",
        notes: "**Tumbling** windows answer for the newest whole stretch of time: at 10:20, `{ tumbling = \"1h\" }` is of 09:00
to 10:00.",
    };

    fn suffix(self, written: &str) -> String {
        format!("tumbling{}", end_of_names(written, self.0.length_ms))
    }

    fn describe(self) -> String {
        format!("the newest whole {}", format_duration(self.0.length_ms))
    }

    fn size(self) -> String {
        format!("tumbling {}", format_duration(self.0.length_ms))
    }

    fn details(self) -> Option<String> {
        self.0.details()
    }

    fn properties(self) -> Vec<(&'static str, serde_json::Value)> {
        vec![("tumbling_ms", self.0.length_ms.into()), ("offset_ms", self.0.offset_ms.into())]
    }

    fn canonical(self) -> String {
        format!("tumbling{}", self.0.canonical())
    }

    fn length_ms(self) -> Option<i64> {
        Some(self.0.length_ms)
    }

    fn reach_ms(self) -> Option<i64> {
        Some(2 * self.0.length_ms)
    }

    fn panes(self) -> Option<i64> {
        Some(2)
    }

    fn pane_ms(self) -> Option<i64> {
        Some(self.0.length_ms)
    }

    fn any<A: Aggregate, F>(self, parts: StateParts<A, F>) -> Box<dyn WindowState>
    where
        F: Fn(&A::Acc, &mut Answers<'_>) + 'static,
    {
        let closed = FullStretches::new(self.0, parts.aggregate);
        parts.continued(closed)
    }

    fn any_bytes<A: Aggregate>(self, aggregate: &A, records: &AssumedRecords) -> usize {
        let heap = aggregate.estimated_heap(records);
        sum_of([size_of::<Stretches<A::Acc>>(), heap, heap, 2 * SCHEDULED])
    }
}

/// The accumulators of an entity.
#[derive(Clone, Debug)]
struct Stretches<T> {
    /// The newest stretch of which it has records; `i64::MIN` if none.
    filling: i64,
    /// The accumulator of that stretch.
    newest: T,
    /// The accumulator of the stretch before it.
    before: T,
}

impl<T: Default> Default for Stretches<T> {
    fn default() -> Self {
        Stretches { filling: i64::MIN, newest: T::default(), before: T::default() }
    }
}

impl<T: Default> Stretches<T> {
    /// The accumulator of a stretch, which is the newest, the one before it or a later one.
    fn of_stretch(&mut self, stretch: i64) -> &mut T {
        if stretch < self.filling {
            return &mut self.before;
        }
        if stretch > self.filling {
            let newest = std::mem::take(&mut self.newest);
            self.before = if stretch == self.filling + 1 { newest } else { T::default() };
            self.filling = stretch;
        }
        &mut self.newest
    }

    /// The accumulator that is shown while a stretch is filling, if its records matter yet.
    fn shown(&self, filling: i64) -> Option<&T> {
        match self.filling {
            own if own >= filling => Some(&self.before),
            own if own == filling - 1 => Some(&self.newest),
            _ => None,
        }
    }
}

/// Two accumulators an entity.
pub struct FullStretches<A: Aggregate> {
    cycle: Cycle,
    aggregate: A,
    /// By slot.
    stretches: CowVec<Stretches<A::Acc>>,
    /// The slots with records of stretches that are not over, and of those that are shown.
    filling: PaneSchedule,
    shown: PaneSchedule,
    /// The stretch of the asking time; `i64::MIN` before there is any.
    current: i64,
}

impl<A: Aggregate> FullStretches<A> {
    pub fn new(cycle: Cycle, aggregate: A) -> Self {
        let (filling, shown) = (PaneSchedule::default(), PaneSchedule::default());
        FullStretches { cycle, aggregate, stretches: CowVec::default(), filling, shown, current: i64::MIN }
    }

    /// Adds to the accumulator of a stretch that still counts.
    fn add(&mut self, slot: u32, stretch: i64, add: impl FnOnce(&mut A::Acc)) {
        let acc = self.stretches.get_mut(slot).of_stretch(stretch);
        if self.aggregate.is_empty(acc) {
            self.filling.register(stretch, slot);
        }
        add(acc);
    }

    /// The first asking time at which a stretch is no longer shown.
    fn expires_at(&self, stretch: i64) -> EventTime {
        self.cycle.end(stretch + 1)
    }
}

impl<A: Aggregate> ClosedWindow<A> for FullStretches<A> {
    fn grow(&mut self, slots: usize) {
        self.stretches.grow(slots);
    }

    fn clear(&mut self, slot: u32) {
        *self.stretches.get_mut(slot) = Stretches::default();
    }

    fn compact(&mut self) {
        let (stretches, aggregate) = (&self.stretches, self.aggregate);
        let has = |stretch: i64, slot: u32| {
            let own = stretches.get(slot);
            own.filling == stretch || own.filling == stretch + 1 && !aggregate.is_empty(&own.before)
        };
        self.filling.retain(has);
        self.shown.retain(has);
    }

    fn admits(&self, event_time: EventTime, time: EventTime) -> bool {
        self.expires_at(self.cycle.stretch(event_time)) > time
    }

    fn insert(&mut self, updates: LineUpdates<'_>, sequence: i64, rejected: &mut Vec<u32>) {
        let aggregate = self.aggregate;
        for (update, sequence) in updates.updates.iter().zip(sequence..) {
            let counts = self.admits(update.event_time, update.time);
            match updates.observed(self.aggregate.reads(), update, sequence).filter(|_| counts) {
                Some(record) => {
                    let stretch = self.cycle.stretch(update.event_time);
                    self.add(update.slot, stretch, |acc| aggregate.insert(acc, record));
                }
                None => rejected.push(update.slot),
            }
        }
    }

    fn insert_single(&mut self, slot: u32, single: &Single<A::Acc>) -> bool {
        let (aggregate, counts) = (self.aggregate, self.admits(single.event_time, single.time));
        if counts {
            let stretch = self.cycle.stretch(single.event_time);
            self.add(slot, stretch, |acc| aggregate.merge(acc, &single.acc));
        }
        counts
    }

    fn advance(&mut self, asof: EventTime, budget: &mut StepBudget, expired: &mut Expired) {
        let cycle = self.cycle;
        self.current = cycle.stretch(asof);
        while let Some((stretch, slot)) = self.filling.pop_due(budget, |stretch| cycle.end(stretch) <= asof) {
            expired.changed.push(slot);
            self.shown.register(stretch, slot);
        }
        // None is taken from here before the last has come.
        while let Some((stretch, slot)) = self.shown.pop_due(budget, |stretch| cycle.end(stretch + 1) <= asof) {
            let stretches = self.stretches.get_mut(slot);
            if stretches.filling == stretch {
                *stretches = Stretches::default();
                expired.emptied.push(slot);
            } else if stretches.filling == stretch + 1 {
                stretches.before = A::Acc::default();
            }
            expired.changed.push(slot);
        }
    }

    fn next_expiry(&self) -> EventTime {
        let ends = self.filling.oldest().map_or(EventTime::MAX, |stretch| self.cycle.end(stretch));
        ends.min(self.shown.oldest().map_or(EventTime::MAX, |stretch| self.expires_at(stretch)))
    }

    fn is_empty(&self, slot: u32) -> bool {
        self.stretches.get(slot).filling == i64::MIN
    }

    fn accumulated(&self, slot: u32) -> Cow<'_, A::Acc> {
        self.stretches.get(slot).shown(self.current).map_or_else(Cow::default, Cow::Borrowed)
    }

    fn visit_hidden(&self, slot: u32, visit: &mut dyn FnMut(&A::Acc)) {
        visit(&self.stretches.get(slot).newest);
    }

    fn save(&mut self) -> Encoder {
        let (aggregate, stretches) = (self.aggregate, self.stretches.clone());
        Box::new(move || {
            let held = (0u32..).zip(stretches.iter()).filter(|(_, held)| held.filling > i64::MIN);
            encoded(held, |to, (slot, held)| {
                to.value(&slot);
                to.value(&held.filling);
                aggregate.write(&held.newest, to);
                aggregate.write(&held.before, to);
            })
        })
    }

    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error> {
        let aggregate = self.aggregate;
        let read = |from: &mut StateReader<'_>| {
            Ok((from.value()?, from.value()?, aggregate.read(from)?, aggregate.read(from)?))
        };
        for (saved, filling, newest, before) in StateReader::new(bytes).all(read)? {
            let is_alike = aggregate.is_empty(&before) || aggregate.are_alike(&newest, &before);
            if !self.cycle.has_stretch(filling) || !aggregate.admits(&newest) || !aggregate.admits(&before) || !is_alike
            {
                return Err(postcard::Error::DeserializeBadEncoding);
            }
            let Some(slot) = remap_slot(slots, saved)? else { continue };
            for (stretch, acc) in [(filling - 1, before), (filling, newest)] {
                if !aggregate.is_empty(&acc) {
                    self.add(slot, stretch, |into| aggregate.merge(into, &acc));
                }
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let slots = self.stretches.capacity();
        let heap = |slot: usize| {
            let stretches = self.stretches.get(slot as u32);
            self.aggregate.heap_bytes(&stretches.newest) + self.aggregate.heap_bytes(&stretches.before)
        };
        let stretches = slots * size_of::<Stretches<A::Acc>>() + sampled(slots, heap);
        stretches + self.filling.bytes() + self.shown.bytes()
    }
}

impl<A: Aggregate> ContinuedWindow<A> for FullStretches<A> {
    fn visit_continued(
        &self,
        slot: Option<u32>,
        provisional: &[Single<A::Acc>],
        asof: EventTime,
        visit: &mut dyn FnMut(&A::Acc),
    ) {
        let mut stretches = slot.map(|slot| self.stretches.get(slot).clone()).unwrap_or_default();
        for single in provisional {
            let acc = stretches.of_stretch(self.cycle.stretch(single.event_time));
            self.aggregate.merge(acc, &single.acc);
        }
        let current = self.current.max(self.cycle.stretch(asof));
        visit(stretches.shown(current).unwrap_or(&A::Acc::default()));
    }
}
