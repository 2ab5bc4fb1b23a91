//! Families: aggregates whose ops share an accumulator, or the way in which one is made.

use std::any::Any;
use std::fmt::Debug;

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
    /// Whether the line's input is an int.
    pub integer: bool,
    pub window: Window,
    pub ops: Vec<PlacedOp<'a>>,
}

/// Bytes of state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Of an entity, without its panes.
    pub entity: usize,
    /// Of each pane of an entity.
    pub pane: usize,
}

/// What is common to the ops of a family. Two ops are of one family if the families are of one type.
pub trait Family: Any + Debug + Sync {
    /// The state that answers the ops. Ops of one family may share it.
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>>;

    /// What `build` keeps of an entity, given all ops of the family in a line.
    fn cost(&self, ops: &[&Op], window: Window) -> Cost;

    /// The forms of its input that this op reads.
    fn needs(&self) -> Needs;

    /// Whether this op's answer depends on the order of records of equal time.
    fn is_ordered(&self) -> bool;
}
