//! The lifetime window: all records before the asking time.
//!
//! No record ever leaves it, so an entity has one accumulator and no panes, and is kept for ever.

use std::borrow::Cow;

use super::closed::{ClosedWindow, Expired, LineUpdates, Single};
use super::kind::{OwnPlace, WindowForm, WindowKind};
use super::maintained::WindowState;
use super::parts::StateParts;
use super::provisional::{Queued, Summed};
use crate::aggregate::algebra::{Aggregate, Invertible};
use crate::aggregate::answers::Answers;
use crate::aggregate::assumed_records::AssumedRecords;
use crate::aggregate::cow_vec::CowVec;
use crate::aggregate::heap::sampled;
use crate::aggregate::snapshot::{Encoder, encoded, remap_slot};
use crate::aggregate::state_codec::StateReader;
use crate::aggregate::step_budget::StepBudget;
use crate::time::EventTime;

/// All records before the asking time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lifetime;

const NAME: &str = "lifetime";

impl WindowKind for Lifetime {
    const FORM: WindowForm = WindowForm {
        name: NAME,
        written: "`\"lifetime\"`",
        suffix: NAME,
        records: "all before t. None leaves, so no record is too late, and entities are kept forever",
        state: "a value",
        notes: "",
    };

    fn parse(text: &str) -> Option<Self> {
        (text == NAME).then_some(Lifetime)
    }

    fn suffix(self, _written: &str) -> String {
        NAME.to_owned()
    }

    fn describe(self) -> String {
        "all records before".to_owned()
    }

    fn size(self) -> String {
        NAME.to_owned()
    }

    fn details(self) -> Option<String> {
        None
    }

    fn properties(self) -> Vec<(&'static str, serde_json::Value)> {
        vec![(NAME, true.into())]
    }

    fn canonical(self) -> String {
        NAME.to_owned()
    }

    fn length_ms(self) -> Option<i64> {
        None
    }

    fn reach_ms(self) -> Option<i64> {
        None
    }

    fn own_place(self) -> OwnPlace {
        OwnPlace::Beside
    }

    fn invertible<A: Invertible, F>(self, parts: StateParts<A, F>) -> Box<dyn WindowState>
    where
        F: Fn(&A::Acc, &mut Answers<'_>) + 'static,
    {
        let closed = LifetimeWindow::new(parts.aggregate);
        parts.summed::<Summed<A>, _>(closed)
    }

    fn any<A: Aggregate, F>(self, parts: StateParts<A, F>) -> Box<dyn WindowState>
    where
        F: Fn(&A::Acc, &mut Answers<'_>) + 'static,
    {
        let closed = LifetimeWindow::new(parts.aggregate);
        parts.summed::<Queued<A>, _>(closed)
    }

    fn any_bytes<A: Aggregate>(self, aggregate: &A, records: &AssumedRecords) -> usize {
        aggregate.estimated_heap(records).saturating_add(size_of::<A::Acc>())
    }
}

/// One accumulator an entity.
pub struct LifetimeWindow<A: Aggregate> {
    aggregate: A,
    /// By slot.
    accumulators: CowVec<A::Acc>,
}

impl<A: Aggregate> LifetimeWindow<A> {
    fn new(aggregate: A) -> Self {
        LifetimeWindow { aggregate, accumulators: CowVec::default() }
    }
}

impl<A: Aggregate> ClosedWindow<A> for LifetimeWindow<A> {
    fn grow(&mut self, slots: usize) {
        self.accumulators.grow(slots);
    }

    fn clear(&mut self, slot: u32) {
        *self.accumulators.get_mut(slot) = A::Acc::default();
    }

    fn admits(&self, _event_time: EventTime, _time: EventTime) -> bool {
        true
    }

    fn insert(&mut self, updates: LineUpdates<'_>, sequence: i64, rejected: &mut Vec<u32>) {
        for (update, sequence) in updates.updates.iter().zip(sequence..) {
            match updates.observed(self.aggregate.reads(), update, sequence) {
                Some(record) => self.aggregate.insert(self.accumulators.get_mut(update.slot), record),
                None => rejected.push(update.slot),
            }
        }
    }

    fn insert_single(&mut self, slot: u32, single: &Single<A::Acc>) -> bool {
        self.aggregate.merge(self.accumulators.get_mut(slot), &single.acc);
        true
    }

    fn advance(&mut self, _asof: EventTime, _budget: &mut StepBudget, _expired: &mut Expired) {}

    fn next_expiry(&self) -> EventTime {
        EventTime::MAX
    }

    fn is_empty(&self, slot: u32) -> bool {
        self.aggregate.is_empty(self.accumulators.get(slot))
    }

    fn accumulated(&self, slot: u32) -> Cow<'_, A::Acc> {
        Cow::Borrowed(self.accumulators.get(slot))
    }

    fn save(&mut self) -> Encoder {
        let (aggregate, accumulators) = (self.aggregate, self.accumulators.clone());
        Box::new(move || {
            let held = (0u32..).zip(accumulators.iter()).filter(|(_, acc)| !aggregate.is_empty(acc));
            encoded(held, |to, (slot, acc)| {
                to.value(&slot);
                aggregate.write(acc, to);
            })
        })
    }

    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error> {
        let aggregate = self.aggregate;
        for (saved, acc) in StateReader::new(bytes).all(|from| Ok((from.value()?, aggregate.read(from)?)))? {
            if !self.aggregate.admits(&acc) {
                return Err(postcard::Error::DeserializeBadEncoding);
            }
            if let Some(slot) = remap_slot(slots, saved)? {
                self.aggregate.merge(self.accumulators.get_mut(slot), &acc);
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let slots = self.accumulators.capacity();
        let heap = |slot: usize| self.aggregate.heap_bytes(self.accumulators.get(slot as u32));
        slots * size_of::<A::Acc>() + sampled(slots, heap)
    }
}
