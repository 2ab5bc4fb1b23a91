//! The window of the last N records, in the total order.
//!
//! It has the newest N of the records that its line counts: those whose `where` holds and whose value is not null. None
//! leaves by time, so an entity is kept for ever.

use std::borrow::Cow;

use super::closed::{ClosedWindow, ContinuedWindow, Expired, LineUpdates, OwnBase, Single};
use super::kind::{OwnPlace, WindowForm, WindowKind};
use super::maintained::WindowState;
use super::parts::StateParts;
use super::record_queue::{RecordQueue, Ring, SavedRecords, TwoStacks};
use crate::aggregate::algebra::{Aggregate, Invertible};
use crate::aggregate::answers::Answers;
use crate::aggregate::assumed_records::AssumedRecords;
use crate::aggregate::cow_vec::CowVec;
use crate::aggregate::heap::{sampled, sum_of};
use crate::aggregate::snapshot::{Encoder, encoded, remap_slot};
use crate::aggregate::state_codec::StateReader;
use crate::aggregate::step_budget::StepBudget;
use crate::time::EventTime;

/// The newest so many records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LastN(pub usize);

impl LastN {
    /// The most records that such a window may have.
    pub const MOST_RECORDS: usize = 100_000;
}

impl WindowKind for LastN {
    const FORM: WindowForm = WindowForm {
        name: "last N",
        written: "`\"last 10\"`",
        suffix: "last10",
        records: "the last N in the total order that the line counts. None leaves by time: entities are kept forever",
        state: "a value, and one for each of the N records",
        notes:
            "**Last N** windows have the newest N records of those that the operation counts: the `where` holds, and the
value is not null, nor that of `with` if the operation reads it. N is at most 100,000. With `by`, they are N in
all, not N of each category.",
    };

    fn parse(text: &str) -> Option<Self> {
        let n = text.strip_prefix("last ")?.parse().ok()?;
        (1..=LastN::MOST_RECORDS).contains(&n).then_some(LastN(n))
    }

    fn suffix(self, _written: &str) -> String {
        format!("last{}", self.0)
    }

    fn describe(self) -> String {
        format!("the last {} records", self.0)
    }

    fn size(self) -> String {
        format!("last {}", self.0)
    }

    fn details(self) -> Option<String> {
        None
    }

    fn properties(self) -> Vec<(&'static str, serde_json::Value)> {
        vec![("last", self.0.into())]
    }

    fn canonical(self) -> String {
        format!("last({})", self.0)
    }

    fn length_ms(self) -> Option<i64> {
        None
    }

    fn reach_ms(self) -> Option<i64> {
        None
    }

    fn panes(self) -> Option<i64> {
        Some(self.0 as i64)
    }

    fn pane_name(self) -> &'static str {
        "records"
    }

    fn is_ordered(self) -> bool {
        true
    }

    fn own_place(self) -> OwnPlace {
        OwnPlace::Displacing
    }

    fn invertible<A: Invertible, F>(self, parts: StateParts<A, F>) -> Box<dyn WindowState>
    where
        F: Fn(&A::Acc, &mut Answers<'_>) + 'static,
    {
        let closed = LastNWindow::<A, Ring<A::Acc>>::new(self, parts.aggregate);
        parts.continued(closed)
    }

    fn any<A: Aggregate, F>(self, parts: StateParts<A, F>) -> Box<dyn WindowState>
    where
        F: Fn(&A::Acc, &mut Answers<'_>) + 'static,
    {
        let closed = LastNWindow::<A, TwoStacks<A::Acc>>::new(self, parts.aggregate);
        parts.continued(closed)
    }

    fn invertible_bytes<A: Invertible>(self, aggregate: &A, records: &AssumedRecords) -> usize {
        sum_of([size_of::<Ring<A::Acc>>(), Ring::estimated_heap(aggregate, self.0, records)])
    }

    fn any_bytes<A: Aggregate>(self, aggregate: &A, records: &AssumedRecords) -> usize {
        sum_of([size_of::<TwoStacks<A::Acc>>(), TwoStacks::estimated_heap(aggregate, self.0, records)])
    }
}

/// The last records of every entity.
struct LastNWindow<A: Aggregate, Q: RecordQueue<A>> {
    window: LastN,
    aggregate: A,
    /// By slot.
    queues: CowVec<Q>,
}

impl<A: Aggregate, Q: RecordQueue<A>> LastNWindow<A, Q> {
    fn new(window: LastN, aggregate: A) -> Self {
        LastNWindow { window, aggregate, queues: CowVec::default() }
    }

    fn push(&mut self, slot: u32, single: A::Acc) {
        self.queues.get_mut(slot).push(&self.aggregate, self.window.0, single);
    }
}

impl<A: Aggregate, Q: RecordQueue<A>> LastNWindow<A, Q> {
    /// The accumulator of the newest `n` records of a slot and of the provisional ones behind them.
    fn newest(&self, slot: Option<u32>, provisional: &[Single<A::Acc>], n: usize) -> A::Acc {
        let newer = &provisional[provisional.len().saturating_sub(n)..];
        let older = n - newer.len();
        let mut acc = match slot {
            Some(slot) if older > 0 => self.queues.get(slot).newest(&self.aggregate, older).into_owned(),
            _ => A::Acc::default(),
        };
        newer.iter().for_each(|single| self.aggregate.merge(&mut acc, &single.acc));
        acc
    }
}

impl<A: Aggregate, Q: RecordQueue<A>> ClosedWindow<A> for LastNWindow<A, Q> {
    fn grow(&mut self, slots: usize) {
        self.queues.grow(slots);
    }

    fn clear(&mut self, slot: u32) {
        *self.queues.get_mut(slot) = Q::default();
    }

    fn admits(&self, _event_time: EventTime, _time: EventTime) -> bool {
        true
    }

    fn insert(&mut self, updates: LineUpdates<'_>, sequence: i64, rejected: &mut Vec<u32>) {
        for (update, sequence) in updates.updates.iter().zip(sequence..) {
            match updates.observed(self.aggregate.reads(), update, sequence) {
                Some(record) => {
                    let mut single = A::Acc::default();
                    self.aggregate.insert(&mut single, record);
                    self.push(update.slot, single);
                }
                None => rejected.push(update.slot),
            }
        }
    }

    fn insert_single(&mut self, slot: u32, single: &Single<A::Acc>) -> bool {
        self.push(slot, single.acc.clone());
        true
    }

    fn advance(&mut self, _asof: EventTime, _budget: &mut StepBudget, _expired: &mut Expired) {}

    fn next_expiry(&self) -> EventTime {
        EventTime::MAX
    }

    fn is_empty(&self, slot: u32) -> bool {
        self.queues.get(slot).len() == 0
    }

    fn accumulated(&self, slot: u32) -> Cow<'_, A::Acc> {
        self.queues.get(slot).newest(&self.aggregate, self.window.0)
    }

    fn save(&mut self) -> Encoder {
        let (aggregate, queues) = (self.aggregate, self.queues.clone());
        Box::new(move || {
            let held = (0u32..).zip(queues.iter()).filter(|(_, queue)| queue.len() > 0);
            encoded(held, |to, (slot, queue)| {
                to.value(&slot);
                queue.write(&aggregate, to);
            })
        })
    }

    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error> {
        let aggregate = self.aggregate;
        let read = |from: &mut StateReader<'_>| Ok((from.value()?, SavedRecords::read(&aggregate, from)?));
        for (saved, queue) in StateReader::new(bytes).all(read)? {
            let all = || queue.merged.iter().chain(&queue.singles);
            let is_alike = || all().zip(all().skip(1)).all(|(one, other)| aggregate.are_alike(one, other));
            if !(1..=self.window.0).contains(&all().count())
                || !all().all(|acc| aggregate.admits(acc) && !aggregate.is_empty(acc))
                || !is_alike()
            {
                return Err(postcard::Error::DeserializeBadEncoding);
            }
            let Some(slot) = remap_slot(slots, saved)? else { continue };
            *self.queues.get_mut(slot) = Q::load(&aggregate, queue);
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let slots = self.queues.capacity();
        slots * size_of::<Q>() + sampled(slots, |slot| self.queues.get(slot as u32).heap_bytes(&self.aggregate))
    }
}

impl<A: Aggregate, Q: RecordQueue<A>> ContinuedWindow<A> for LastNWindow<A, Q> {
    fn visit_continued(
        &self,
        slot: Option<u32>,
        provisional: &[Single<A::Acc>],
        _asof: EventTime,
        visit: &mut dyn FnMut(&A::Acc),
    ) {
        visit(&self.newest(slot, provisional, self.window.0));
    }

    /// The oldest of the N records leaves for one that looks up.
    fn own_base(&self, slot: Option<u32>, provisional: &[Single<A::Acc>]) -> Option<OwnBase<A::Acc>> {
        let records = provisional.len() + slot.map_or(0, |slot| self.queues.get(slot).len());
        let newest = || self.newest(slot, provisional, self.window.0 - 1);
        (records >= self.window.0).then(|| OwnBase { from: EventTime::MIN, acc: newest() })
    }
}
