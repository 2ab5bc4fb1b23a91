//! Options of a model: kind, preparation, optimizer and gate.
//!
//! Ranges and defaults are those of [`crate::model`]; here mistakes get their place in the file.

use toml::de::DeValue;

use super::checker::Checker;
use super::keys::{KIND, OPTIMIZER, PUBLISH, Section};
use super::problem::Mistake;
use super::reader::{Fields, TomlValue, entries, number, text, wrong};
use super::toml_text::Text;
use crate::expr::nearest;
use crate::model::{
    BINS, GATE_WINDOWS, Gate, GateFallback, HASH_BITS, InputForm, KINDS, KindOptions, LearningStart, MIN_EXAMPLES,
    ModelKind, ModelOptions, OPTIMIZERS, OptimizerOptions, Parameter, ParameterValue, SHARDS, TrainedBy,
};
use crate::value::Type;

static STARTS: &[(&str, LearningStart)] = &[("warm", LearningStart::Warm), ("fresh", LearningStart::Fresh)];

static UNANSWERED: &[(&str, GateFallback)] = &[("keep", GateFallback::Keep), ("publish", GateFallback::Publish)];

/// A kind or an optimizer, as it is written: a name, or a table of it and parameters.
struct Named<T> {
    kind: T,
    parameters: Vec<(String, ParameterValue)>,
}

impl<'a> Checker<'a> {
    /// Returns the kind of a model.
    pub fn model_kind(&self, fields: &Fields<'a>) -> Option<(&'static ModelKind, KindOptions)> {
        let value = fields.get("kind")?;
        let task = match value.get_ref() {
            DeValue::Table(table) => table.get("task"),
            _ => None,
        };
        // Of the kinds of a name, which follow each other, the one for the task that is written, else the first.
        let written =
            task.and_then(|task| if let DeValue::String(text) = task.get_ref() { Some(&**text) } else { None });
        let mut words: Vec<(&str, (&'static ModelKind, &'static [Parameter]))> = Vec::new();
        for kind in KINDS {
            match words.last_mut() {
                Some((name, _)) if *name == kind.name && written != Some(kind.task.name()) => {}
                Some((name, known)) if *name == kind.name => *known = (kind, kind.parameters),
                _ => words.push((kind.name, (kind, kind.parameters))),
            }
        }
        let Named { kind, parameters } = self.named(value, "kind", &KIND, &words)?;
        let (kind, task) = match task {
            None => (kind, None),
            Some(task) => {
                let task = text(task, self.problems)?;
                let tasks: Vec<(&str, _)> =
                    ModelKind::tasks_of(kind.name).map(|kind| (kind.task.name(), kind)).collect();
                let kind = self.one_of(&task, "task", &tasks)?;
                (kind, Some(kind.task))
            }
        };
        Some((kind, KindOptions { name: kind.name.to_owned(), task, parameters }))
    }

    /// Returns the options of a model; `inputs` are its inputs, if those are known.
    pub fn options(
        &self,
        fields: &Fields<'a>,
        kind: Option<(&'static ModelKind, KindOptions)>,
        inputs: Option<&[(String, Type)]>,
    ) -> Option<ModelOptions> {
        let defaults = ModelOptions::default();
        let whole = |key, range: std::ops::RangeInclusive<i64>, default: i64| {
            fields.int(key, *range.start()..*range.end() + 1).unwrap_or(default)
        };
        let start = fields.text("start").and_then(|text| self.one_of(&text, "start", STARTS));
        let known = kind.as_ref().map(|(kind, _)| *kind);
        self.refuse_options_of_rows(fields, known);
        let in_lists = fields.get("ranking").is_some();
        let gate = fields.get("publish").map(|value| self.gate(value, known, in_lists));
        let bins = whole("bins", BINS, defaults.bins as i64) as usize;
        let categorical = fields.list("categorical").map_or_else(Vec::new, |list| self.categorical(list, inputs));
        let crosses = fields.list("crosses").map_or_else(Vec::new, |list| {
            list.into_iter().filter_map(|cross| self.cross(cross, inputs, &categorical, bins)).collect()
        });
        let preparing = self.preparing(fields, inputs);
        let optimizer = self.optimizer(fields, known);
        let hash_bits = whole("hash_bits", HASH_BITS, i64::from(defaults.hash_bits)) as u32;
        let shards = whole("shards", SHARDS, defaults.shards as i64) as usize;
        let min_examples = whole("min_examples", MIN_EXAMPLES, defaults.min_examples as i64) as u64;
        let seed = fields.int("seed", 0..i64::MAX).unwrap_or(0) as u64;
        Some(ModelOptions {
            kind: kind?.1,
            optimizer: optimizer?,
            crosses,
            bins,
            categorical,
            hash_bits,
            shards,
            start: start.unwrap_or_default(),
            min_examples,
            seed,
            preparing,
            sampling: defaults.sampling,
            publish: gate.flatten(),
            reports: defaults.reports,
            ranking: None,
        })
    }

    /// Reports options about prepared rows of a kind that does not read them.
    fn refuse_options_of_rows(&self, fields: &Fields<'a>, kind: Option<&'static ModelKind>) {
        let Some(kind) = kind.filter(|kind| kind.reads == InputForm::Observations) else { return };
        for key in ["crosses", "bins", "hash_bits", "winsorise", "min_count"]
            .into_iter()
            .filter(|key| fields.get(key).is_some())
        {
            let message = format!("models of kind '{}' read inputs as they are", kind.name);
            self.problems.expected(fields.span(key), message, format!("no '{key}'"));
        }
    }

    fn categorical(&self, list: Vec<&'a TomlValue<'a>>, inputs: Option<&[(String, Type)]>) -> Vec<String> {
        let names: Vec<Text> = list.into_iter().filter_map(|value| text(value, self.problems)).collect();
        for name in &names {
            if self.input_type(name, inputs) == Some(Type::String) {
                let message = format!("'{}' is a string, so it is a category anyway", name.value);
                self.problems.expected(name.span.clone(), message, "numeric inputs");
            }
        }
        names.iter().map(|name| name.value.to_owned()).collect()
    }

    fn cross(
        &self,
        value: &'a TomlValue<'a>,
        inputs: Option<&[(String, Type)]>,
        categorical: &[String],
        bins: usize,
    ) -> Option<Vec<String>> {
        let DeValue::Array(list) = value.get_ref() else {
            return wrong(self.problems, value.span(), value.get_ref(), "a list of two inputs or more");
        };
        let names: Vec<Text> = list.iter().filter_map(|name| text(name, self.problems)).collect();
        if names.len() < 2 {
            self.problems.expected(value.span(), "a cross of fewer than two inputs", "a list of two inputs or more");
        }
        for name in &names {
            let number = self.input_type(name, inputs).is_some_and(|ty| ty != Type::String);
            if number && bins == 0 && !categorical.iter().any(|known| known == name.value) {
                let message = format!("'{}' is a number, so it cannot be crossed as it is", name.value);
                self.problems.expected(name.span.clone(), message, "its name in 'categorical', or 'bins'");
            }
        }
        Some(names.iter().map(|name| name.value.to_owned()).collect())
    }

    /// Returns the type of an input that an option names; reports an unknown one.
    pub(super) fn input_type(&self, name: &Text, inputs: Option<&[(String, Type)]>) -> Option<Type> {
        let inputs = inputs?;
        let found = inputs.iter().find(|(known, _)| known == name.value).map(|(_, ty)| *ty);
        if found.is_none() {
            let names = || inputs.iter().map(|(name, _)| name.as_str());
            let mistake = Mistake::new(name.span.clone(), format!("'{}' is not an input of this model", name.value));
            self.problems.add(mistake.expected("a name in 'features'").suggest(nearest(name.value, names())));
        }
        found
    }

    /// Returns the optimizer, or `Some(None)` for a kind that is not trained by one.
    fn optimizer(&self, fields: &Fields<'a>, kind: Option<&'static ModelKind>) -> Option<Option<OptimizerOptions>> {
        let trained_by = kind.map_or(TrainedBy::Optimizer, |kind| kind.trained_by);
        match (fields.get("optimizer"), trained_by) {
            (None, TrainedBy::Optimizer) => Some(ModelOptions::default().optimizer),
            (None, TrainedBy::Itself) => Some(None),
            (Some(_), TrainedBy::Itself) => {
                let name = kind.map_or("", |kind| kind.name);
                let message = format!("models of kind '{name}' are not trained by an optimizer");
                self.problems.expected(fields.span("optimizer"), message, "no 'optimizer'");
                None
            }
            (Some(value), TrainedBy::Optimizer) => {
                let words: Vec<(&str, _)> =
                    OPTIMIZERS.iter().map(|kind| (kind.name, (*kind, kind.parameters))).collect();
                let Named { kind, parameters } = self.named(value, "optimizer", &OPTIMIZER, &words)?;
                Some(Some(OptimizerOptions { name: kind.name.to_owned(), parameters }))
            }
        }
    }

    /// Reads a name, or a table of it and parameters. `what` is the key, and `words` are all names, with what they stand
    /// for and which parameters that has.
    fn named<T: Copy>(
        &self,
        value: &'a TomlValue<'a>,
        what: &str,
        section: &Section,
        words: &[(&'static str, (T, &'static [Parameter]))],
    ) -> Option<Named<T>> {
        let table = match value.get_ref() {
            DeValue::String(_) => {
                let (kind, _) = self.one_of(&text(value, self.problems)?, what, words)?;
                return Some(Named { kind, parameters: Vec::new() });
            }
            DeValue::Table(table) => table,
            other => {
                let expected = format!("the name of the {what}, or a table with it");
                return wrong(self.problems, value.span(), other, &expected);
            }
        };
        let Some(name) = table.get("name") else {
            let message = format!("missing key 'name' in {}", section.title);
            self.problems.expected(value.span(), message, format!("the name of the {what}"));
            return None;
        };
        let name = text(name, self.problems)?;
        let (kind, declared) = self.one_of(&name, what, words)?;
        let mut parameters = Vec::new();
        let is_parameter = |key: &str| !section.keys.iter().any(|known| known.name == key);
        for (key, value) in entries(table).into_iter().filter(|(key, _)| is_parameter(key.value)) {
            match declared.iter().find(|parameter| parameter.name == key.value) {
                Some(parameter) => parameters.extend(self.parameter(parameter, value)),
                None => {
                    let names = || declared.iter().map(|parameter| parameter.name);
                    let message = format!("{what} '{}' has no parameter '{}'", name.value, key.value);
                    let list = names().collect::<Vec<_>>().join(", ");
                    let expected = if list.is_empty() { "no parameters".to_owned() } else { format!("one of {list}") };
                    let mistake = Mistake::new(key.span.clone(), message).expected(expected);
                    self.problems.add(mistake.suggest(nearest(key.value, names())));
                }
            }
        }
        Some(Named { kind, parameters })
    }

    fn parameter(&self, parameter: &Parameter, value: &TomlValue) -> Option<(String, ParameterValue)> {
        let words = parameter.bounds.words();
        let found = if words.is_empty() {
            let found = ParameterValue::Number(number(value, self.problems)?);
            if parameter.resolve(&found).is_none() {
                self.problems.expected(value.span(), format!("{found} is out of range"), parameter.expected());
            }
            found
        } else {
            let words: Vec<(&str, &str)> = words.iter().map(|word| (*word, *word)).collect();
            self.one_of(&text(value, self.problems)?, parameter.name, &words)?.into()
        };
        Some((parameter.name.to_owned(), found))
    }

    /// Reads a gate. `in_lists` says whether the model's examples are scored in lists.
    fn gate(&self, value: &'a TomlValue<'a>, kind: Option<&'static ModelKind>, in_lists: bool) -> Option<Gate> {
        let fields = Fields::of(value, &PUBLISH, self.problems)?;
        let metric = fields.text("metric");
        if let (Some(metric), Some(kind)) = (&metric, kind) {
            self.gate_metric(metric, kind, in_lists);
        }
        let share = |key, default, admits: fn(f64) -> bool, expected: &str| {
            let found = fields.number(key).unwrap_or(default);
            if !admits(found) {
                self.problems.expected(fields.span(key), format!("{found} is out of range"), expected);
            }
            found
        };
        let windows = *GATE_WINDOWS.start()..*GATE_WINDOWS.end() + 1;
        let unanswered = fields.text("unanswered").and_then(|text| self.one_of(&text, "unanswered", UNANSWERED));
        let rollback = fields.get("rollback").map(|_| share("rollback", 0.0, Gate::admits_tolerance, Gate::TOLERANCE));
        Some(Gate {
            rollback,
            tolerance: share("tolerance", 0.0, Gate::admits_tolerance, Gate::TOLERANCE),
            holdout: share("holdout", 0.1, Gate::admits_holdout, Gate::HOLDOUT),
            windows: fields.int("windows", windows).unwrap_or(3) as usize,
            unanswered: unanswered.unwrap_or_default(),
            metric: metric?.value.to_owned(),
        })
    }
}
