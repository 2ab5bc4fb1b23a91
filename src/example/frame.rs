//! Working memory of a request: a row of cells for each instance.

use std::sync::Arc;

use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{ArrayRef, PrimitiveArray};
use arrow_buffer::NullBuffer;

use crate::aggregate::Feature;
use crate::value::{ColumnBuilder, Scalar, Type};

/// Instances while a program runs on them. A row has a cell for every value of the program: columns of the record, of
/// table rows and of views, features, computed inputs.
#[derive(Debug, Default)]
pub struct Frame {
    width: usize,
    rows: usize,
    cells: Vec<Scalar>,
    /// The lists and maps, by the positions of their cells, which are null; empty while there are none.
    nested: Vec<Feature>,
    /// Set for cells that the instance itself sets.
    overrides: Vec<bool>,
    /// Position of the instance that is being read.
    pub(super) reading: Option<usize>,
    /// Bytes of the key that is being looked up.
    pub(super) key: Vec<u8>,
}

impl Frame {
    /// Drops all rows; new ones have `width` cells.
    pub(super) fn reset(&mut self, width: usize) {
        self.width = width;
        self.rows = 0;
        self.cells.clear();
        self.nested.clear();
        self.overrides.clear();
        self.reading = None;
    }

    /// Adds a row of nulls.
    pub(super) fn push_row(&mut self) {
        self.rows += 1;
        self.cells.resize(self.rows * self.width, Scalar::Null);
        self.overrides.resize(self.rows * self.width, false);
    }

    /// Forgets the instance that was being read, before another body is.
    pub fn forget_reading(&mut self) {
        self.reading = None;
    }

    /// Returns the position of the instance that was being read when reading failed.
    pub fn reading(&self) -> Option<usize> {
        self.reading
    }

    /// Returns the number of instances.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of cells of all rows.
    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    #[inline]
    pub(super) fn get(&self, row: usize, slot: usize) -> &Scalar {
        &self.cells[row * self.width + slot]
    }

    #[inline]
    pub(super) fn is_override(&self, row: usize, slot: usize) -> bool {
        self.overrides[row * self.width + slot]
    }

    /// Marks a cell of the newest row as set by the instance and returns it; `None` if it is set already.
    pub(super) fn set_override(&mut self, slot: usize) -> Option<&mut Scalar> {
        let at = (self.rows - 1) * self.width + slot;
        if std::mem::replace(&mut self.overrides[at], true) { None } else { Some(&mut self.cells[at]) }
    }

    /// Returns whether the instance has set a cell of the newest row.
    pub(super) fn is_set(&self, slot: usize) -> bool {
        self.overrides[(self.rows - 1) * self.width + slot]
    }

    /// Marks a cell of the newest row as set by the instance, even if it is already, and returns it.
    pub(super) fn replace_override(&mut self, slot: usize) -> &mut Scalar {
        let at = (self.rows - 1) * self.width + slot;
        self.overrides[at] = true;
        &mut self.cells[at]
    }

    /// Writes a cell unless the instance overrides it.
    #[inline]
    pub(super) fn set_computed(&mut self, row: usize, slot: usize, value: Scalar) {
        let at = row * self.width + slot;
        if !self.overrides[at] {
            self.cells[at] = value;
        }
    }

    /// Returns the list or map of a cell, or null.
    #[inline]
    pub(super) fn nested(&self, row: usize, slot: usize) -> &Feature {
        self.nested.get(row * self.width + slot).unwrap_or(&Feature::NULL)
    }

    /// Writes a list or map to a cell, overridden or computed.
    pub(super) fn set_nested(&mut self, row: usize, slot: usize, feature: Feature) {
        if self.nested.len() < self.cells.len() {
            self.nested.resize(self.cells.len(), Feature::NULL);
        }
        self.nested[row * self.width + slot] = feature;
    }

    /// Returns the cells of a row, and the buffer for a key that is encoded from them.
    pub(super) fn row_and_key(&mut self, row: usize) -> (&[Scalar], &mut Vec<u8>) {
        (&self.cells[row * self.width..(row + 1) * self.width], &mut self.key)
    }

    /// Returns a slot of all rows as a column.
    ///
    /// # Panics
    /// If a cell is neither null nor of this type.
    pub(super) fn column(&self, slot: usize, ty: Type) -> ArrayRef {
        match ty {
            Type::Int => self.primitive::<Int64Type>(slot, |cell| match cell {
                Scalar::Int(value) => Some(*value),
                _ => None,
            }),
            Type::Float => self.primitive::<Float64Type>(slot, |cell| match cell {
                Scalar::Float(value) => Some(*value),
                _ => None,
            }),
            Type::Timestamp => self.primitive::<TimestampMillisecondType>(slot, |cell| match cell {
                Scalar::Timestamp(value) => Some(*value),
                _ => None,
            }),
            Type::String | Type::Bool => {
                let mut builder = ColumnBuilder::with_capacity(ty, self.rows);
                (0..self.rows).for_each(|row| builder.append(self.get(row, slot)));
                builder.finish()
            }
        }
    }

    // Not by a column builder, which costs more than the single value of most requests.
    fn primitive<T: ArrowPrimitiveType>(&self, slot: usize, value: impl Fn(&Scalar) -> Option<T::Native>) -> ArrayRef {
        let mut nulls = false;
        let values: Vec<T::Native> = (0..self.rows)
            .map(|row| {
                value(self.get(row, slot)).unwrap_or_else(|| {
                    debug_assert!(self.get(row, slot).is_null(), "cells have their slot's type");
                    nulls = true;
                    T::Native::default()
                })
            })
            .collect();
        let valid = || (0..self.rows).map(|row| !self.get(row, slot).is_null()).collect::<NullBuffer>();
        Arc::new(PrimitiveArray::<T>::new(values.into(), nulls.then(valid)))
    }
}
