//! The steps from an instance to a model's inputs, with a place for every value.
//!
//! What the graph does to batches of many columns is done here to a [`Frame`]: one instance at a time where something
//! is looked up, all at once where an expression is evaluated. Only what an expression reads is made into Arrow
//! columns, so an instance whose inputs are mostly looked up costs a few microseconds.

use std::sync::Arc;

use arrow_array::ArrayRef;

use super::compile::Compiler;
use super::fields::InstanceFields;
use super::{Frame, InstancesSeed, ServingPlan};
use crate::aggregate::Feature;
use crate::expr::{EvalStats, Expr};
use crate::time::EventTime;
use crate::value::{KeyCodec, Scalar, Type};

/// What a model's instances go through. Made once; shared by all requests.
#[derive(Debug)]
pub struct Pipeline {
    /// Cells of a row.
    pub(super) width: usize,
    pub(super) fields: InstanceFields,
    /// Columns of the record that an instance must have, by name and slot.
    pub(super) required: Vec<(String, usize)>,
    /// The event time's slot and name.
    pub(super) time: (usize, String),
    pub(super) steps: Vec<Step>,
    pub(super) sources: Vec<LookupSource>,
    /// The slot of each input.
    pub(super) inputs: Vec<usize>,
    pub(super) names: Vec<String>,
}

/// Where something is looked up, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupSource {
    Table(String),
    Group(String),
}

#[derive(Debug)]
pub(super) enum Step {
    /// A value under another name.
    Copy {
        from: usize,
        to: usize,
    },
    /// Expressions over the cells in `reads`, and where their values go.
    Compute {
        reads: Vec<(usize, Type)>,
        outputs: Vec<(Expr, usize)>,
    },
    LookUp(LookUp),
}

#[derive(Debug)]
pub(super) struct LookUp {
    /// Position in [`Pipeline::sources`].
    pub shelf: usize,
    pub codec: KeyCodec,
    /// The slots of the key.
    pub on: Vec<usize>,
    pub picks: Vec<LookupColumn>,
}

/// One value taken out of what was found.
#[derive(Debug)]
pub(super) struct LookupColumn {
    pub position: usize,
    pub slot: usize,
    pub ty: Type,
    /// Its value where nothing is found.
    pub otherwise: Scalar,
}

impl Pipeline {
    pub fn new(plan: &ServingPlan) -> Self {
        Compiler::compile(plan)
    }

    /// The tables and groups that are looked up, by the positions that [`Pipeline::run`] asks for.
    pub fn sources(&self) -> &[LookupSource] {
        &self.sources
    }

    /// The names of the model's inputs, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Reads a JSON list of instances into `frame`, whose rows are forgotten first. `newest` is the event time of an
    /// instance that has none, if any is known.
    pub fn instances<'a>(&'a self, frame: &'a mut Frame, newest: Option<EventTime>) -> InstancesSeed<'a> {
        frame.reset(self.width);
        InstancesSeed::new(self, frame, newest)
    }

    /// Looks up and computes all that instances did not give. `look_up` returns the newest vector of a key in one of
    /// [`Pipeline::sources`]; what depends on the asking time is as of `asking`.
    pub fn run(&self, frame: &mut Frame, asking: EventTime, look_up: impl Fn(usize, &[u8]) -> Option<Arc<[Feature]>>) {
        for step in &self.steps {
            match step {
                Step::Copy { from, to } => {
                    (0..frame.rows()).for_each(|row| frame.set_computed(row, *to, frame.get(row, *from).clone()));
                }
                Step::Compute { reads, outputs } => compute(frame, reads, outputs),
                Step::LookUp(step) => (0..frame.rows()).for_each(|row| step.run(frame, row, asking, &look_up)),
            }
        }
    }

    /// The value of an input, by position, once the frame is complete.
    #[inline]
    pub fn input<'a>(&self, frame: &'a Frame, row: usize, input: usize) -> &'a Scalar {
        frame.get(row, self.inputs[input])
    }
}

impl LookUp {
    fn run(
        &self,
        frame: &mut Frame,
        row: usize,
        asking: EventTime,
        look_up: &impl Fn(usize, &[u8]) -> Option<Arc<[Feature]>>,
    ) {
        let (cells, key) = frame.row_and_key(row);
        key.clear();
        self.codec.encode_into(self.on.iter().map(|slot| &cells[*slot]), key);
        let found = look_up(self.shelf, key);
        for pick in &self.picks {
            let value = match &found {
                Some(found) => typed(pick.ty, found[pick.position].scalar(asking)),
                None => pick.otherwise.clone(),
            };
            frame.set_computed(row, pick.slot, value);
        }
    }
}

/// A value as its column holds it: an aggregate may answer an int where its column is a float.
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
