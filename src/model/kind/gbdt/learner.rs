//! The learner, which keeps examples and fits them at each window's end.

use std::collections::VecDeque;
use std::sync::Arc;

use super::boosting::{BoostingFit, BoostingRule};
use super::ensemble::BoostedEnsemble;
use super::frozen::FrozenBoosting;
use super::grid::Vocabulary;
use crate::model::kind::class_table::ClassTable;
use crate::model::kind::example_buffer::{ExampleBuffer, ExampleShape};
use crate::model::kind::{Learner, Scorer, Shard};
use crate::model::optimizer::OptimizerSetup;
use crate::model::preparation::{ExactMoments, Prepared, SlotLayout};
use crate::model::tensor::{self, Tensor};
use crate::model::{LearningStart, ModelError, Parameters, Task, Tensors};

/// Cells of histograms that count as one row of work.
const CELLS_PER_ROW: usize = 512;

/// A part of the trees, which a warm fit renews.
const RENEWED: usize = 4;

/// The kept examples have grown so much since the last whole fit that the next is a whole one: by a half.
fn is_outgrown(examples: usize, fitted_on: usize) -> bool {
    examples >= fitted_on.saturating_add(fitted_on.div_ceil(2)).max(1)
}

struct GradientBoosting {
    rule: BoostingRule,
    trees: usize,
    train_on: usize,
    max_examples: usize,
    start: LearningStart,
    classes: ClassTable,
    /// Examples of the newest windows before the open one, oldest first.
    kept: VecDeque<ExampleBuffer>,
    /// Examples of the open window.
    current: ExampleBuffer,
    ensemble: BoostedEnsemble,
    /// The examples of the last whole fit.
    fitted_on: usize,
    fit: Option<Box<BoostingFit>>,
}

fn build(layout: &SlotLayout, parameters: &Parameters, task: Task) -> Box<dyn Learner> {
    let shape = ExampleShape::of(layout);
    let rule = BoostingRule {
        task,
        rate: parameters.get("rate"),
        max_leaves: parameters.get("max_leaves") as usize,
        bins: parameters.get("max_bins") as usize,
        l2: parameters.get("l2"),
        least: parameters.get("min_leaf") as u32,
    };
    let outputs = if task == Task::Multiclass { 0 } else { 1 };
    let vocabularies = Arc::new(vec![Vocabulary::default(); shape.categories]);
    Box::new(GradientBoosting {
        rule,
        trees: parameters.get("trees") as usize,
        train_on: parameters.get("train_on") as usize,
        max_examples: parameters.get("max_examples") as usize,
        start: layout.options().start,
        classes: ClassTable::new(parameters.get("max_classes") as usize),
        kept: VecDeque::new(),
        current: ExampleBuffer::new(shape),
        ensemble: BoostedEnsemble::new(vec![0.0; outputs], 1.0, vocabularies),
        fitted_on: 0,
        fit: None,
    })
}

pub(super) fn build_binary(
    layout: &SlotLayout,
    parameters: &Parameters,
    _: Option<OptimizerSetup>,
) -> Box<dyn Learner> {
    build(layout, parameters, Task::Binary)
}

pub(super) fn build_multiclass(
    layout: &SlotLayout,
    parameters: &Parameters,
    _: Option<OptimizerSetup>,
) -> Box<dyn Learner> {
    build(layout, parameters, Task::Multiclass)
}

pub(super) fn build_regression(
    layout: &SlotLayout,
    parameters: &Parameters,
    _: Option<OptimizerSetup>,
) -> Box<dyn Learner> {
    build(layout, parameters, Task::Regression)
}

impl GradientBoosting {
    fn shape(&self) -> ExampleShape {
        self.current.shape()
    }

    /// Adds the open window to the kept ones, and forgets the oldest examples.
    fn keep(&mut self) {
        let next = ExampleBuffer::new(self.shape());
        let current = std::mem::replace(&mut self.current, next);
        self.kept.push_back(current);
        self.kept.drain(..self.kept.len().saturating_sub(self.train_on));
        let mut total: usize = self.kept.iter().map(ExampleBuffer::len).sum();
        while let Some(oldest) = self.kept.front_mut() {
            let before = oldest.len();
            let others = total - before;
            oldest.forget_beyond(self.max_examples.saturating_sub(others));
            total = others + oldest.len();
            if !oldest.is_empty() {
                break;
            }
            self.kept.pop_front();
        }
    }

    /// Starts the fit of the window that has ended: a whole one if it is to be fresh, if the examples have outgrown the
    /// last whole one, or if there are new classes; else one that renews the oldest trees.
    fn start_fit(&mut self) -> BoostingFit {
        self.keep();
        let mut examples = ExampleBuffer::new(self.shape());
        self.kept.iter().for_each(|window| examples.append(window, Some));
        let outputs = if self.rule.task == Task::Multiclass { self.classes.len() } else { 1 };
        let is_whole = self.start == LearningStart::Fresh
            || self.ensemble.outputs() != outputs
            || is_outgrown(examples.len(), self.fitted_on);
        let mut vocabularies = match is_whole {
            true => vec![Vocabulary::default(); self.shape().categories],
            false => self.ensemble.vocabularies.to_vec(),
        };
        vocabularies.iter_mut().enumerate().for_each(|(column, known)| known.extend(&examples, column));
        let vocabularies = Arc::new(vocabularies);
        if is_whole {
            self.fitted_on = examples.len();
            let (base, scale) = self.base(&examples, outputs);
            return BoostingFit::new(self.rule, examples, BoostedEnsemble::new(base, scale, vocabularies), self.trees);
        }
        let renewed = self.trees.div_ceil(RENEWED);
        let mut ensemble = self.ensemble.clone();
        ensemble.vocabularies = vocabularies;
        let oldest = (ensemble.rounds() + renewed).saturating_sub(self.trees);
        ensemble.trees.drain(..oldest * outputs);
        BoostingFit::new(self.rule, examples, ensemble, renewed)
    }

    /// Returns the outputs without trees, and the unit of trees' values.
    fn base(&self, examples: &ExampleBuffer, outputs: usize) -> (Vec<f64>, f64) {
        let rows = examples.len() as f64;
        match self.rule.task {
            Task::Binary => {
                let positive = examples.targets().filter(|target| *target > 0.5).count() as f64;
                (vec![libm::log((positive + 0.5) / (rows - positive + 0.5))], 1.0)
            }
            Task::Multiclass => {
                let mut counts = vec![0.5; outputs];
                examples.targets().for_each(|target| counts[target as usize] += 1.0);
                let total = rows + 0.5 * outputs as f64;
                (counts.into_iter().map(|count| libm::log(count / total)).collect(), 1.0)
            }
            _ => {
                let mut moments = ExactMoments::default();
                examples.targets().for_each(|target| moments.add(target));
                let deviation = moments.variance().sqrt();
                (vec![moments.mean()], if deviation > 0.0 { deviation } else { 1.0 })
            }
        }
    }
}

impl Learner for GradientBoosting {
    fn learn(&mut self, batch: &Prepared<'_>) {
        for (example, target) in batch.observations().zip(batch.targets()) {
            let target = match self.rule.task {
                Task::Multiclass => {
                    let position = self.classes.position(*target as u32, batch.classes());
                    position.map(|position| position as f64)
                }
                _ => Some(*target),
            };
            if let Some(target) = target {
                self.current.push(example, target);
            }
        }
        self.current.forget_beyond(self.max_examples);
    }

    fn refits(&self) -> bool {
        true
    }

    fn refit(&mut self, rows: usize) -> bool {
        if self.fit.is_none() {
            if self.current.is_empty() {
                return true;
            }
            self.fit = Some(Box::new(self.start_fit()));
            return false;
        }
        let is_done = self.fit.as_mut().is_none_or(|fit| fit.advance(rows.saturating_mul(CELLS_PER_ROW)));
        if let Some(fit) = self.fit.take_if(|_| is_done) {
            self.ensemble = fit.into_ensemble();
        }
        is_done
    }

    fn restarted(&self) -> Option<Box<dyn Learner>> {
        Some(self.clone_box())
    }

    /// Takes the open window's examples of all shards, in their order; what came before is the same in all.
    fn combine(&mut self, shards: &[Shard<'_>]) -> Result<(), ModelError> {
        let first = shards.iter().position(|shard| shard.examples > 0).unwrap_or(0);
        for at in [first].into_iter().chain((0..shards.len()).filter(|at| *at != first)) {
            let any: &dyn std::any::Any = shards[at].learner;
            let shard = any.downcast_ref::<GradientBoosting>();
            let shard = shard.ok_or_else(|| tensor::misfit(KEPT, "the shards are of another kind"))?;
            if at == first {
                *self = shard.copy();
                continue;
            }
            let names = shard.classes.names().iter();
            let positions: Vec<_> = names.map(|name| self.classes.join(name)).collect();
            let is_class = self.rule.task == Task::Multiclass;
            self.current.append(&shard.current, |target| match is_class {
                true => positions[target as usize].map(|position| position as f64),
                false => Some(target),
            });
        }
        Ok(())
    }

    fn freeze(&mut self) -> Box<dyn Scorer> {
        let (classes, ensemble) = match self.rule.task {
            Task::Multiclass => {
                let order: Vec<usize> =
                    self.classes.ascending().into_iter().filter(|at| *at < self.ensemble.outputs()).collect();
                let names = order.iter().map(|at| Arc::clone(&self.classes.names()[*at])).collect();
                (names, self.ensemble.ordered(&order))
            }
            _ => (Vec::new(), self.ensemble.clone()),
        };
        Box::new(FrozenBoosting::new(self.rule.task, classes, ensemble))
    }

    fn save(&self) -> Tensors {
        let mut tensors = Tensors::new();
        let mut kept = ExampleBuffer::new(self.shape());
        self.kept.iter().for_each(|window| kept.append(window, Some));
        kept.save(KEPT, &mut tensors);
        self.current.save(CURRENT, &mut tensors);
        let windows = self.kept.iter().map(|window| window.piece_count() as u32).collect();
        tensors.insert(WINDOWS.to_owned(), Tensor::indices(windows));
        tensors.insert(FITTED_ON.to_owned(), Tensor::indices(vec![self.fitted_on as u32]));
        tensors.insert(OUTPUTS.to_owned(), Tensor::indices(vec![self.ensemble.outputs() as u32]));
        self.classes.save(&mut tensors);
        self.ensemble.save(&mut tensors);
        tensors
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        let shape = self.shape();
        self.classes.load(tensors)?;
        let outputs = tensor::integers(tensors, OUTPUTS, Some(1))?[0] as usize;
        let is_count = match self.rule.task {
            Task::Multiclass => outputs <= self.classes.len(),
            _ => outputs == 1,
        };
        if !is_count {
            return Err(tensor::misfit(OUTPUTS, "there are more outputs than classes"));
        }
        self.ensemble = BoostedEnsemble::load(shape, outputs, tensors)?;
        self.fitted_on = tensor::integers(tensors, FITTED_ON, Some(1))?[0] as usize;
        self.current = ExampleBuffer::load(shape, CURRENT, tensors)?;
        let mut kept = ExampleBuffer::load(shape, KEPT, tensors)?;
        let is_target = |target: f64| match self.rule.task {
            Task::Binary => target == 0.0 || target == 1.0,
            Task::Multiclass => target >= 0.0 && target.fract() == 0.0 && (target as usize) < self.classes.len(),
            _ => target.abs() <= crate::model::preparation::LARGEST,
        };
        if !kept.targets().chain(self.current.targets()).all(is_target) {
            return Err(tensor::misfit(KEPT, "a target is not one of the task"));
        }
        self.kept.clear();
        for pieces in tensor::integers(tensors, WINDOWS, None)? {
            let window = kept.split_front(*pieces as usize);
            self.kept.push_back(
                window.ok_or_else(|| tensor::misfit(WINDOWS, "its windows have more pieces than there are"))?,
            );
        }
        self.fit = None;
        if kept.is_empty() { Ok(()) } else { Err(tensor::misfit(WINDOWS, "its windows do not have all examples")) }
    }

    fn clone_box(&self) -> Box<dyn Learner> {
        Box::new(self.copy())
    }
}

impl GradientBoosting {
    /// Returns a copy, without a fit on its way.
    fn copy(&self) -> Self {
        GradientBoosting {
            classes: self.classes.clone(),
            kept: self.kept.clone(),
            current: self.current.clone(),
            ensemble: self.ensemble.clone(),
            fit: None,
            ..*self
        }
    }
}

const KEPT: &str = "kept";
const CURRENT: &str = "current";
const WINDOWS: &str = "kept.windows";
const FITTED_ON: &str = "fitted_on";
const OUTPUTS: &str = "outputs";
