//! Cumulative windows: the records since the beginning of a stretch of time, such as today's so far.
//!
//! Time is cut into stretches of W, moved by an offset o. As of `a`, the window is `[floor((a − o) / W)·W + o, a)`. It is
//! empty at the beginning of each stretch and grows until its end.

use std::borrow::Cow;

use super::closed::{ClosedWindow, ContinuedWindow, Expired, LineUpdates, Single};
use super::cycle::Cycle;
use super::kind::{OwnPlace, WindowForm, WindowKind, end_of_names};
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

/// The stretch of a cycle that the asking time is in, up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cumulative(pub Cycle);

impl WindowKind for Cumulative {
    const FORM: WindowForm = WindowForm {
        name: "cumulative",
        written: "`{ cumulative = \"1d\", offset = \"-5h\" }`",
        suffix: "cumulative1d",
        records: "event time from floor((t − offset) / W)·W + offset on",
        state: "a value",
        notes: "**Cumulative** ones answer for the current stretch so far: `{ cumulative = \"1d\", offset = \"-5h\" }` is of
today since 19:00Z of the day before, which is midnight at UTC+5. Two of one length in one line have the same
name, whatever their offsets: give one of them another name by `as` in a line of its own.",
    };

    fn suffix(self, written: &str) -> String {
        format!("cumulative{}", end_of_names(written, self.0.length_ms))
    }

    fn describe(self) -> String {
        format!("the current {} so far", format_duration(self.0.length_ms))
    }

    fn size(self) -> String {
        format!("cumulative {}", format_duration(self.0.length_ms))
    }

    fn details(self) -> Option<String> {
        self.0.details()
    }

    fn properties(self) -> Vec<(&'static str, serde_json::Value)> {
        vec![("cumulative_ms", self.0.length_ms.into()), ("offset_ms", self.0.offset_ms.into())]
    }

    fn canonical(self) -> String {
        format!("cumulative{}", self.0.canonical())
    }

    fn length_ms(self) -> Option<i64> {
        None
    }

    fn reach_ms(self) -> Option<i64> {
        Some(self.0.length_ms)
    }

    fn own_place(self) -> OwnPlace {
        OwnPlace::Beside
    }

    fn panes(self) -> Option<i64> {
        Some(1)
    }

    fn pane_ms(self) -> Option<i64> {
        Some(self.0.length_ms)
    }

    fn any<A: Aggregate, F>(self, parts: StateParts<A, F>) -> Box<dyn WindowState>
    where
        F: Fn(&A::Acc, &mut Answers<'_>) + 'static,
    {
        let closed = CumulativeWindow::new(self.0, parts.aggregate);
        parts.continued(closed)
    }

    fn any_bytes<A: Aggregate>(self, aggregate: &A, records: &AssumedRecords) -> usize {
        let heap = aggregate.estimated_heap(records);
        sum_of([size_of::<OpenStretch<A::Acc>>(), heap, SCHEDULED])
    }
}

/// The accumulator of an entity.
#[derive(Clone, Debug)]
struct OpenStretch<T> {
    /// The stretch that it is of; `i64::MIN` of none.
    number: i64,
    acc: T,
}

impl<T: Default> Default for OpenStretch<T> {
    fn default() -> Self {
        OpenStretch { number: i64::MIN, acc: T::default() }
    }
}

impl<T: Default> OpenStretch<T> {
    /// Adds to the accumulator of a stretch that has not ended.
    fn add(&mut self, number: i64, add: impl FnOnce(&mut T)) {
        if number > self.number {
            *self = OpenStretch { number, acc: T::default() };
        }
        add(&mut self.acc);
    }
}

/// One accumulator an entity.
pub struct CumulativeWindow<A: Aggregate> {
    cycle: Cycle,
    aggregate: A,
    /// By slot.
    stretches: CowVec<OpenStretch<A::Acc>>,
    /// The slots with records of a stretch.
    expiries: PaneSchedule,
}

impl<A: Aggregate> CumulativeWindow<A> {
    pub fn new(cycle: Cycle, aggregate: A) -> Self {
        CumulativeWindow { cycle, aggregate, stretches: CowVec::default(), expiries: PaneSchedule::default() }
    }

    /// Adds to the accumulator of a stretch that still counts.
    fn add(&mut self, slot: u32, number: i64, add: impl FnOnce(&mut A::Acc)) {
        let stretch = self.stretches.get_mut(slot);
        if stretch.number < number {
            self.expiries.register(number, slot);
        }
        stretch.add(number, add);
    }
}

impl<A: Aggregate> ClosedWindow<A> for CumulativeWindow<A> {
    fn grow(&mut self, slots: usize) {
        self.stretches.grow(slots);
    }

    fn clear(&mut self, slot: u32) {
        *self.stretches.get_mut(slot) = OpenStretch::default();
    }

    fn compact(&mut self) {
        let stretches = &self.stretches;
        self.expiries.retain(|number, slot| stretches.get(slot).number == number);
    }

    fn admits(&self, event_time: EventTime, time: EventTime) -> bool {
        self.cycle.end(self.cycle.stretch(event_time)) > time
    }

    fn insert(&mut self, updates: LineUpdates<'_>, sequence: i64, rejected: &mut Vec<u32>) {
        let aggregate = self.aggregate;
        for (update, sequence) in updates.updates.iter().zip(sequence..) {
            let counts = self.admits(update.event_time, update.time);
            match updates.observed(self.aggregate.reads(), update, sequence).filter(|_| counts) {
                Some(record) => {
                    let number = self.cycle.stretch(update.event_time);
                    self.add(update.slot, number, |acc| aggregate.insert(acc, record));
                }
                None => rejected.push(update.slot),
            }
        }
    }

    fn insert_single(&mut self, slot: u32, single: &Single<A::Acc>) -> bool {
        let (aggregate, counts) = (self.aggregate, self.admits(single.event_time, single.time));
        if counts {
            let number = self.cycle.stretch(single.event_time);
            self.add(slot, number, |acc| aggregate.merge(acc, &single.acc));
        }
        counts
    }

    fn advance(&mut self, asof: EventTime, budget: &mut StepBudget, expired: &mut Expired) {
        let cycle = self.cycle;
        while let Some((number, slot)) = self.expiries.pop_due(budget, |number| cycle.end(number) <= asof) {
            let stretch = self.stretches.get_mut(slot);
            if stretch.number == number {
                *stretch = OpenStretch::default();
                expired.emptied.push(slot);
            }
            expired.changed.push(slot);
        }
    }

    fn next_expiry(&self) -> EventTime {
        self.expiries.oldest().map_or(EventTime::MAX, |number| self.cycle.end(number))
    }

    fn is_empty(&self, slot: u32) -> bool {
        self.stretches.get(slot).number == i64::MIN
    }

    fn accumulated(&self, slot: u32) -> Cow<'_, A::Acc> {
        Cow::Borrowed(&self.stretches.get(slot).acc)
    }

    fn save(&mut self) -> Encoder {
        let (aggregate, stretches) = (self.aggregate, self.stretches.clone());
        Box::new(move || {
            let held = (0u32..).zip(stretches.iter()).filter(|(_, stretch)| stretch.number > i64::MIN);
            encoded(held, |to, (slot, stretch)| {
                to.value(&slot);
                to.value(&stretch.number);
                aggregate.write(&stretch.acc, to);
            })
        })
    }

    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error> {
        let aggregate = self.aggregate;
        let read = |from: &mut StateReader<'_>| Ok((from.value()?, from.value()?, aggregate.read(from)?));
        for (saved, number, acc) in StateReader::new(bytes).all(read)? {
            if !self.cycle.has_stretch(number) || !aggregate.admits(&acc) {
                return Err(postcard::Error::DeserializeBadEncoding);
            }
            if let Some(slot) = remap_slot(slots, saved)? {
                self.add(slot, number, |into| aggregate.merge(into, &acc));
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let slots = self.stretches.capacity();
        let heap = |slot: usize| self.aggregate.heap_bytes(&self.stretches.get(slot as u32).acc);
        slots * size_of::<OpenStretch<A::Acc>>() + sampled(slots, heap) + self.expiries.bytes()
    }
}

impl<A: Aggregate> ContinuedWindow<A> for CumulativeWindow<A> {
    fn visit_continued(
        &self,
        slot: Option<u32>,
        provisional: &[Single<A::Acc>],
        asof: EventTime,
        visit: &mut dyn FnMut(&A::Acc),
    ) {
        let current = self.cycle.stretch(asof);
        let mut stretch = slot.map(|slot| self.stretches.get(slot).clone()).unwrap_or_default();
        for single in provisional {
            let number = self.cycle.stretch(single.event_time);
            stretch.add(number, |acc| self.aggregate.merge(acc, &single.acc));
        }
        let is_over = stretch.number < current;
        visit(&if is_over { A::Acc::default() } else { stretch.acc });
    }
}
