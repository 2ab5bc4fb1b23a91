//! The steps of a program, one by one.

use std::sync::Arc;

use arrow_array::ArrayRef;

use super::{Frame, OwnColumns, OwnRecord};
use crate::aggregate::{Feature, LineInput};
use crate::expr::{EvalStats, Expr};
use crate::model::InputShape;
use crate::time::EventTime;
use crate::value::{KeyCodec, Scalar, Type};

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
    /// Position among the sources of the program.
    pub source: usize,
    pub codec: KeyCodec,
    /// Slots of the key.
    pub key: Vec<usize>,
    pub columns: Vec<LookupColumn>,
    /// The lines that count the instance itself.
    pub own: Vec<OwnStep>,
}

/// A line that counts the instance itself, and the slots of what it reads.
#[derive(Debug)]
pub(super) struct OwnStep {
    pub record: OwnRecord,
    pub slots: OwnColumns<Option<(usize, Type)>>,
}

/// One value of a row or vector that was looked up.
#[derive(Debug)]
pub(super) struct LookupColumn {
    /// Position in the row or vector.
    pub position: usize,
    pub slot: usize,
    pub ty: Type,
    pub form: InputShape,
    /// The feature if the key is not found.
    pub default: Feature,
    /// The position in `own` of the line, if it counts the instance itself.
    pub own: Option<usize>,
}

impl LookupStep {
    /// Looks up the row or vector of each row's key, and writes its values.
    pub fn run(&self, frame: &mut Frame, asking: EventTime, look_up: &impl Fn(usize, &[u8]) -> Option<Arc<[Feature]>>) {
        let column = |slot: &Option<(usize, Type)>| slot.map(|(slot, ty)| frame.column(slot, ty));
        let own: Vec<LineInput> = self.own.iter().map(|own| own.record.input(&own.slots.map(column), &mut 0)).collect();
        (0..frame.rows()).for_each(|row| self.run_row(frame, row, asking, look_up, &own));
    }

    fn run_row(
        &self,
        frame: &mut Frame,
        row: usize,
        asking: EventTime,
        look_up: &impl Fn(usize, &[u8]) -> Option<Arc<[Feature]>>,
        own: &[LineInput],
    ) {
        let (cells, key) = frame.row_and_key(row);
        key.clear();
        self.codec.encode_into(self.key.iter().map(|slot| &cells[*slot]), key);
        // A record without an entity counts nowhere.
        let is_named = self.key.iter().all(|slot| cells[*slot] != Scalar::Null);
        let found = look_up(self.source, key);
        for column in &self.columns {
            let feature = found.as_ref().map_or(&column.default, |found| &found[column.position]);
            if !column.form.is_value() {
                if !frame.is_override(row, column.slot) {
                    let finished = match (feature, column.own) {
                        (Feature::Open(open), Some(line)) if is_named => {
                            open.with(&own[line], row, asking).finished(asking)
                        }
                        (feature, _) => feature.finished(asking),
                    };
                    frame.set_nested(row, column.slot, typed_values(column.ty, finished));
                }
                continue;
            }
            let value = match (feature, column.own) {
                (Feature::Open(open), Some(line)) if is_named => open.with(&own[line], row, asking).scalar(asking),
                (feature, _) => feature.scalar(asking),
            };
            frame.set_computed(row, column.slot, typed(column.ty, value));
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

/// Returns a list or map whose values have their column's type.
fn typed_values(ty: Type, feature: Feature) -> Feature {
    let is_other = |value: &Scalar| ty == Type::Float && matches!(value, Scalar::Int(_));
    match feature {
        Feature::List(items) if items.iter().any(is_other) => {
            Feature::List(items.iter().map(|item| typed(ty, item.clone())).collect())
        }
        Feature::Map(entries) if entries.iter().any(|(_, value)| is_other(value)) => {
            Feature::Map(entries.iter().map(|(key, value)| (key.clone(), typed(ty, value.clone()))).collect())
        }
        other => other,
    }
}

/// Evaluates expressions for all rows, and writes their values. Adds the counts of what it cannot compute to `failed`.
pub(super) fn compute(frame: &mut Frame, reads: &[(usize, Type)], outputs: &[(Expr, usize)], failed: &mut EvalStats) {
    let rows = frame.rows();
    let columns: Vec<ArrayRef> = reads.iter().map(|(slot, ty)| frame.column(*slot, *ty)).collect();
    for (expr, slot) in outputs {
        let values = expr.eval(&columns, rows, failed);
        (0..rows).for_each(|row| frame.set_computed(row, *slot, Scalar::typed(expr.ty(), &values, row)));
    }
}
