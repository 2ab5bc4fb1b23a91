//! The steps from an instance to a model's inputs.
//!
//! The graph applies its operators to batches of columns; a program applies the same expressions and look-ups to the
//! rows of a [`Frame`], which has a cell for every value: look-ups instance by instance, expressions for all instances
//! at once. Only the cells that an expression reads are converted to Arrow columns, so an instance whose inputs are
//! mostly looked up costs a few microseconds.

use std::sync::Arc;

use arrow_array::ArrayRef;

use super::fields::InstanceSchema;
use super::needs::needed_slots;
use super::{Frame, InstancesSeed};
use crate::aggregate::Feature;
use crate::expr::{EvalStats, Expr};
use crate::model;
use crate::time::EventTime;
use crate::value::{KeyCodec, Scalar, Type};

/// The serving program of one model. Built once and shared by all requests.
#[derive(Debug)]
pub struct Program {
    pub(super) model: String,
    pub(super) instance: InstanceSchema,
    pub(super) steps: Vec<ProgramStep>,
    pub(super) sources: Vec<LookupSource>,
    /// ProgramSlot of each input.
    pub(super) inputs: Vec<usize>,
    /// Name and type of each input.
    pub(super) declared: Vec<model::InputColumn>,
}

/// A part of the online store in which a program looks values up, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupSource {
    Table(String),
    Group(String),
}

/// One step of a program. Cells that the instance overrides are never written.
#[derive(Debug)]
pub(super) enum ProgramStep {
    /// Copies a value to the slot that it has under another name.
    Copy { from: usize, to: usize },
    /// Evaluates expressions over the slots in `reads` and writes each result to its slot.
    Compute { reads: Vec<(usize, Type)>, outputs: Vec<(Expr, usize)> },
    /// Looks up a table's row or a group's vector.
    LookUp(LookupStep),
}

#[derive(Debug)]
pub(super) struct LookupStep {
    /// Position in [`Program::sources`].
    pub source: usize,
    pub codec: KeyCodec,
    /// Slots of the key.
    pub key: Vec<usize>,
    pub columns: Vec<LookupColumn>,
}

/// One value of a row or vector that was looked up.
#[derive(Debug)]
pub(super) struct LookupColumn {
    /// Position in the row or vector.
    pub position: usize,
    pub slot: usize,
    pub ty: Type,
    /// The value if the key is not found.
    pub default: Scalar,
}

impl Program {
    /// Returns the name of the model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Returns the tables and groups in which values are looked up. [`Program::run`] refers to them by position.
    pub fn sources(&self) -> &[LookupSource] {
        &self.sources
    }

    /// Returns names and types of the model's inputs, in order.
    pub fn inputs(&self) -> &[model::InputColumn] {
        &self.declared
    }

    /// Returns the positions of the record's columns, but the event time, from which the inputs are made, ascending. An
    /// instance needs no others.
    pub fn needed_columns(&self) -> impl Iterator<Item = usize> {
        self.instance.needed.iter().map(|(position, _)| *position)
    }

    /// Returns for each slot whether it must be known, given the slots that an instance sets.
    pub(super) fn needed(&self, is_set: impl Fn(usize) -> bool) -> Vec<bool> {
        needed_slots(&self.steps, &self.inputs, self.instance.width, is_set)
    }

    /// Returns a reader of a JSON list of instances into `frame`, whose rows are dropped first. `newest` is the event
    /// time of instances without one; with `None` such instances are refused if an input depends on it.
    pub fn instances<'a>(&'a self, frame: &'a mut Frame, newest: Option<EventTime>) -> InstancesSeed<'a> {
        frame.reset(self.instance.width);
        InstancesSeed::new(self, frame, newest)
    }

    /// Looks up and computes everything that the instances in `frame` did not override. `look_up` returns the newest
    /// row or vector of an encoded key in the source at a position of [`Program::sources`]; features that depend on the
    /// asking time are as of `asking`.
    pub fn run(&self, frame: &mut Frame, asking: EventTime, look_up: impl Fn(usize, &[u8]) -> Option<Arc<[Feature]>>) {
        for step in &self.steps {
            match step {
                ProgramStep::Copy { from, to } => {
                    (0..frame.rows()).for_each(|row| frame.set_computed(row, *to, frame.get(row, *from).clone()));
                }
                ProgramStep::Compute { reads, outputs } => compute(frame, reads, outputs),
                ProgramStep::LookUp(step) => (0..frame.rows()).for_each(|row| step.run(frame, row, asking, &look_up)),
            }
        }
    }

    /// Returns the value of an input, by position, after [`Program::run`].
    #[inline]
    pub fn input<'a>(&self, frame: &'a Frame, row: usize, input: usize) -> &'a Scalar {
        frame.get(row, self.inputs[input])
    }
}

impl LookupStep {
    fn run(
        &self,
        frame: &mut Frame,
        row: usize,
        asking: EventTime,
        look_up: &impl Fn(usize, &[u8]) -> Option<Arc<[Feature]>>,
    ) {
        let (cells, key) = frame.row_and_key(row);
        key.clear();
        self.codec.encode_into(self.key.iter().map(|slot| &cells[*slot]), key);
        let found = look_up(self.source, key);
        for column in &self.columns {
            let value = match &found {
                Some(found) => typed(column.ty, found[column.position].scalar(asking)),
                None => column.default.clone(),
            };
            frame.set_computed(row, column.slot, value);
        }
    }
}

/// Returns a value with its column's type: an aggregate may return an int where its column is a float.
fn typed(ty: Type, value: Scalar) -> Scalar {
    match (ty, value) {
        (Type::Float, Scalar::Int(value)) => Scalar::Float(value as f64),
        (_, value) => value,
    }
}

fn compute(frame: &mut Frame, reads: &[(usize, Type)], outputs: &[(Expr, usize)]) {
    let rows = frame.rows();
    let columns: Vec<ArrayRef> = reads.iter().map(|(slot, ty)| frame.column(*slot, *ty)).collect();
    let mut stats = EvalStats::default();
    for (expr, slot) in outputs {
        let values = expr.eval(&columns, rows, &mut stats);
        (0..rows).for_each(|row| frame.set_computed(row, *slot, Scalar::typed(expr.ty(), &values, row)));
    }
}
