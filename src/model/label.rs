//! Labels that a kind of model can learn, and the faults of others.

use serde::{Deserialize, Serialize};

use super::preparation::LARGEST;

/// The labels that a kind of model can learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelDomain {
    /// 0 and 1: false and true.
    Truth,
    /// Numbers that are not negative, up to 10^18.
    Count,
    /// Numbers within ±10^18.
    Value,
    /// The names of classes.
    Class,
}

/// The fault of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LabelFault {
    /// A label that is null, and none can come later.
    Null,
    /// A label that is neither 0 nor 1.
    NotTruth,
    /// A negative label.
    Negative,
    /// A label beyond ±10^18, or infinite.
    OutOfRange,
}

impl LabelDomain {
    /// Returns what is wrong with a number as a label; NaN is null.
    pub fn fault(self, label: f64) -> Option<LabelFault> {
        match self {
            _ if label.is_nan() => Some(LabelFault::Null),
            LabelDomain::Truth => (label != 0.0 && label != 1.0).then_some(LabelFault::NotTruth),
            LabelDomain::Count if label < 0.0 => Some(LabelFault::Negative),
            LabelDomain::Count | LabelDomain::Value => (label.abs() > LARGEST).then_some(LabelFault::OutOfRange),
            LabelDomain::Class => None,
        }
    }

    /// Describes the labels.
    pub fn describe(self) -> &'static str {
        match self {
            LabelDomain::Truth => "a bool, 0 or 1",
            LabelDomain::Count => "a number from 0 to 1e18",
            LabelDomain::Value => "a number within ±1e18",
            LabelDomain::Class => "a class: a string, an int or a bool",
        }
    }
}

impl LabelFault {
    /// Every fault.
    pub const ALL: [LabelFault; 4] =
        [LabelFault::Null, LabelFault::NotTruth, LabelFault::Negative, LabelFault::OutOfRange];

    /// Returns the spelling in metrics and digests.
    pub fn name(self) -> &'static str {
        match self {
            LabelFault::Null => "null",
            LabelFault::NotTruth => "not_0_or_1",
            LabelFault::Negative => "negative",
            LabelFault::OutOfRange => "out_of_range",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_says_which_labels_it_cannot_mean() {
        use LabelFault::{Negative, NotTruth, Null, OutOfRange};
        let faults = |domain: LabelDomain| {
            [0.0, 1.0, 0.7, 2.0, -1.0, 1e18, 1.1e18, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]
                .map(|label| domain.fault(label))
        };
        let not = Some(NotTruth);
        assert_eq!(faults(LabelDomain::Truth), [None, None, not, not, not, not, not, not, not, Some(Null)]);
        let (low, far) = (Some(Negative), Some(OutOfRange));
        assert_eq!(faults(LabelDomain::Count), [None, None, None, None, low, None, far, far, low, Some(Null)]);
        assert_eq!(faults(LabelDomain::Value), [None, None, None, None, None, None, far, far, far, Some(Null)]);
    }
}
