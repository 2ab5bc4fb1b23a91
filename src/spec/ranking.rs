//! `ranking` of a model: the lists in which its examples are scored.

use super::checker::Checker;
use super::keys::RANKING;
use super::problem::Mistake;
use super::reader::{Fields, TomlValue};
use super::toml_text::Text;
use crate::expr::nearest;
use crate::model::{ModelKind, RankingMetric, RankingOptions, Task};
use crate::relation::StreamId;
use crate::value::Type;

impl<'a> Checker<'a> {
    /// Checks the metric of a gate. `in_lists` says whether the model's examples are scored in lists.
    pub fn gate_metric(&self, metric: &Text, kind: &ModelKind, in_lists: bool) {
        let words: Vec<(&str, ())> = kind.gate_metrics(in_lists).map(|name| (name, ())).collect();
        let names = words.iter().map(|(name, ())| *name).collect::<Vec<_>>().join(", ");
        if words.is_empty() {
            let message = format!("models of kind '{}' are not scored", kind.name);
            self.problems.expected(metric.span.clone(), message, "no 'publish'");
        } else if in_lists || RankingMetric::find(metric.value).is_none() {
            self.one_of(metric, "metric", &words);
        } else if ranks(kind) {
            let message = format!("'{}' is a metric of lists, and the model's examples are in none", metric.value);
            self.problems.expected(
                metric.span.clone(),
                message,
                format!("a 'ranking' of the model, or one of {names}"),
            );
        } else {
            self.problems.expected(metric.span.clone(), no_ranking(kind), format!("one of {names}"));
        }
    }

    /// Checks the `ranking` of a model whose examples are `stream`; `inputs` are its inputs, if those are known.
    pub fn ranking(
        &self,
        value: &'a TomlValue<'a>,
        stream: Option<StreamId>,
        kind: Option<&'static ModelKind>,
        inputs: Option<&[(String, Type)]>,
    ) -> Option<RankingOptions> {
        let fields = Fields::of(value, &RANKING, self.problems)?;
        if let Some(kind) = kind.filter(|kind| !ranks(kind)) {
            self.problems.expected(value.span(), no_ranking(kind), "a kind with the task regression or binary");
        }
        let by = fields.texts("by");
        let relevant = fields.number("relevant").unwrap_or(0.5);
        let popularity = fields.text("popularity");
        if let (Some(popularity), Some(inputs)) = (&popularity, inputs) {
            let is_number =
                |(name, ty): &(String, Type)| name == popularity.value && matches!(ty, Type::Int | Type::Float);
            if !inputs.iter().any(is_number) {
                let names = || inputs.iter().map(|(name, _)| name.as_str());
                let message = format!("'{}' is not a numeric input of this model", popularity.value);
                let mistake = Mistake::new(popularity.span.clone(), message).expected("a name in 'features'");
                self.problems.add(mistake.suggest(nearest(popularity.value, names())));
            }
        }
        let stream = stream?;
        let name = self.spec.relations.node(stream).name.as_deref().unwrap_or_default();
        let by = by?;
        self.columns(&by, self.spec.stream_schema(stream), name)?;
        let by = by.iter().map(|column| column.value.to_owned()).collect();
        Some(RankingOptions { by, relevant, popularity: popularity.map(|name| name.value.to_owned()) })
    }
}

/// Returns whether models of a kind predict single values, by which examples can be ranked.
fn ranks(kind: &ModelKind) -> bool {
    matches!(kind.task, Task::Regression | Task::Binary)
}

/// Returns the message on a kind whose models do not rank.
fn no_ranking(kind: &ModelKind) -> String {
    format!("models of kind '{}' do not rank: they predict no single value", kind.name)
}
