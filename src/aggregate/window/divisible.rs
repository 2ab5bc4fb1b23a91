//! Sliding windows whose panes go along with vectors, so that requests can ask for shorter ones.
//!
//! A group with `request_windows` keeps its widest sliding window of each hop by entity, pane by pane. This is the way of a
//! record to the answer of a request for some window W of the same hop:
//!
//! ```text
//!  insert, add             publishing a vector          a request, on a serving thread
//!      |                        |                              |
//!      v                        v                              v
//!  panes and provisional -> EntityPanes, copied beside -> RequestedWindow: the accumulators of the panes
//!  records of the entity    the entity's features         that W has as of the watermark, merged and finished
//! ```
//!
//! The panes are published with the vector, in one write, so an answer is as fresh as any feature, no request waits for the
//! operator, and one reads what any other reads: a vector of the online store. It costs a second copy of the panes of every
//! entity, and a step for each pane whenever a vector is written or looked up. A group without `request_windows` has no such
//! window, and none of the cost.
//!
//! As of a, a closed record of pane p is in W if p expires after a, as in a declared window. A provisional one that takes
//! effect at t will be in W when it closes if p expires after t, so it is if p expires after both.

use std::any::Any;
use std::sync::Arc;

use super::closed::{ClosedWindow, ContinuedWindow, Single};
use super::kind::{OwnPlace, WindowForm, WindowKind};
use super::maintained::WindowState;
use super::merging::Merging;
use super::panes::Sliding;
use super::parts::StateParts;
use crate::aggregate::algebra::Aggregate;
use crate::aggregate::answers::Answers;
use crate::aggregate::assumed_records::AssumedRecords;
use crate::aggregate::feature::{Feature, PaneSet};
use crate::aggregate::heap::sum_of;
use crate::aggregate::state_codec::{StateReader, StateWriter};
use crate::time::EventTime;

/// A sliding window whose panes go along with vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Divisible(pub Sliding);

/// The records that a window has of an entity.
#[derive(Debug)]
struct EntityPanes<A: Aggregate> {
    aggregate: A,
    /// Closed ones, by pane, ascending, without panes that a later one supersedes.
    closed: Vec<(i64, A::Acc)>,
    /// Provisional ones, in the order of their times.
    provisional: Vec<Single<A::Acc>>,
}

impl<A: Aggregate> PaneSet for EntityPanes<A> {
    fn is_same(&self, other: &dyn PaneSet) -> bool {
        let other = (other as &dyn Any).downcast_ref::<Self>();
        other.is_some_and(|other| self.closed == other.closed && self.provisional == other.provisional)
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = StateWriter::default();
        writer.all(self.closed.iter(), |to, (pane, acc)| {
            to.value(pane);
            self.aggregate.write(acc, to);
        });
        writer.all(self.provisional.iter(), |to, single| single.write(&self.aggregate, to));
        writer.into_bytes()
    }

    fn decode(&self, bytes: &[u8]) -> Result<Arc<dyn PaneSet>, postcard::Error> {
        let (mut reader, aggregate) = (StateReader::new(bytes), self.aggregate);
        let closed: Vec<(i64, _)> = reader.all(|from| Ok((from.value()?, aggregate.read(from)?)))?;
        let provisional = reader.all(|from| Single::read(&aggregate, from))?;
        let is_sorted = closed.is_sorted_by(|(one, _), (other, _)| one < other);
        match is_sorted {
            true => Ok(Arc::new(EntityPanes { aggregate, closed, provisional })),
            false => Err(postcard::Error::DeserializeBadEncoding),
        }
    }
}

impl<A: Aggregate> Merging<A> {
    /// The panes of a slot, and the provisional records beside them.
    pub(super) fn shared(&self, slot: Option<u32>, provisional: &[Single<A::Acc>]) -> Arc<dyn PaneSet> {
        let closed = slot.map_or_else(Vec::new, |slot| self.panes_of(slot).iter().cloned().collect());
        Arc::new(EntityPanes { aggregate: self.aggregate(), closed, provisional: provisional.to_vec() })
    }

    /// The accumulator of the records of an entity that are in this window as of a time before which all are closed, given
    /// the panes of a window of the same hop that is no shorter.
    ///
    /// # Panics
    /// If they are panes of another aggregate.
    pub(super) fn of_shared(&self, panes: &dyn PaneSet, asof: EventTime) -> A::Acc {
        let panes = (panes as &dyn Any).downcast_ref::<EntityPanes<A>>();
        let EntityPanes { closed, provisional, .. } = panes.expect("a line's panes are those of its own aggregates");
        let (window, aggregate) = (self.window(), self.aggregate());
        let inside = closed.iter().filter(|(pane, _)| window.expires_at(*pane) > asof);
        let mut acc = aggregate.merged(inside.map(|(_, acc)| acc));
        let counts = |single: &&Single<A::Acc>| window.admits(single.event_time, single.time.max(asof));
        provisional.iter().filter(counts).for_each(|single| aggregate.merge(&mut acc, &single.acc));
        acc
    }
}

/// Provisional records of a sliding window add to what is closed, whatever their times.
impl<A: Aggregate> ContinuedWindow<A> for Merging<A> {
    fn visit_continued(
        &self,
        slot: Option<u32>,
        provisional: &[Single<A::Acc>],
        _asof: EventTime,
        visit: &mut dyn FnMut(&A::Acc),
    ) {
        let mut acc = slot.map_or_else(A::Acc::default, |slot| self.accumulated(slot).into_owned());
        provisional.iter().for_each(|single| self.aggregate().merge(&mut acc, &single.acc));
        visit(&acc);
    }
}

/// The sliding window with another state.
impl WindowKind for Divisible {
    const FORM: WindowForm = Sliding::FORM;

    fn suffix(self, written: &str) -> String {
        self.0.suffix(written)
    }

    fn describe(self) -> String {
        self.0.describe()
    }

    fn size(self) -> String {
        self.0.size()
    }

    fn details(self) -> Option<String> {
        self.0.details().map(|hop| format!("{hop}, panes with vectors"))
    }

    fn properties(self) -> Vec<(&'static str, serde_json::Value)> {
        self.0.properties().into_iter().chain([("panes_with_vectors", true.into())]).collect()
    }

    fn canonical(self) -> String {
        format!("divisible {}", self.0.canonical())
    }

    fn length_ms(self) -> Option<i64> {
        self.0.length_ms()
    }

    fn reach_ms(self) -> Option<i64> {
        self.0.reach_ms()
    }

    fn own_place(self) -> OwnPlace {
        self.0.own_place()
    }

    fn panes(self) -> Option<i64> {
        self.0.panes()
    }

    fn pane_ms(self) -> Option<i64> {
        self.0.pane_ms()
    }

    fn any<A: Aggregate, F>(self, parts: StateParts<A, F>) -> Box<dyn WindowState>
    where
        F: Fn(&A::Acc, &mut Answers<'_>) + 'static,
    {
        let closed = Merging::new(self.0, parts.aggregate);
        parts.continued(closed)
    }

    /// The panes and their copy in the online store.
    fn any_bytes<A: Aggregate>(self, aggregate: &A, records: &AssumedRecords) -> usize {
        const COUNTS: usize = 2 * size_of::<usize>();
        let copied = aggregate.estimated_heap(records).saturating_add(size_of::<(i64, A::Acc)>());
        let copy = COUNTS + size_of::<EntityPanes<A>>() + size_of::<Feature>();
        let kept = aggregate.kept_panes(records.filled_of(self.0.most_panes()), records.a_pane);
        sum_of([Merging::bytes_per_entity(self.0, aggregate, records), copy, kept.saturating_mul(copied)])
    }
}
