//! The learner of models that grow with every example: of one tree, or of several.

use std::sync::Arc;

use super::class_table::ClassTable;
use super::example_buffer::{ExampleBuffer, ExampleShape};
use super::growing_model::GrowingModel;
use super::grown::{FrozenModel, TREE, decode_bytes, encode_bytes, load_binary, load_multiclass, load_regression};
use super::model_kind::{Build, Load};
use super::target_form::TargetForm;
use super::{Combining, InputForm, LabelDomain, LabelUse, Learner, ModelKind, Scorer, Shard, TrainedBy};
use crate::model::optimizer::OptimizerSetup;
use crate::model::preparation::{Prepared, SlotLayout};
use crate::model::tensor;
use crate::model::{AttributionRule, Classes, ModelError, Parameter, Parameters, Task, Tensors};

/// The prefix of the tensors of examples that are learnt at the window's end.
const PENDING: &str = "pending";

/// A kind whose models grow, for one of its tasks.
///
/// # Panics
/// If the task has no labels.
pub(super) const fn kind<M: GrowingModel>(
    name: &'static str,
    parameters: &'static [Parameter],
    task: Task,
    summary: &'static str,
) -> ModelKind {
    let (labels, build, load) = match task {
        Task::Binary => (LabelDomain::Truth, build_binary::<M> as Build, load_binary::<M> as Load),
        Task::Multiclass => (LabelDomain::Class, build_multiclass::<M> as Build, load_multiclass::<M> as Load),
        Task::Regression => (LabelDomain::Value, build_regression::<M> as Build, load_regression::<M> as Load),
        Task::Clustering | Task::Anomaly => panic!("trees grow with labels"),
    };
    ModelKind {
        name,
        summary,
        task,
        label: LabelUse::Required,
        labels,
        parameters,
        reads: InputForm::Observations,
        trained_by: TrainedBy::Itself,
        combining: Combining::Kept,
        least_categories: 0,
        by_steps: false,
        standardises_label: false,
        attribution: AttributionRule::Path,
        build,
        load,
    }
}

/// The meaning of targets, and the classes if they are classes.
#[derive(Clone, Debug)]
struct TreeTargets {
    task: Task,
    classes: ClassTable,
}

impl TreeTargets {
    fn new(task: Task, parameters: &Parameters) -> Self {
        TreeTargets { task, classes: ClassTable::new(parameters.get("max_classes") as usize) }
    }

    /// Returns the form of the statistics of a tree.
    fn form(&self) -> TargetForm {
        match self.task {
            Task::Binary => TargetForm::Classes(2),
            Task::Multiclass => TargetForm::Classes(self.classes.len()),
            _ => TargetForm::Value,
        }
    }

    /// Returns the target of a tree for one of the trainer. None for a class beyond the most.
    #[inline]
    fn of(&mut self, target: f64, classes: &Classes) -> Option<f64> {
        match self.task {
            Task::Multiclass => self.classes.position(target as u32, classes).map(|position| position as f64),
            _ => Some(target),
        }
    }
}

struct GrowingLearner<M: GrowingModel> {
    rule: M::Rule,
    shape: ExampleShape,
    targets: TreeTargets,
    model: M,
    /// Examples to be learnt at the window's end, if that is when this learner learns.
    pending: Option<ExampleBuffer>,
    /// Piece and row of the next of them.
    next: [usize; 2],
    memory: M::Memory,
}

fn build<M: GrowingModel>(layout: &SlotLayout, parameters: &Parameters, task: Task) -> Box<dyn Learner> {
    let (rule, shape) = (M::rule(parameters, layout), ExampleShape::of(layout));
    let targets = TreeTargets::new(task, parameters);
    let model = M::untrained(&rule, targets.form(), shape);
    let pending = (layout.options().shards > 1).then(|| ExampleBuffer::new(shape));
    Box::new(GrowingLearner { rule, shape, targets, model, pending, next: [0; 2], memory: M::Memory::default() })
}

fn build_binary<M: GrowingModel>(
    layout: &SlotLayout,
    parameters: &Parameters,
    _: Option<OptimizerSetup>,
) -> Box<dyn Learner> {
    build::<M>(layout, parameters, Task::Binary)
}

fn build_multiclass<M: GrowingModel>(
    layout: &SlotLayout,
    parameters: &Parameters,
    _: Option<OptimizerSetup>,
) -> Box<dyn Learner> {
    build::<M>(layout, parameters, Task::Multiclass)
}

fn build_regression<M: GrowingModel>(
    layout: &SlotLayout,
    parameters: &Parameters,
    _: Option<OptimizerSetup>,
) -> Box<dyn Learner> {
    build::<M>(layout, parameters, Task::Regression)
}

impl<M: GrowingModel> GrowingLearner<M> {
    /// Makes room in the model for a class that has joined.
    fn widen(&mut self) {
        let form = self.targets.form();
        if form != self.model.form() {
            self.model.widen(form.width());
        }
    }
}

impl<M: GrowingModel> Learner for GrowingLearner<M> {
    fn learn(&mut self, batch: &Prepared<'_>) {
        let mut examples = Vec::with_capacity(batch.len());
        for (example, target) in batch.observations().zip(batch.targets()) {
            let Some(target) = self.targets.of(*target, batch.classes()) else { continue };
            if self.targets.form() != self.model.form() {
                // Those before it are learnt without the new class.
                self.model.learn_all(&self.rule, &examples, &mut self.memory);
                examples.clear();
                self.widen();
            }
            match &mut self.pending {
                Some(pending) => pending.push(example, target),
                None => examples.push((example, target)),
            }
        }
        self.model.learn_all(&self.rule, &examples, &mut self.memory);
    }

    fn cost(&self) -> usize {
        self.model.cost()
    }

    fn refits(&self) -> bool {
        self.pending.is_some()
    }

    fn refit(&mut self, rows: usize) -> bool {
        let Some(pending) = &mut self.pending else { return true };
        let mut left = (rows / self.model.cost()).max(1);
        while let Some(piece) = pending.piece(self.next[0]) {
            let targets = piece.targets().iter().enumerate().skip(self.next[1]);
            for (row, target) in targets {
                if left == 0 {
                    self.next[1] = row;
                    return false;
                }
                self.model.learn(&self.rule, piece.example(self.shape, row), *target, &mut self.memory);
                left -= 1;
            }
            self.next = [self.next[0] + 1, 0];
        }
        *pending = ExampleBuffer::new(self.shape);
        self.next = [0; 2];
        true
    }

    /// Continues the model of the first shard with the examples of all, in their order.
    fn combine(&mut self, shards: &[Shard<'_>]) -> Result<(), ModelError> {
        let first = shards.iter().position(|shard| shard.examples > 0).unwrap_or(0);
        for at in [first].into_iter().chain((0..shards.len()).filter(|at| *at != first)) {
            let any: &dyn std::any::Any = shards[at].learner;
            let shard =
                any.downcast_ref::<Self>().ok_or_else(|| tensor::misfit(TREE, "the shards are of another kind"))?;
            if at == first {
                self.model = shard.model.clone();
                self.targets = shard.targets.clone();
                self.pending = shard.pending.clone();
                continue;
            }
            let positions: Vec<_> =
                shard.targets.classes.names().iter().map(|name| self.targets.classes.join(name)).collect();
            if let (Some(pending), Some(more)) = (&mut self.pending, &shard.pending) {
                let is_class = self.targets.task == Task::Multiclass;
                pending.append(more, |target| match is_class {
                    true => positions[target as usize].map(|position| position as f64),
                    false => Some(target),
                });
            }
        }
        self.widen();
        Ok(())
    }

    fn freeze(&mut self) -> Box<dyn Scorer> {
        let order = self.targets.classes.ascending();
        let names = order.iter().map(|at| Arc::clone(&self.targets.classes.names()[*at])).collect();
        Box::new(FrozenModel::new(self.targets.task, names, order, self.model.clone()))
    }

    fn save(&self) -> Tensors {
        let mut tensors = Tensors::from([(TREE.to_owned(), encode_bytes(&self.model))]);
        self.targets.classes.save(&mut tensors);
        if let Some(pending) = &self.pending {
            pending.save(PENDING, &mut tensors);
        }
        tensors
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        self.targets.classes.load(tensors)?;
        let form = self.targets.form();
        self.model = decode_bytes(tensors, TREE, |model: &M| model.fits(form, self.shape))?;
        if self.pending.is_some() {
            let pending = ExampleBuffer::load(self.shape, PENDING, tensors)?;
            let is_class = |target: f64| target >= 0.0 && target < form.width() as f64;
            if matches!(form, TargetForm::Classes(_)) && !pending.targets().all(is_class) {
                return Err(tensor::misfit(PENDING, "a target is not a class"));
            }
            self.pending = Some(pending);
        }
        self.next = [0; 2];
        Ok(())
    }

    fn clone_box(&self) -> Box<dyn Learner> {
        Box::new(GrowingLearner {
            targets: self.targets.clone(),
            model: self.model.clone(),
            pending: self.pending.clone(),
            memory: M::Memory::default(),
            ..*self
        })
    }
}
