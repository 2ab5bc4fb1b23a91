//! The layout of a feature group: the lines that its state is built from.

use std::any::Any;

use super::assumed_records::{RecordLoad, TEXT_BYTES};
use super::entities::Entities;
use super::estimate::StateEstimate;
use super::family::{Family, OpsInWindow, PlacedOp};
use super::feature::Feature;
use super::heap::sum_of;
use super::input::Needs;
use super::op::Op;
use super::window::{Window, WindowState};
use crate::value::Scalar;

/// The lines of a group and the width of its vectors.
#[derive(Clone, Debug, Default)]
pub struct GroupLayout {
    pub lines: Vec<AggregateSpec>,
    /// Features in a vector.
    pub width: usize,
}

/// One `aggregate` entry.
#[derive(Clone, Debug, Default)]
pub struct AggregateSpec {
    /// Digits kept after the point; 0 of an int.
    pub digits: u32,
    /// The same of the second input.
    pub with_digits: u32,
    /// True if the input is an int.
    pub integer: bool,
    /// True if it is a string.
    pub texts: bool,
    pub ops: Vec<Op>,
    pub windows: Vec<Window>,
    /// By window and op, the position of the answer in the vector.
    pub positions: Vec<Vec<usize>>,
    /// True if each feature is a map from the categories of records to answers.
    pub by: bool,
    /// True if the record that looks up counts, too.
    pub current: bool,
    /// By op, the answer without counted records; empty if the line has no `default`.
    pub defaults: Vec<Scalar>,
}

impl AggregateSpec {
    /// The forms of the input that the line reads.
    pub fn needs(&self) -> Needs {
        self.ops.iter().map(|op| op.kind.family.reads().needs).fold(Needs::default(), Needs::or)
    }

    /// Bytes for an entity in one window, without the records that wait for a lag: for one category if the line has
    /// categories.
    pub fn bytes_per_entity(&self, window: Window, load: RecordLoad) -> usize {
        self.estimated(window, load, false)
    }

    /// Bytes of a record that waits for the lag of a window.
    pub fn bytes_per_waiting_record(&self, window: Window) -> usize {
        self.estimated(window, RecordLoad::EachPane(1), true)
    }

    fn estimated(&self, window: Window, load: RecordLoad, waiting: bool) -> usize {
        let records = window.assumed(load, if self.texts { TEXT_BYTES } else { 0 });
        let estimate = StateEstimate { window, waiting, by: self.by, records };
        let bytes = |(family, members): (&dyn Family, Vec<usize>)| {
            let ops: Vec<&Op> = members.iter().map(|op| &self.ops[*op]).collect();
            family.bytes(&ops, &estimate)
        };
        sum_of(self.families().into_iter().map(bytes))
    }

    /// The answer of an op without counted records.
    pub(super) fn empty(&self, op: usize) -> Feature {
        match self.defaults.get(op) {
            _ if self.by => Feature::NULL,
            Some(default) => Feature::Value(default.clone()),
            None => self.ops[op].empty(),
        }
    }

    /// The ops by family, in the order of their first ops.
    fn families(&self) -> Vec<(&'static dyn Family, Vec<usize>)> {
        let mut families: Vec<(&'static dyn Family, Vec<usize>)> = Vec::new();
        for (index, op) in self.ops.iter().enumerate() {
            let of = |family: &dyn Family| (family as &dyn Any).type_id();
            let family = op.kind.family;
            match families.iter_mut().find(|(known, _)| of(*known) == of(family)) {
                Some((_, members)) => members.push(index),
                None => families.push((family, vec![index])),
            }
        }
        families
    }

    /// The state of the line at `line` in each of its windows.
    fn build(&self, line: usize) -> impl Iterator<Item = Box<dyn WindowState>> {
        let families = self.families();
        let windows = self.windows.iter().zip(&self.positions);
        windows.flat_map(move |(window, positions)| self.build_window(line, *window, positions, &families))
    }

    /// The state of the line in a window of which it has none, with the answers of its ops from a position on.
    pub(super) fn states_in(
        &self,
        window: impl Into<Window>,
        position: usize,
    ) -> impl Iterator<Item = Box<dyn WindowState>> {
        let positions: Vec<usize> = (position..position + self.ops.len()).collect();
        self.build_window(0, window.into(), &positions, &self.families()).into_iter()
    }

    /// The state of the line in a window, family by family.
    fn build_window(
        &self,
        line: usize,
        window: Window,
        positions: &[usize],
        families: &[(&'static dyn Family, Vec<usize>)],
    ) -> Vec<Box<dyn WindowState>> {
        let build = |(family, members): &(&'static dyn Family, Vec<usize>)| {
            let placed =
                |op: &usize| PlacedOp { op: &self.ops[*op], position: positions[*op], default: self.defaults.get(*op) };
            family.build(&OpsInWindow {
                line,
                digits: self.digits,
                with_digits: self.with_digits,
                integer: self.integer,
                window,
                ops: members.iter().map(placed).collect(),
                by: self.by,
                current: self.current,
            })
        };
        families.iter().flat_map(build).collect()
    }
}

impl GroupLayout {
    /// Returns whether an answer can depend on the order of records of equal time.
    pub fn is_ordered(&self) -> bool {
        let ops = || self.lines.iter().flat_map(|line| &line.ops);
        ops().any(|op| op.kind.family.is_ordered()) || self.windows().any(Window::is_ordered)
    }

    /// Bytes for an entity, without the records that wait for a lag: for one category where a line has categories.
    pub fn bytes_per_entity(&self, load: RecordLoad) -> usize {
        let of_line = |line: &AggregateSpec| -> usize {
            sum_of(line.windows.iter().map(|window| line.bytes_per_entity(*window, load)))
        };
        sum_of(self.lines.iter().map(of_line)).saturating_add(Entities::BYTES)
    }

    /// The windows of all lines.
    pub fn windows(&self) -> impl Iterator<Item = Window> + '_ {
        self.lines.iter().flat_map(|line| line.windows.iter().copied())
    }

    /// The longest time after its event time that a record can be in a window, in ms; `None` if it stays for ever.
    pub fn reach_ms(&self) -> Option<i64> {
        let reaches: Option<Vec<i64>> = self.windows().map(|window| window.reach_ms()).collect();
        reaches.map(|reaches| reaches.into_iter().max().unwrap_or(0))
    }

    /// The longest time after its event time that a record can matter to an answer, in ms; `None` if it always can.
    pub fn history_ms(&self) -> Option<i64> {
        let reaches: Option<Vec<i64>> = self.windows().map(|window| window.history_ms()).collect();
        reaches.map(|reaches| reaches.into_iter().max().unwrap_or(0))
    }

    /// The vector of an entity without records.
    pub fn empty(&self) -> Vec<Feature> {
        let mut row = vec![Feature::NULL; self.width];
        for line in &self.lines {
            for (window, positions) in line.windows.iter().zip(&line.positions) {
                for (op, position) in positions.iter().enumerate() {
                    let values = line.ops[op].greatest_length().unwrap_or(1);
                    row[*position] = window.empty(line.empty(op), values);
                }
            }
        }
        row
    }

    /// Fresh state, window by window.
    pub(super) fn build(&self) -> Vec<Box<dyn WindowState>> {
        self.lines.iter().enumerate().flat_map(|(index, line)| line.build(index)).collect()
    }
}
