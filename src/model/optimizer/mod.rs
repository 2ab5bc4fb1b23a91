//! Optimizers: how a weight moves, given the slope of the loss.
//!
//! An optimizer owns the weights of a model that is linear in its slots, and whatever else it keeps for each of them,
//! side by side (so that a hashed slot costs one cache line). A kind that is linear in its slots
//! hands it each row with the loss, to [`Optimizer::learn`]. Another takes [`Optimizer::dot`], adds what else its sum has,
//! finds the slope of its loss there, and calls [`Optimizer::step`].
//!
//! ```
//! use tidemill::model::OPTIMIZERS;
//! let ftrl = OPTIMIZERS.iter().find(|optimizer| optimizer.name == "ftrl").unwrap();
//! assert!(ftrl.parameters.iter().any(|parameter| parameter.name == "l1"));
//! ```

mod adagrad;
mod adam;
mod coin;
mod ftrl;
mod loss;
mod normalised_sgd;
mod sgd;
mod slot_states;

pub use loss::Loss;

use super::{ModelError, OptimizerOptions, Parameter, Parameters, SparseRow, Tensors};

/// Weights that learn.
pub trait Optimizer: Send {
    /// Returns the weighted sum of a row, added up from the left.
    fn dot(&self, row: SparseRow<'_>) -> f64;

    /// Moves the weights of a row against the gradient `slope` x value, slot by slot in the row's order.
    fn step(&mut self, row: SparseRow<'_>, slope: f64);

    /// Moves the weights of a row against the loss of its sum, which counts `weight` times.
    fn learn(&mut self, row: SparseRow<'_>, target: f64, weight: f64, loss: &dyn Loss) {
        let slope = loss.slope(self.dot(row), target);
        self.step(row, weight * slope);
    }

    /// Reads the state of slots, so that what is not in the cache is fetched together. The result means nothing.
    fn touch(&self, _slots: &[u32]) -> u64 {
        0
    }

    /// Returns the weight of a slot.
    fn weight(&self, slot: usize) -> f64;

    /// Appends the weights of all slots.
    fn append_weights(&self, weights: &mut Vec<f64>);

    /// Puts a slot back to where it started.
    fn forget(&mut self, slot: u32);

    /// Returns an independent copy.
    fn clone_box(&self) -> Box<dyn Optimizer>;

    /// Returns an independent copy, which may share what neither changes.
    fn share(&mut self) -> Box<dyn Optimizer> {
        self.clone_box()
    }

    /// Returns the whole state. The average of several states is a state: shards are combined that way.
    fn save(&self) -> Tensors;

    /// Replaces the state by one that [`Optimizer::save`] returned.
    ///
    /// # Errors
    /// If a tensor is missing or of another size.
    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError>;
}

/// An optimizer, as a dataflow file names it.
#[derive(Debug)]
pub struct OptimizerKind {
    pub name: &'static str,
    pub summary: &'static str,
    pub parameters: &'static [Parameter],
    /// Makes an optimizer of `slots` weights, all zero.
    pub build: fn(parameters: &Parameters, slots: usize) -> Box<dyn Optimizer>,
}

/// Every optimizer, in the order of the reference; the first is the default.
pub static OPTIMIZERS: &[&OptimizerKind] =
    &[&ftrl::KIND, &adagrad::KIND, &coin::KIND, &normalised_sgd::KIND, &sgd::KIND, &adam::KIND];

impl OptimizerKind {
    /// Returns the optimizer of that name.
    ///
    /// # Errors
    /// With all names, if there is none.
    pub fn find(name: &str) -> Result<&'static OptimizerKind, ModelError> {
        let expected = || OPTIMIZERS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
        let found = OPTIMIZERS.iter().find(|kind| kind.name == name).copied();
        found.ok_or_else(|| ModelError::UnknownOptimizer { found: name.to_owned(), expected: expected() })
    }

    /// Returns the values of the parameters, as written or by default.
    ///
    /// # Errors
    /// One for each parameter that is unknown or out of range.
    pub fn resolve(&self, options: &OptimizerOptions) -> Result<Parameters, Vec<ModelError>> {
        Parameters::resolve(self.name, self.parameters, &options.parameters)
    }
}

/// An optimizer with its parameters, ready to be made any number of times.
#[derive(Clone, Debug)]
pub struct OptimizerSetup {
    pub kind: &'static OptimizerKind,
    pub parameters: Parameters,
    /// Weights of each optimizer.
    pub slots: usize,
}

impl OptimizerSetup {
    /// Returns an optimizer whose weights are all zero.
    pub fn make(&self) -> Box<dyn Optimizer> {
        (self.kind.build)(&self.parameters, self.slots)
    }
}
