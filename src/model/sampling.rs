//! Options on the weights of examples.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The weights with which examples are learnt. Scores count every example once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SamplingOptions {
    /// The expression of an example's weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_weight: Option<ClassWeights>,
    /// The share of the examples that are not true that is learnt, chosen by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_sampling: Option<f64>,
}

/// The weights of classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassWeights {
    /// Inverse to the number of examples of a class, so that all classes have one weight in all.
    Balanced,
    /// By name; 1 of others. Those of a binary model are `true` and `false`.
    Named(BTreeMap<String, f64>),
}

impl SamplingOptions {
    /// The weights that are allowed.
    pub const WEIGHT: &str = "a number above 0, up to 1e6";

    /// The shares that are allowed.
    pub const SHARE: &str = "a share above 0, up to 1";

    /// The largest weight of an example or a class.
    pub const MOST: f64 = 1e6;

    pub(super) fn is_default(&self) -> bool {
        *self == SamplingOptions::default()
    }

    /// Returns the share of the examples that are not true that is learnt.
    pub(super) fn negatives(&self) -> f64 {
        self.negative_sampling.unwrap_or(1.0)
    }
}
