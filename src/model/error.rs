//! Errors of a model's options and of saved models.

use crate::value::Type;

/// A reason why a model cannot be made or read back.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    #[error("unknown model kind `{found}`; expected one of {expected}")]
    UnknownKind { found: String, expected: String },
    #[error("models of kind `{kind}` read inputs as they are; expected no `{option}`")]
    NeedlessOption { kind: &'static str, option: &'static str },
    #[error("models of kind `{kind}` count every example once; expected no `{option}`")]
    UnweightedKind { kind: &'static str, option: &'static str },
    #[error("models of kind `{kind}` predict no classes; expected no `class_weight`")]
    NoClasses { kind: &'static str },
    #[error("models of kind `{kind}` do not predict the probability of true; expected no `negative_sampling`")]
    NoNegatives { kind: &'static str },
    #[error("`class_weight` names the class `{found}`; expected `true` or `false`")]
    UnknownClass { found: String },
    #[error("models of kind `{kind}` have no weights of single categories to forget; expected no `expire`")]
    NothingToForget { kind: &'static str },
    #[error("`tokens` names `{input}`, which is not a single string")]
    NoText { input: String },
    #[error("a cross takes single values, and `{input}` is a text")]
    CrossedText { input: String },
    #[error("unknown optimizer `{found}`; expected one of {expected}")]
    UnknownOptimizer { found: String, expected: String },
    #[error("models of kind `{kind}` are trained by an optimizer; expected one in `optimizer`")]
    NoOptimizer { kind: &'static str },
    #[error("models of kind `{kind}` are not trained by an optimizer; expected no `optimizer`")]
    NeedlessOptimizer { kind: &'static str },
    #[error("`{owner}` has no parameter `{found}`; it has {expected}")]
    UnknownParameter { owner: String, found: String, expected: String },
    #[error("models of kind `{kind}` have no task `{found}`; expected one of {expected}")]
    UnknownTask { kind: String, found: &'static str, expected: String },
    #[error("`{name}` is {found}; expected {expected}")]
    WrongParameter { name: String, found: String, expected: String },
    #[error("`{name}` has a meaning only with `{when}`")]
    UnusedParameter { name: String, when: String },
    #[error("models of kind `{kind}` need {least} categorical inputs, and there are {found}")]
    FewCategories { kind: &'static str, least: usize, found: usize },
    #[error("`{name}` is {found}; expected {expected}")]
    OutOfRange { name: String, found: f64, expected: String },
    #[error("unknown metric `{found}`; models of this kind have {expected}")]
    UnknownMetric { found: String, expected: String },
    #[error("`{option}` names `{found}`, which is not an input of the model")]
    UnknownInput { option: &'static str, found: String },
    #[error("input `{input}` is a {ty}, which a model cannot take; derive a number or a string from it")]
    InputType { input: String, ty: Type },
    #[error("a cross needs at least two inputs")]
    ShortCross,
    #[error("a cross takes `{input}`, a number, by its bin; set `bins`, or list it in `categorical`")]
    CrossedNumber { input: String },
    #[error("a cross takes single values, and `{input}` is a list or a map")]
    CrossedList { input: String },
    #[error("a model needs at least one input")]
    NoInputs,
    #[error("tensor `{name}` is missing")]
    MissingTensor { name: String },
    #[error("tensor `{name}` does not fit the model: {detail}")]
    MisfitTensor { name: String, detail: String },
    #[error("the saved state cannot be read: {0}")]
    DamagedState(String),
    #[error("the saved state is of another definition of the model")]
    OtherDefinition,
}
