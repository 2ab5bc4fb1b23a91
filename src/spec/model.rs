//! Models: examples, inputs, label, windows, and how they learn.

use super::checker::Checker;
use super::input::{BoundInputs, Entries};
use super::problem::Mistake;
use super::reader::Fields;
use super::toml_text::Text;
use super::{Label, Model, ModelInput};
use crate::model::{InputColumn, LabelUse, ModelError, ModelKind, check_options};
use crate::relation::StreamId;
use crate::time::format_duration;

impl<'a> Checker<'a> {
    pub fn model(&mut self, name: Text<'a>, fields: &Fields<'a>) {
        let before = self.problems.count();
        let model = self.read_model(&name, fields);
        let Some(model) = model.filter(|_| self.problems.count() == before) else { return };
        let inputs: Vec<InputColumn> = model.inputs.iter().map(ModelInput::column).collect();
        if let Err(errors) = check_options(&model.options, &inputs) {
            for error in errors {
                let span = option(&error).map_or_else(|| name.span.clone(), |key| fields.span(key));
                let mistake = Mistake::new(span, error.to_string());
                self.problems.add(match remedy(&error) {
                    Some(expected) => mistake.expected(expected),
                    None => mistake,
                });
            }
        }
        self.check_asked(&model, &fields.span("features"));
        // A view with a mistake may have columns that no relation makes.
        if self.problems.count() == 0 {
            self.warn_of_leaks(&model, fields.span("label"));
        }
        self.spec.models.push(model);
    }

    fn read_model(&self, name: &Text, fields: &Fields<'a>) -> Option<Model> {
        let examples = fields.text("examples");
        let stream = examples.as_ref().and_then(|examples| self.stream(examples));
        let instance = stream.zip(examples.as_ref()).and_then(|(stream, name)| self.instance(fields, stream, name));
        let window_ms = fields.span_of_time("window");
        let offset_ms = fields.duration("offset").unwrap_or(0);
        if let Some(window_ms) = window_ms.filter(|window_ms| offset_ms >= *window_ms) {
            let message = format!("an offset of {} is a window or more", format_duration(offset_ms));
            let expected = format!("less than {}", format_duration(window_ms));
            self.problems.expected(fields.span("offset"), message, expected);
        }
        let examples_name = examples.as_ref().map_or("", |name| name.value);
        // The kind, by which inputs, label and options are checked.
        let kind = self.model_kind(fields);
        let known = kind.as_ref().map(|(kind, _)| *kind);
        if known.is_none_or(|kind| kind.label == LabelUse::Required) {
            fields.require("label");
        }
        let parts = match stream.zip(examples) {
            Some((stream, examples)) => self.parts(fields, stream, examples.value, known),
            None => {
                // The checks that need no columns are made all the same.
                self.check_unbound_entries(fields);
                self.label_of(fields, None, known);
                fields.text("instance").and_then(|name| self.stream(&name));
                None
            }
        };
        let names = parts.as_ref().map(|(entries, _)| entries.named_types());
        let sampling = self.sampling(fields, stream.zip(Some(examples_name)));
        let mut options = self.options(fields, kind, names.as_deref());
        if let Some(options) = &mut options {
            options.sampling = sampling.options;
            options.reports = self.reports(fields, stream, known);
        }
        if let (Some(options), Some(ranking)) = (&mut options, fields.get("ranking")) {
            options.ranking = self.ranking(ranking, stream, known, names.as_deref());
        }
        let record = instance.as_ref().map(|way| way[0]);
        let recommend = fields.get("recommend").and_then(|value| self.recommend(value, record, known));
        // The look-ups by which the inputs are found.
        let (entries, label) = parts?;
        let BoundInputs { lookups, inputs, label } = self.look_ups(entries, label)?;
        Some(Model {
            name: name.value.to_owned(),
            examples: stream?,
            instance: instance?,
            lookups,
            inputs,
            label,
            weight: sampling.weight,
            window_ms: window_ms?,
            offset_ms,
            options: options?,
            recommend,
        })
    }

    /// Reads inputs and label; reports the mistakes of both. The kind is that of the model, if it is known.
    fn parts(
        &self,
        fields: &Fields<'a>,
        stream: StreamId,
        name: &str,
        kind: Option<&'static ModelKind>,
    ) -> Option<(Entries, Label)> {
        let entries = fields.list("features").and_then(|list| self.entries(list, fields, stream, name));
        let label = self.label_of(fields, Some((stream, name)), kind);
        Some((entries?, label?))
    }

    /// Reads the label, if the kind has a use for one. The examples come with their name, `None` if they are not known.
    fn label_of(
        &self,
        fields: &Fields<'a>,
        examples: Option<(StreamId, &str)>,
        kind: Option<&'static ModelKind>,
    ) -> Option<Label> {
        let label_use = kind.map_or(LabelUse::Required, |kind| kind.label);
        match (fields.get("label"), label_use) {
            (Some(label), LabelUse::Required | LabelUse::Optional) => self.label(label, examples, kind),
            (None, LabelUse::Optional | LabelUse::None) => Some(Label::Unlabelled),
            (None, LabelUse::Required) => None,
            (Some(_), LabelUse::None) => {
                let message = "models of this kind have no label";
                self.problems.expected(fields.span("label"), message, "no 'label'");
                None
            }
        }
    }
}

/// Returns the key whose value is wrong, if it is one that has no check of its own.
fn option(error: &ModelError) -> Option<&'static str> {
    match error {
        ModelError::UnweightedKind { option, .. } => Some(option),
        ModelError::NoClasses { .. } | ModelError::UnknownClass { .. } => Some("class_weight"),
        ModelError::NoNegatives { .. } => Some("negative_sampling"),
        ModelError::NothingToForget { .. } => Some("expire"),
        ModelError::NoText { .. } => Some("tokens"),
        ModelError::OutOfRange { name, .. } => {
            ["class_weight", "negative_sampling"].into_iter().find(|option| *option == name)
        }
        _ => None,
    }
}

/// Returns what is expected instead of options that do not go together, where the error does not say so itself.
fn remedy(error: &ModelError) -> Option<String> {
    match error {
        ModelError::UnusedParameter { name, when } => Some(format!("`{when}` as well, or no `{name}`")),
        ModelError::FewCategories { .. } => Some("strings, or numbers that `categorical` lists".to_owned()),
        _ => None,
    }
}
