//! Series: a list of answers, each over one step of time, the newest of which ends at the asking time.
//!
//! As of `a`, answer k counted from the newest (k = 0 … n − 1) is of the records with event time in
//! `[floor((a − (k + 1)·step) / h)·h, floor((a − k·step) / h)·h)` for k >= 1 and `[floor((a − step) / h)·h, a)` for k = 0: no
//! record is in two of them. A pane is a hop's records of one entity, as in sliding windows. Pane p is in answer
//! k = max(0, floor((a − (p + 1)·h) / step)) as of `a`, so it moves on at (p + 1)·h + k·step, for k from 1 on, and leaves
//! when k is n. Answers are merged from panes when they are asked for.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use super::closed::{ClosedWindow, ContinuedWindow, Expired, LineUpdates, Single};
use super::kind::{OwnPlace, WindowForm, WindowKind, end_of_names};
use super::maintained::WindowState;
use super::panes::Sliding;
use super::parts::StateParts;
use super::saved_panes::{self, SavedPanes};
use super::schedule::retain_once;
use crate::aggregate::algebra::Aggregate;
use crate::aggregate::answers::Answers;
use crate::aggregate::assumed_records::{AssumedRecords, SCHEDULED};
use crate::aggregate::cow_vec::CowVec;
use crate::aggregate::heap::{grown, sampled, sum_of};
use crate::aggregate::snapshot::Encoder;
use crate::aggregate::step_budget::StepBudget;
use crate::time::{EventTime, format_duration};

/// So many steps, one before the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Series {
    pub steps: usize,
    /// A step, and the hop in which its oldest edge moves.
    pub step: Sliding,
}

impl Series {
    /// The most steps that a series may have.
    pub const MOST_STEPS: usize = 1_000;

    /// The answer that a pane belongs to as of a time, counted from the newest; `None` if it has left.
    fn answer(self, pane: i64, asof: EventTime) -> Option<usize> {
        let age = asof.saturating_sub((pane + 1) * self.step.hop_ms).div_euclid(self.step.size_ms).max(0);
        usize::try_from(age).ok().filter(|answer| *answer < self.steps)
    }

    /// The first time as of which a pane belongs to an answer or to an older one.
    fn moves_at(self, pane: i64, answer: usize) -> EventTime {
        (pane + 1) * self.step.hop_ms + answer as i64 * self.step.size_ms
    }
}

impl WindowKind for Series {
    const FORM: WindowForm = WindowForm {
        name: "series",
        written: "`{ series = 7, step = \"1d\", hop = \"1h\" }`",
        suffix: "series7x1d",
        records: "a list of answers, oldest first, each of a sliding window of one step that ends where the next begins",
        state: "a value for each hop with records",
        notes: "**Series** are lists of n answers, one for each step, oldest first: `{ series = 7, step = \"1d\" }` has the last
seven days, each ending where the next begins and the last at t. A step without records has the empty answer,
and an entity without records has n of them; n is at most 1,000. Ops whose answers are lists or maps, or depend
on the asking time, cannot be in a series.",
    };

    fn suffix(self, written: &str) -> String {
        format!("series{}x{}", self.steps, end_of_names(written, self.step.size_ms))
    }

    fn describe(self) -> String {
        format!("each of the last {} times {}", self.steps, format_duration(self.step.size_ms))
    }

    fn size(self) -> String {
        format!("series of {} times {}", self.steps, format_duration(self.step.size_ms))
    }

    fn details(self) -> Option<String> {
        Some(format!("hop {}", format_duration(self.step.hop_ms)))
    }

    fn properties(self) -> Vec<(&'static str, serde_json::Value)> {
        let (step, hop) = (self.step.size_ms.into(), self.step.hop_ms.into());
        vec![("series", self.steps.into()), ("step_ms", step), ("hop_ms", hop)]
    }

    fn canonical(self) -> String {
        format!("series({}, {}, {})", self.steps, self.step.size_ms, self.step.hop_ms)
    }

    fn length_ms(self) -> Option<i64> {
        Some(self.step.size_ms)
    }

    fn reach_ms(self) -> Option<i64> {
        Some(self.steps as i64 * self.step.size_ms + self.step.hop_ms)
    }

    fn panes(self) -> Option<i64> {
        Some((self.steps as i64 * self.step.size_ms).div_euclid(self.step.hop_ms) + 2)
    }

    fn pane_ms(self) -> Option<i64> {
        Some(self.step.hop_ms)
    }

    fn steps(self) -> Option<usize> {
        Some(self.steps)
    }

    fn own_place(self) -> OwnPlace {
        OwnPlace::Beside
    }

    fn any<A: Aggregate, F>(self, parts: StateParts<A, F>) -> Box<dyn WindowState>
    where
        F: Fn(&A::Acc, &mut Answers<'_>) + 'static,
    {
        let closed = SeriesWindow::new(self, parts.aggregate);
        parts.continued(closed)
    }

    fn any_bytes<A: Aggregate>(self, aggregate: &A, records: &AssumedRecords) -> usize {
        let panes = WindowKind::panes(self).map_or(0, |panes| records.filled_of(panes));
        let heap = aggregate.estimated_heap(records);
        let ring = grown::<(i64, A::Acc)>(panes);
        sum_of([size_of::<StepPanes<A::Acc>>(), ring, panes.saturating_mul(heap.saturating_add(SCHEDULED))])
    }
}

/// The panes of an entity, ascending.
type StepPanes<T> = VecDeque<(i64, T)>;

/// A pane that some entities have.
struct ScheduledPane {
    /// The answer that it moves on to next.
    next: usize,
    slots: Vec<u32>,
    /// Slots, the first ones, of which it has moved on already.
    moved: usize,
}

/// The panes of every entity.
struct SeriesWindow<A: Aggregate> {
    series: Series,
    aggregate: A,
    /// By slot.
    panes: CowVec<StepPanes<A::Acc>>,
    /// By pane.
    schedule: BTreeMap<i64, ScheduledPane>,
    /// The next time at which a pane moves on.
    next_move: EventTime,
    /// The asking time at which panes last moved on.
    asof: EventTime,
}

impl<A: Aggregate> SeriesWindow<A> {
    fn new(series: Series, aggregate: A) -> Self {
        let (panes, schedule) = (CowVec::default(), BTreeMap::new());
        SeriesWindow { series, aggregate, panes, schedule, next_move: EventTime::MAX, asof: EventTime::MIN }
    }

    /// Adds to a pane of a slot.
    fn add(&mut self, slot: u32, pane: i64, add: impl FnOnce(&mut A::Acc)) {
        let panes = self.panes.get_mut(slot);
        let at = panes.partition_point(|(known, _)| *known < pane);
        if panes.get(at).is_none_or(|(known, _)| *known != pane) {
            panes.insert(at, (pane, A::Acc::default()));
            let scheduled = self.schedule.entry(pane).or_insert_with(|| {
                self.next_move = self.next_move.min(self.series.moves_at(pane, 1));
                ScheduledPane { next: 1, slots: Vec::new(), moved: 0 }
            });
            scheduled.slots.push(slot);
        }
        add(&mut panes[at].1);
    }

    /// Adds the panes of a slot to the accumulators of the answers as of a time, newest first.
    fn add_panes(&self, slot: u32, asof: EventTime, answers: &mut [A::Acc]) {
        for (pane, acc) in self.panes.get(slot) {
            if let Some(answer) = self.series.answer(*pane, asof) {
                self.aggregate.merge(&mut answers[answer], acc);
            }
        }
    }

    fn answers(&self) -> Vec<A::Acc> {
        vec![A::Acc::default(); self.series.steps]
    }
}

impl<A: Aggregate> ClosedWindow<A> for SeriesWindow<A> {
    fn grow(&mut self, slots: usize) {
        self.panes.grow(slots);
    }

    fn clear(&mut self, slot: u32) {
        *self.panes.get_mut(slot) = StepPanes::default();
    }

    fn compact(&mut self) {
        let panes = &self.panes;
        let has = |slot, pane| panes.get(slot).binary_search_by_key(&pane, |(known, _)| *known).is_ok();
        self.schedule.retain(|pane, scheduled| {
            retain_once(&mut scheduled.slots, |slot| has(slot, *pane));
            !scheduled.slots.is_empty()
        });
    }

    fn admits(&self, event_time: EventTime, time: EventTime) -> bool {
        self.series.moves_at(self.series.step.pane(event_time), self.series.steps) > time
    }

    fn insert(&mut self, updates: LineUpdates<'_>, sequence: i64, rejected: &mut Vec<u32>) {
        let aggregate = self.aggregate;
        for (update, sequence) in updates.updates.iter().zip(sequence..) {
            let counts = self.admits(update.event_time, update.time);
            match updates.observed(self.aggregate.reads(), update, sequence).filter(|_| counts) {
                Some(record) => {
                    let pane = self.series.step.pane(update.event_time);
                    self.add(update.slot, pane, |acc| aggregate.insert(acc, record));
                }
                None => rejected.push(update.slot),
            }
        }
    }

    fn insert_single(&mut self, slot: u32, single: &Single<A::Acc>) -> bool {
        let (aggregate, counts) = (self.aggregate, self.admits(single.event_time, single.time));
        if counts {
            let pane = self.series.step.pane(single.event_time);
            self.add(slot, pane, |acc| aggregate.merge(acc, &single.acc));
        }
        counts
    }

    fn advance(&mut self, asof: EventTime, budget: &mut StepBudget, expired: &mut Expired) {
        if asof < self.next_move {
            return;
        }
        (self.asof, self.next_move) = (asof, EventTime::MAX);
        let (series, panes, next_move) = (self.series, &mut self.panes, &mut self.next_move);
        self.schedule.retain(|pane, scheduled| {
            if series.moves_at(*pane, scheduled.next) <= asof {
                let moving = &scheduled.slots[scheduled.moved..];
                let moving = &moving[..budget.take_up_to(moving.len())];
                scheduled.moved += moving.len();
                expired.changed.extend_from_slice(moving);
                let answer = series.answer(*pane, asof);
                if answer.is_none() {
                    for slot in moving {
                        let panes = panes.get_mut(*slot);
                        while panes.pop_front_if(|(oldest, _)| *oldest <= *pane).is_some() {}
                        if panes.is_empty() {
                            expired.emptied.push(*slot);
                        }
                    }
                }
                if scheduled.moved == scheduled.slots.len() {
                    let Some(answer) = answer else { return false };
                    (scheduled.next, scheduled.moved) = (answer + 1, 0);
                }
            }
            *next_move = (*next_move).min(series.moves_at(*pane, scheduled.next));
            true
        });
    }

    fn next_expiry(&self) -> EventTime {
        self.next_move
    }

    fn is_empty(&self, slot: u32) -> bool {
        self.panes.get(slot).is_empty()
    }

    fn accumulated(&self, slot: u32) -> Cow<'_, A::Acc> {
        let mut all = A::Acc::default();
        self.panes.get(slot).iter().for_each(|(_, acc)| self.aggregate.merge(&mut all, acc));
        Cow::Owned(all)
    }

    fn visit(&self, slot: Option<u32>, visit: &mut dyn FnMut(&A::Acc)) {
        let mut answers = self.answers();
        slot.into_iter().for_each(|slot| self.add_panes(slot, self.asof, &mut answers));
        answers.iter().rev().for_each(visit);
    }

    fn save(&mut self) -> Encoder {
        saved_panes::encoder(self.aggregate, &self.panes)
    }

    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error> {
        let aggregate = self.aggregate;
        for SavedPanes { slot, panes } in saved_panes::decode(bytes, slots, self.series.step, aggregate)? {
            for (pane, acc) in panes {
                self.add(slot, pane, |into| aggregate.merge(into, &acc));
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let scheduled: usize = self.schedule.values().map(|scheduled| scheduled.slots.capacity()).sum();
        let slots = self.panes.capacity();
        let panes = |slot: usize| {
            let panes = self.panes.get(slot as u32);
            let heap: usize = panes.iter().map(|(_, acc)| self.aggregate.heap_bytes(acc)).sum();
            panes.capacity() * size_of::<(i64, A::Acc)>() + heap
        };
        slots * size_of::<StepPanes<A::Acc>>() + sampled(slots, panes) + scheduled * size_of::<u32>()
    }
}

impl<A: Aggregate> ContinuedWindow<A> for SeriesWindow<A> {
    fn visit_continued(
        &self,
        slot: Option<u32>,
        provisional: &[Single<A::Acc>],
        asof: EventTime,
        visit: &mut dyn FnMut(&A::Acc),
    ) {
        let (mut answers, asof) = (self.answers(), self.asof.max(asof));
        slot.into_iter().for_each(|slot| self.add_panes(slot, asof, &mut answers));
        for single in provisional {
            if let Some(answer) = self.series.answer(self.series.step.pane(single.event_time), asof) {
                self.aggregate.merge(&mut answers[answer], &single.acc);
            }
        }
        answers.iter().rev().for_each(visit);
    }
}
