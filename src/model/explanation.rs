//! Explanations: raw scores, split into a base and the contributions of inputs.
//!
//! A raw score is a prediction before its link: the log-odds of a probability, the logarithm of a rate, or a value that is
//! a prediction already. [`AttributionRule`] says by which rule a kind splits its raw scores. The base is what is left of a raw
//! score without its contributions, so that both add up to it without an error, in any order: see [`super::score_sum`].
//!
//! Contributions are those of *parts*: the inputs, then the crosses, named `origin x dest`. All
//! that an input becomes in preparation is a part of it: its bins, its indicator of nulls, the items of a list, the words of a
//! text. Crosses of one name are one part.

use super::preparation::{MapEntry, SlotLayout};
use super::score_sum::ScoreSum;

/// The text between the inputs of a cross, in its name: no expression has it, whose text may be the name of an input.
const CROSSED: &str = " x ";

/// The rule by which raw scores are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributionRule {
    /// Predictions are not split.
    None,
    /// The score is a sum, and each term is of one part.
    Terms,
    /// The same, but for products of two entries, half of which goes to the part of either.
    Pairs,
    /// The Shapley values of trees, by the examples on either side of each split (Lundberg et al. 2020).
    Shapley,
    /// On the path of an example through a tree, each change of the prediction goes to what it is due to (Saabas 2014).
    Path,
}

impl AttributionRule {
    /// Returns the rule in a few words, for the reference.
    pub fn summary(self) -> &'static str {
        match self {
            AttributionRule::None => "no",
            AttributionRule::Terms => "by terms",
            AttributionRule::Pairs => "by terms and halves of products",
            AttributionRule::Shapley => "by Shapley values",
            AttributionRule::Path => "by paths",
        }
    }
}

/// Explanations of the predictions of one version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explanations {
    parts: Vec<String>,
    outputs: usize,
    /// (rows, outputs).
    base: Vec<f64>,
    /// (rows, parts, outputs).
    contributions: Vec<f64>,
}

impl Explanations {
    /// No explanations yet, of scores with so many outputs: one, or one for each class.
    pub(super) fn new(parts: Vec<String>, outputs: usize) -> Self {
        Explanations { parts, outputs, base: Vec::new(), contributions: Vec::new() }
    }

    /// Returns the names of the parts: the inputs in their order, then the crosses.
    pub fn parts(&self) -> &[String] {
        &self.parts
    }

    /// Returns the number of explanations.
    pub fn len(&self) -> usize {
        self.base.len().checked_div(self.outputs).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.base.is_empty()
    }

    /// Returns the base of a row, one for each output.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn base(&self, row: usize) -> &[f64] {
        &self.base[row * self.outputs..(row + 1) * self.outputs]
    }

    /// Returns the contributions of a row, by part: one for each output.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn contributions(&self, row: usize) -> impl Iterator<Item = &[f64]> {
        let cells = self.parts.len() * self.outputs;
        self.contributions[row * cells..(row + 1) * cells].chunks_exact(self.outputs.max(1))
    }

    /// Adds a row without contributions, to which they are added.
    pub(super) fn start(&mut self) -> ExplainedRow<'_> {
        let (bases, cells) = (self.base.len(), self.contributions.len());
        self.base.resize(bases + self.outputs, 0.0);
        self.contributions.resize(cells + self.parts.len() * self.outputs, 0.0);
        ExplainedRow {
            outputs: self.outputs,
            base: &mut self.base[bases..],
            contributions: &mut self.contributions[cells..],
        }
    }
}

/// The explanation of one prediction, as it is made.
pub struct ExplainedRow<'a> {
    outputs: usize,
    base: &'a mut [f64],
    contributions: &'a mut [f64],
}

impl ExplainedRow<'_> {
    /// Adds to the contribution of a part to an output; what is of no part goes to the base.
    #[inline]
    pub fn add(&mut self, part: Option<usize>, output: usize, amount: f64) {
        if let Some(part) = part {
            self.contributions[part * self.outputs + output] += amount;
        }
    }

    /// Ends the explanation of an output: rounds its contributions to the unit of a sum, and leaves the rest of its raw score
    /// to the base.
    pub fn settle(&mut self, output: usize, sum: ScoreSum) {
        let (mut rest, unit) = (sum.raw(), sum.unit());
        for contribution in self.contributions.iter_mut().skip(output).step_by(self.outputs) {
            *contribution = unit.round(*contribution);
            rest -= *contribution;
        }
        self.base[output] = rest;
    }
}

/// The parts that entries of rows, numbers and categories belong to.
#[derive(Clone, Debug)]
pub struct PartMap {
    names: Vec<String>,
    /// Parts of the entries of a row, by place, without those of maps; none for the bias.
    entries: Vec<Option<usize>>,
    /// Parts of the maps whose categories have entries.
    maps: Vec<usize>,
    /// Parts of the numbers of an observation, then of its categories.
    observed: Vec<usize>,
}

impl PartMap {
    pub fn of(layout: &SlotLayout) -> Self {
        let mut names: Vec<String> = layout.inputs().iter().map(|input| input.name.clone()).collect();
        let crosses = layout.options().crosses.iter().map(|cross| {
            let name = cross.join(CROSSED);
            names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            })
        });
        let crosses: Vec<usize> = crosses.collect();
        let entries = [None].into_iter().chain(layout.entry_inputs().chain(crosses).map(Some));
        PartMap {
            entries: entries.collect(),
            maps: layout.map_inputs().collect(),
            observed: layout.observed_inputs().collect(),
            names,
        }
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the part of the entry at a place of a row whose entries of maps are `entries`.
    #[inline]
    pub fn of_entry(&self, at: usize, entries: &[MapEntry]) -> Option<usize> {
        match at.checked_sub(self.entries.len()) {
            None => self.entries[at],
            Some(entry) => Some(self.maps[entries[entry].position()]),
        }
    }

    /// Returns the part of a number of observations, or of a category, which are counted after the numbers.
    #[inline]
    pub fn of_observed(&self, input: usize) -> usize {
        self.observed[input]
    }
}
