//! Options that a kind of model has a use for.

use super::{InputForm, ModelKind};
use crate::model::{ClassWeights, InputOptions, ModelError, SamplingOptions, Task};

impl ModelKind {
    /// Returns what is wrong with the preparation of inputs, beside ranges of whole numbers.
    pub(super) fn check_preparing(&self, options: &InputOptions) -> Vec<ModelError> {
        let mut errors = Vec::new();
        let of_rows = [("winsorise", options.winsorise > 0.0), ("min_count", options.min_count > 1)];
        for (option, _) in of_rows.into_iter().filter(|(_, is_set)| *is_set && self.reads == InputForm::Observations) {
            errors.push(ModelError::NeedlessOption { kind: self.name, option });
        }
        if options.expire > 0 && !self.by_steps {
            errors.push(ModelError::NothingToForget { kind: self.name });
        }
        if !InputOptions::admits_winsorise(options.winsorise) {
            let (name, expected) = ("winsorise".to_owned(), InputOptions::WINSORISE.to_owned());
            errors.push(ModelError::OutOfRange { name, found: options.winsorise, expected });
        }
        errors
    }

    /// Returns what is wrong with the weights of examples.
    pub(super) fn check_sampling(&self, options: &SamplingOptions) -> Vec<ModelError> {
        let mut errors = Vec::new();
        let weights = [("weight", options.weight.is_some()), ("class_weight", options.class_weight.is_some())];
        for (option, _) in weights.into_iter().filter(|(_, is_set)| *is_set && !self.by_steps) {
            errors.push(ModelError::UnweightedKind { kind: self.name, option });
        }
        let has_classes = matches!(self.task, Task::Binary | Task::Multiclass);
        if options.class_weight.is_some() && self.by_steps && !has_classes {
            errors.push(ModelError::NoClasses { kind: self.name });
        }
        if options.negative_sampling.is_some() && self.task != Task::Binary {
            errors.push(ModelError::NoNegatives { kind: self.name });
        }
        let wrong = |name: &str, found: f64, expected: &str| ModelError::OutOfRange {
            name: name.to_owned(),
            found,
            expected: expected.to_owned(),
        };
        if let Some(share) = options.negative_sampling.filter(|share| !(*share > 0.0 && *share <= 1.0)) {
            errors.push(wrong("negative_sampling", share, SamplingOptions::SHARE));
        }
        if let Some(ClassWeights::Named(weights)) = &options.class_weight {
            for (class, weight) in weights {
                if !(*weight > 0.0 && *weight <= SamplingOptions::MOST) {
                    errors.push(wrong("class_weight", *weight, SamplingOptions::WEIGHT));
                }
                if self.task == Task::Binary && !["true", "false"].contains(&class.as_str()) {
                    errors.push(ModelError::UnknownClass { found: class.clone() });
                }
            }
        }
        errors
    }
}
