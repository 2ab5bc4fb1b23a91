//! Kinds of models: what is learnt and what a prediction means.

mod additive;
mod linear;
mod logistic;
mod poisson;

use serde::{Deserialize, Serialize};

use super::optimizer::OptimizerKind;
use super::preparation::Layout;
use super::{ModelError, Rows, Tensors};

/// A model that learns. Reading is `&self`, learning `&mut self`.
pub trait Learner: Send {
    /// Learns rows in their order; `targets` has one for each.
    fn learn(&mut self, rows: &Rows, targets: &[f64]);

    /// A copy that goes its own way.
    fn fork(&self) -> Box<dyn Learner>;

    /// What it stands at, for predictions.
    fn freeze(&self) -> Box<dyn Scorer>;

    /// All that it has learnt. Shards of one window are combined by averaging exactly this.
    fn save(&self) -> Tensors;

    /// Reads what [`Learner::save`] wrote.
    ///
    /// # Errors
    /// If a tensor is missing or of another size.
    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError>;
}

/// A frozen model.
pub trait Scorer: Send + Sync {
    /// Appends a prediction for each row. Always finite.
    fn predict(&self, rows: &Rows, predictions: &mut Vec<f64>);

    /// Adds the tensors that [`Kind::thaw`] reads.
    fn save(&self, tensors: &mut Tensors);
}

/// What a model's labels and predictions are, and so which metrics apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Labels above 0.5 are true; a prediction is the probability of true.
    Binary,
    /// Labels and predictions are values.
    Regression,
}

/// How a kind makes a learner; all that is wrong with its options, if it cannot.
pub type Build = fn(&Layout, &OptimizerKind) -> Result<Box<dyn Learner>, Vec<ModelError>>;

/// How a kind reads a frozen model.
pub type Thaw = fn(&Layout, &Tensors) -> Result<Box<dyn Scorer>, ModelError>;

/// A kind of model as a dataflow file names it.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    pub summary: &'static str,
    pub task: Task,
    /// Whether it learns the label in standard deviations from its mean.
    pub standardised: bool,
    /// An untrained model of this layout.
    pub build: Build,
    /// A frozen model of this layout, from its tensors.
    pub thaw: Thaw,
}

/// Every kind, in the order of the reference; the first is the default.
pub static KINDS: &[&Kind] = &[&logistic::KIND, &linear::KIND, &poisson::KIND];

impl Kind {
    /// The kind of that name.
    ///
    /// # Errors
    /// With all names, if there is none.
    pub fn find(name: &str) -> Result<&'static Kind, ModelError> {
        let expected = || KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
        let found = KINDS.iter().find(|kind| kind.name == name).copied();
        found.ok_or_else(|| ModelError::UnknownKind { found: name.to_owned(), expected: expected() })
    }

    /// The metrics that apply, the gate's default first.
    pub fn metrics(&self) -> impl Iterator<Item = &'static super::Metric> + use<> {
        let task = self.task;
        super::METRICS.iter().filter(move |metric| metric.tasks.contains(&task))
    }
}
