//! Observations: examples as numbers and hashed categories, before any version's preparation.
//!
//! Lists are several numbers or categories, and so are maps, unless the layout gives their categories entries.
//!
//! A null, a non-finite number and one beyond ±10^18 are all NaN here. A category is hashed with XXH3 (64 bits), seeded
//! with the XXH3 of its input's name: strings by their bytes, numbers and bools by the bytes of their value.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use serde::{Deserialize, Serialize};

use super::layout::{Category, MapInput, Number};
use super::nested::{InputCell, NestedRows, fill_categories, fill_numbers, push_entries};
use super::tokens::{fill_tokens, push_tokens};
use super::values::{bounded, hash, hash_float, hash_of, null_of, number_of};
use super::{InputColumn, InputShape, MapEntry, SlotLayout};
use crate::value::{Scalar, Type};

/// Examples as numbers and hashed categories, row-major, in the layout's order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observations {
    rows: usize,
    /// Numbers and categories of a row.
    width: (usize, usize),
    numbers: Vec<f64>,
    categories: Vec<u64>,
    /// The entries of maps, and where those of each row end; both are empty if the layout has no such maps.
    entries: Vec<MapEntry>,
    ends: Vec<u32>,
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
            if !layout.is_single(number.input) {
                if number.part == 0 {
                    self.decode_nested_numbers(layout, at, &columns[number.input]);
                }
                continue;
            }
            let cells = self.numbers.iter_mut().skip(at).step_by(self.width.0.max(1));
            decode_numbers(&columns[number.input], layout.inputs[number.input].ty, cells);
        }
        for (at, category) in layout.categories.iter().enumerate() {
            if category.in_bag {
                if category.part == 0 {
                    self.decode_bag(layout, at, &columns[category.input]);
                }
                continue;
            }
            let cells = self.categories.iter_mut().skip(at).step_by(self.width.1.max(1));
            decode_categories(&columns[category.input], layout.inputs[category.input].ty, category, cells);
        }
        self.decode_entries(layout, columns);
    }

    /// Decodes the maps whose categories have entries.
    fn decode_entries(&mut self, layout: &SlotLayout, columns: &[ArrayRef]) {
        self.entries.clear();
        self.ends.clear();
        if layout.maps.is_empty() {
            return;
        }
        let nested = |map: &MapInput| {
            (!map.is_text).then(|| NestedRows::new(&columns[map.input], layout.inputs[map.input].ty, InputShape::Map))
        };
        let mut maps: Vec<Option<NestedRows<'_>>> = layout.maps.iter().map(nested).collect();
        let ngrams = layout.options.preparing.ngrams;
        for row in 0..self.rows {
            for (at, (rows, map)) in (0u32..).zip(maps.iter_mut().zip(&layout.maps)) {
                match rows {
                    Some(rows) => push_entries(rows.value(row), at, map.seed, map.categorical, &mut self.entries),
                    None => push_tokens(text_at(&columns[map.input], row), at, map.seed, ngrams, &mut self.entries),
                }
            }
            self.end_row();
        }
    }

    fn end_row(&mut self) {
        self.ends.push(u32::try_from(self.entries.len()).expect("a batch has fewer entries"));
    }

    /// Decodes a list or map into its numbers, the first of which is at a position.
    fn decode_nested_numbers(&mut self, layout: &SlotLayout, at: usize, column: &ArrayRef) {
        let Number { input, seed, .. } = layout.numbers[at];
        if layout.is_text(input) {
            for (row, numbers) in self.numbers.chunks_exact_mut(self.width.0).enumerate() {
                let cells = &mut numbers[at..at + layout.parts(input)];
                fill_tokens(text_at(column, row), seed, layout.options.preparing.ngrams, cells);
            }
            return;
        }
        let (form, categorical) = (layout.inputs[input].form, layout.is_categorical(input));
        let mut rows = NestedRows::new(column, layout.inputs[input].ty, form);
        for (row, numbers) in self.numbers.chunks_exact_mut(self.width.0).enumerate() {
            fill_numbers(rows.value(row), seed, categorical, &mut numbers[at..at + form.parts()]);
        }
    }

    /// Decodes a list into its categories, the first of which is at a position.
    fn decode_bag(&mut self, layout: &SlotLayout, at: usize, column: &ArrayRef) {
        let category = &layout.categories[at];
        let input = &layout.inputs[category.input];
        let mut rows = NestedRows::new(column, input.ty, input.form);
        for (row, categories) in self.categories.chunks_exact_mut(self.width.1).enumerate() {
            fill_categories(rows.value(row), category, &mut categories[at..at + input.form.parts()]);
        }
    }

    /// Replaces these by single values; `value(row, input)` returns one.
    ///
    /// # Panics
    /// If a value is neither null nor of its input's type.
    pub fn refill_values<'a>(
        &mut self,
        layout: &SlotLayout,
        rows: usize,
        value: impl Fn(usize, usize) -> InputCell<'a>,
    ) {
        // The buffers are cleared and reused.
        self.width = (layout.numbers.len(), layout.categories.len());
        self.rows = rows;
        self.numbers.clear();
        self.categories.clear();
        self.entries.clear();
        self.ends.clear();
        let ngrams = layout.options.preparing.ngrams;
        for row in 0..rows {
            // Numbers, then categories, then entries.
            for number in &layout.numbers {
                let form = layout.inputs[number.input].form;
                if layout.is_text(number.input) {
                    if number.part == 0 {
                        let at = self.numbers.len();
                        self.numbers.resize(at + layout.parts(number.input), f64::NAN);
                        fill_tokens(text_of(value(row, number.input)), number.seed, ngrams, &mut self.numbers[at..]);
                    }
                } else if form.is_value() {
                    self.numbers.push(number_of(value(row, number.input).scalar()));
                } else if number.part == 0 {
                    let (at, categorical) = (self.numbers.len(), layout.is_categorical(number.input));
                    self.numbers.resize(at + form.parts(), f64::NAN);
                    fill_numbers(value(row, number.input), number.seed, categorical, &mut self.numbers[at..]);
                }
            }
            for category in &layout.categories {
                if !category.in_bag {
                    self.categories.push(hash_of(value(row, category.input).scalar(), category.seed));
                } else if category.part == 0 {
                    let at = self.categories.len();
                    self.categories.resize(at + layout.inputs[category.input].form.parts(), 0);
                    fill_categories(value(row, category.input), category, &mut self.categories[at..]);
                }
            }
            for (at, map) in (0u32..).zip(&layout.maps) {
                let value = value(row, map.input);
                match map.is_text {
                    true => push_tokens(text_of(value), at, map.seed, ngrams, &mut self.entries),
                    false => push_entries(value, at, map.seed, map.categorical, &mut self.entries),
                }
            }
            if !layout.maps.is_empty() {
                self.end_row();
            }
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

    /// Returns the entries of a row's maps.
    #[inline]
    pub fn entries(&self, row: usize) -> &[MapEntry] {
        let Some(end) = self.ends.get(row) else { return &[] };
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.entries[start as usize..*end as usize]
    }

    /// Appends a row of `other`, which has the same layout.
    pub fn push(&mut self, other: &Observations, row: usize) {
        self.width = other.width;
        self.rows += 1;
        self.numbers.extend_from_slice(other.numbers(row));
        self.categories.extend_from_slice(other.categories(row));
        if !other.ends.is_empty() {
            self.entries.extend_from_slice(other.entries(row));
            self.end_row();
        }
    }

    /// Returns whether these are consistent and were made for `layout`.
    pub(crate) fn fits(&self, layout: &SlotLayout) -> bool {
        let width = (layout.numbers.len(), layout.categories.len());
        let with_entries = if layout.maps.is_empty() { 0 } else { self.rows };
        let has_entries = self.ends.len() == with_entries
            && self.ends.is_sorted()
            && self.ends.last().map_or(0, |end| *end as usize) == self.entries.len()
            && self.entries.iter().all(|entry| (entry.map as usize) < layout.maps.len() && entry.number.is_finite());
        self.rows == 0 && self.entries.is_empty()
            || self.width == width
                && has_entries
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
            let InputColumn { ty, form, .. } = self.inputs[number.input];
            if form != InputShape::Value {
                let mut rows = NestedRows::new(column, ty, form);
                let is_counted = number.part == 0 && !self.is_categorical(number.input);
                return if is_counted { (0..column.len()).map(|row| rows.value(row).beyond()).sum() } else { 0 };
            }
            match ty {
                Type::Float => column.as_primitive::<Float64Type>().iter().flatten().filter(|x| beyond(*x)).count(),
                Type::Int => column.as_primitive::<Int64Type>().iter().flatten().filter(|x| beyond(*x as f64)).count(),
                Type::Bool | Type::String | Type::Timestamp => 0,
            }
        };
        let of_maps = self.maps.iter().filter(|map| !map.categorical && !map.is_text).map(|map| {
            let column = &columns[map.input];
            let mut rows = NestedRows::new(column, self.inputs[map.input].ty, InputShape::Map);
            (0..column.len()).map(|row| rows.value(row).beyond()).sum::<usize>()
        });
        self.numbers.iter().map(count).chain(of_maps).sum::<usize>() as u64
    }

    /// The same as [`SlotLayout::out_of_range`], of single values; `value(row, input)` returns one.
    pub fn values_out_of_range<'a>(&self, rows: usize, value: impl Fn(usize, usize) -> InputCell<'a>) -> u64 {
        let is_counted = |number: &&Number| {
            number.part == 0 && (self.inputs[number.input].form.is_value() || !self.is_categorical(number.input))
        };
        let in_row = |row| {
            let counted = self.numbers.iter().filter(is_counted).map(|number| number.input);
            let of_maps = self.maps.iter().filter(|map| !map.categorical).map(|map| map.input);
            counted.chain(of_maps).map(|input| value(row, input).beyond()).sum::<usize>()
        };
        (0..rows).map(in_row).sum::<usize>() as u64
    }
}

/// Returns the text of a row; `None` of a null.
fn text_at(column: &ArrayRef, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.as_string::<i32>().value(row))
}

/// Returns the text of a value; `None` of a null.
fn text_of(value: InputCell<'_>) -> Option<&str> {
    if let Scalar::String(text) = value.scalar() { Some(text) } else { None }
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
    let (seed, null) = (category.seed, null_of(category.seed));
    match ty {
        Type::String => {
            let values = column.as_string::<i32>();
            fill(column, cells, null, |row| hash(seed, values.value(row).as_bytes()));
        }
        Type::Int => {
            let values = column.as_primitive::<Int64Type>().values();
            fill(column, cells, null, |row| hash(seed, &values[row].to_le_bytes()));
        }
        Type::Float => {
            let values = column.as_primitive::<Float64Type>().values();
            fill(column, cells, null, |row| hash_float(seed, values[row]));
        }
        Type::Bool => {
            let values = column.as_boolean().values();
            fill(column, cells, null, |row| hash(seed, &[u8::from(values.value(row))]));
        }
        Type::Timestamp => unreachable!("the layout makes no category of a {ty}"),
    }
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
    use crate::model::ModelOptions;

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
        seen.refill_values(&layout, rows.len(), |row, input| InputCell::Value(&rows[row][input]));
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
