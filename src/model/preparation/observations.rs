//! Observations: examples as numbers and hashed categories, before any version's preparation.
//!
//! A null, a non-finite number and one beyond ±10^18 are all NaN here. A category is hashed with XXH3 (64 bits), seeded
//! with the XXH3 of its input's name: strings by their bytes, numbers and bools by the bytes of their value.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use super::SlotLayout;
use super::layout::{Category, Number};
use super::moments::LARGEST;
use crate::value::{Scalar, Type};

/// Examples as numbers and hashed categories, row-major, in the layout's order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observations {
    rows: usize,
    /// Numbers and categories of a row.
    width: (usize, usize),
    numbers: Vec<f64>,
    categories: Vec<u64>,
}

impl Observations {
    /// Decodes columns, one for each input in order, of `rows` rows.
    ///
    /// # Panics
    /// If a column has another type or length than its input: the graph is built from the same spec.
    pub fn decode(layout: &SlotLayout, columns: &[ArrayRef], rows: usize) -> Self {
        let mut observations = Observations::default();
        observations.refill(layout, columns, rows);
        observations
    }

    /// Replaces these by decoded columns, as [`Observations::decode`]; keeps the memory.
    pub fn refill(&mut self, layout: &SlotLayout, columns: &[ArrayRef], rows: usize) {
        assert_eq!(columns.len(), layout.inputs.len(), "one column for each input");
        assert!(columns.iter().all(|column| column.len() == rows), "columns have one length");
        self.width = (layout.numbers.len(), layout.categories.len());
        self.rows = rows;
        self.numbers.resize(rows * self.width.0, 0.0);
        self.categories.resize(rows * self.width.1, 0);
        for (at, number) in layout.numbers.iter().enumerate() {
            let cells = self.numbers.iter_mut().skip(at).step_by(self.width.0.max(1));
            decode_numbers(&columns[number.input], layout.inputs[number.input].ty, cells);
        }
        for (at, category) in layout.categories.iter().enumerate() {
            let cells = self.categories.iter_mut().skip(at).step_by(self.width.1.max(1));
            decode_categories(&columns[category.input], layout.inputs[category.input].ty, category, cells);
        }
    }

    /// Replaces these by single values; `value(row, input)` returns one.
    ///
    /// # Panics
    /// If a value is neither null nor of its input's type.
    pub fn refill_values<'a>(&mut self, layout: &SlotLayout, rows: usize, value: impl Fn(usize, usize) -> &'a Scalar) {
        self.width = (layout.numbers.len(), layout.categories.len());
        self.rows = rows;
        self.numbers.clear();
        self.categories.clear();
        for row in 0..rows {
            self.numbers.extend(layout.numbers.iter().map(|number| number_of(value(row, number.input))));
            self.categories
                .extend(layout.categories.iter().map(|category| hash_of(value(row, category.input), category)));
        }
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Returns the numbers of a row; NaN is null.
    #[inline]
    pub fn numbers(&self, row: usize) -> &[f64] {
        &self.numbers[row * self.width.0..(row + 1) * self.width.0]
    }

    /// Returns the hashed categories of a row.
    #[inline]
    pub fn categories(&self, row: usize) -> &[u64] {
        &self.categories[row * self.width.1..(row + 1) * self.width.1]
    }

    /// Appends a row of `other`, which has the same layout.
    pub fn push(&mut self, other: &Observations, row: usize) {
        self.width = other.width;
        self.rows += 1;
        self.numbers.extend_from_slice(other.numbers(row));
        self.categories.extend_from_slice(other.categories(row));
    }

    /// Returns whether these are consistent and were made for `layout`.
    pub(crate) fn fits(&self, layout: &SlotLayout) -> bool {
        let width = (layout.numbers.len(), layout.categories.len());
        self.rows == 0
            || self.width == width
                && Some(self.numbers.len()) == self.rows.checked_mul(width.0)
                && Some(self.categories.len()) == self.rows.checked_mul(width.1)
    }
}

impl SlotLayout {
    /// Returns how many values of columns, one for each input in order, are null to a model because they are numbers
    /// beyond ±10^18. Categories are taken as they are.
    pub fn out_of_range(&self, columns: &[ArrayRef]) -> u64 {
        let beyond = |value: f64| value.is_finite() && bounded(value).is_nan();
        let count = |number: &Number| {
            let column = &columns[number.input];
            match self.inputs[number.input].ty {
                Type::Float => column.as_primitive::<Float64Type>().iter().flatten().filter(|x| beyond(*x)).count(),
                Type::Int => column.as_primitive::<Int64Type>().iter().flatten().filter(|x| beyond(*x as f64)).count(),
                Type::Bool | Type::String | Type::Timestamp => 0,
            }
        };
        self.numbers.iter().map(count).sum::<usize>() as u64
    }

    /// The same as [`SlotLayout::out_of_range`], of single values; `value(row, input)` returns one.
    pub fn values_out_of_range<'a>(&self, rows: usize, value: impl Fn(usize, usize) -> &'a Scalar) -> u64 {
        let beyond = |row: usize, number: &Number| match value(row, number.input) {
            Scalar::Float(x) => x.is_finite() && bounded(*x).is_nan(),
            Scalar::Int(x) => bounded(*x as f64).is_nan(),
            _ => false,
        };
        let in_row = |row| self.numbers.iter().filter(|number| beyond(row, number)).count();
        (0..rows).map(in_row).sum::<usize>() as u64
    }
}

fn decode_numbers<'a>(column: &dyn Array, ty: Type, cells: impl Iterator<Item = &'a mut f64>) {
    match ty {
        Type::Float => {
            let values = column.as_primitive::<Float64Type>().values();
            fill(column, cells, f64::NAN, |row| bounded(values[row]));
        }
        Type::Int => {
            let values = column.as_primitive::<Int64Type>().values();
            fill(column, cells, f64::NAN, |row| bounded(values[row] as f64));
        }
        Type::Bool => {
            let values = column.as_boolean().values();
            fill(column, cells, f64::NAN, |row| f64::from(u8::from(values.value(row))));
        }
        Type::String | Type::Timestamp => unreachable!("the layout makes no number of a {ty}"),
    }
}

fn decode_categories<'a>(column: &dyn Array, ty: Type, category: &Category, cells: impl Iterator<Item = &'a mut u64>) {
    let null = mix(category.seed, NULL);
    match ty {
        Type::String => {
            let values = column.as_string::<i32>();
            fill(column, cells, null, |row| hash(category, values.value(row).as_bytes()));
        }
        Type::Int => {
            let values = column.as_primitive::<Int64Type>().values();
            fill(column, cells, null, |row| hash(category, &values[row].to_le_bytes()));
        }
        Type::Float => {
            let values = column.as_primitive::<Float64Type>().values();
            fill(column, cells, null, |row| hash_float(category, values[row]));
        }
        Type::Bool => {
            let values = column.as_boolean().values();
            fill(column, cells, null, |row| hash(category, &[u8::from(values.value(row))]));
        }
        Type::Timestamp => unreachable!("the layout makes no category of a {ty}"),
    }
}

fn number_of(value: &Scalar) -> f64 {
    match value {
        Scalar::Null => f64::NAN,
        Scalar::Float(value) => bounded(*value),
        Scalar::Int(value) => bounded(*value as f64),
        Scalar::Bool(value) => f64::from(u8::from(*value)),
        Scalar::String(_) | Scalar::Timestamp(_) => unreachable!("the layout makes no number of {value:?}"),
    }
}

fn hash_of(value: &Scalar, category: &Category) -> u64 {
    match value {
        Scalar::Null => mix(category.seed, NULL),
        Scalar::String(text) => hash(category, text.as_bytes()),
        Scalar::Int(value) => hash(category, &value.to_le_bytes()),
        Scalar::Float(value) => hash_float(category, *value),
        Scalar::Bool(value) => hash(category, &[u8::from(*value)]),
        Scalar::Timestamp(_) => unreachable!("the layout makes no category of {value:?}"),
    }
}

#[inline]
fn bounded(x: f64) -> f64 {
    if x.abs() <= LARGEST { x } else { f64::NAN }
}

#[inline]
fn hash(category: &Category, bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(category.seed, bytes)
}

#[inline]
fn hash_float(category: &Category, x: f64) -> u64 {
    if x.is_nan() { mix(category.seed, NULL) } else { hash(category, &(x + 0.0).to_le_bytes()) }
}

/// The hash of null.
const NULL: u64 = 0x6E75_6C6C;

/// Combines two hashes. Order matters, and every bit of either reaches the top bits (SplitMix64's finaliser, Steele et
/// al. 2014).
#[inline]
pub(in crate::model) fn mix(one: u64, other: u64) -> u64 {
    let mut bits = one.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) ^ other;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

fn fill<'a, T: Copy + 'a>(
    column: &dyn Array,
    cells: impl Iterator<Item = &'a mut T>,
    null: T,
    value: impl Fn(usize) -> T,
) {
    match column.nulls() {
        None => cells.enumerate().for_each(|(row, cell)| *cell = value(row)),
        Some(nulls) => cells.enumerate().for_each(|(row, cell)| {
            *cell = if nulls.is_valid(row) { value(row) } else { null };
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, Int64Array, StringArray};

    use super::*;
    use crate::model::{InputColumn, ModelOptions};

    #[test]
    fn null_and_what_is_not_finite_are_one_and_an_empty_string_is_another() {
        let inputs = [
            InputColumn::new("x", Type::Float),
            InputColumn::new("s", Type::String),
            InputColumn::new("hour", Type::Int),
        ];
        let options = ModelOptions { categorical: vec!["hour".into()], ..ModelOptions::default() };
        let layout = SlotLayout::new(&inputs, &options).unwrap();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from(vec![Some(1.0), None, Some(f64::INFINITY), Some(1e19)])),
            Arc::new(StringArray::from(vec![Some("a"), None, Some(""), Some("a")])),
            Arc::new(Int64Array::from(vec![Some(5), Some(6), None, Some(5)])),
        ];
        let seen = Observations::decode(&layout, &columns, 4);
        assert_eq!(seen.numbers(0), [1.0]);
        assert!((1..4).all(|row| seen.numbers(row)[0].is_nan()));
        assert_eq!(seen.categories(0), seen.categories(3));
        let strings: std::collections::BTreeSet<u64> = (0..3).map(|row| seen.categories(row)[0]).collect();
        assert_eq!(strings.len(), 3);
    }

    #[test]
    fn single_values_are_observed_as_columns_are() {
        let types = [Type::Float, Type::Int, Type::Bool, Type::String, Type::Int, Type::Float, Type::Bool];
        let names = ["x", "n", "b", "s", "hour", "level", "flag"];
        let inputs: Vec<_> = names.iter().zip(types).map(|(name, ty)| InputColumn::new(*name, ty)).collect();
        let categorical = ["hour", "level", "flag"].map(str::to_owned).to_vec();
        let layout = SlotLayout::new(&inputs, &ModelOptions { categorical, ..ModelOptions::default() }).unwrap();
        let value = |ty, row: i64| match (ty, row) {
            (_, 0) => Scalar::Null,
            (Type::Float, 1) => Scalar::Float(-0.0),
            (Type::Float, 2) => Scalar::Float(1e300),
            (Type::Float, _) => Scalar::Float(row as f64 / 3.0),
            (Type::Int, 1) => Scalar::Int(i64::MAX),
            (Type::Int, _) => Scalar::Int(row),
            (Type::Bool, _) => Scalar::Bool(row % 2 == 0),
            (Type::String, 1) => Scalar::String("".into()),
            (_, _) => Scalar::String(format!("é{row}").into()),
        };
        let rows: Vec<Vec<Scalar>> = (0..6).map(|row| types.iter().map(|ty| value(*ty, row)).collect()).collect();
        let column = |(input, ty): (usize, &Type)| {
            let mut builder = crate::value::ColumnBuilder::new(*ty);
            rows.iter().for_each(|row| builder.append(&row[input]));
            builder.finish()
        };
        let columns: Vec<ArrayRef> = types.iter().enumerate().map(column).collect();
        let mut seen = Observations::default();
        seen.refill_values(&layout, rows.len(), |row, input| &rows[row][input]);
        let bits = |seen: &Observations| -> Vec<u64> { seen.numbers.iter().map(|x| x.to_bits()).collect() };
        let expected = Observations::decode(&layout, &columns, rows.len());
        assert_eq!((bits(&seen), &seen.categories), (bits(&expected), &expected.categories));
    }

    #[test]
    fn the_hash_of_a_category_never_changes() {
        let layout = SlotLayout::new(&[InputColumn::new("carrier", Type::String)], &ModelOptions::default()).unwrap();
        let column: ArrayRef = Arc::new(StringArray::from(vec![Some("UA"), None]));
        let seen = Observations::decode(&layout, &[column], 2);
        assert_eq!(
            [seen.categories(0)[0], seen.categories(1)[0]],
            [1_506_141_063_278_189_056, 14_105_999_986_690_908_659]
        );
    }
}
