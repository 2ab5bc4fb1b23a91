//! Options: everything that a dataflow file can say about how a model learns.

use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{InputOptions, ParameterValue, ReportOptions, SamplingOptions, Task};

/// Everything about a model that is not its data. Its JSON is a part of the definition hash and of each artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelOptions {
    pub kind: KindOptions,
    /// `None` for kinds that are not trained by an optimizer.
    pub optimizer: Option<OptimizerOptions>,
    /// Inputs, by name, whose combination is hashed into one categorical input.
    pub crosses: Vec<Vec<String>>,
    /// Number of quantile bins in which numeric inputs are cut besides; 0 for none.
    pub bins: usize,
    /// Numeric inputs that are categories.
    pub categorical: Vec<String>,
    /// Base-2 logarithm of the size of the hashed part of the weights.
    pub hash_bits: u32,
    /// Virtual shards; the result depends on their number, never on workers.
    pub shards: usize,
    pub start: LearningStart,
    /// The examples that the first version is learnt from at least.
    #[serde(default = "default_min_examples", skip_serializing_if = "is_default_min_examples")]
    pub min_examples: u64,
    pub seed: u64,
    /// The preparation of inputs, beside bins and crosses.
    #[serde(default, skip_serializing_if = "InputOptions::is_default")]
    pub preparing: InputOptions,
    /// The weights of examples.
    #[serde(default, skip_serializing_if = "SamplingOptions::is_default")]
    pub sampling: SamplingOptions,
    pub publish: Option<Gate>,
    /// Reports beside scores.
    #[serde(default, skip_serializing_if = "ReportOptions::is_default")]
    pub reports: ReportOptions,
    /// The lists in which examples are scored; `None` if they are scored one by one alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranking: Option<RankingOptions>,
}

/// The lists in which examples are scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankingOptions {
    /// Columns of the examples that tell users apart.
    pub by: Vec<String>,
    /// The least label of a relevant item.
    pub relevant: f64,
    /// The input by which the same lists are ranked for comparison.
    pub popularity: Option<String>,
}

impl Default for ModelOptions {
    fn default() -> Self {
        ModelOptions {
            kind: "logistic".into(),
            optimizer: Some(OptimizerOptions::default()),
            crosses: Vec::new(),
            bins: 0,
            categorical: Vec::new(),
            hash_bits: 18,
            shards: 1,
            start: LearningStart::Warm,
            min_examples: default_min_examples(),
            seed: 0,
            preparing: InputOptions::default(),
            sampling: SamplingOptions::default(),
            publish: None,
            reports: ReportOptions::default(),
            ranking: None,
        }
    }
}

fn default_min_examples() -> u64 {
    20
}

fn is_default_min_examples(examples: &u64) -> bool {
    *examples == default_min_examples()
}

/// The kind, its task and its parameters. In JSON it is a plain string if neither task nor parameter was written.
#[derive(Clone, Debug, PartialEq)]
pub struct KindOptions {
    /// A name in [`super::KINDS`].
    pub name: String,
    /// `None` for the first task of that kind.
    pub task: Option<Task>,
    /// `(name, value)` as written.
    pub parameters: Vec<(String, ParameterValue)>,
}

impl From<&str> for KindOptions {
    fn from(name: &str) -> Self {
        KindOptions { name: name.to_owned(), task: None, parameters: Vec::new() }
    }
}

/// The JSON forms of [`KindOptions`].
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum KindForm {
    Name(String),
    Table {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<Task>,
        parameters: Vec<(String, ParameterValue)>,
    },
}

impl Serialize for KindOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let KindOptions { name, task, parameters } = self.clone();
        let form = match (&task, parameters.is_empty()) {
            (None, true) => KindForm::Name(name),
            _ => KindForm::Table { name, task, parameters },
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for KindOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match KindForm::deserialize(deserializer)? {
            KindForm::Name(name) => KindOptions { name, task: None, parameters: Vec::new() },
            KindForm::Table { name, task, parameters } => KindOptions { name, task, parameters },
        })
    }
}

/// The optimizer and its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptimizerOptions {
    /// A name in [`super::OPTIMIZERS`].
    pub name: String,
    /// `(name, value)` as written.
    pub parameters: Vec<(String, ParameterValue)>,
}

impl Default for OptimizerOptions {
    fn default() -> Self {
        OptimizerOptions { name: "ftrl".to_owned(), parameters: Vec::new() }
    }
}

/// The state from which a window's learning starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LearningStart {
    /// The newest accepted version.
    #[default]
    Warm,
    /// An untrained model.
    Fresh,
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
    /// The decision where the metric has no answer on any of them.
    #[serde(default, skip_serializing_if = "GateFallback::is_default")]
    pub unanswered: GateFallback,
    /// The most by which a champion may be worse than its predecessor over a window; `None` for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<f64>,
}

/// The decision of a gate that cannot compare: no example was held out, or the metric has no answer on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateFallback {
    /// The champion stays.
    #[default]
    Keep,
    /// The new version is published.
    Publish,
}

impl GateFallback {
    /// Returns whether it is the default, which a model's definition leaves out.
    fn is_default(&self) -> bool {
        *self == GateFallback::default()
    }
}

/// The values that `bins` may have.
pub const BINS: RangeInclusive<i64> = 0..=256;

/// The values that `hash_bits` may have.
pub const HASH_BITS: RangeInclusive<i64> = 4..=24;

/// The values that `shards` may have.
pub const SHARDS: RangeInclusive<i64> = 1..=1024;

/// The values that `min_examples` may have.
pub const MIN_EXAMPLES: RangeInclusive<i64> = 1..=1_000_000;

/// The values that a gate's `windows` may have.
pub const GATE_WINDOWS: RangeInclusive<i64> = 1..=1000;

impl Gate {
    /// The tolerances that are allowed.
    pub const TOLERANCE: &str = "a number of at least 0";

    /// The holdouts that are allowed.
    pub const HOLDOUT: &str = "a share between 0 and 1";

    /// Returns whether a tolerance is allowed.
    pub fn admits_tolerance(tolerance: f64) -> bool {
        tolerance >= 0.0 && tolerance.is_finite()
    }

    /// Returns whether a holdout is allowed.
    pub fn admits_holdout(holdout: f64) -> bool {
        holdout > 0.0 && holdout < 1.0
    }
}
