//! How a model learns: kind, preparation, optimizer and gate.

use toml::de::DeValue;

use super::checker::Checker;
use super::keys::{OPTIMIZER, PUBLISH};
use super::problem::Mistake;
use super::reader::{Fields, TomlValue, entries, number, text, wrong};
use super::toml_text::Text;
use crate::expr::nearest;
use crate::model::{Gate, KINDS, Kind, ModelOptions, OPTIMIZERS, OptimizerKind, OptimizerOptions, Parameter, Start};
use crate::value::Type;

static STARTS: &[(&str, Start)] = &[("warm", Start::Warm), ("fresh", Start::Fresh)];

impl<'a> Checker<'a> {
    /// A model's options; `inputs` are its inputs, if those are known.
    pub fn options(&self, fields: &Fields<'a>, inputs: Option<&[(String, Type)]>) -> Option<ModelOptions> {
        let usual = ModelOptions::default();
        let kind = fields.text("kind").and_then(|name| self.kind(&name));
        let whole = |key, range, usual: i64| fields.int(key, range).unwrap_or(usual);
        let start = fields.text("start").and_then(|text| self.one_of(&text, "start", STARTS));
        let gate = fields.get("publish").map(|value| self.gate(value, kind));
        let bins = whole("bins", 0..257, usual.bins as i64) as usize;
        let categorical = fields.list("categorical").map_or_else(Vec::new, |list| self.categorical(list, inputs));
        let crosses = fields.list("crosses").map_or_else(Vec::new, |list| {
            list.into_iter().filter_map(|cross| self.cross(cross, inputs, &categorical, bins)).collect()
        });
        let optimizer = fields.get("optimizer").map_or(Some(usual.optimizer), |value| self.optimizer(value));
        let hash_bits = whole("hash_bits", 4..25, i64::from(usual.hash_bits)) as u32;
        let shards = whole("shards", 1..1025, usual.shards as i64) as usize;
        let seed = whole("seed", 0..i64::MAX, 0) as u64;
        Some(ModelOptions {
            optimizer: optimizer?,
            crosses,
            bins,
            categorical,
            hash_bits,
            shards,
            start: start.unwrap_or_default(),
            seed,
            publish: gate.flatten(),
            kind: kind?.name.to_owned(),
        })
    }

    fn kind(&self, name: &Text) -> Option<&'static Kind> {
        let words: Vec<(&str, &'static Kind)> = KINDS.iter().map(|kind| (kind.name, *kind)).collect();
        self.one_of(name, "kind", &words)
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

    /// The type of an input that an option names; a problem if there is no such input.
    fn input_type(&self, name: &Text, inputs: Option<&[(String, Type)]>) -> Option<Type> {
        let inputs = inputs?;
        let found = inputs.iter().find(|(known, _)| known == name.value).map(|(_, ty)| *ty);
        if found.is_none() {
            let names = || inputs.iter().map(|(name, _)| name.as_str());
            let mistake = Mistake::new(name.span.clone(), format!("'{}' is not an input of this model", name.value));
            self.problems.add(mistake.expected("a name in 'features'").suggest(nearest(name.value, names())));
        }
        found
    }

    fn optimizer(&self, value: &'a TomlValue<'a>) -> Option<OptimizerOptions> {
        let find = |name: &Text| {
            let words: Vec<(&str, &'static OptimizerKind)> = OPTIMIZERS.iter().map(|kind| (kind.name, *kind)).collect();
            self.one_of(name, "optimizer", &words)
        };
        let table = match value.get_ref() {
            DeValue::String(_) => {
                let name = find(&text(value, self.problems)?)?.name.to_owned();
                return Some(OptimizerOptions { name, parameters: Vec::new() });
            }
            DeValue::Table(table) => table,
            other => return wrong(self.problems, value.span(), other, "an optimizer's name, or a table with it"),
        };
        let Some(name) = table.get("name") else {
            let message = format!("missing key 'name' in {}", OPTIMIZER.title);
            self.problems.expected(value.span(), message, "the optimizer's name");
            return None;
        };
        let kind = find(&text(name, self.problems)?)?;
        let mut parameters = Vec::new();
        for (key, value) in entries(table).into_iter().filter(|(key, _)| key.value != "name") {
            match kind.parameters.iter().find(|parameter| parameter.name == key.value) {
                Some(parameter) => parameters.extend(self.parameter(parameter, value)),
                None => {
                    let names = || kind.parameters.iter().map(|parameter| parameter.name);
                    let message = format!("optimizer '{}' has no parameter '{}'", kind.name, key.value);
                    let mistake = Mistake::new(key.span.clone(), message)
                        .expected(format!("one of {}", names().collect::<Vec<_>>().join(", ")));
                    self.problems.add(mistake.suggest(nearest(key.value, names())));
                }
            }
        }
        Some(OptimizerOptions { name: kind.name.to_owned(), parameters })
    }

    fn parameter(&self, parameter: &Parameter, value: &TomlValue) -> Option<(String, f64)> {
        let found = number(value, self.problems)?;
        if found < parameter.least || (parameter.above && found == parameter.least) {
            let bound = if parameter.above { "above" } else { "of at least" };
            let message = format!("{found} is out of range");
            self.problems.expected(value.span(), message, format!("a number {bound} {}", parameter.least));
        }
        Some((parameter.name.to_owned(), found))
    }

    fn gate(&self, value: &'a TomlValue<'a>, kind: Option<&'static Kind>) -> Option<Gate> {
        let fields = Fields::of(value, &PUBLISH, self.problems)?;
        let metric = fields.text("metric");
        if let (Some(metric), Some(kind)) = (&metric, kind) {
            let words: Vec<(&str, ())> = kind.metrics().map(|metric| (metric.name, ())).collect();
            self.one_of(metric, "metric", &words);
        }
        let share = |key, usual, fits: fn(f64) -> bool, expected: &str| {
            let found = fields.number(key).unwrap_or(usual);
            if !fits(found) {
                self.problems.expected(fields.span(key), format!("{found} is out of range"), expected);
            }
            found
        };
        Some(Gate {
            tolerance: share("tolerance", 0.0, |x| x >= 0.0, "a number of at least 0"),
            holdout: share("holdout", 0.1, |x| x > 0.0 && x < 1.0, "a share between 0 and 1"),
            windows: fields.int("windows", 1..1001).unwrap_or(3) as usize,
            metric: metric?.value.to_owned(),
        })
    }
}
