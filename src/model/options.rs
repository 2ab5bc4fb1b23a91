//! What a dataflow file may say of a model: kind, preparation, optimizer, gate.

use serde::{Deserialize, Serialize};

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
