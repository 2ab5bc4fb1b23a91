//! Families: aggregates whose ops share an accumulator, or the way in which one is made.

use std::any::Any;
use std::fmt::Debug;

use super::algebra::{Aggregate, Invertible};
use super::answers::Answers;
use super::by::{By, Categories};
use super::cost::Cost;
use super::feature::Feature;
use super::input::Needs;
use super::op::Op;
use super::window::{Window, WindowState};
use crate::value::Scalar;

/// An op, and the position of its feature in the group's vectors.
#[derive(Clone, Copy, Debug)]
pub struct PlacedOp<'a> {
    pub op: &'a Op,
    pub position: usize,
    /// The answer without counted records, where the line has a `default`.
    pub default: Option<&'a Scalar>,
}

/// The ops of one family in one window of a line.
#[derive(Clone, Debug)]
pub struct OpsInWindow<'a> {
    /// The line's position in the group.
    pub line: usize,
    /// Digits kept after the point; 0 of an int.
    pub digits: u32,
    /// The same of the second input.
    pub with_digits: u32,
    /// True if the line's input is an int.
    pub integer: bool,
    pub window: Window,
    pub ops: Vec<PlacedOp<'a>>,
    /// True if each feature is a map from the categories of records to answers.
    pub by: bool,
}

/// A family of aggregates. Two ops are of one family if the families are of one type.
pub trait Family: Any + Debug + Sync {
    /// The state that answers the ops. Ops of one family may share it.
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>>;

    /// The state of an entity in `build`, given all ops of the family in a line.
    fn cost(&self, ops: &[&Op], window: Window) -> Cost;

    /// The forms of its input that this op reads.
    fn needs(&self) -> Needs;

    /// Returns whether this op's answer depends on the order of records of equal time.
    fn is_ordered(&self) -> bool;

    /// Returns whether this op's answer in a window depends on the asking time beside the records.
    fn depends_on_asking(&self, _window: Window) -> bool {
        false
    }
}

impl<'a> OpsInWindow<'a> {
    /// The ops one by one, for a family that keeps a state for each.
    pub fn each(&self) -> impl Iterator<Item = OpsInWindow<'a>> {
        self.ops.iter().map(|placed| OpsInWindow { ops: vec![*placed], ..self.clone() })
    }

    /// The state of an invertible aggregate. Given an accumulator, `finish` writes the features of all the ops.
    pub(super) fn of_invertible<A: Invertible>(
        &self,
        aggregate: A,
        finish: impl Fn(&A::Acc, &mut Answers<'_>) + 'static,
    ) -> Box<dyn WindowState> {
        if self.by {
            return self.window.of_invertible(self.line, By(aggregate), self.by_category::<A>(finish));
        }
        self.window.of_invertible(self.line, aggregate, self.with_defaults(aggregate, finish))
    }

    /// The state of any aggregate. Given an accumulator, `finish` writes the features of all the ops.
    pub(super) fn of_any<A: Aggregate>(
        &self,
        aggregate: A,
        finish: impl Fn(&A::Acc, &mut Answers<'_>) + 'static,
    ) -> Box<dyn WindowState> {
        if self.by {
            return self.window.of_any(self.line, By(aggregate), self.by_category::<A>(finish));
        }
        self.window.of_any(self.line, aggregate, self.with_defaults(aggregate, finish))
    }

    /// Writes maps from categories to what `finish` writes of each.
    fn by_category<A: Aggregate>(
        &self,
        finish: impl Fn(&A::Acc, &mut Answers<'_>) + 'static,
    ) -> impl Fn(&Categories<A::Acc>, &mut Answers<'_>) + 'static {
        let positions: Vec<usize> = self.ops.iter().map(|placed| placed.position).collect();
        move |categories, row| categories.finish(&positions, &finish, row)
    }

    /// Writes the defaults of an accumulator without records, else what `finish` writes.
    fn with_defaults<A: Aggregate>(
        &self,
        aggregate: A,
        finish: impl Fn(&A::Acc, &mut Answers<'_>) + 'static,
    ) -> impl Fn(&A::Acc, &mut Answers<'_>) + 'static {
        let default = |placed: &PlacedOp<'_>| Some((placed.position, Feature::Value(placed.default?.clone())));
        let defaults: Vec<(usize, Feature)> = self.ops.iter().filter_map(default).collect();
        move |acc, row| {
            if defaults.is_empty() || !aggregate.is_empty(acc) {
                return finish(acc, row);
            }
            defaults.iter().for_each(|(position, default)| row[*position] = default.clone());
        }
    }
}
