//! Members: the records that a window has, by number. It is no op of dataflow files; explanations of features ask it.
//!
//! A line whose input are the numbers of an entity's records, aggregated by [`AggregateSpec::of_members`], answers with
//! the numbers of those that count. So which records a feature is of is told by the state of its own window, whatever
//! kind of window that is.

use serde::{Deserialize, Serialize};

use super::AggregateKind;
use super::algebra::{Aggregate, Observed};
use super::answers::Answers;
use super::estimate::StateEstimate;
use super::family::{Family, OpsInWindow};
use super::feature::{Feature, FeatureType};
use super::input::Reads;
use super::layout::AggregateSpec;
use super::op::Op;
use super::op_input::OpInput;
use super::state_codec::{StateReader, StateWriter};
use super::window::{Window, WindowState};
use crate::value::{Scalar, Type};

static MEMBERS: AggregateKind = AggregateKind {
    name: "members",
    summary: "numbers of the records, ascending",
    parameters: &[],
    input: OpInput::Any,
    output: |_, _| FeatureType::List(Type::Int),
    empty: |_| Feature::NULL,
    family: &MembersFamily,
};

impl AggregateSpec {
    /// The line that lists the records in a window, by the int that its input has for each.
    pub fn of_members(window: Window) -> AggregateSpec {
        AggregateSpec {
            integer: true,
            ops: vec![Op::without_parameters(&MEMBERS)],
            windows: vec![window],
            positions: vec![vec![0]],
            ..AggregateSpec::default()
        }
    }
}

/// The aggregate that keeps the numbers of its records.
#[derive(Clone, Copy, Debug)]
pub struct Members;

/// A set of numbers, as runs: ascending, with a gap between any two.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NumberRuns(Vec<NumberRun>);

/// Consecutive numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct NumberRun {
    first: i64,
    last: i64,
}

impl NumberRuns {
    /// Adds numbers; runs that it touches become one.
    fn add(&mut self, added: NumberRun) {
        let from = self.0.partition_point(|run| run.last < added.first - 1);
        let until = self.0.partition_point(|run| run.first <= added.last + 1);
        let touched = &self.0[from..until];
        let first = touched.first().map_or(added.first, |run| run.first.min(added.first));
        let last = touched.last().map_or(added.last, |run| run.last.max(added.last));
        self.0.splice(from..until, [NumberRun { first, last }]);
    }
}

impl Aggregate for Members {
    type Acc = NumberRuns;

    fn reads(&self) -> Reads {
        Reads::SCALED
    }

    fn insert(&self, acc: &mut NumberRuns, record: Observed<'_>) {
        let number = i64::try_from(record.summable()).expect("the input is a column of ints");
        acc.add(NumberRun { first: number, last: number });
    }

    fn merge(&self, acc: &mut NumberRuns, later: &NumberRuns) {
        later.0.iter().for_each(|run| acc.add(*run));
    }

    fn heap_bytes(&self, acc: &NumberRuns) -> usize {
        acc.0.capacity() * size_of::<NumberRun>()
    }

    fn is_empty(&self, acc: &NumberRuns) -> bool {
        acc.0.is_empty()
    }

    fn write(&self, acc: &Self::Acc, to: &mut StateWriter) {
        to.value(acc);
    }

    fn read(&self, from: &mut StateReader<'_>) -> Result<Self::Acc, postcard::Error> {
        from.value()
    }
}

/// The family of the one kind.
#[derive(Debug)]
struct MembersFamily;

impl Family for MembersFamily {
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>> {
        let build = |ops: OpsInWindow<'_>| {
            let position = ops.ops[0].position;
            let finish = move |acc: &NumberRuns, row: &mut Answers<'_>| {
                let numbers = acc.0.iter().flat_map(|run| run.first..=run.last);
                row[position] = Feature::List(numbers.map(Scalar::Int).collect());
            };
            ops.erased(Members, finish)
        };
        ops.each().map(build).collect()
    }

    fn bytes(&self, _ops: &[&Op], estimate: &StateEstimate) -> usize {
        estimate.erased(Members)
    }

    fn reads(&self) -> Reads {
        Members.reads()
    }

    fn is_ordered(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_have_the_numbers_that_were_added_whatever_their_order(runs in prop::collection::vec((0i64..40, 0i64..5), 0..20)) {
            let mut found = NumberRuns::default();
            let mut expected = BTreeSet::new();
            for (first, more) in runs {
                found.add(NumberRun { first, last: first + more });
                expected.extend(first..=first + more);
            }
            let numbers: Vec<i64> = found.0.iter().flat_map(|run| run.first..=run.last).collect();
            prop_assert_eq!(numbers, expected.into_iter().collect::<Vec<_>>());
            prop_assert!(found.0.windows(2).all(|pair| pair[0].last + 1 < pair[1].first));
        }
    }
}
