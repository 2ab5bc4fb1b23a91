//! What a dataflow file may say of a model: kind, preparation, optimizer, gate.

use serde::{Deserialize, Serialize};

use super::preparation::{Input, Layout};
use super::{Kind, ModelError, OptimizerKind};

/// Everything about a model that is not its data. Written into each version's definition hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelOptions {
    /// A name in [`super::KINDS`].
    pub kind: String,
    pub optimizer: OptimizerOptions,
    /// Input pairs or tuples whose combination is hashed into one categorical input. By input name.
    pub crosses: Vec<Vec<String>>,
    /// Numeric inputs are also cut at this many quantiles; 0 for none.
    pub bins: usize,
    /// Numeric inputs that are categories.
    pub categorical: Vec<String>,
    /// log2 of the size of the hashed part of the weights.
    pub hash_bits: u32,
    /// Virtual shards; the result depends on their number, never on workers.
    pub shards: usize,
    pub start: Start,
    pub seed: u64,
    pub publish: Option<Gate>,
}

impl Default for ModelOptions {
    fn default() -> Self {
        ModelOptions {
            kind: "logistic".to_owned(),
            optimizer: OptimizerOptions::default(),
            crosses: Vec::new(),
            bins: 0,
            categorical: Vec::new(),
            hash_bits: 18,
            shards: 1,
            start: Start::Warm,
            seed: 0,
            publish: None,
        }
    }
}

/// Where a window's learning starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// From the newest accepted version.
    #[default]
    Warm,
    /// From nothing.
    Fresh,
}

/// The optimizer and its rates; which of them apply is for each optimizer to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptimizerOptions {
    /// A name in [`super::OPTIMIZERS`].
    pub name: String,
    /// `(key, value)` as written, checked against the optimizer's own list of parameters.
    pub parameters: Vec<(String, f64)>,
}

impl Default for OptimizerOptions {
    fn default() -> Self {
        OptimizerOptions { name: "ftrl".to_owned(), parameters: Vec::new() }
    }
}

/// The publish gate: a version becomes champion if it is worse than the champion by no more than `tolerance`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// A metric of the model's kind.
    pub metric: String,
    pub tolerance: f64,
    /// The share of keys never trained on.
    pub holdout: f64,
    /// The newest windows whose held-out examples are compared.
    pub windows: usize,
}

impl ModelOptions {
    /// Everything that is wrong with these options for a model of these inputs.
    ///
    /// # Errors
    /// All at once, in the order of the options.
    pub fn check(&self, inputs: &[Input]) -> Result<(), Vec<ModelError>> {
        let mut errors = Vec::new();
        let kind = Kind::find(&self.kind).map_err(|error| errors.push(error)).ok();
        match OptimizerKind::find(&self.optimizer.name) {
            Ok(optimizer) => errors.extend(optimizer.resolve(&self.optimizer).err().into_iter().flatten()),
            Err(error) => errors.push(error),
        }
        errors.extend(Layout::new(inputs, self).err().into_iter().flatten());
        if let (Some(gate), Some(kind)) = (&self.publish, kind) {
            errors.extend(gate.check(kind));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

impl Gate {
    fn check(&self, kind: &Kind) -> Vec<ModelError> {
        let mut errors = Vec::new();
        if !kind.metrics().any(|metric| metric.name == self.metric) {
            let expected = kind.metrics().map(|metric| metric.name).collect::<Vec<_>>().join(", ");
            errors.push(ModelError::UnknownMetric { found: self.metric.clone(), expected });
        }
        let mut range = |name: &str, found: f64, fits: bool, expected: &str| {
            if !fits {
                errors.push(ModelError::OutOfRange { name: name.to_owned(), found, expected: expected.to_owned() });
            }
        };
        let Gate { tolerance, holdout, windows, .. } = *self;
        range("tolerance", tolerance, tolerance >= 0.0 && tolerance.is_finite(), "a number from 0");
        range("holdout", holdout, holdout > 0.0 && holdout < 1.0, "a share between 0 and 1");
        range("windows", windows as f64, (1..=1000).contains(&windows), "1 to 1000");
        errors
    }
}
