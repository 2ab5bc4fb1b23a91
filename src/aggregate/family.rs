//! Families: aggregates whose ops share an accumulator, or the way in which one is made.

use std::any::Any;
use std::fmt::Debug;

use super::algebra::{Aggregate, Invertible};
use super::answers::Answers;
use super::by::{By, Categories};
use super::erasable::{Erasable, finisher};
use super::estimate::StateEstimate;
use super::feature::Feature;
use super::input::Reads;
use super::op::Op;
use super::open_answer::{Finisher, OpenAnswer};
use super::window::{OwnPlace, StateLine, Window, WindowState};
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
    /// True if the record that looks up counts, too.
    pub current: bool,
}

/// A family of aggregates. Two ops are of one family if the families are of one type.
pub trait Family: Any + Debug + Sync {
    /// The state that answers the ops. Ops of one family may share it.
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>>;

    /// The bytes of the state of an entity in `build`, given all ops of the family in a line.
    fn bytes(&self, ops: &[&Op], estimate: &StateEstimate) -> usize;

    /// The parts of a record that this op reads, and so which records of its line it counts.
    fn reads(&self) -> Reads;

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

    /// The line, as the state of its window knows it.
    pub(super) fn state_line(&self) -> StateLine {
        StateLine { position: self.line, current: self.current }
    }

    /// The state of an invertible aggregate, compiled for it. Given an accumulator, `finish` writes the features of all the
    /// ops.
    pub(super) fn of_invertible<A: Invertible + Erasable>(
        &self,
        aggregate: A,
        finish: impl Fn(&A::Acc, &mut Answers<'_>) + Send + Sync + 'static,
    ) -> Box<dyn WindowState> {
        match self.by {
            true => self.erased_invertible(aggregate, finish),
            false => self.window.of_invertible(self.state_line(), aggregate, self.finish(aggregate, Box::new(finish))),
        }
    }

    /// The state of any aggregate, compiled for it. Given an accumulator, `finish` writes the features of all the ops.
    pub(super) fn of_any<A: Erasable>(
        &self,
        aggregate: A,
        finish: impl Fn(&A::Acc, &mut Answers<'_>) + Send + Sync + 'static,
    ) -> Box<dyn WindowState> {
        match self.by {
            true => self.erased(aggregate, finish),
            false => self.window.of_any(self.state_line(), aggregate, self.finish(aggregate, Box::new(finish))),
        }
    }

    /// The state of an invertible aggregate, shared by those of all families. Given an accumulator, `finish` writes the
    /// features of all the ops.
    pub(super) fn erased_invertible<A: Invertible + Erasable>(
        &self,
        aggregate: A,
        finish: impl Fn(&A::Acc, &mut Answers<'_>) + Send + Sync + 'static,
    ) -> Box<dyn WindowState> {
        let (aggregate, finish) = (aggregate.erased(), finisher::<A>(finish));
        if self.by {
            let by = By(aggregate);
            return self.window.of_invertible(self.state_line(), by, self.finish(by, self.by_category(finish)));
        }
        self.window.of_invertible(self.state_line(), aggregate, self.finish(aggregate, finish))
    }

    /// The state of any aggregate, shared by those of all families. Given an accumulator, `finish` writes the features of
    /// all the ops.
    pub(super) fn erased<A: Erasable>(
        &self,
        aggregate: A,
        finish: impl Fn(&A::Acc, &mut Answers<'_>) + Send + Sync + 'static,
    ) -> Box<dyn WindowState> {
        let (aggregate, finish) = (aggregate.erased(), finisher::<A>(finish));
        if self.by {
            let by = By(aggregate);
            return self.window.of_any(self.state_line(), by, self.finish(by, self.by_category(finish)));
        }
        self.window.of_any(self.state_line(), aggregate, self.finish(aggregate, finish))
    }

    /// Writes maps from categories to what `finish` writes of each.
    fn by_category<T: Default + 'static>(&self, finish: Finisher<T>) -> Finisher<Categories<T>> {
        let positions = self.positions();
        Box::new(move |categories, row| categories.finish(&positions, &finish, row))
    }

    /// Writes what `finish` writes, except for an accumulator without records where the line has defaults, and for lists in
    /// a series, which have their greatest length. A line that counts the record that looks up leaves the features open if
    /// the window can have it.
    fn finish<A: Aggregate>(&self, aggregate: A, finish: Finisher<A::Acc>) -> Finisher<A::Acc> {
        let default = |placed: &PlacedOp<'_>| Some((placed.position, Feature::Value(placed.default?.clone())));
        let defaults: Vec<(usize, Feature)> = self.ops.iter().filter_map(default).collect();
        let finish: Finisher<A::Acc> = if defaults.is_empty() {
            finish
        } else {
            Box::new(move |acc, row| match aggregate.is_empty(acc) {
                true => defaults.iter().for_each(|(position, default)| row[*position] = default.clone()),
                false => finish(acc, row),
            })
        };
        let finish = self.filled(finish);
        let is_open = self.current && self.window.own_place() != OwnPlace::Outside;
        if is_open { OpenAnswer::write(aggregate, self.positions(), finish) } else { finish }
    }

    /// Writes what `finish` writes; in a series, lists of a greatest length have it, filled up with nulls.
    fn filled<T: 'static>(&self, finish: Finisher<T>) -> Finisher<T> {
        let length = |placed: &PlacedOp<'_>| Some((placed.position, placed.op.greatest_length()?));
        let lengths: Vec<(usize, usize)> = self.ops.iter().filter_map(length).collect();
        if lengths.is_empty() || !self.window.is_series() {
            return finish;
        }
        Box::new(move |acc, row| {
            finish(acc, row);
            for (position, length) in &lengths {
                let items: &[Scalar] = if let Feature::List(items) = &row[*position] { items } else { &[] };
                let missing = length.saturating_sub(items.len());
                row[*position] =
                    Feature::List(items.iter().cloned().chain(std::iter::repeat_n(Scalar::Null, missing)).collect());
            }
        })
    }

    fn positions(&self) -> Vec<usize> {
        self.ops.iter().map(|placed| placed.position).collect()
    }
}
