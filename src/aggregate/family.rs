//! Families: aggregates whose ops share an accumulator, or the way in which one is made.

use std::any::Any;
use std::fmt::Debug;

use super::cost::Cost;
use super::input::Needs;
use super::op::Op;
use super::window::{Window, WindowState};

/// An op, and the position of its feature in the group's vectors.
#[derive(Clone, Copy, Debug)]
pub struct PlacedOp<'a> {
    pub op: &'a Op,
    pub position: usize,
}

/// The ops of one family in one window of a line.
#[derive(Clone, Debug)]
pub struct OpsInWindow<'a> {
    /// The line's position in the group.
    pub line: usize,
    /// Digits kept after the point; 0 of an int.
    pub digits: u32,
    /// True if the line's input is an int.
    pub integer: bool,
    pub window: Window,
    pub ops: Vec<PlacedOp<'a>>,
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
}
