//! Session windows: the run of records that is going on.
//!
//! A run is a left fold in the total order over its accumulator, its oldest event time `start` and its newest event time
//! `newest`. A record of event time e that takes effect at t
//!
//! - begins a run if there is none, or if the last one has ended: t − newest > gap;
//! - joins the run if start − gap <= e <= newest + gap and, with a `max`, e − start < max and newest − e < max;
//! - begins a run in place of one that a `max` cuts: e >= start + max;
//! - else came late, from before the run, and does not count.
//!
//! As of `a`, the window is the run if a − newest <= gap; then it is empty until a record comes. State is one accumulator
//! an entity, so a late record never joins two runs that were parted: what it lies between may have been forgotten.

use std::borrow::Cow;

use super::closed::{ClosedWindow, ContinuedWindow, Expired, LineUpdates, OwnBase, Single};
use super::deadlines::Deadlines;
use super::kind::{OwnPlace, WindowForm, WindowKind, end_of_names};
use super::maintained::WindowState;
use super::parts::StateParts;
use crate::aggregate::algebra::Aggregate;
use crate::aggregate::answers::Answers;
use crate::aggregate::assumed_records::AssumedRecords;
use crate::aggregate::cow_vec::CowVec;
use crate::aggregate::heap::{sampled, sum_of};
use crate::aggregate::snapshot::{Encoder, encoded, remap_slot};
use crate::aggregate::state_codec::StateReader;
use crate::aggregate::step_budget::StepBudget;
use crate::time::{DAY_MS, EventTime, format_duration};

/// The run of records that are no more than `gap_ms` apart, cut where it would span `max_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    pub gap_ms: i64,
    /// Longer than the gap.
    pub max_ms: Option<i64>,
}

impl WindowKind for Session {
    const FORM: WindowForm = WindowForm {
        name: "session",
        written: "`{ session = \"30m\", max = \"12h\" }`",
        suffix: "session30m",
        records: "the run of records, each within the gap of its neighbour, whose newest is within the gap of t; see below",
        state: "a value",
        notes: "**Session** windows have the run of records that is going on. A record that takes effect at t with event time e
begins a run if there is none, or if t is more than the gap after the newest event time of the last. Otherwise
it joins the run if it is within the gap of its records: oldest − gap <= e <= newest + gap. A `max` cuts runs: a
record with e >= oldest + max begins the next one, and one before the run joins it only if the run then still
spans less than `max`. A late record from before the run does not count, nor does one that comes more than the gap
late where there is no run to join, and one between two runs never joins them. As of t, the window is empty if the
newest event time is more than the gap before t. Only records that the operation counts make a run: one whose value is null does not hold it together.",
    };

    fn suffix(self, written: &str) -> String {
        format!("session{}", end_of_names(written, self.gap_ms))
    }

    fn describe(self) -> String {
        format!("the run of records with gaps of at most {}", format_duration(self.gap_ms))
    }

    fn size(self) -> String {
        format!("session {}", format_duration(self.gap_ms))
    }

    fn details(self) -> Option<String> {
        self.max_ms.map(|max_ms| format!("max {}", format_duration(max_ms)))
    }

    fn properties(self) -> Vec<(&'static str, serde_json::Value)> {
        let max = self.max_ms.map(|max_ms| ("max_ms", max_ms.into()));
        [("session_ms", self.gap_ms.into())].into_iter().chain(max).collect()
    }

    fn canonical(self) -> String {
        format!("session({}, {:?})", self.gap_ms, self.max_ms)
    }

    fn length_ms(self) -> Option<i64> {
        None
    }

    fn reach_ms(self) -> Option<i64> {
        self.max_ms.map(|max_ms| max_ms + self.gap_ms + 1)
    }

    /// `None`: a run is cut by where it began, and so by the one before.
    fn history_ms(self) -> Option<i64> {
        None
    }

    fn assumed_ms(self) -> i64 {
        self.max_ms.unwrap_or(DAY_MS)
    }

    fn is_ordered(self) -> bool {
        true
    }

    /// With a `max`, the record may cut the run and begin one of its own.
    fn own_place(self) -> OwnPlace {
        if self.max_ms.is_none() { OwnPlace::Beside } else { OwnPlace::Displacing }
    }

    fn any<A: Aggregate, F>(self, parts: StateParts<A, F>) -> Box<dyn WindowState>
    where
        F: Fn(&A::Acc, &mut Answers<'_>) + 'static,
    {
        let closed = SessionWindow::new(self, parts.aggregate);
        parts.continued(closed)
    }

    fn any_bytes<A: Aggregate>(self, aggregate: &A, records: &AssumedRecords) -> usize {
        let heap = aggregate.estimated_heap(records);
        sum_of([size_of::<Run<A::Acc>>(), heap, Deadlines::BYTES])
    }
}

/// The run of an entity; there is none while its accumulator is empty.
#[derive(Clone, Debug, Default)]
struct Run<T> {
    acc: T,
    /// The oldest and the newest event time.
    start: EventTime,
    newest: EventTime,
}

/// One accumulator an entity.
pub struct SessionWindow<A: Aggregate> {
    session: Session,
    aggregate: A,
    /// By slot.
    runs: CowVec<Run<A::Acc>>,
    /// The ends of the runs that there are.
    ends: Deadlines,
}

impl Session {
    /// The first asking time at which a run has ended.
    fn end<T>(self, run: &Run<T>) -> EventTime {
        run.newest + self.gap_ms + 1
    }

    /// Makes a run the one that has a record, empty if that begins it; returns whether the record counts.
    fn extend<A: Aggregate>(self, aggregate: A, run: &mut Run<A::Acc>, time: EventTime, event_time: EventTime) -> bool {
        let Session { gap_ms, max_ms } = self;
        if aggregate.is_empty(&run.acc) || time - run.newest > gap_ms {
            let lasts = time - event_time <= gap_ms;
            if lasts {
                *run = Run { acc: A::Acc::default(), start: event_time, newest: event_time };
            }
            return lasts;
        }
        let (from_start, to_newest) = (event_time - run.start, run.newest - event_time);
        if from_start >= -gap_ms && max_ms.is_none_or(|max_ms| from_start < max_ms && to_newest < max_ms) {
            (run.start, run.newest) = (run.start.min(event_time), run.newest.max(event_time));
            return true;
        }
        let is_cut = max_ms.is_some_and(|max_ms| from_start >= max_ms);
        if is_cut {
            *run = Run { acc: A::Acc::default(), start: event_time, newest: event_time };
        }
        is_cut
    }
}

impl<A: Aggregate> SessionWindow<A> {
    pub fn new(session: Session, aggregate: A) -> Self {
        SessionWindow { session, aggregate, runs: CowVec::default(), ends: Deadlines::new(session.gap_ms) }
    }

    /// Adds a record to the run of a slot, if it counts.
    fn add(&mut self, slot: u32, time: EventTime, event_time: EventTime, add: impl FnOnce(&mut A::Acc)) -> bool {
        let run = self.runs.get_mut(slot);
        let is_known = !self.aggregate.is_empty(&run.acc);
        let counts = self.session.extend(self.aggregate, run, time, event_time);
        if counts {
            add(&mut run.acc);
            if !is_known {
                self.ends.register(slot, self.session.end(run));
            }
        }
        counts
    }
}

impl<A: Aggregate> SessionWindow<A> {
    /// The run of a slot as if provisional records had closed.
    fn continued(&self, slot: Option<u32>, provisional: &[Single<A::Acc>]) -> Run<A::Acc> {
        let mut run = slot.map(|slot| self.runs.get(slot).clone()).unwrap_or_default();
        for Single { time, event_time, acc } in provisional {
            if self.session.extend(self.aggregate, &mut run, *time, *event_time) {
                self.aggregate.merge(&mut run.acc, acc);
            }
        }
        run
    }
}

impl<A: Aggregate> ClosedWindow<A> for SessionWindow<A> {
    fn grow(&mut self, slots: usize) {
        self.runs.grow(slots);
    }

    fn clear(&mut self, slot: u32) {
        *self.runs.get_mut(slot) = Run::default();
    }

    fn compact(&mut self) {
        let (runs, aggregate) = (&self.runs, self.aggregate);
        self.ends.retain(|slot| !aggregate.is_empty(&runs.get(slot).acc));
    }

    fn admits(&self, _event_time: EventTime, _time: EventTime) -> bool {
        true
    }

    fn insert(&mut self, updates: LineUpdates<'_>, sequence: i64, rejected: &mut Vec<u32>) {
        let aggregate = self.aggregate;
        for (update, sequence) in updates.updates.iter().zip(sequence..) {
            let counts = updates.observed(self.aggregate.reads(), update, sequence).is_some_and(|record| {
                self.add(update.slot, update.time, update.event_time, |acc| aggregate.insert(acc, record))
            });
            if !counts {
                rejected.push(update.slot);
            }
        }
    }

    fn insert_single(&mut self, slot: u32, single: &Single<A::Acc>) -> bool {
        let aggregate = self.aggregate;
        self.add(slot, single.time, single.event_time, |acc| aggregate.merge(acc, &single.acc))
    }

    fn advance(&mut self, asof: EventTime, budget: &mut StepBudget, expired: &mut Expired) {
        let (session, runs) = (self.session, &mut self.runs);
        self.ends.advance(asof, budget, |slot| {
            let end = session.end(runs.get(slot));
            if end > asof {
                return Some(end);
            }
            *runs.get_mut(slot) = Run::default();
            expired.changed.push(slot);
            expired.emptied.push(slot);
            None
        });
    }

    fn next_expiry(&self) -> EventTime {
        self.ends.next()
    }

    fn is_empty(&self, slot: u32) -> bool {
        self.aggregate.is_empty(&self.runs.get(slot).acc)
    }

    fn accumulated(&self, slot: u32) -> Cow<'_, A::Acc> {
        Cow::Borrowed(&self.runs.get(slot).acc)
    }

    fn save(&mut self) -> Encoder {
        let (aggregate, runs) = (self.aggregate, self.runs.clone());
        Box::new(move || {
            let held = (0u32..).zip(runs.iter()).filter(|(_, run)| !aggregate.is_empty(&run.acc));
            encoded(held, |to, (slot, run)| {
                to.value(&slot);
                to.value(&run.start);
                to.value(&run.newest);
                aggregate.write(&run.acc, to);
            })
        })
    }

    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error> {
        const FARTHEST: i64 = 1 << 60;
        let aggregate = self.aggregate;
        let read =
            |from: &mut StateReader<'_>| Ok((from.value()?, from.value()?, from.value()?, aggregate.read(from)?));
        for (saved, start, newest, acc) in StateReader::new(bytes).all(read)? {
            let is_run = start <= newest && [start, newest].iter().all(|time| (-FARTHEST..=FARTHEST).contains(time));
            if !is_run || !self.aggregate.admits(&acc) || self.aggregate.is_empty(&acc) {
                return Err(postcard::Error::DeserializeBadEncoding);
            }
            let Some(slot) = remap_slot(slots, saved)? else { continue };
            if !self.is_empty(slot) {
                return Err(postcard::Error::DeserializeBadEncoding);
            }
            let run = Run { acc, start, newest };
            self.ends.register(slot, self.session.end(&run));
            *self.runs.get_mut(slot) = run;
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let slots = self.runs.capacity();
        let heap = |slot: usize| self.aggregate.heap_bytes(&self.runs.get(slot as u32).acc);
        slots * size_of::<Run<A::Acc>>() + sampled(slots, heap) + self.ends.bytes()
    }
}

impl<A: Aggregate> ContinuedWindow<A> for SessionWindow<A> {
    fn visit_continued(
        &self,
        slot: Option<u32>,
        provisional: &[Single<A::Acc>],
        asof: EventTime,
        visit: &mut dyn FnMut(&A::Acc),
    ) {
        let run = self.continued(slot, provisional);
        let has_ended = self.session.end(&run) <= asof;
        visit(&if has_ended { A::Acc::default() } else { run.acc });
    }

    /// A record that looks up begins a run of its own where the `max` cuts the run that is going on.
    fn own_base(&self, slot: Option<u32>, provisional: &[Single<A::Acc>]) -> Option<OwnBase<A::Acc>> {
        let max_ms = self.session.max_ms?;
        let run = self.continued(slot, provisional);
        let is_run = !self.aggregate.is_empty(&run.acc);
        is_run.then(|| OwnBase { from: run.start + max_ms, acc: A::Acc::default() })
    }
}
