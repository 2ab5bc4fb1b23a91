//! The scorer: trees that do not change any more.

use std::sync::Arc;

use super::boosting::link;
use super::ensemble::BoostedEnsemble;
use super::shapley::ShapleyTrees;
use crate::model::explanation::PartMap;
use crate::model::kind::class_table;
use crate::model::kind::example_buffer::ExampleShape;
use crate::model::kind::{Explainer, Scorer};
use crate::model::preparation::{Prepared, SlotLayout};
use crate::model::score_sum::ScoreSum;
use crate::model::{Explanations, ModelError, Predictions, Task, Tensors};

/// Trees that take as long to predict as a row of a linear model, about.
const TREES_PER_ROW: usize = 16;

/// Boosted trees that predict.
pub(super) struct FrozenBoosting {
    task: Task,
    /// Classes, ascending; none for other tasks.
    classes: Vec<Arc<str>>,
    ensemble: BoostedEnsemble,
    shapley: ShapleyTrees,
}

impl FrozenBoosting {
    pub fn new(task: Task, classes: Vec<Arc<str>>, ensemble: BoostedEnsemble) -> Self {
        let shapley = ShapleyTrees::new(&ensemble);
        FrozenBoosting { task, classes, ensemble, shapley }
    }

    /// Returns the sums of an example, of the values of its leaves; `values` are those of each output.
    fn sums(&self, values: &[f64]) -> impl Iterator<Item = ScoreSum> {
        let BoostedEnsemble { base, scale, .. } = &self.ensemble;
        let outputs = base.iter().zip(values).zip(self.shapley.sizes());
        outputs.map(move |((base, sum), size)| ScoreSum::new(base + scale * sum, *size))
    }
}

fn load(layout: &SlotLayout, tensors: &Tensors, task: Task) -> Result<Box<dyn Scorer>, ModelError> {
    let classes = match task {
        Task::Multiclass => class_table::load_names(tensors)?,
        _ => Vec::new(),
    };
    let outputs = if task == Task::Multiclass { classes.len() } else { 1 };
    let ensemble = BoostedEnsemble::load(ExampleShape::of(layout), outputs, tensors)?;
    Ok(Box::new(FrozenBoosting::new(task, classes, ensemble)))
}

pub(super) fn load_binary(layout: &SlotLayout, tensors: &Tensors) -> Result<Box<dyn Scorer>, ModelError> {
    load(layout, tensors, Task::Binary)
}

pub(super) fn load_multiclass(layout: &SlotLayout, tensors: &Tensors) -> Result<Box<dyn Scorer>, ModelError> {
    load(layout, tensors, Task::Multiclass)
}

pub(super) fn load_regression(layout: &SlotLayout, tensors: &Tensors) -> Result<Box<dyn Scorer>, ModelError> {
    load(layout, tensors, Task::Regression)
}

impl Scorer for FrozenBoosting {
    fn width(&self) -> usize {
        self.ensemble.outputs()
    }

    fn cost(&self) -> usize {
        1 + self.ensemble.trees.len() / TREES_PER_ROW
    }

    fn classes(&self) -> &[Arc<str>] {
        &self.classes
    }

    fn predict(&self, batch: &Prepared<'_>, predictions: &mut Predictions) {
        let (mut bins, mut sums) = (Vec::new(), vec![0.0; self.width()]);
        let values = predictions.values_mut();
        for example in batch.observations() {
            sums.fill(0.0);
            self.ensemble.add_values(example, &mut bins, &mut sums);
            let from = values.len();
            values.extend(self.sums(&sums).map(ScoreSum::raw));
            link(self.task, &mut values[from..]);
        }
    }

    fn explainer(&self) -> Option<&dyn Explainer> {
        Some(self)
    }

    fn save(&self, tensors: &mut Tensors) {
        if self.task == Task::Multiclass {
            class_table::save_names(&self.classes, tensors);
        }
        self.ensemble.save(tensors);
    }
}

impl Explainer for FrozenBoosting {
    fn explain(&self, batch: &Prepared<'_>, parts: &PartMap, explanations: &mut Explanations) {
        let (mut bins, mut sums) = (Vec::new(), vec![0.0; self.width()]);
        let scale = self.ensemble.scale;
        for example in batch.observations() {
            sums.fill(0.0);
            self.ensemble.add_values(example, &mut bins, &mut sums);
            let mut explained = explanations.start();
            self.shapley.explain(&self.ensemble, example, |input, output, amount| {
                explained.add(Some(parts.of_observed(input)), output, scale * amount);
            });
            self.sums(&sums).enumerate().for_each(|(output, sum)| explained.settle(output, sum));
        }
    }

    fn explanation_cost(&self) -> usize {
        self.shapley.cost()
    }
}
