//! The span of event times: how many records, from the oldest to the newest.

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

/// The aggregate whose accumulator is a span of event times.
#[derive(Clone, Copy, Debug)]
pub struct Spanned;

/// The number of records, and the least and the greatest of their event times; both 0 of no records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub n: i64,
    pub oldest: EventTime,
    pub newest: EventTime,
}

/// The family of ops that are functions of the span.
#[derive(Debug)]
pub struct SpanOp {
    /// The feature of a span of at least one record.
    pub finish: fn(&Span) -> Feature,
}

impl Aggregate for Spanned {
    type Acc = Span;

    fn reads(&self) -> Reads {
        Reads::TIMES
    }

    fn insert(&self, acc: &mut Span, record: Observed<'_>) {
        self.merge(acc, &Span { n: 1, oldest: record.event_time, newest: record.event_time });
    }

    fn merge(&self, acc: &mut Span, later: &Span) {
        *acc = match (acc.n, later.n) {
            (0, _) => *later,
            (_, 0) => *acc,
            (n, more) => {
                Span { n: n + more, oldest: acc.oldest.min(later.oldest), newest: acc.newest.max(later.newest) }
            }
        };
    }

    fn admits(&self, saved: &Span) -> bool {
        let is_time = |time: EventTime| time.unsigned_abs() <= 1 << 60;
        (0..=1 << 48).contains(&saved.n) && is_time(saved.oldest) && is_time(saved.newest)
    }

    fn is_empty(&self, acc: &Span) -> bool {
        acc.n == 0
    }

    fn write(&self, acc: &Self::Acc, to: &mut StateWriter) {
        to.value(acc);
    }

    fn read(&self, from: &mut StateReader<'_>) -> Result<Self::Acc, postcard::Error> {
        from.value()
    }
}

impl Family for SpanOp {
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>> {
        let answer = |placed: &PlacedOp<'_>| (placed.position, placed.op.kind.family_as::<SpanOp>().finish);
        let answers: Vec<(usize, _)> = ops.ops.iter().map(answer).collect();
        let finish = move |acc: &Span, row: &mut Answers<'_>| {
            for (position, finish) in &answers {
                row[*position] = if acc.n == 0 { Feature::NULL } else { finish(acc) };
            }
        };
        vec![ops.erased(Spanned, finish)]
    }

    fn bytes(&self, _ops: &[&Op], estimate: &StateEstimate) -> usize {
        estimate.erased(Spanned)
    }

    fn reads(&self) -> Reads {
        Spanned.reads()
    }

    fn is_ordered(&self) -> bool {
        false
    }

    fn depends_on_asking(&self, _window: Window) -> bool {
        matches!((self.finish)(&Span { n: 1, oldest: 0, newest: 0 }), Feature::AsOf(_))
    }
}
