//! Options on how much each example counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ModelError, ModelKind, Task};

/// How much each example counts when it is learnt. Scores count every example once.
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

    /// Returns what is wrong with the options of a model of a kind.
    pub(super) fn check(&self, kind: &ModelKind) -> Vec<ModelError> {
        let mut errors = Vec::new();
        let weights = [("weight", self.weight.is_some()), ("class_weight", self.class_weight.is_some())];
        for (option, _) in weights.into_iter().filter(|(_, is_set)| *is_set && !kind.by_steps) {
            errors.push(ModelError::UnweightedKind { kind: kind.name, option });
        }
        let has_classes = matches!(kind.task, Task::Binary | Task::Multiclass);
        if self.class_weight.is_some() && kind.by_steps && !has_classes {
            errors.push(ModelError::NoClasses { kind: kind.name });
        }
        if self.negative_sampling.is_some() && kind.task != Task::Binary {
            errors.push(ModelError::NoNegatives { kind: kind.name });
        }
        let wrong = |name: &str, found: f64, expected: &str| ModelError::OutOfRange {
            name: name.to_owned(),
            found,
            expected: expected.to_owned(),
        };
        if let Some(share) = self.negative_sampling.filter(|share| !(*share > 0.0 && *share <= 1.0)) {
            errors.push(wrong("negative_sampling", share, Self::SHARE));
        }
        if let Some(ClassWeights::Named(weights)) = &self.class_weight {
            for (class, weight) in weights {
                if !(*weight > 0.0 && *weight <= Self::MOST) {
                    errors.push(wrong("class_weight", *weight, Self::WEIGHT));
                }
                if kind.task == Task::Binary && !["true", "false"].contains(&class.as_str()) {
                    errors.push(ModelError::UnknownClass { found: class.clone() });
                }
            }
        }
        errors
    }
}
