//! The newest record: aggregates of the greatest event time.

use serde::{Deserialize, Serialize};

use crate::aggregate::algebra::{Aggregate, Observed};
use crate::aggregate::answers::Answers;
use crate::aggregate::estimate::StateEstimate;
use crate::aggregate::family::{Family, OpsInWindow, PlacedOp};
use crate::aggregate::feature::Feature;
use crate::aggregate::input::Reads;
use crate::aggregate::op::Op;
use crate::aggregate::state_codec::{StateReader, StateWriter};
use crate::aggregate::window::{Window, WindowState};
use crate::time::EventTime;

/// The aggregate whose accumulator is the greatest event time.
#[derive(Clone, Copy, Debug)]
pub struct Newest;

/// The greatest event time; `None` of no records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NewestTime(Option<EventTime>);

/// The family of ops that are functions of the newest event time.
#[derive(Debug)]
pub struct NewestOp {
    pub finish: fn(EventTime) -> Feature,
}

impl Aggregate for Newest {
    type Acc = NewestTime;

    fn reads(&self) -> Reads {
        Reads::TIMES
    }

    fn insert(&self, acc: &mut NewestTime, record: Observed<'_>) {
        *acc = NewestTime(Some(record.event_time)).max(*acc);
    }

    fn merge(&self, acc: &mut NewestTime, later: &NewestTime) {
        *acc = later.max(acc).to_owned();
    }

    fn is_empty(&self, acc: &NewestTime) -> bool {
        acc.0.is_none()
    }

    fn write(&self, acc: &Self::Acc, to: &mut StateWriter) {
        to.value(acc);
    }

    fn read(&self, from: &mut StateReader<'_>) -> Result<Self::Acc, postcard::Error> {
        from.value()
    }

    fn kept_panes(&self, panes: usize, _records: usize) -> usize {
        panes.min(1)
    }

    fn supersedes(&self, later: &NewestTime, earlier: &NewestTime) -> bool {
        later >= earlier
    }
}

impl Family for NewestOp {
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>> {
        let answer = |placed: &PlacedOp<'_>| (placed.position, placed.op.kind.family_as::<NewestOp>().finish);
        let answers: Vec<(usize, _)> = ops.ops.iter().map(answer).collect();
        let finish = move |acc: &NewestTime, row: &mut Answers<'_>| {
            for (position, answer) in &answers {
                row[*position] = acc.0.map_or(Feature::NULL, answer);
            }
        };
        vec![ops.erased(Newest, finish)]
    }

    fn bytes(&self, _ops: &[&Op], estimate: &StateEstimate) -> usize {
        estimate.erased(Newest)
    }

    fn reads(&self) -> Reads {
        Newest.reads()
    }

    fn is_ordered(&self) -> bool {
        false
    }

    fn depends_on_asking(&self, _window: Window) -> bool {
        matches!((self.finish)(0), Feature::AsOf(_))
    }
}
