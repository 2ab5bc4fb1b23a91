//! The scorer: log-probabilities of each class.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::super::class_states::{NamedClass, class_order};
use super::evidence::{CategorySlot, ClassEvidence};
use crate::model::explanation::PartMap;
use crate::model::kind::{Explainer, Scorer};
use crate::model::preparation::{ExactMoments, Observation, Prepared, SlotLayout};
use crate::model::score_sum::ScoreSum;
use crate::model::tensor::{self, Tensor};
use crate::model::{Explanations, ModelError, Predictions, SparseRow, Task, Tensors};

/// The least variance of a number in a class, as a share of its variance in all examples.
const LEAST_VARIANCE: f64 = 1e-3;

/// The largest distance of a class's log-probability from that of the most probable one.
const MOST_DISTANCE: f64 = 15.0;

/// The names of tensors.
const CLASSES: &str = "classes";
const PRIOR: &str = "prior";
const MEAN: &str = "mean";
const VARIANCE: &str = "variance";
const ENTRY: &str = "entry";
const SLOT: &str = "slot";
const KNOWN: &str = "known";
const UNKNOWN: &str = "unknown";

/// Naive Bayes, frozen.
pub(super) struct Likelihoods {
    task: Task,
    /// The entries of a row that are categories.
    entries: Range<usize>,
    /// Classes, ascending; false and true of a binary model.
    classes: Vec<Arc<str>>,
    /// Log-probabilities of the classes.
    prior: Vec<f64>,
    /// (numbers, classes).
    mean: Vec<f64>,
    /// (numbers, classes); 0 of a number that never varied.
    variance: Vec<f64>,
    /// Categories by slot, ascending.
    categories: Vec<CategorySlot>,
    /// Log-probabilities of the categories: (categories, classes).
    known: Vec<f64>,
    /// Log-probabilities of a category that was never seen: (entries, classes).
    unknown: Vec<f64>,
}

impl Likelihoods {
    pub fn new(classes: &[NamedClass<'_, ClassEvidence>], task: Task, smoothing: f64, entries: Range<usize>) -> Self {
        let total: u64 = classes.iter().map(|class| class.state.examples).sum();
        let half = classes.len() as f64 / 2.0;
        let prior = |class: &NamedClass<'_, ClassEvidence>| {
            libm::log((class.state.examples as f64 + 0.5) / (total as f64 + half))
        };
        let mut likelihoods = Likelihoods {
            task,
            entries,
            classes: classes.iter().map(|class| Arc::clone(class.name)).collect(),
            prior: classes.iter().map(prior).collect(),
            mean: Vec::new(),
            variance: Vec::new(),
            categories: Vec::new(),
            known: Vec::new(),
            unknown: Vec::new(),
        };
        likelihoods.add_numbers(classes);
        likelihoods.add_categories(classes, smoothing);
        likelihoods
    }

    fn add_numbers(&mut self, classes: &[NamedClass<'_, ClassEvidence>]) {
        let numbers = classes.first().map_or(0, |class| class.state.numbers.len());
        for number in 0..numbers {
            let mut all = ExactMoments::default();
            classes.iter().for_each(|class| all.merge(&class.state.numbers[number]));
            let spread = all.variance();
            for class in classes {
                let own = &class.state.numbers[number];
                let count = own.count() as f64;
                let variance = (count * own.variance() + spread) / (count + 1.0);
                self.mean.push(if own.count() > 0 { own.mean() } else { all.mean() });
                self.variance.push(variance.max(LEAST_VARIANCE * spread));
            }
        }
    }

    fn add_categories(&mut self, classes: &[NamedClass<'_, ClassEvidence>], smoothing: f64) {
        let all = classes.iter().flat_map(|class| class.state.categories.keys().copied());
        let all: BTreeSet<CategorySlot> = all.collect();
        let mut sizes: BTreeMap<u32, u64> = BTreeMap::new();
        all.iter().for_each(|category| *sizes.entry(category.entry).or_default() += 1);
        let share = |count: u64, class: &ClassEvidence, entry: u32| {
            let size = sizes.get(&entry).copied().unwrap_or(0).max(1) as f64;
            libm::log((count as f64 + smoothing) / (class.examples as f64 + smoothing * size))
        };
        for category in &all {
            self.known.extend(classes.iter().map(|class| {
                let count = class.state.categories.get(category).copied().unwrap_or(0);
                share(count, class.state, category.entry)
            }));
        }
        for entry in self.entries.clone() {
            self.unknown.extend(classes.iter().map(|class| share(0, class.state, entry as u32)));
        }
        self.categories = all.into_iter().collect();
    }

    /// Calls `add` with each term of the log-probabilities but the prior, with its evidence and the position of its class.
    fn for_each_term(
        &self,
        observation: Observation<'_>,
        row: SparseRow<'_>,
        mut add: impl FnMut(BayesEvidence, usize, f64),
    ) {
        let classes = self.classes.len();
        let distributions = self.mean.chunks_exact(classes).zip(self.variance.chunks_exact(classes));
        for (number, (x, (mean, variance))) in observation.numbers.iter().zip(distributions).enumerate() {
            if x.is_nan() || variance[0] == 0.0 {
                continue;
            }
            for (class, (mean, variance)) in mean.iter().zip(variance).enumerate() {
                let term = -0.5 * (libm::log(*variance) + (x - mean) * (x - mean) / variance);
                add(BayesEvidence::Number(number), class, term);
            }
        }
        for (at, entry) in self.entries.clone().enumerate() {
            let category = CategorySlot { entry: entry as u32, slot: row.index[entry] };
            let known = self.categories.binary_search(&category);
            let shares = known.map_or(&self.unknown[at * classes..], |at| &self.known[at * classes..]);
            shares[..classes]
                .iter()
                .enumerate()
                .for_each(|(class, share)| add(BayesEvidence::Entry(entry), class, *share));
        }
    }

    /// Replaces `sums` by the log-probability of each class, up to a constant.
    fn sums(&self, observation: Observation<'_>, row: SparseRow<'_>, sums: &mut Vec<ScoreSum>) {
        sums.clear();
        sums.extend(self.prior.iter().map(|prior| ScoreSum::new(*prior, prior.abs())));
        self.for_each_term(observation, row, |_, class, term| sums[class].add(term));
    }

    /// Returns the log-odds of true.
    fn odds(sums: &[ScoreSum]) -> ScoreSum {
        sums[1].plus(sums[0].scaled(-1.0, 0.0))
    }

    /// Appends the probability of each class, or that of true.
    fn append_probabilities(&self, sums: &[ScoreSum], out: &mut Vec<f64>) {
        match self.task {
            Task::Multiclass => {
                let from = out.len();
                out.extend(sums.iter().map(|sum| sum.raw()));
                normalise(&mut out[from..]);
            }
            _ => {
                let mut both = [0.0, Self::odds(sums).raw()];
                normalise(&mut both);
                out.push(both[1]);
            }
        }
    }
}

/// The evidence that a term of a log-probability is of.
#[derive(Clone, Copy, Debug)]
enum BayesEvidence {
    /// A number of an observation.
    Number(usize),
    /// The entry at a place of a row.
    Entry(usize),
}

/// Replaces log-probabilities by probabilities.
fn normalise(sums: &mut [f64]) {
    let most = sums.iter().fold(f64::NEG_INFINITY, |most, sum| most.max(*sum));
    sums.iter_mut().for_each(|sum| *sum = libm::exp((*sum - most).max(-MOST_DISTANCE)));
    let total = sums.iter().fold(0.0, |total, sum| total + sum);
    sums.iter_mut().for_each(|sum| *sum /= total);
}

/// Reads the tensors that [`Likelihoods`] saves.
pub(super) fn load(layout: &SlotLayout, tensors: &Tensors, task: Task) -> Result<Box<dyn Scorer>, ModelError> {
    let classes = tensor::texts(tensors, CLASSES)?;
    let ascending = classes.is_sorted_by(|one, other| class_order(one, other).is_lt());
    if !ascending || classes.is_empty() || (task == Task::Binary && classes.len() != 2) {
        return Err(tensor::misfit(CLASSES, "its classes are not ascending, or not as many as the task has"));
    }
    let width = classes.len();
    let floats = |name: &str, rows: usize| {
        let cells = tensor::floats(tensors, name, rows.checked_mul(width))?;
        let finite = cells.iter().all(|cell| cell.is_finite());
        if finite { Ok(cells.to_vec()) } else { Err(tensor::misfit(name, "a number is not finite")) }
    };
    let entries = layout.categories().start..layout.width();
    let own = tensor::integers(tensors, ENTRY, None)?;
    let slots = tensor::integers(tensors, SLOT, Some(own.len()))?;
    let categories = own.iter().zip(slots).map(|(entry, slot)| CategorySlot { entry: *entry, slot: *slot });
    let categories: Vec<CategorySlot> = categories.collect();
    if !categories.is_sorted_by(|one, other| one < other) {
        return Err(tensor::misfit(ENTRY, "its categories are not ascending"));
    }
    let variance = floats(VARIANCE, layout.number_count())?;
    if variance.iter().any(|variance| *variance < 0.0) {
        return Err(tensor::misfit(VARIANCE, "a variance is negative"));
    }
    if variance.chunks_exact(width).any(|own| own.iter().any(|variance| (*variance == 0.0) != (own[0] == 0.0))) {
        return Err(tensor::misfit(VARIANCE, "a number varies in some classes only"));
    }
    Ok(Box::new(Likelihoods {
        task,
        prior: floats(PRIOR, 1)?,
        mean: floats(MEAN, layout.number_count())?,
        variance,
        known: floats(KNOWN, categories.len())?,
        unknown: floats(UNKNOWN, entries.len())?,
        classes,
        entries,
        categories,
    }))
}

impl Scorer for Likelihoods {
    fn width(&self) -> usize {
        if self.task == Task::Multiclass { self.classes.len() } else { 1 }
    }

    fn classes(&self) -> &[Arc<str>] {
        if self.task == Task::Multiclass { &self.classes } else { &[] }
    }

    fn predict(&self, batch: &Prepared<'_>, predictions: &mut Predictions) {
        let mut sums = Vec::with_capacity(self.classes.len());
        for (row, observation) in batch.rows().iter().zip(batch.observations()) {
            self.sums(observation, row, &mut sums);
            self.append_probabilities(&sums, predictions.values_mut());
        }
    }

    fn explainer(&self) -> Option<&dyn Explainer> {
        Some(self)
    }

    fn save(&self, tensors: &mut Tensors) {
        let names: Vec<&str> = self.classes.iter().map(|name| &**name).collect();
        tensors.insert(CLASSES.to_owned(), Tensor::texts(&names));
        for (name, cells) in [
            (PRIOR, &self.prior),
            (MEAN, &self.mean),
            (VARIANCE, &self.variance),
            (KNOWN, &self.known),
            (UNKNOWN, &self.unknown),
        ] {
            tensors.insert(name.to_owned(), Tensor::vector(cells.clone()));
        }
        let column = |of: fn(&CategorySlot) -> u32| Tensor::indices(self.categories.iter().map(of).collect());
        tensors.insert(ENTRY.to_owned(), column(|category| category.entry));
        tensors.insert(SLOT.to_owned(), column(|category| category.slot));
    }
}

impl Explainer for Likelihoods {
    fn explain(&self, batch: &Prepared<'_>, parts: &PartMap, explanations: &mut Explanations) {
        let mut sums = Vec::with_capacity(self.classes.len());
        for (row, observation) in batch.rows().iter().zip(batch.observations()) {
            self.sums(observation, row, &mut sums);
            let mut explained = explanations.start();
            self.for_each_term(observation, row, |evidence, class, term| {
                let part = match evidence {
                    BayesEvidence::Number(number) => Some(parts.of_observed(number)),
                    BayesEvidence::Entry(at) => parts.of_entry(at, &[]),
                };
                match self.task {
                    Task::Multiclass => explained.add(part, class, term),
                    // The log-odds are those of true, the second class.
                    _ => explained.add(part, 0, if class == 1 { term } else { -term }),
                }
            });
            match self.task {
                Task::Multiclass => sums.iter().enumerate().for_each(|(class, sum)| explained.settle(class, *sum)),
                _ => explained.settle(0, Self::odds(&sums)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [(f64, u32, usize); 7] =
        [(1.0, 5, 0), (2.0, 5, 0), (4.0, 6, 0), (7.0, 6, 1), (9.0, 7, 1), (f64::NAN, 7, 1), (8.0, 7, 1)];

    /// The definition, computed from the rows of each class.
    fn naive(x: f64, slot: u32) -> f64 {
        let moments = |rows: &[f64]| {
            let (count, mean) = (rows.len() as f64, rows.iter().sum::<f64>() / rows.len() as f64);
            [count, mean, rows.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (count - 1.0)]
        };
        let numbers = |class: Option<usize>| -> Vec<f64> {
            let of_class = ROWS.iter().filter(|(_, _, own)| class.is_none_or(|class| class == *own));
            of_class.map(|(x, _, _)| *x).filter(|x| !x.is_nan()).collect()
        };
        let spread = moments(&numbers(None))[2];
        let weight = |class: usize| {
            let count = ROWS.iter().filter(|(_, _, own)| *own == class).count() as f64;
            let same = ROWS.iter().filter(|(_, own, of)| *of == class && *own == slot).count() as f64;
            let mut weight = (count + 0.5) / 8.0 * (same + 2.0) / (count + 2.0 * 3.0);
            if !x.is_nan() {
                let [seen, mean, variance] = moments(&numbers(Some(class)));
                let variance = (seen * variance + spread) / (seen + 1.0);
                weight *= (-(x - mean) * (x - mean) / (2.0 * variance)).exp() / variance.sqrt();
            }
            weight
        };
        weight(1) / (weight(0) + weight(1))
    }

    #[test]
    fn oracle_predictions_follow_from_the_definition() {
        let mut classes =
            [0, 1].map(|_| ClassEvidence { numbers: vec![ExactMoments::default()], ..Default::default() });
        for (x, slot, class) in &ROWS {
            let observation = Observation { numbers: &[*x], categories: &[] };
            classes[*class].learn(observation, SparseRow { index: &[0, 1, *slot], value: &[1.0; 3] }, 2..3);
        }
        let names: [Arc<str>; 2] = ["false".into(), "true".into()];
        let named: Vec<_> = names.iter().zip(&classes).map(|(name, state)| NamedClass { name, state }).collect();
        let likelihoods = Likelihoods::new(&named, Task::Binary, 2.0, 2..3);
        for (x, slot) in [(3.0, 5), (6.0, 6), (5.5, 7), (f64::NAN, 5), (5.0, 99)] {
            let (mut sums, mut found) = (Vec::new(), Vec::new());
            let row = SparseRow { index: &[0, 1, slot], value: &[1.0; 3] };
            likelihoods.sums(Observation { numbers: &[x], categories: &[] }, row, &mut sums);
            likelihoods.append_probabilities(&sums, &mut found);
            assert!((found[0] - naive(x, slot)).abs() < 1e-9, "{x} {slot}: {} {}", found[0], naive(x, slot));
        }
    }
}
