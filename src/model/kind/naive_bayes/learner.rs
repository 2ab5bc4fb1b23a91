//! The learner: what has been seen of each class.

use std::ops::Range;
use std::sync::Arc;

use super::super::class_states::ClassStates;
use super::super::softmax::class_state;
use super::evidence::ClassEvidence;
use super::likelihoods::Likelihoods;
use crate::model::kind::{Learner, Scorer, Shard};
use crate::model::preparation::{Prepared, SlotLayout};
use crate::model::tensor::{self, Tensor};
use crate::model::{ModelError, Parameters, Task, Tensors};

/// The names of the classes of a binary model; a label is a position.
const TRUTHS: [&str; 2] = ["false", "true"];

/// The name of the tensor of the classes.
const CLASSES: &str = "classes";

/// Naive Bayes, as it learns.
#[derive(Clone)]
pub(super) struct NaiveBayes {
    task: Task,
    smoothing: f64,
    /// Numbers among the inputs.
    numbers: usize,
    /// The entries of a row that are categories.
    entries: Range<usize>,
    classes: ClassStates<ClassEvidence>,
    max_classes: usize,
}

impl NaiveBayes {
    pub fn new(layout: &SlotLayout, parameters: &Parameters, task: Task) -> Self {
        let max_classes = if task == Task::Multiclass { parameters.get("max_classes") as usize } else { TRUTHS.len() };
        let mut bayes = NaiveBayes {
            task,
            smoothing: parameters.get("smoothing"),
            numbers: layout.number_count(),
            entries: layout.categories().start..layout.width(),
            classes: ClassStates::new(max_classes),
            max_classes,
        };
        if task == Task::Binary {
            TRUTHS.iter().for_each(|truth| bayes.classes.push((*truth).into(), ClassEvidence::new(bayes.numbers)));
        }
        bayes
    }

    fn read(&self, tensors: &Tensors) -> Result<ClassStates<ClassEvidence>, ModelError> {
        let mut classes = ClassStates::new(self.max_classes);
        for (at, name) in tensor::texts(tensors, CLASSES)?.into_iter().enumerate() {
            classes.push(name, ClassEvidence::load(&class_state(tensors, at), self.numbers)?);
        }
        let truths = || classes.names().iter().map(|name| &**name).eq(TRUTHS);
        if self.task == Task::Binary && !truths() {
            return Err(tensor::misfit(CLASSES, "its classes are not false and true"));
        }
        Ok(classes)
    }
}

impl Learner for NaiveBayes {
    fn learn(&mut self, batch: &Prepared<'_>) {
        let examples = batch.rows().iter().zip(batch.observations());
        for ((row, observation), target) in examples.zip(batch.targets()) {
            let numbers = self.numbers;
            let class = match self.task {
                Task::Multiclass => {
                    self.classes.position(*target as u32, batch.classes(), || ClassEvidence::new(numbers))
                }
                _ => Some(usize::from(*target > 0.5)),
            };
            if let Some(class) = class {
                self.classes.states_mut()[class].learn(observation, row, self.entries.clone());
            }
        }
    }

    /// Adds what each shard has seen since the start.
    fn combine(&mut self, shards: &[Shard<'_>]) -> Result<(), ModelError> {
        let start = self.classes.clone();
        for shard in shards {
            let own = self.read(&shard.learner.save())?;
            for (name, evidence) in own.names().iter().zip(own.states()) {
                let at = match self.classes.find(name) {
                    Some(at) => at,
                    None if self.classes.len() >= self.max_classes => continue,
                    None => {
                        self.classes.push(Arc::clone(name), ClassEvidence::new(self.numbers));
                        self.classes.len() - 1
                    }
                };
                let sum = &mut self.classes.states_mut()[at];
                sum.merge(evidence);
                if let Some(at) = start.find(name) {
                    sum.subtract(&start.states()[at]);
                }
            }
        }
        Ok(())
    }

    fn freeze(&mut self) -> Box<dyn Scorer> {
        Box::new(Likelihoods::new(&self.classes.ascending(), self.task, self.smoothing, self.entries.clone()))
    }

    /// Saves the classes in the order that they have in a version, whichever came first.
    fn save(&self) -> Tensors {
        let classes = self.classes.ascending();
        let names: Vec<&str> = classes.iter().map(|class| &**class.name).collect();
        let mut tensors = Tensors::from([(CLASSES.to_owned(), Tensor::texts(&names))]);
        for (at, class) in classes.iter().enumerate() {
            tensors.extend(class.state.save().into_iter().map(|(name, tensor)| (format!("{at}.{name}"), tensor)));
        }
        tensors
    }

    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        self.classes = self.read(tensors)?;
        Ok(())
    }

    fn clone_box(&self) -> Box<dyn Learner> {
        Box::new(self.clone())
    }
}
