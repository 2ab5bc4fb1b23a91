//! The extent of values: their smallest and their greatest.

use serde::{Deserialize, Serialize};

use super::extremum::order_preserving;
use crate::aggregate::algebra::{Aggregate, Observed};
use crate::aggregate::answers::Answers;
use crate::aggregate::estimate::StateEstimate;
use crate::aggregate::family::{Family, OpsInWindow, PlacedOp};
use crate::aggregate::feature::Feature;
use crate::aggregate::input::Reads;
use crate::aggregate::op::Op;
use crate::aggregate::state_codec::{StateReader, StateWriter};
use crate::aggregate::window::WindowState;
use crate::value::Scalar;

/// The aggregate that keeps the smallest and the greatest value.
#[derive(Clone, Copy, Debug)]
pub struct Extremes;

/// The smallest and the greatest value; nothing of no records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Extent(Option<ExtremeValues>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ExtremeValues {
    least: Scalar,
    greatest: Scalar,
}

impl Extent {
    fn widen(&mut self, least: &Scalar, greatest: &Scalar) {
        match &mut self.0 {
            None => self.0 = Some(ExtremeValues { least: least.clone(), greatest: greatest.clone() }),
            Some(bounds) => {
                if order_preserving(least) < order_preserving(&bounds.least) {
                    bounds.least = least.clone();
                }
                if order_preserving(greatest) > order_preserving(&bounds.greatest) {
                    bounds.greatest = greatest.clone();
                }
            }
        }
    }

    /// The greatest value less the smallest; null of no records, and where the difference leaves the type.
    fn range(&self) -> Scalar {
        match self.0.as_ref().map(|bounds| (&bounds.least, &bounds.greatest)) {
            Some((Scalar::Int(least), Scalar::Int(greatest))) => {
                greatest.checked_sub(*least).map_or(Scalar::Null, Scalar::Int)
            }
            Some((Scalar::Float(least), Scalar::Float(greatest))) => {
                Some(greatest - least).filter(|range| range.is_finite()).into()
            }
            _ => Scalar::Null,
        }
    }
}

impl Aggregate for Extremes {
    type Acc = Extent;

    fn reads(&self) -> Reads {
        Reads::VALUES
    }

    fn insert(&self, acc: &mut Extent, record: Observed<'_>) {
        let value = record.value();
        acc.widen(&value, &value);
    }

    fn merge(&self, acc: &mut Extent, later: &Extent) {
        later.0.iter().for_each(|bounds| acc.widen(&bounds.least, &bounds.greatest));
    }

    fn admits(&self, saved: &Extent) -> bool {
        let is_number = |value: &Scalar| !matches!(value, Scalar::Null | Scalar::String(_));
        saved.0.as_ref().is_none_or(|bounds| is_number(&bounds.least) && is_number(&bounds.greatest))
    }

    fn is_empty(&self, acc: &Extent) -> bool {
        acc.0.is_none()
    }

    fn write(&self, acc: &Self::Acc, to: &mut StateWriter) {
        to.value(acc);
    }

    fn read(&self, from: &mut StateReader<'_>) -> Result<Self::Acc, postcard::Error> {
        from.value()
    }

    fn supersedes(&self, later: &Extent, earlier: &Extent) -> bool {
        let mut both = later.clone();
        self.merge(&mut both, earlier);
        both == *later
    }
}

/// The family of ops that are functions of the extent.
#[derive(Debug)]
pub struct ExtentOp;

impl Family for ExtentOp {
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>> {
        let positions: Vec<usize> = ops.ops.iter().map(|placed: &PlacedOp<'_>| placed.position).collect();
        let finish = move |acc: &Extent, row: &mut Answers<'_>| {
            positions.iter().for_each(|position| row[*position] = Feature::Value(acc.range()));
        };
        vec![ops.erased(Extremes, finish)]
    }

    fn bytes(&self, _ops: &[&Op], estimate: &StateEstimate) -> usize {
        estimate.erased(Extremes)
    }

    fn reads(&self) -> Reads {
        Extremes.reads()
    }

    fn is_ordered(&self) -> bool {
        false
    }
}
