//! A leaf: statistics of its examples, and two predictions between which their losses so far decide.
//!
//! | task | simple | by the inputs |
//! |---|---|---|
//! | classes | frequencies, with half an example added to each class | naive Bayes over the bins of the inputs |
//! | values | the mean | the mean plus the effect of each input: its bin's mean less the mean, shrunk |

use serde::{Deserialize, Serialize};

use super::cuts::BINS;
use super::leaf_inputs::{Bin, InputCells, InputValue, LeafInputs, NO_BIN};
use super::memory::GrowthMemory;
use super::split_search::FoundSplit;
use super::split_test::SplitBranch;
use crate::model::kind::target_form::TargetForm;

/// The least probability of a class.
const LEAST: f64 = 1e-6;

/// Examples of a class, or of a value's bin, that are imagined beside those that were seen.
const PRIOR: f64 = 0.5;
const SHRINKAGE: f64 = 10.0;

/// The largest of the odds below which all are multiplied by its inverse.
const SMALL_ODDS: f64 = 1e-100;

/// The statistics of a leaf.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "SavedLeaf", into = "SavedLeaf")]
pub(super) struct LeafStatistics {
    pub totals: Vec<f64>,
    /// Statistics of the inputs of the tree; none before the tree has cuts.
    pub inputs: LeafInputs,
    /// Losses of the simple prediction and of that by the inputs, each made before its example was learnt.
    pub losses: [f64; 2],
    /// The weight of the targets that it started with, which the inputs' statistics do not have.
    pub inherited: f64,
    /// The weight at the last search for a split.
    pub searched: f64,
}

impl LeafStatistics {
    /// A leaf that starts with the targets of a cell.
    pub fn new(totals: Vec<f64>, inputs: LeafInputs, form: TargetForm) -> Self {
        let inherited = form.weight(&totals);
        LeafStatistics { totals, inputs, losses: [0.0; 2], inherited, searched: inherited }
    }

    /// Returns the weight of the targets that the leaf has learnt itself.
    pub fn observed(&self, form: TargetForm) -> f64 {
        form.weight(&self.totals) - self.inherited
    }

    /// A child of this leaf. `split` is by the input at `input`.
    pub fn child(&self, form: TargetForm, input: usize, split: &FoundSplit, is_left: bool, totals: Vec<f64>) -> Self {
        Self::new(totals, self.inputs.of_child(form, SplitBranch { input, test: split.test, is_left }), form)
    }

    /// Learns a target; `value` returns that of an input. Returns the difference of the
    /// prediction before: 1 for another class than the most probable one, or that of the values. None before there are
    /// statistics of inputs.
    #[inline]
    pub fn learn(
        &mut self,
        form: TargetForm,
        value: impl Fn(usize) -> InputValue,
        target: f64,
        weight: f64,
        memory: &mut GrowthMemory,
    ) -> Option<f64> {
        let GrowthMemory { prediction, bins, .. } = memory;
        bins.clear();
        bins.extend(self.inputs.iter().enumerate().map(|(input, cells)| cells.bin(value(input))));
        let (is_better, mut off) = (self.losses[1] < self.losses[0], None);
        for by_inputs in [false, true].into_iter().filter(|_| !self.inputs.is_empty()) {
            prediction.clear();
            self.append_prediction(form, |input, _| bins[input], by_inputs, prediction);
            self.losses[usize::from(by_inputs)] += weight * loss(form, prediction, target);
            if by_inputs == is_better {
                off = Some(difference(form, prediction, target));
            }
        }
        form.add(&mut self.totals, target, weight);
        for (input, bin) in bins.iter().enumerate() {
            self.inputs.observe(form, input, value(input), *bin, target, weight);
        }
        off
    }

    /// Appends the prediction that has had the lower loss: probabilities, or a value.
    #[inline]
    pub fn predict(&self, form: TargetForm, value: impl Fn(usize) -> InputValue, out: &mut Vec<f64>) {
        let bin = |input, cells: InputCells<'_>| cells.bin(value(input));
        self.append_prediction(form, bin, self.losses[1] < self.losses[0], out);
    }

    /// Calls `after` with each input by which an example is predicted, and with what is predicted up to it: odds of the classes,
    /// or the change of the value by it alone.
    pub fn predict_step_by_step(
        &self,
        form: TargetForm,
        value: impl Fn(usize) -> InputValue,
        after: impl FnMut(usize, &[f64]),
    ) {
        let bin = |input, cells: InputCells<'_>| cells.bin(value(input));
        self.predict_by(form, bin, self.losses[1] < self.losses[0], &mut Vec::new(), after);
    }

    #[inline]
    fn append_prediction(
        &self,
        form: TargetForm,
        bin: impl Fn(usize, InputCells<'_>) -> Bin,
        by_inputs: bool,
        out: &mut Vec<f64>,
    ) {
        match (form, &self.totals[..]) {
            (TargetForm::Classes(2), [no, yes]) => {
                out.extend_from_slice(&self.predict_two([*no, *yes], bin, by_inputs));
            }
            _ => self.predict_by(form, bin, by_inputs, out, |_, _| {}),
        }
    }

    /// Returns the probabilities of two classes: those of [`LeafStatistics::predict_by`], without vectors.
    #[inline]
    fn predict_two(&self, totals: [f64; 2], bin: impl Fn(usize, InputCells<'_>) -> Bin, by_inputs: bool) -> [f64; 2] {
        let mut odds = totals.map(|weight| weight + PRIOR);
        for (input, cells) in self.inputs.iter().enumerate().filter(|_| by_inputs) {
            let bin = bin(input, cells);
            if bin == NO_BIN {
                continue;
            }
            let (own, all, bins) = (cells.cell(bin), cells.known(), cells.bins());
            odds[0] *= (own[0] + PRIOR) / (all[0] + PRIOR * bins);
            odds[1] *= (own[1] + PRIOR) / (all[1] + PRIOR * bins);
            if !(odds[0] >= SMALL_ODDS || odds[1] >= SMALL_ODDS) {
                odds = odds.map(|odds| odds * 1e100);
            }
        }
        normalise(&mut odds);
        odds
    }

    #[inline]
    fn predict_by(
        &self,
        form: TargetForm,
        bin: impl Fn(usize, InputCells<'_>) -> Bin,
        by_inputs: bool,
        out: &mut Vec<f64>,
        mut after: impl FnMut(usize, &[f64]),
    ) {
        let inputs = self.inputs.iter().enumerate().filter(|_| by_inputs);
        match form {
            TargetForm::Classes(classes) => {
                let from = out.len();
                out.extend(self.totals.iter().map(|weight| weight + PRIOR));
                for (input, cells) in inputs {
                    let bin = bin(input, cells);
                    if bin == NO_BIN {
                        continue;
                    }
                    let bins = cells.bins();
                    let mut most = 0.0;
                    for (odds, (own, all)) in out[from..].iter_mut().zip(cells.cell(bin).iter().zip(cells.known())) {
                        *odds *= (own + PRIOR) / (all + PRIOR * bins);
                        most = if *odds > most { *odds } else { most };
                    }
                    if most < SMALL_ODDS {
                        out[from..].iter_mut().for_each(|odds| *odds *= 1e100);
                    }
                    after(input, &out[from..]);
                }
                debug_assert_eq!(out.len() - from, classes);
                normalise(&mut out[from..]);
            }
            TargetForm::Value => {
                let mean = self.totals[1];
                let effects = inputs.filter_map(|(input, cells)| {
                    let bin = bin(input, cells);
                    let cell = (bin != NO_BIN).then(|| cells.cell(bin))?;
                    let effect = (cell[1] - mean) * (cell[0] / (cell[0] + SHRINKAGE));
                    after(input, &[effect]);
                    Some(effect)
                });
                out.push(effects.fold(mean, |sum, effect| sum + effect));
            }
        }
    }

    /// Makes room for more classes.
    pub fn widen(&mut self, to: usize) {
        self.totals.resize(to, 0.0);
        self.inputs.widen(to);
    }

    /// Returns whether this is a leaf of a tree of so many inputs, of which the first are numbers.
    pub fn fits(&self, form: TargetForm, inputs: impl Iterator<Item = bool>) -> bool {
        self.totals.len() == form.width()
            && form.fits(&self.totals)
            && self.losses.iter().chain([&self.inherited, &self.searched]).all(|number| !number.is_nan())
            && (self.inputs.is_empty()
                || self.inputs.iter().zip(inputs).filter(|(own, is_number)| own.fits(form, *is_number)).count()
                    == self.inputs.len())
    }
}

/// Returns what is predicted of targets by a cell alone: frequencies of the classes, or the mean.
pub(super) fn simple_prediction(form: TargetForm, cell: &[f64]) -> Vec<f64> {
    match form {
        TargetForm::Classes(_) => {
            let mut odds: Vec<f64> = cell.iter().map(|weight| weight + PRIOR).collect();
            normalise(&mut odds);
            odds
        }
        TargetForm::Value => vec![cell[1]],
    }
}

/// Makes odds probabilities that are at least [`LEAST`], nearly.
pub(super) fn normalise(odds: &mut [f64]) {
    let total = odds.iter().fold(0.0, |sum, own| sum + own);
    odds.iter_mut().for_each(|own| *own = (*own / total).max(LEAST));
    let total = odds.iter().fold(0.0, |sum, own| sum + own);
    odds.iter_mut().for_each(|own| *own /= total);
}

/// Returns 1 if another class is as probable as the target, else 0; or the difference of the values.
fn difference(form: TargetForm, prediction: &[f64], target: f64) -> f64 {
    match form {
        TargetForm::Classes(_) => {
            let own = prediction[target as usize];
            f64::from(u8::from(prediction.iter().filter(|other| **other >= own).count() > 1))
        }
        TargetForm::Value => (prediction[0] - target).abs(),
    }
}

/// Returns the log loss of probabilities, or the squared error of a value.
fn loss(form: TargetForm, prediction: &[f64], target: f64) -> f64 {
    match form {
        TargetForm::Classes(_) => -libm::log(prediction[target as usize]),
        TargetForm::Value => (prediction[0] - target) * (prediction[0] - target),
    }
}

/// A leaf as it is saved.
#[derive(Serialize, Deserialize)]
struct SavedLeaf {
    totals: Vec<f64>,
    /// One for each input of the tree; none before the tree has cuts.
    inputs: Vec<SavedInput>,
    losses: [f64; 2],
    inherited: f64,
    searched: f64,
}

/// The statistics of an input.
#[derive(Serialize, Deserialize)]
struct SavedInput {
    grid: SavedGrid,
    /// A cell for each bin; or for each category, and one for all others.
    cells: Vec<f64>,
    /// The cell of all targets whose value is not null.
    known: Vec<f64>,
    nulls: Vec<f64>,
}

/// The values of an input that are told apart.
#[derive(Serialize, Deserialize)]
enum SavedGrid {
    /// A number: bins between cuts, which belong to the bin below, and the least and the largest value seen.
    Cuts { cuts: Vec<f64>, low: f64, high: f64 },
    /// A category: hashes in the order in which they came; further ones share a cell.
    Keys(Vec<u64>),
}

impl From<LeafStatistics> for SavedLeaf {
    fn from(leaf: LeafStatistics) -> Self {
        let input = |input: InputCells<'_>| {
            let [low, high] = input.range();
            let grid = match input.is_number() {
                true => SavedGrid::Cuts { cuts: input.cuts().to_vec(), low, high },
                false => SavedGrid::Keys(input.keys().collect()),
            };
            let [cells, known, nulls] = [input.all(), input.known(), input.nulls()].map(<[f64]>::to_vec);
            SavedInput { grid, cells, known, nulls }
        };
        SavedLeaf {
            inputs: leaf.inputs.iter().map(input).collect(),
            totals: leaf.totals,
            losses: leaf.losses,
            inherited: leaf.inherited,
            searched: leaf.searched,
        }
    }
}

impl TryFrom<SavedLeaf> for LeafStatistics {
    type Error = &'static str;

    fn try_from(leaf: SavedLeaf) -> Result<Self, Self::Error> {
        let SavedLeaf { totals, inputs: saved, losses, inherited, searched } = leaf;
        let width = totals.len();
        let mut inputs = LeafInputs::new(width);
        for SavedInput { grid, cells, known, nulls } in &saved {
            let (bins, range) = match grid {
                SavedGrid::Cuts { cuts, low, high } if cuts.len() < BINS && !inputs.has_categories() => {
                    inputs.push_cuts(cuts);
                    (cuts.len() + 1, [*low, *high])
                }
                SavedGrid::Keys(keys) if keys.len() <= BINS => {
                    inputs.push_keys(keys.iter().copied());
                    (BINS + 1, [0.0; 2])
                }
                _ => return Err("the inputs of a leaf do not fit a tree"),
            };
            if cells.len() != bins * width || known.len() != width || nulls.len() != width {
                return Err("the cells of a leaf do not fit its targets");
            }
            inputs.restore_last(range, [known, nulls, cells]);
        }
        Ok(LeafStatistics { totals, inputs, losses, inherited, searched })
    }
}
