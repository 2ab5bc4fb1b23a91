//! Slot layout: how inputs are prepared, and the slots of the weights that belong to each.
//!
//! | slots | what |
//! |---|---|
//! | 0 | the bias: always 1 |
//! | 1, 2 for the first number, 3, 4 for the second, … | its standardised value; whether it is null |
//! | then `bins` for each number that is cut | one of them is 1 |
//! | then 2^`hash_bits` | one for each category of each categorical input, and of each cross |
//!
//! A bool is a number, 0 or 1, and is not cut into bins; a cross takes it as a category. A null string or category is
//! a category of its own. A list is several numbers or categories; those of bags come after the single categories.
//!
//! A text is a map of its words. A map is either so many numbers that are not cut, or entries of its own: see
//! [`MapForm`]. The entries come after all others of a row, one for each category of the map, with a hashed slot each.
//!
//! ```
//! use tidemill::model::preparation::SlotLayout;
//! use tidemill::model::{InputColumn, ModelOptions};
//! use tidemill::value::Type;
//!
//! let inputs = [InputColumn::new("x", Type::Float), InputColumn::new("town", Type::String)];
//! let options = ModelOptions { hash_bits: 8, ..ModelOptions::default() };
//! let layout = SlotLayout::new(&inputs, &options).unwrap();
//! assert_eq!((layout.dense(), layout.slots(), layout.width()), (3, 3 + 256, 3));
//! ```

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::model::{ModelError, ModelOptions};
use crate::value::{Key, Type};

/// The numbers that a map is.
pub const MAP_INPUTS: usize = 1 << MAP_BITS;
pub(super) const MAP_BITS: u32 = 6;

/// The form in which a row has the categories of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapForm {
    /// [`MAP_INPUTS`] numbers, one of which the hash of a category names. So all rows have one width.
    Numbers,
    /// An entry for each category, in a hashed slot, with the category's number.
    Entries,
}

/// An input of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputColumn {
    pub name: String,
    /// The type of the value, or of the values in a list or map.
    pub ty: Type,
    #[serde(default, skip_serializing_if = "InputShape::is_value")]
    pub form: InputShape,
}

/// The form of an input's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputShape {
    #[default]
    Value,
    /// A list of at most so many items.
    List(usize),
    /// A map from text.
    Map,
}

impl InputShape {
    /// Returns whether it is a single value.
    pub fn is_value(&self) -> bool {
        *self == InputShape::Value
    }

    /// Returns how many numbers or categories an input of this form is.
    pub(super) fn parts(self) -> usize {
        match self {
            InputShape::Value => 1,
            InputShape::List(most) => most,
            InputShape::Map => MAP_INPUTS,
        }
    }
}

impl InputColumn {
    /// An input of single values.
    pub fn new(name: impl Into<String>, ty: Type) -> Self {
        InputColumn { name: name.into(), ty, form: InputShape::Value }
    }
}

/// A number: a dense input.
#[derive(Clone, Debug)]
pub(super) struct Number {
    /// Position among the inputs.
    pub input: usize,
    /// Position among the numbers of its list or map; 0 of a single one.
    pub part: usize,
    /// The first of its bins' slots, if it is cut.
    pub bins: Option<u32>,
    /// Seed of the hashes of its bins in a cross.
    pub seed: u64,
}

/// A category: a hashed input.
#[derive(Clone, Debug)]
pub(super) struct Category {
    pub input: usize,
    /// Position among the items of its list; 0 of a single one.
    pub part: usize,
    /// True for an item of a list.
    pub in_bag: bool,
    /// Hash of the input's name: equal values of two inputs are two categories.
    pub seed: u64,
    /// True for a category with a slot of its own, beside those of the crosses it is in.
    pub alone: bool,
}

/// A map whose categories have entries, or a text whose words have some.
#[derive(Clone, Debug)]
pub(super) struct MapInput {
    pub input: usize,
    /// Hash of the input's name.
    pub seed: u64,
    /// True if its values are categories, too.
    pub categorical: bool,
    pub is_text: bool,
}

/// A part of a cross: a position among the numbers or among the categories.
#[derive(Clone, Copy, Debug)]
pub(super) enum CrossPart {
    /// A number, by its bin.
    Number(usize),
    Category(usize),
}

/// Inputs and options, resolved to slots.
#[derive(Clone, Debug)]
pub struct SlotLayout {
    pub(super) inputs: Vec<InputColumn>,
    pub(super) options: ModelOptions,
    pub(super) numbers: Vec<Number>,
    pub(super) categories: Vec<Category>,
    /// The maps whose categories have entries.
    pub(super) maps: Vec<MapInput>,
    pub(super) crosses: Vec<Vec<CrossPart>>,
    /// True if numbers are brought into the range of those that a version knows.
    pub(super) is_ranged: bool,
    dense: usize,
}

impl SlotLayout {
    /// The layout with [`MapForm::Numbers`]; see [`SlotLayout::with_maps`].
    ///
    /// # Errors
    /// Everything that is wrong with the inputs and with the options that name them.
    pub fn new(inputs: &[InputColumn], options: &ModelOptions) -> Result<Self, Vec<ModelError>> {
        Self::with_maps(inputs, options, MapForm::Numbers)
    }

    /// Resolves options against inputs, maps in the form that the kind reads. Ranges of numbers are checked by
    /// [`crate::model::check_options`].
    ///
    /// # Errors
    /// Everything that is wrong with the inputs and with the options that name them.
    pub fn with_maps(
        inputs: &[InputColumn],
        options: &ModelOptions,
        map_form: MapForm,
    ) -> Result<Self, Vec<ModelError>> {
        let mut errors = Vec::new();
        let position = |name: &str| inputs.iter().position(|input| input.name == name);
        if inputs.is_empty() {
            errors.push(ModelError::NoInputs);
        }
        for name in &options.categorical {
            if position(name).is_none() {
                errors.push(ModelError::UnknownInput { option: "categorical", found: name.clone() });
            }
        }
        errors.extend(text_errors(inputs, options));
        let mut layout = SlotLayout {
            inputs: inputs.to_vec(),
            options: options.clone(),
            numbers: Vec::new(),
            categories: Vec::new(),
            maps: Vec::new(),
            crosses: Vec::new(),
            is_ranged: false,
            dense: 0,
        };
        errors.extend(layout.sort_inputs(map_form));
        layout.place_bins();
        // Resolve the parts of crosses.
        for cross in &options.crosses {
            if cross.len() < 2 {
                errors.push(ModelError::ShortCross);
            }
            let parts = cross.iter().filter_map(|name| match position(name) {
                Some(input) => layout.part(input).map_err(|error| errors.push(error)).ok(),
                None => {
                    errors.push(ModelError::UnknownInput { option: "crosses", found: name.clone() });
                    None
                }
            });
            let parts = parts.collect();
            layout.crosses.push(parts);
        }
        if errors.is_empty() { Ok(layout) } else { Err(errors) }
    }

    /// Brings numbers into the range of those that a version knows.
    pub(in crate::model) fn ranged(self) -> Self {
        SlotLayout { is_ranged: true, ..self }
    }

    /// Sorts the inputs into numbers, categories and maps. Returns what is wrong with their types.
    fn sort_inputs(&mut self, map_form: MapForm) -> Vec<ModelError> {
        let (mut errors, mut bags) = (Vec::new(), Vec::new());
        for at in 0..self.inputs.len() {
            let InputColumn { name, ty, form } = &self.inputs[at];
            let seed = Key::hash_of(name.as_bytes());
            let categorical = *ty == Type::String || self.options.categorical.contains(name);
            let is_text = self.is_text(at);
            let has_entries = (*form == InputShape::Map || is_text) && map_form == MapForm::Entries;
            match ty {
                Type::Timestamp => errors.push(ModelError::InputType { input: name.clone(), ty: *ty }),
                _ if has_entries => self.maps.push(MapInput { input: at, seed, categorical, is_text }),
                _ if categorical && !is_text && *form != InputShape::Map => {
                    let in_bag = !form.is_value();
                    let categories = if in_bag { &mut bags } else { &mut self.categories };
                    let category = |part| Category { input: at, part, in_bag, seed, alone: true };
                    categories.extend((0..form.parts()).map(category));
                }
                _ => {
                    let number = |part| Number { input: at, part, bins: None, seed };
                    self.numbers.extend((0..self.parts(at)).map(number));
                }
            }
        }
        self.categories.append(&mut bags);
        errors
    }

    fn place_bins(&mut self) {
        let mut next = 1 + 2 * self.numbers.len();
        for number in &mut self.numbers {
            let input = &self.inputs[number.input];
            let is_number = matches!(input.ty, Type::Int | Type::Float) && input.form != InputShape::Map;
            if self.options.bins > 1 && is_number {
                number.bins = Some(next as u32);
                next += self.options.bins;
            }
        }
        self.dense = next;
    }

    /// Resolves an input of a cross; a bool gets a category for it.
    fn part(&mut self, input: usize) -> Result<CrossPart, ModelError> {
        if self.is_text(input) {
            return Err(ModelError::CrossedText { input: self.inputs[input].name.clone() });
        }
        if !self.inputs[input].form.is_value() {
            return Err(ModelError::CrossedList { input: self.inputs[input].name.clone() });
        }
        if let Some(at) = self.categories.iter().position(|category| category.input == input) {
            return Ok(CrossPart::Category(at));
        }
        let ty = self.inputs[input].ty;
        match self.numbers.iter().position(|number| number.input == input) {
            Some(at) if self.numbers[at].bins.is_some() => Ok(CrossPart::Number(at)),
            Some(at) if ty == Type::Bool => {
                self.categories.push(Category {
                    input,
                    part: 0,
                    in_bag: false,
                    seed: self.numbers[at].seed,
                    alone: false,
                });
                Ok(CrossPart::Category(self.categories.len() - 1))
            }
            _ => Err(ModelError::CrossedNumber { input: self.inputs[input].name.clone() }),
        }
    }

    pub fn inputs(&self) -> &[InputColumn] {
        &self.inputs
    }

    pub fn options(&self) -> &ModelOptions {
        &self.options
    }

    /// Returns the names of the inputs that are read as numbers, in the order of observations.
    pub(in crate::model) fn number_names(&self) -> impl Iterator<Item = &str> {
        self.numbers.iter().map(|number| self.inputs[number.input].name.as_str())
    }

    /// Returns the names of the inputs that are read as categories, in the order of observations.
    pub(in crate::model) fn category_names(&self) -> impl Iterator<Item = &str> {
        self.categories.iter().map(|category| self.inputs[category.input].name.as_str())
    }

    /// Returns the input of each entry of a row behind the bias and before the crosses, in order.
    pub(in crate::model) fn entry_inputs(&self) -> impl Iterator<Item = usize> {
        let binned = self.numbers.iter().filter(|number| number.bins.is_some());
        let numbers = self.numbers.iter().chain(binned).map(|number| number.input);
        numbers.chain(self.categories.iter().filter(|category| category.alone).map(|category| category.input))
    }

    /// Returns the input of each map whose categories have entries.
    pub(in crate::model) fn map_inputs(&self) -> impl Iterator<Item = usize> {
        self.maps.iter().map(|map| map.input)
    }

    /// Returns the input of each number of an observation, then of each category.
    pub(in crate::model) fn observed_inputs(&self) -> impl Iterator<Item = usize> {
        let numbers = self.numbers.iter().map(|number| number.input);
        numbers.chain(self.categories.iter().map(|category| category.input))
    }

    /// Returns the number of inputs that are numbers.
    pub fn number_count(&self) -> usize {
        self.numbers.len()
    }

    /// Returns the positions in a row of the entries of the categorical inputs: single ones, then those of
    /// bags, each in the order of the inputs.
    pub fn categories(&self) -> Range<usize> {
        let binned = self.numbers.iter().filter(|number| number.bins.is_some()).count();
        let first = 1 + self.numbers.len() + binned;
        first..first + self.categories.iter().filter(|category| category.alone).count()
    }

    /// Returns how many inputs are single categories.
    pub fn single_categories(&self) -> usize {
        let is_single = |category: &&Category| category.alone && !category.in_bag;
        self.categories.iter().filter(is_single).count()
    }

    /// Returns whether the values of an input are named as categories.
    pub(super) fn is_categorical(&self, input: usize) -> bool {
        self.options.categorical.contains(&self.inputs[input].name)
    }

    /// Returns whether an input is a text.
    pub(super) fn is_text(&self, input: usize) -> bool {
        self.options.preparing.tokens.contains(&self.inputs[input].name)
    }

    /// Returns whether an input is a single number or category.
    pub(super) fn is_single(&self, input: usize) -> bool {
        self.inputs[input].form.is_value() && !self.is_text(input)
    }

    /// Returns how many numbers or categories an input is.
    pub(super) fn parts(&self, input: usize) -> usize {
        if self.is_text(input) { MAP_INPUTS } else { self.inputs[input].form.parts() }
    }

    /// Returns the slot of a hash.
    #[inline]
    pub(super) fn slot(&self, hash: u64) -> u32 {
        self.dense as u32 + (hash >> (u64::BITS - self.options.hash_bits)) as u32
    }

    /// Returns how many categories an observation has.
    pub fn category_count(&self) -> usize {
        self.categories.len()
    }

    /// Returns the number of slots that are not hashed.
    pub fn dense(&self) -> usize {
        self.dense
    }

    /// Returns the number of all slots: the length of the weights.
    pub fn slots(&self) -> usize {
        self.dense + (1 << self.options.hash_bits)
    }

    /// Returns the number of entries of a row, without those of maps.
    pub fn width(&self) -> usize {
        self.categories().end + self.crosses.len()
    }
}

/// Returns what is wrong with the inputs that are named as texts.
fn text_errors(inputs: &[InputColumn], options: &ModelOptions) -> Vec<ModelError> {
    let error = |name: &String| match inputs.iter().find(|input| input.name == *name) {
        None => Some(ModelError::UnknownInput { option: "tokens", found: name.clone() }),
        Some(input) if input.ty == Type::String && input.form.is_value() => None,
        Some(_) => Some(ModelError::NoText { input: name.clone() }),
    };
    options.preparing.tokens.iter().filter_map(error).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_with_the_inputs_is_reported_at_once() {
        let inputs = [
            InputColumn::new("x", Type::Float),
            InputColumn::new("t", Type::Timestamp),
            InputColumn::new("s", Type::String),
        ];
        let options = ModelOptions {
            categorical: vec!["nope".into()],
            crosses: vec![vec!["x".into(), "s".into()], vec!["s".into()]],
            ..ModelOptions::default()
        };
        let errors = SlotLayout::new(&inputs, &options).unwrap_err();
        assert_eq!(errors.len(), 4, "{errors:?}");
    }

    #[test]
    fn slots_follow_the_table() {
        let inputs = [
            InputColumn::new("x", Type::Float),
            InputColumn::new("b", Type::Bool),
            InputColumn::new("s", Type::String),
        ];
        let crosses = vec![vec!["x".to_owned(), "b".to_owned(), "s".to_owned()]];
        let options = ModelOptions { bins: 10, crosses, hash_bits: 8, ..ModelOptions::default() };
        let layout = SlotLayout::new(&inputs, &options).unwrap();
        assert_eq!(layout.dense(), 1 + 4 + 10);
        assert_eq!(layout.slots(), 15 + 256);
        assert_eq!(layout.width(), 1 + 2 + 1 + 1 + 1);
    }
}
