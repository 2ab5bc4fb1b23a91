//! Lists and maps as inputs: their numbers and hashed categories, as many for every example.
//!
//! A list of at most k items is k inputs, one for each position; positions that it does not have are null. A list of
//! texts, or one that is named in `categorical`, is a bag: its items are categories of one name wherever they stand, and
//! positions that it does not have count as none.
//!
//! A map is an entry for each category: the hash of the category, and its number. A value that is null has none. A text, or
//! any value of a map in `categorical`, is 1 in the entry of category and value together.
//!
//! Where all rows must have one width, a map is [`super::MAP_INPUTS`] numbers instead. An entry belongs to the number that the
//! top bits of its hash name, and entries of one number are added in the order of the categories. A number without an entry
//! is 0, and all are null if the map is null or empty.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};

use super::layout::{Category, InputShape, MAP_BITS};
use super::values::{MapEntry, bounded, hash, hash_of, is_beyond, null_of, number_of};
use crate::value::{Scalar, Type};

/// The value of an input of one example.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InputCell<'a> {
    Value(&'a Scalar),
    List(&'a [Scalar]),
    /// Entries by key, ascending.
    Map(&'a [(Arc<str>, Scalar)]),
}

impl<'a> InputCell<'a> {
    /// A value that is null, whatever the form of the input.
    pub const NULL: InputCell<'static> = InputCell::Value(&Scalar::Null);

    /// Returns the value, null of a list or a map.
    #[inline]
    pub(super) fn scalar(self) -> &'a Scalar {
        match self {
            InputCell::Value(value) => value,
            InputCell::List(_) | InputCell::Map(_) => &Scalar::Null,
        }
    }

    /// Counts the numbers that are null to a model because they are beyond ±10^18.
    pub(super) fn beyond(self) -> usize {
        match self {
            InputCell::Value(value) => usize::from(is_beyond(value)),
            InputCell::List(items) => items.iter().filter(|item| is_beyond(item)).count(),
            InputCell::Map(entries) => entries.iter().filter(|(_, value)| is_beyond(value)).count(),
        }
    }
}

/// The lists or maps of a column, row by row.
pub(super) struct NestedRows<'a> {
    column: &'a ArrayRef,
    ty: Type,
    form: InputShape,
    items: Vec<Scalar>,
    entries: Vec<(Arc<str>, Scalar)>,
}

impl<'a> NestedRows<'a> {
    pub fn new(column: &'a ArrayRef, ty: Type, form: InputShape) -> Self {
        NestedRows { column, ty, form, items: Vec::new(), entries: Vec::new() }
    }

    /// Returns the value of a row.
    ///
    /// # Panics
    /// If the column has another form or type.
    pub fn value(&mut self, row: usize) -> InputCell<'_> {
        if self.column.is_null(row) {
            return InputCell::NULL;
        }
        match self.form {
            InputShape::Value => unreachable!("a column of single values has no lists"),
            InputShape::List(_) => {
                let items = self.column.as_list::<i32>().value(row);
                self.items.clear();
                self.items.extend((0..items.len()).map(|at| Scalar::typed(self.ty, &items, at)));
                InputCell::List(&self.items)
            }
            InputShape::Map => {
                let entries = self.column.as_map().value(row);
                let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1));
                let entry = |at| (Arc::from(keys.value(at)), Scalar::typed(self.ty, values, at));
                self.entries.clear();
                self.entries.extend((0..entries.len()).map(entry));
                InputCell::Map(&self.entries)
            }
        }
    }
}

/// Writes the numbers of a list or map whose input has this hash; `values` as categories if they are ones.
pub(super) fn fill_numbers(value: InputCell<'_>, seed: u64, categorical: bool, cells: &mut [f64]) {
    cells.fill(f64::NAN);
    match value {
        InputCell::List(items) => {
            cells.iter_mut().zip(items).for_each(|(cell, item)| *cell = number_of(item));
        }
        InputCell::Map(entries) if !entries.is_empty() => {
            cells.fill(0.0);
            for (hash, number) in entries.iter().filter_map(|entry| hashed_entry(entry, seed, categorical)) {
                cells[(hash >> (u64::BITS - MAP_BITS)) as usize] += number;
            }
            cells.iter_mut().for_each(|cell| *cell = bounded(*cell));
        }
        InputCell::Map(_) | InputCell::Value(_) => {}
    }
}

/// Appends the entries of a map, which is at a position among the maps of a layout.
pub(super) fn push_entries(value: InputCell<'_>, map: u32, seed: u64, categorical: bool, out: &mut Vec<MapEntry>) {
    if let InputCell::Map(entries) = value {
        let hashed = entries.iter().filter_map(|entry| hashed_entry(entry, seed, categorical));
        out.extend(hashed.map(|(hash, number)| MapEntry { map, hash, number }));
    }
}

/// Returns the hash and the number of an entry; `None` if it is null.
fn hashed_entry((key, value): &(Arc<str>, Scalar), seed: u64, categorical: bool) -> Option<(u64, f64)> {
    let key = hash(seed, key.as_bytes());
    let (hash, number) = match value {
        Scalar::Null => return None,
        Scalar::String(_) => (hash_of(value, key), 1.0),
        _ if categorical => (hash_of(value, key), 1.0),
        _ => (key, number_of(value)),
    };
    (!number.is_nan()).then_some((hash, number))
}

/// Writes the hashes of the items of a list, then null for those that it does not have.
pub(super) fn fill_categories(value: InputCell<'_>, category: &Category, cells: &mut [u64]) {
    cells.fill(null_of(category.seed));
    if let InputCell::List(items) = value {
        cells.iter_mut().zip(items).for_each(|(cell, item)| *cell = hash_of(item, category.seed));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow_array::builder::{Float64Builder, ListBuilder, MapBuilder, StringBuilder};
    use proptest::prelude::*;

    use super::*;
    use crate::model::preparation::{CLIP, MAP_INPUTS, MapForm, Observations, Preparation, SlotLayout, Statistics};
    use crate::model::{InputColumn, ModelError, ModelOptions, SparseRows, Task};

    fn inputs() -> Vec<InputColumn> {
        let of = |name, ty, form| InputColumn { form, ..InputColumn::new(name, ty) };
        vec![
            InputColumn::new("x", Type::Float),
            of("g.series", Type::Float, InputShape::List(3)),
            of("g.bag", Type::String, InputShape::List(3)),
            of("g.map", Type::Float, InputShape::Map),
        ]
    }

    type NestedExample = (Option<Vec<Option<f64>>>, Option<Vec<String>>, Option<BTreeMap<String, Option<f64>>>);

    fn columns(rows: &[NestedExample]) -> Vec<ArrayRef> {
        let mut series = ListBuilder::new(Float64Builder::new());
        let mut bag = ListBuilder::new(StringBuilder::new());
        let mut map = MapBuilder::new(None, StringBuilder::new(), Float64Builder::new());
        for (items, texts, entries) in rows {
            items.iter().flatten().for_each(|item| series.values().append_option(*item));
            series.append(items.is_some());
            texts.iter().flatten().for_each(|text| bag.values().append_value(text));
            bag.append(texts.is_some());
            for (key, value) in entries.iter().flatten() {
                map.keys().append_value(key);
                map.values().append_option(*value);
            }
            map.append(entries.is_some()).unwrap();
        }
        let x: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![1.0; rows.len()]));
        vec![x, Arc::new(series.finish()), Arc::new(bag.finish()), Arc::new(map.finish())]
    }

    fn examples() -> impl Strategy<Value = Vec<NestedExample>> {
        let number = || prop::option::of(prop_oneof![-1e3..1e3, Just(1e19), Just(-0.0)]);
        let items = prop::option::of(prop::collection::vec(number(), 0..=3));
        let texts = prop::option::of(prop::collection::vec("[a-c]?", 0..=3));
        let entries = prop::option::of(prop::collection::btree_map("[a-z]{0,2}", number(), 0..8));
        prop::collection::vec((items, texts, entries), 1..6)
    }

    /// The numbers of a map, category by category.
    fn map_oracle(entries: &Option<BTreeMap<String, Option<f64>>>) -> Vec<u64> {
        let Some(entries) = entries.as_ref().filter(|entries| !entries.is_empty()) else {
            return vec![f64::NAN.to_bits(); MAP_INPUTS];
        };
        let seed = twox_hash::XxHash3_64::oneshot(b"g.map");
        let number_of = |key: &str| twox_hash::XxHash3_64::oneshot_with_seed(seed, key.as_bytes()) >> 58;
        let sum = |number: u64| {
            let own = entries.iter().filter(|(key, _)| number_of(key) == number);
            own.filter_map(|(_, value)| value.filter(|value| value.abs() <= 1e18)).fold(0.0, |sum, value| sum + value)
        };
        (0..MAP_INPUTS as u64).map(|number| sum(number).to_bits()).collect()
    }

    /// The entries of a map, category by category.
    fn entries_oracle(entries: &Option<BTreeMap<String, Option<f64>>>) -> Vec<MapEntry> {
        let seed = twox_hash::XxHash3_64::oneshot(b"g.map");
        let entry = |(key, number): (&String, &Option<f64>)| {
            let hash = twox_hash::XxHash3_64::oneshot_with_seed(seed, key.as_bytes());
            number.filter(|number| number.abs() <= 1e18).map(|number| MapEntry { map: 0, hash, number })
        };
        entries.iter().flatten().filter_map(entry).collect()
    }

    proptest! {
        #[test]
        fn oracle_lists_and_maps_are_observed_one_by_one_and_served_as_they_are_trained(rows in examples()) {
            let layout = SlotLayout::new(&inputs(), &ModelOptions::default()).unwrap();
            let columns = columns(&rows);
            let seen = Observations::decode(&layout, &columns, rows.len());
            let scalars: Vec<_> = rows.iter().map(|(items, texts, entries)| (
                items.as_ref().map(|items| items.iter().map(|item| Scalar::from(*item)).collect::<Vec<_>>()),
                texts.as_ref().map(|texts| texts.iter().map(|text| Scalar::String(text.as_str().into())).collect::<Vec<_>>()),
                entries.as_ref().map(|entries| {
                    entries.iter().map(|(key, value)| (Arc::from(key.as_str()), Scalar::from(*value))).collect::<Vec<_>>()
                }),
            )).collect();
            let one = Scalar::Float(1.0);
            let value = |row: usize, input: usize| {
                let (items, texts, entries) = &scalars[row];
                match input {
                    0 => InputCell::Value(&one),
                    1 => items.as_ref().map_or(InputCell::NULL, |items| InputCell::List(items)),
                    2 => texts.as_ref().map_or(InputCell::NULL, |texts| InputCell::List(texts)),
                    _ => entries.as_ref().map_or(InputCell::NULL, |entries| InputCell::Map(entries)),
                }
            };
            let mut served = Observations::default();
            served.refill_values(&layout, rows.len(), value);
            prop_assert_eq!(layout.out_of_range(&columns), layout.values_out_of_range(rows.len(), value));
            for (row, (items, texts, entries)) in rows.iter().enumerate() {
                let bits = |numbers: &[f64]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                prop_assert_eq!(bits(served.numbers(row)), bits(seen.numbers(row)));
                prop_assert_eq!(served.categories(row), seen.categories(row));
                let item = |at: usize| items.as_ref().and_then(|items| *items.get(at)?);
                let series = (0..3).map(|at| item(at).filter(|x| x.abs() <= 1e18).unwrap_or(f64::NAN).to_bits());
                let expected: Vec<u64> = [1f64.to_bits()].into_iter().chain(series).chain(map_oracle(entries)).collect();
                prop_assert_eq!(bits(seen.numbers(row)), expected);
                let seed = twox_hash::XxHash3_64::oneshot(b"g.bag");
                let text = |at: usize| texts.as_ref().and_then(|texts| texts.get(at));
                let hash = |at| text(at).map_or(null_of(seed), |text| hash(seed, text.as_bytes()));
                prop_assert_eq!(seen.categories(row), &[hash(0), hash(1), hash(2)]);
            }
            // The same with an entry for each category of the map.
            let layout = SlotLayout::with_maps(&inputs(), &ModelOptions::default(), MapForm::Entries).unwrap();
            let seen = Observations::decode(&layout, &columns, rows.len());
            served.refill_values(&layout, rows.len(), value);
            prop_assert_eq!(layout.out_of_range(&columns), layout.values_out_of_range(rows.len(), value));
            prop_assert!(seen.fits(&layout));
            let mut pushed = Observations::default();
            (0..rows.len()).for_each(|row| pushed.push(&seen, row));
            for (row, (_, _, entries)) in rows.iter().enumerate() {
                prop_assert_eq!(served.entries(row), entries_oracle(entries));
                prop_assert_eq!(seen.entries(row), entries_oracle(entries));
                prop_assert_eq!(pushed.entries(row), entries_oracle(entries));
                prop_assert_eq!(seen.numbers(row).len(), 4);
            }
        }
    }

    #[test]
    fn equal_items_of_a_bag_add_up_and_missing_ones_count_as_none() {
        let layout = Arc::new(SlotLayout::new(&inputs(), &ModelOptions::default()).unwrap());
        let bag = |texts: &[&str]| (None, Some(texts.iter().map(|text| (*text).to_owned()).collect()), None);
        let seen =
            Observations::decode(&layout, &columns(&[bag(&["a", "a"]), bag(&["b", "a"]), (None, None, None)]), 3);
        let mut statistics = Statistics::new(&layout, Task::Regression);
        statistics.observe(&seen, &[0.0; 3], &[0, 1, 2]);
        let mut rows = SparseRows::default();
        Preparation::new(&layout, &statistics).encode(&seen, &[0, 1, 2], &mut rows);
        let weight = |row: usize, slot: u32| -> f64 {
            let row = rows.row(row);
            layout.categories().filter(|at| row.index[*at] == slot).map(|at| row.value[at]).sum()
        };
        let a = rows.row(0).index[layout.categories().start];
        assert_eq!([0, 1, 2].map(|row| weight(row, a)), [2.0, 1.0, 0.0]);
        let all = |row: usize| layout.categories().map(|at| rows.row(row).value[at]).sum::<f64>();
        assert_eq!([0, 1, 2].map(all), [2.0, 2.0, 0.0]);
    }

    #[test]
    fn each_category_of_a_map_has_its_slot_whatever_else_a_row_has() {
        let options = ModelOptions { hash_bits: 16, ..ModelOptions::default() };
        let layout = Arc::new(SlotLayout::with_maps(&inputs(), &options, MapForm::Entries).unwrap());
        let map = |entries: &[(&str, f64)]| {
            (None, None, Some(entries.iter().map(|(key, x)| ((*key).to_owned(), Some(*x))).collect()))
        };
        let examples = [map(&[("a", 3.0), ("b", -4.0)]), (None, None, None), map(&[("b", 0.0)]), map(&[("b", 1e9)])];
        let seen = Observations::decode(&layout, &columns(&examples), 4);
        let mut statistics = Statistics::new(&layout, Task::Regression);
        statistics.observe(&seen, &[0.0; 4], &[0, 1, 2]);
        let preparation = Preparation::new(&layout, &statistics);
        let mut tensors = Default::default();
        preparation.save(&mut tensors);
        let preparation = Preparation::load(&layout, &tensors).unwrap();
        let mut rows = SparseRows::default();
        preparation.encode(&seen, &[2, 0, 1, 3], &mut rows);
        let of_map = |row: usize| {
            let row = rows.row(row);
            row.index[layout.width()..].iter().copied().zip(row.value[layout.width()..].iter().copied())
        };
        // The root of the mean square of 3, −4 and 0.
        let scale = libm::sqrt(25.0 / 3.0);
        let numbers = |row| of_map(row).map(|(_, number)| number).collect::<Vec<_>>();
        assert_eq!(numbers(0), [0.0]);
        assert!(numbers(1).iter().zip([3.0, -4.0]).all(|(found, x)| (found - x / scale).abs() < 1e-12));
        assert_eq!((numbers(2), numbers(3)), (vec![], vec![CLIP]));
        let slot_of_b = of_map(0).next().unwrap().0;
        assert_eq!([of_map(1).nth(1).unwrap().0, of_map(3).next().unwrap().0], [slot_of_b; 2]);
        assert!(rows.iter().map(|row| row.index.len()).eq([1, 2, 0, 1].map(|entries| layout.width() + entries)));
        assert!(
            rows.iter().zip(0..).all(|(row, at)| row.index == rows.row(at).index && row.value == rows.row(at).value)
        );
    }

    #[test]
    fn texts_in_a_map_are_told_apart_and_crosses_take_neither_lists_nor_maps() {
        let map = |value: &str| [(Arc::from("a"), Scalar::String(value.into()))];
        let numbers = |value: &str| {
            let mut cells = vec![0.0; MAP_INPUTS];
            fill_numbers(InputCell::Map(&map(value)), 7, false, &mut cells);
            cells
        };
        assert_eq!(numbers("x").iter().sum::<f64>(), 1.0);
        assert!((0..9).any(|n| numbers(&n.to_string()) != numbers("x")));
        for name in ["g.bag", "g.map"] {
            let crosses = vec![vec![name.to_owned(), "x".to_owned()]];
            let options = ModelOptions { crosses, bins: 10, ..ModelOptions::default() };
            let errors = SlotLayout::new(&inputs(), &options).unwrap_err();
            assert_eq!(errors, [ModelError::CrossedList { input: name.to_owned() }]);
        }
    }
}
