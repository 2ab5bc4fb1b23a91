//! Layout: which input becomes what, and which slot of the weights is whose.
//!
//! | slots | what |
//! |---|---|
//! | 0 | the bias: always 1 |
//! | 1, 2 for the first number, 3, 4 for the second, … | its standardised value; whether it is null |
//! | then `bins` for each number that is cut | one of them is 1 |
//! | then 2^`hash_bits` | one for each category of each categorical input, and of each cross |
//!
//! A bool is a number, 0 or 1, and is not cut into bins; a cross takes it as a category. A null string or category is
//! a category of its own.

use serde::{Deserialize, Serialize};

use crate::model::{ModelError, ModelOptions};
use crate::value::{Key, Type};

/// One input of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    pub name: String,
    pub ty: Type,
}

impl Input {
    pub fn new(name: impl Into<String>, ty: Type) -> Self {
        Input { name: name.into(), ty }
    }
}

/// A number: a dense input.
#[derive(Clone, Debug)]
pub(super) struct Number {
    /// Position among the inputs.
    pub input: usize,
    /// The first of its bins' slots, if it is cut.
    pub bins: Option<u32>,
    /// What its bins are known by in a cross.
    pub seed: u64,
}

/// A category: a hashed input.
#[derive(Clone, Debug)]
pub(super) struct Category {
    pub input: usize,
    /// Hash of the input's name: equal values of two inputs are two categories.
    pub seed: u64,
    /// Whether it also has a slot of its own, beside the crosses it is in.
    pub alone: bool,
}

/// What a cross is made of: positions among the numbers and the categories.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// A number, by its bin.
    Number(usize),
    Category(usize),
}

/// Inputs and options, resolved to slots.
#[derive(Clone, Debug)]
pub struct Layout {
    pub(super) inputs: Vec<Input>,
    pub(super) options: ModelOptions,
    pub(super) numbers: Vec<Number>,
    pub(super) categories: Vec<Category>,
    pub(super) crosses: Vec<Vec<Part>>,
    dense: usize,
}

/// Bounds of what may be asked for.
const HASH_BITS: std::ops::RangeInclusive<u32> = 4..=24;
const MOST_BINS: usize = 256;

impl Layout {
    /// Resolves options against inputs.
    ///
    /// # Errors
    /// Everything that is wrong with them, in the order of the options.
    pub fn new(inputs: &[Input], options: &ModelOptions) -> Result<Self, Vec<ModelError>> {
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
        check_range(&mut errors, "hash_bits", options.hash_bits as usize, 4, *HASH_BITS.end() as usize);
        check_range(&mut errors, "bins", options.bins, 0, MOST_BINS);
        check_range(&mut errors, "shards", options.shards, 1, 1024);

        let mut layout = Layout {
            inputs: inputs.to_vec(),
            options: options.clone(),
            numbers: Vec::new(),
            categories: Vec::new(),
            crosses: Vec::new(),
            dense: 0,
        };
        for (at, input) in inputs.iter().enumerate() {
            let seed = Key::hash_of(input.name.as_bytes());
            let categorical = input.ty == Type::String || options.categorical.contains(&input.name);
            match input.ty {
                Type::Timestamp => {
                    errors.push(ModelError::InputType { input: input.name.clone(), ty: input.ty });
                }
                _ if categorical => layout.categories.push(Category { input: at, seed, alone: true }),
                _ => layout.numbers.push(Number { input: at, bins: None, seed }),
            }
        }
        layout.place_bins();
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

    fn place_bins(&mut self) {
        let mut next = 1 + 2 * self.numbers.len();
        for number in &mut self.numbers {
            if self.options.bins > 1 && self.inputs[number.input].ty != Type::Bool {
                number.bins = Some(next as u32);
                next += self.options.bins;
            }
        }
        self.dense = next;
    }

    /// How a cross takes an input; a bool gets a category for that.
    fn part(&mut self, input: usize) -> Result<Part, ModelError> {
        if let Some(at) = self.categories.iter().position(|category| category.input == input) {
            return Ok(Part::Category(at));
        }
        let ty = self.inputs[input].ty;
        match self.numbers.iter().position(|number| number.input == input) {
            Some(at) if self.numbers[at].bins.is_some() => Ok(Part::Number(at)),
            Some(at) if ty == Type::Bool => {
                self.categories.push(Category { input, seed: self.numbers[at].seed, alone: false });
                Ok(Part::Category(self.categories.len() - 1))
            }
            _ => Err(ModelError::CrossedNumber { input: self.inputs[input].name.clone() }),
        }
    }

    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    pub fn options(&self) -> &ModelOptions {
        &self.options
    }

    /// Slots that are not hashed.
    pub fn dense(&self) -> usize {
        self.dense
    }

    /// All slots: the length of the weights.
    pub fn slots(&self) -> usize {
        self.dense + (1 << self.options.hash_bits)
    }

    /// Entries of a row.
    pub fn width(&self) -> usize {
        let binned = self.numbers.iter().filter(|number| number.bins.is_some()).count();
        let alone = self.categories.iter().filter(|category| category.alone).count();
        1 + self.numbers.len() + binned + alone + self.crosses.len()
    }
}

fn check_range(errors: &mut Vec<ModelError>, name: &str, found: usize, least: usize, most: usize) {
    if !(least..=most).contains(&found) {
        let expected = format!("{least} to {most}");
        errors.push(ModelError::OutOfRange { name: name.to_owned(), found: found as f64, expected });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_with_the_options_is_told_at_once() {
        let inputs = [Input::new("x", Type::Float), Input::new("t", Type::Timestamp), Input::new("s", Type::String)];
        let options = ModelOptions {
            categorical: vec!["nope".into()],
            crosses: vec![vec!["x".into(), "s".into()], vec!["s".into()]],
            hash_bits: 40,
            ..ModelOptions::default()
        };
        let errors = Layout::new(&inputs, &options).unwrap_err();
        assert_eq!(errors.len(), 5, "{errors:?}");
    }

    #[test]
    fn slots_follow_the_table() {
        let inputs = [Input::new("x", Type::Float), Input::new("b", Type::Bool), Input::new("s", Type::String)];
        let crosses = vec![vec!["x".to_owned(), "b".to_owned(), "s".to_owned()]];
        let options = ModelOptions { bins: 10, crosses, hash_bits: 8, ..ModelOptions::default() };
        let layout = Layout::new(&inputs, &options).unwrap();
        assert_eq!(layout.dense(), 1 + 4 + 10);
        assert_eq!(layout.slots(), 15 + 256);
        assert_eq!(layout.width(), 1 + 2 + 1 + 1 + 1);
    }
}
