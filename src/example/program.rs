//! The steps from an instance to a model's inputs.
//!
//! The graph applies its operators to batches of columns; a program applies the same expressions and look-ups to the
//! rows of a [`Frame`], which has a cell for every value: look-ups instance by instance, expressions for all instances
//! at once. Only the cells that an expression reads are converted to Arrow columns, so an instance whose inputs are
//! mostly looked up costs a few microseconds.

use std::sync::Arc;

use super::fields::InstanceSchema;
use super::needs::InputNeeds;
use super::steps::{self, ProgramStep};
use super::{Frame, InstancesSeed};
use crate::aggregate::Feature;
use crate::expr::EvalStats;
use crate::model::{self, InputCell};
use crate::time::EventTime;
use crate::value::{Scalar, Type};

/// The serving program of one model. Built once and shared by all requests.
#[derive(Debug)]
pub struct Program {
    pub(super) model: String,
    pub(super) instance: InstanceSchema,
    pub(super) steps: Vec<ProgramStep>,
    pub(super) sources: Vec<LookupSource>,
    /// Names of the features from which inputs are made.
    pub(super) features: Vec<String>,
    /// Slot of each input.
    pub(super) inputs: Vec<usize>,
    /// Name and type of each input.
    pub(super) declared: Vec<model::InputColumn>,
}

/// A column of the record from which inputs are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeededColumn<'a> {
    /// The name by which an instance sets it.
    pub name: &'a str,
    pub ty: Type,
    /// An instance may leave it out.
    pub nullable: bool,
}

/// A part of the online store in which a program looks values up, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupSource {
    Table(String),
    Group(String),
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

    /// Returns the names of the features from which the inputs are made, `group.feature`, in the order of the look-ups.
    pub fn features(&self) -> &[String] {
        &self.features
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

    /// Returns these columns with their names and types, in the same order.
    pub fn needed(&self) -> impl Iterator<Item = NeededColumn<'_>> {
        let fields = self.instance.needed.iter().filter_map(|(_, slot)| self.instance.fields.of_slot(*slot));
        fields.map(|field| NeededColumn { name: &field.name, ty: field.ty, nullable: field.nullable })
    }

    /// Returns whether an instance has a list or a map under a name.
    pub fn takes_list(&self, name: &str) -> bool {
        let entry = self.instance.fields.find(name);
        entry.is_some_and(|entry| entry.fields.iter().any(|field| !field.form.is_value()))
    }

    /// Returns a reader of a list of instances into `frame`, whose rows are dropped first. `newest` is the event
    /// time of instances without one; with `None` such instances are refused if an input depends on it.
    pub fn instances<'a>(&'a self, frame: &'a mut Frame, newest: Option<EventTime>) -> InstancesSeed<'a> {
        frame.reset(self.instance.width);
        let needs = InputNeeds { steps: &self.steps, inputs: &self.inputs, width: self.instance.width };
        InstancesSeed::new(&self.instance, needs, frame, newest)
    }

    /// Looks up and computes everything that the instances in `frame` did not override. `look_up` returns the newest
    /// row or vector of an encoded key in the source at a position of [`Program::sources`]; features that depend on the
    /// asking time are as of `asking`. Returns the counts of values that could not be computed.
    pub fn run(
        &self,
        frame: &mut Frame,
        asking: EventTime,
        look_up: impl Fn(usize, &[u8]) -> Option<Arc<[Feature]>>,
    ) -> EvalStats {
        let mut failed = EvalStats::default();
        for step in &self.steps {
            match step {
                ProgramStep::Copy { from, to } => {
                    (0..frame.rows()).for_each(|row| frame.set_computed(row, *to, frame.get(row, *from).clone()));
                }
                ProgramStep::Compute { reads, outputs } => steps::compute(frame, reads, outputs, &mut failed),
                ProgramStep::LookUp(step) => step.run(frame, asking, &look_up),
            }
        }
        failed
    }

    /// Returns the key by which the first feature group is looked up for a row, after [`Program::run`]; `None` if there is
    /// none.
    pub fn looked_up<'a>(&'a self, frame: &'a Frame, row: usize) -> Option<impl Iterator<Item = &'a Scalar>> {
        let of_group = |step: &'a ProgramStep| match step {
            ProgramStep::LookUp(step) if matches!(self.sources[step.source], LookupSource::Group(_)) => Some(step),
            _ => None,
        };
        let step = self.steps.iter().find_map(of_group)?;
        Some(step.key.iter().map(move |slot| frame.get(row, *slot)))
    }

    /// Returns the value of an input, by position, after [`Program::run`].
    #[inline]
    pub fn input<'a>(&self, frame: &'a Frame, row: usize, input: usize) -> InputCell<'a> {
        let slot = self.inputs[input];
        if self.declared[input].form.is_value() {
            return InputCell::Value(frame.get(row, slot));
        }
        match frame.nested(row, slot) {
            Feature::List(items) => InputCell::List(items),
            Feature::Map(entries) => InputCell::Map(entries),
            _ => InputCell::NULL,
        }
    }
}
