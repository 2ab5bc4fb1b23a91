//! Optimizers: how one weight moves, given the slope of the loss.
//!
//! An optimizer owns the weights of a model that is linear in its slots, and whatever else it keeps for each of them,
//! side by side in one row of a matrix (so that a hashed slot costs one cache line). It never sees the loss: a kind
//! takes [`Optimizer::dot`], finds the slope of its loss there, and calls [`Optimizer::step`].

mod adagrad;
mod adam;
mod ftrl;
mod sgd;

use super::{ModelError, OptimizerOptions, Row, Tensors};

/// Weights that learn.
pub trait Optimizer: Send {
    /// The weighted sum of a row, added up from the left.
    fn dot(&self, row: Row<'_>) -> f64;

    /// Moves the weights of a row against the gradient `slope` x value, slot by slot in the row's order.
    fn step(&mut self, row: Row<'_>, slope: f64);

    /// The weight of a slot.
    fn weight(&self, slot: usize) -> f64;

    /// A copy that goes its own way.
    fn fork(&self) -> Box<dyn Optimizer>;

    /// All that is kept. Shards of one window are combined by averaging exactly this.
    fn save(&self) -> Tensors;

    /// Reads what [`Optimizer::save`] wrote.
    ///
    /// # Errors
    /// If a tensor is missing or of another size.
    fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError>;
}

/// One rate of an optimizer.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// The key in a dataflow file.
    pub name: &'static str,
    pub default: f64,
    /// Least value allowed; `above` says that the least itself is not.
    pub least: f64,
    pub above: bool,
    pub summary: &'static str,
}

/// An optimizer as a dataflow file names it.
#[derive(Debug)]
pub struct OptimizerKind {
    pub name: &'static str,
    pub summary: &'static str,
    pub parameters: &'static [Parameter],
    /// What is averaged when shards combine: the tensors it saves.
    pub averaged: &'static [&'static str],
    /// Makes one of `slots` weights, all zero, given the parameters in their order.
    pub build: fn(parameters: &[f64], slots: usize) -> Box<dyn Optimizer>,
}

/// Every optimizer, in the order of the reference; the first is the default.
pub static OPTIMIZERS: &[&OptimizerKind] = &[&ftrl::KIND, &adagrad::KIND, &sgd::KIND, &adam::KIND];

impl OptimizerKind {
    /// The optimizer of that name.
    ///
    /// # Errors
    /// With all names, if there is none.
    pub fn find(name: &str) -> Result<&'static OptimizerKind, ModelError> {
        let expected = || OPTIMIZERS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
        let found = OPTIMIZERS.iter().find(|kind| kind.name == name).copied();
        found.ok_or_else(|| ModelError::UnknownOptimizer { found: name.to_owned(), expected: expected() })
    }

    /// The parameters in their order, as written or by default.
    ///
    /// # Errors
    /// One for each parameter that is unknown or out of range.
    pub fn resolve(&self, options: &OptimizerOptions) -> Result<Vec<f64>, Vec<ModelError>> {
        let mut values: Vec<f64> = self.parameters.iter().map(|parameter| parameter.default).collect();
        let mut errors = Vec::new();
        for (name, value) in &options.parameters {
            let Some(at) = self.parameters.iter().position(|parameter| parameter.name == name) else {
                let expected = self.parameters.iter().map(|p| p.name).collect::<Vec<_>>().join(", ");
                let (optimizer, found) = (self.name.to_owned(), name.clone());
                errors.push(ModelError::UnknownParameter { optimizer, found, expected });
                continue;
            };
            let Parameter { least, above, .. } = self.parameters[at];
            if !value.is_finite() || *value < least || (above && *value == least) {
                let expected = format!("{} {least}", if above { "a number above" } else { "at least" });
                errors.push(ModelError::OutOfRange { name: name.clone(), found: *value, expected });
            }
            values[at] = *value;
        }
        if errors.is_empty() { Ok(values) } else { Err(errors) }
    }

    /// Makes one of `slots` weights.
    ///
    /// # Errors
    /// As [`OptimizerKind::resolve`].
    pub fn make(&self, options: &OptimizerOptions, slots: usize) -> Result<Box<dyn Optimizer>, Vec<ModelError>> {
        Ok((self.build)(&self.resolve(options)?, slots))
    }
}
