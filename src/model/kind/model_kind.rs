//! The description of a kind of model: what it predicts, how it learns, and how it is made.

use super::{KINDS, Learner, Scorer};
use crate::model::optimizer::OptimizerSetup;
use crate::model::preparation::{InputColumn, MapForm, SlotLayout};
use crate::model::{
    AttributionRule, KindOptions, LabelDomain, METRICS, Metric, ModelError, ModelOptions, OptimizerKind, Parameter,
    Parameters, RANKING_METRICS, Scoring, Task, Tensors,
};

/// The use that a kind makes of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelUse {
    /// An example without a label is scored only.
    Required,
    /// Examples without a label are learnt as well; their target is NaN.
    Optional,
    /// No labels: every target is NaN, and nothing is scored.
    None,
}

/// The way in which the shards of a window become one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combining {
    /// Numbers are averaged, weighted by the shards' examples.
    Averaged,
    /// Exact addition: the state is that of one learner of all examples.
    Added,
    /// Examples are kept, and one learner learns them at the window's end, shard after shard.
    Kept,
}

/// The party that moves a kind's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainedBy {
    /// Any optimizer in [`crate::model::OPTIMIZERS`]: the kind finds the slope of its loss, the optimizer takes the step.
    Optimizer,
    /// The kind itself, by its own rule.
    Itself,
}

/// The form in which a kind reads the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputForm {
    /// Rows of standardised numbers and hashed categories, with bins and crosses: [`crate::model::Prepared::rows`]. An
    /// entry counts by its slot alone, so that a map is an entry for each of its categories.
    Slots,
    /// The same, of one width, so that an entry may count by its place, too: a map is a fixed number of numbers.
    Rows,
    /// Numbers and categories as they are: [`crate::model::Prepared::observations`]. Such a kind has no `bins`,
    /// `crosses` or `hash_bits`.
    Observations,
}

/// Makes an untrained model. The setup is that of the optimizer, for kinds that one trains.
pub type Build = fn(&SlotLayout, &Parameters, Option<OptimizerSetup>) -> Box<dyn Learner>;

/// Reads a frozen model of a layout from its tensors.
pub type Load = fn(&SlotLayout, &Tensors) -> Result<Box<dyn Scorer>, ModelError>;

/// A kind of model for one task, as a dataflow file names it.
#[derive(Debug)]
pub struct ModelKind {
    /// Kinds for several tasks share a name.
    pub name: &'static str,
    /// The meaning of a prediction, for the reference.
    pub summary: &'static str,
    pub task: Task,
    pub label: LabelUse,
    /// The labels that it can learn. Others are dropped.
    pub labels: LabelDomain,
    pub parameters: &'static [Parameter],
    pub reads: InputForm,
    pub trained_by: TrainedBy,
    pub combining: Combining,
    /// The least number of categorical inputs.
    pub least_categories: usize,
    /// True if each example moves weights by a step: it can count several times then, and steps that are too long diverge.
    pub by_steps: bool,
    /// True if the label is learnt in standard deviations from its mean.
    pub standardises_label: bool,
    /// The rule by which raw scores are split into the contributions of inputs.
    pub attribution: AttributionRule,
    pub build: Build,
    pub load: Load,
}

impl ModelKind {
    /// Returns the names of the kinds whose predictions can be explained, for all their tasks.
    pub fn explained() -> Vec<&'static str> {
        let mut names: Vec<_> = KINDS.iter().filter(|kind| kind.explains()).map(|kind| kind.name).collect();
        names.dedup();
        names
    }

    /// Returns whether predictions can be explained.
    pub fn explains(&self) -> bool {
        self.attribution != AttributionRule::None
    }

    /// Returns the kind of that name, for its first task.
    ///
    /// # Errors
    /// With all names, if there is none.
    pub fn find(name: &str) -> Result<&'static ModelKind, ModelError> {
        let found = KINDS.iter().find(|kind| kind.name == name).copied();
        found.ok_or_else(|| {
            let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
            names.dedup();
            ModelError::UnknownKind { found: name.to_owned(), expected: names.join(", ") }
        })
    }

    /// Returns the kind of that name and task.
    ///
    /// # Errors
    /// With all names or tasks, if there is none.
    pub fn of(options: &KindOptions) -> Result<&'static ModelKind, ModelError> {
        let first = Self::find(&options.name)?;
        let Some(task) = options.task else { return Ok(first) };
        let found = Self::tasks_of(first.name).find(|kind| kind.task == task);
        found.ok_or_else(|| {
            let tasks: Vec<&str> = Self::tasks_of(first.name).map(|kind| kind.task.name()).collect();
            ModelError::UnknownTask { kind: options.name.clone(), found: task.name(), expected: tasks.join(", ") }
        })
    }

    /// Returns the kinds of that name: one for each of its tasks, the default first.
    pub fn tasks_of(name: &str) -> impl Iterator<Item = &'static ModelKind> {
        KINDS.iter().copied().filter(move |kind| kind.name == name)
    }

    /// Returns the way in which predictions of a model of this kind are scored.
    pub fn scoring(&self, options: &ModelOptions) -> Scoring {
        let parameters = Self::parameters_of(options);
        let quantile =
            parameters.ok().filter(|parameters| parameters.is_used("q")).map(|parameters| parameters.get("q"));
        Scoring { task: self.task, quantile: quantile.unwrap_or(Scoring::MEDIAN) }
    }

    /// Returns the parameters of a model with these options.
    ///
    /// # Errors
    /// If the kind is not known, or a parameter is wrong.
    pub fn parameters_of(options: &ModelOptions) -> Result<Parameters, ModelError> {
        let kind = Self::of(&options.kind)?;
        let parameters = Parameters::resolve(kind.name, kind.parameters, &options.kind.parameters);
        parameters.map_err(|mut errors| errors.swap_remove(0))
    }

    /// Returns what is wrong with the inputs of a model of this kind.
    pub fn check_inputs(&self, layout: &SlotLayout) -> Option<ModelError> {
        let (least, found) = (self.least_categories, layout.single_categories());
        (found < least).then_some(ModelError::FewCategories { kind: self.name, least, found })
    }

    /// Returns the metrics that apply, the gate's default first.
    pub fn metrics(&self) -> impl Iterator<Item = &'static Metric> + use<> {
        let task = self.task;
        METRICS.iter().filter(move |metric| metric.tasks.contains(&task))
    }

    /// Returns the names of the metrics that a gate may compare: those that apply, and those of lists if examples are scored in
    /// lists.
    pub fn gate_metrics(&self, in_lists: bool) -> impl Iterator<Item = &'static str> + use<> {
        let of_lists = RANKING_METRICS.iter().filter(move |_| in_lists).map(|metric| metric.name);
        self.metrics().map(|metric| metric.name).chain(of_lists)
    }

    /// Returns the layout of a model of this kind.
    ///
    /// # Errors
    /// Everything that is wrong with the inputs and with the options that name them.
    pub fn layout(&self, inputs: &[InputColumn], options: &ModelOptions) -> Result<SlotLayout, Vec<ModelError>> {
        let map_form = match self.reads {
            InputForm::Slots => MapForm::Entries,
            InputForm::Rows | InputForm::Observations => MapForm::Numbers,
        };
        let layout = SlotLayout::with_maps(inputs, options, map_form)?;
        // Weights extrapolate; where distances or densities count, what is far off is what matters.
        Ok(if self.by_steps { layout.ranged() } else { layout })
    }

    /// Returns everything that is wrong with the options that not every kind has.
    pub fn check(&self, options: &ModelOptions) -> Vec<ModelError> {
        let parameters = Parameters::resolve(self.name, self.parameters, &options.kind.parameters);
        let mut errors = parameters.err().unwrap_or_default();
        let of_rows = [("bins", options.bins > 0), ("crosses", !options.crosses.is_empty())];
        for (option, _) in of_rows.into_iter().filter(|(_, is_set)| *is_set && self.reads == InputForm::Observations) {
            errors.push(ModelError::NeedlessOption { kind: self.name, option });
        }
        errors.extend(self.check_preparing(&options.preparing));
        errors.extend(self.check_sampling(&options.sampling));
        match (self.trained_by, &options.optimizer) {
            (TrainedBy::Optimizer, None) => errors.push(ModelError::NoOptimizer { kind: self.name }),
            (TrainedBy::Itself, Some(_)) => errors.push(ModelError::NeedlessOptimizer { kind: self.name }),
            (TrainedBy::Optimizer, Some(optimizer)) => match OptimizerKind::find(&optimizer.name) {
                Ok(kind) => errors.extend(kind.resolve(optimizer).err().into_iter().flatten()),
                Err(error) => errors.push(error),
            },
            (TrainedBy::Itself, None) => {}
        }
        errors
    }

    /// Returns an untrained model.
    ///
    /// # Errors
    /// The same as [`ModelKind::check`] returns for the layout's options.
    pub fn learner(&self, layout: &SlotLayout) -> Result<Box<dyn Learner>, Vec<ModelError>> {
        let options = layout.options();
        let errors = self.check(options);
        if !errors.is_empty() {
            return Err(errors);
        }
        let parameters = Parameters::resolve(self.name, self.parameters, &options.kind.parameters)?;
        let optimizer = match &options.optimizer {
            Some(optimizer) => {
                let kind = OptimizerKind::find(&optimizer.name).map_err(|error| vec![error])?;
                Some(OptimizerSetup { kind, parameters: kind.resolve(optimizer)?, slots: layout.slots() })
            }
            None => None,
        };
        Ok((self.build)(layout, &parameters, optimizer))
    }
}
