//! `ranking` of a model: the lists in which its examples are scored.

use super::checker::Checker;
use super::keys::RANKING;
use super::problem::Mistake;
use super::reader::{Fields, TomlValue};
use crate::expr::nearest;
use crate::model::{ModelKind, RankingOptions, Task};
use crate::relation::StreamId;
use crate::value::Type;

impl<'a> Checker<'a> {
    /// Checks the `ranking` of a model whose examples are `stream`; `inputs` are its inputs, if those are known.
    pub fn ranking(
        &self,
        value: &'a TomlValue<'a>,
        stream: Option<StreamId>,
        kind: Option<&'static ModelKind>,
        inputs: Option<&[(String, Type)]>,
    ) -> Option<RankingOptions> {
        let fields = Fields::of(value, &RANKING, self.problems)?;
        if let Some(kind) = kind.filter(|kind| !matches!(kind.task, Task::Regression | Task::Binary)) {
            let message = format!("models of kind '{}' do not rank: they predict no single value", kind.name);
            self.problems.expected(value.span(), message, "a kind with the task regression or binary");
        }
        let by = fields.texts("by");
        let relevant = fields.number("relevant").unwrap_or(0.5);
        let popularity = fields.text("popularity");
        if let (Some(popularity), Some(inputs)) = (&popularity, inputs) {
            let is_number =
                |(name, ty): &(String, Type)| name == popularity.value && matches!(ty, Type::Int | Type::Float);
            if !inputs.iter().any(is_number) {
                let names = || inputs.iter().map(|(name, _)| name.as_str());
                let message = format!("'{}' is no numeric input of this model", popularity.value);
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
