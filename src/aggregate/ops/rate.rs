//! `rate`: records per second.

use crate::aggregate::algebra::Aggregate;
use crate::aggregate::answers::Answers;
use crate::aggregate::estimate::StateEstimate;
use crate::aggregate::families::{Count, MomentSums, MomentsOf};
use crate::aggregate::families::{Span, Spanned};
use crate::aggregate::family::{Family, OpsInWindow, PlacedOp};
use crate::aggregate::feature::{Deferred, Feature, FeatureType};
use crate::aggregate::input::Reads;
use crate::aggregate::op::Op;
use crate::aggregate::window::{Window, WindowState};
use crate::aggregate::{AggregateKind, OpInput};
use crate::value::{Scalar, Type};

pub static RATE: AggregateKind = AggregateKind {
    name: "rate",
    summary: "records per second of the window's length; in a window without a fixed length, per second from its oldest event \
              time to the asking time (null where that is none). With `of`, of the records whose `of` is not null",
    parameters: &[],
    input: OpInput::Optional,
    output: |_, _| FeatureType::Scalar(Type::Float),
    empty: |_| Feature::Value(Scalar::Float(0.0)),
    family: &RateOp,
};

/// The family of rates.
#[derive(Debug)]
pub struct RateOp;

impl Family for RateOp {
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>> {
        let positions: Vec<usize> = ops.ops.iter().map(|placed: &PlacedOp<'_>| placed.position).collect();
        vec![match ops.window.length_ms() {
            Some(length_ms) => {
                let seconds = length_ms as f64 / 1e3;
                let finish = move |count: &Count, row: &mut Answers<'_>| {
                    let rate = Feature::Value(Scalar::Float(count.count() as f64 / seconds));
                    positions.iter().for_each(|position| row[*position] = rate.clone());
                };
                ops.of_invertible(MomentsOf::<Count>::default(), finish)
            }
            None => {
                let finish = move |span: &Span, row: &mut Answers<'_>| {
                    let rate = match span.n {
                        0 => Feature::Value(Scalar::Float(0.0)),
                        n => Feature::AsOf(Deferred::per_second(n, span.oldest)),
                    };
                    positions.iter().for_each(|position| row[*position] = rate.clone());
                };
                ops.erased(Spanned, finish)
            }
        }]
    }

    fn bytes(&self, _ops: &[&Op], estimate: &StateEstimate) -> usize {
        match estimate.window.length_ms() {
            Some(_) => estimate.of_invertible(MomentsOf::<Count>::default()),
            None => estimate.erased(Spanned),
        }
    }

    fn reads(&self) -> Reads {
        Spanned.reads()
    }

    fn is_ordered(&self) -> bool {
        false
    }

    fn depends_on_asking(&self, window: Window) -> bool {
        window.length_ms().is_none()
    }
}
