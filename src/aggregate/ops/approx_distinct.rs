//! `approx_distinct`: about the number of different values.

use crate::aggregate::algebra::{Aggregate, Observed};
use crate::aggregate::answers::Answers;
use crate::aggregate::assumed_records::AssumedRecords;
use crate::aggregate::estimate::StateEstimate;
use crate::aggregate::families::ValueSketch;
use crate::aggregate::family::{Family, OpsInWindow, PlacedOp};
use crate::aggregate::feature::{Feature, FeatureType};
use crate::aggregate::input::Reads;
use crate::aggregate::op::Op;
use crate::aggregate::state_codec::{StateReader, StateWriter};
use crate::aggregate::window::WindowState;
use crate::aggregate::{AggregateKind, OpInput};
use crate::value::{Scalar, Type};

pub static APPROX_DISTINCT: AggregateKind = AggregateKind {
    name: "approx_distinct",
    summary: "number of different values: exact up to 256, beyond with a standard error of 1.63 % (HyperLogLog of 4096 \
              registers). At most 4 KiB, and 4 KiB a pane",
    parameters: &[],
    input: OpInput::Any,
    output: |_, _| FeatureType::Scalar(Type::Int),
    empty: |_| Feature::Value(Scalar::Int(0)),
    family: &ApproxDistinctOp,
};

/// The aggregate that keeps a sketch of the set of values.
#[derive(Clone, Copy, Debug)]
pub struct Sketched;

impl Aggregate for Sketched {
    type Acc = ValueSketch;

    fn reads(&self) -> Reads {
        Reads::VALUES
    }

    fn insert(&self, acc: &mut ValueSketch, record: Observed<'_>) {
        acc.insert(record.value());
    }

    fn merge(&self, acc: &mut ValueSketch, later: &ValueSketch) {
        acc.merge(later);
    }

    fn is_empty(&self, acc: &ValueSketch) -> bool {
        acc.is_empty()
    }

    fn write(&self, acc: &Self::Acc, to: &mut StateWriter) {
        to.value(acc);
    }

    fn read(&self, from: &mut StateReader<'_>) -> Result<Self::Acc, postcard::Error> {
        from.value()
    }

    fn supersedes(&self, later: &ValueSketch, earlier: &ValueSketch) -> bool {
        later.holds(earlier)
    }

    fn heap_bytes(&self, acc: &ValueSketch) -> usize {
        acc.heap_bytes()
    }

    fn estimated_heap(&self, records: &AssumedRecords) -> usize {
        ValueSketch::heap_of(records.count())
    }

    fn admits(&self, saved: &ValueSketch) -> bool {
        saved.is_valid()
    }
}

/// The family of approximate numbers of values.
#[derive(Debug)]
pub struct ApproxDistinctOp;

impl Family for ApproxDistinctOp {
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>> {
        let positions: Vec<usize> = ops.ops.iter().map(|placed: &PlacedOp<'_>| placed.position).collect();
        let finish = move |acc: &ValueSketch, row: &mut Answers<'_>| {
            let count = Feature::Value(Scalar::Int(acc.count()));
            positions.iter().for_each(|position| row[*position] = count.clone());
        };
        vec![ops.erased(Sketched, finish)]
    }

    fn bytes(&self, _ops: &[&Op], estimate: &StateEstimate) -> usize {
        estimate.erased(Sketched)
    }

    fn reads(&self) -> Reads {
        Sketched.reads()
    }

    fn is_ordered(&self) -> bool {
        false
    }
}
