//! Definitions: stable texts of what a group or a model is made from, and their hashes.
//!
//! Two files that say the same in another order, layout or spelling have the same texts. A group's text omits the names
//! of its features, since its state does not depend on them; a model's includes the names of its inputs, since weights
//! are stored by them. Where things run, and the names of topics, are in no text.

use std::collections::BTreeMap;

use super::{Group, JoinedLabel, Label, LearnAt, Line, Lookup, Model, Spec, Topic};
use crate::aggregate::Window;
use crate::expr::Expr;
use crate::hash::sha256;
use crate::relation::{DeclaredTexts, StreamId};
use crate::value::{Scalar, Schema};

/// Returns the SHA-256 of a text, in hex.
pub fn hash(text: &str) -> String {
    sha256(text)
}

impl Spec {
    /// Returns the hash of everything in the file.
    pub fn definition(&self) -> String {
        let mut parts = vec![format!("dataflow {:?}", self.name)];
        let declared = self.declared_texts();
        parts.extend(declared.sources);
        parts.extend(declared.tables.iter().map(|text| format!("table({text})")));
        parts.extend(self.views.iter().map(|view| self.stream_text(view.stream)));
        for group in &self.groups {
            let names: Vec<&str> = group.feature_names().collect();
            let derived = derived_text(group, 0..group.feature_count());
            parts.push(format!("{:?} {names:?} {}{derived}", group.name, self.state_text(group)));
        }
        parts.extend(self.models.iter().map(|model| format!("{:?} {}", model.name, self.model_text(model))));
        hash(&parts.join("\n"))
    }

    /// Returns the hash of what determines a group's state.
    pub fn group_definition(&self, group: &Group) -> String {
        hash(&self.state_text(group))
    }

    /// Returns the hash of what determines a model's versions.
    pub fn model_definition(&self, model: &Model) -> String {
        hash(&self.model_text(model))
    }

    /// The texts of sources, tables and, if any is looked up by a view, groups.
    fn declared_texts(&self) -> DeclaredTexts {
        let sources = self.sources.iter().map(|source| {
            let filter = source.filter.as_ref().map(Expr::canonical);
            format!("source({} where {filter:?})", topic_text(&source.topic))
        });
        let tables = self.tables.iter().map(|table| topic_text(&table.topic));
        let (sources, tables) = (sources.collect(), tables.collect());
        let mut declared = DeclaredTexts { sources, tables, groups: Vec::new() };
        if self.relations.group_joins().next().is_some() {
            // Each comes after those that its text contains.
            for group in &self.groups {
                let text = self.group_text(group, &declared, written_text);
                declared.groups.push(hash(&text));
            }
        }
        declared
    }

    fn stream_text(&self, stream: StreamId) -> String {
        self.relations.canonical(stream, &self.declared_texts())
    }

    /// The text of a group's state.
    fn state_text(&self, group: &Group) -> String {
        self.group_text(group, &self.declared_texts(), Window::canonical)
    }

    /// The text of a group's features.
    fn features_text(&self, group: &Group) -> String {
        self.group_text(group, &self.declared_texts(), written_text)
    }

    fn group_text(&self, group: &Group, declared: &DeclaredTexts, text_of: impl Fn(Window) -> String) -> String {
        let schema = self.stream_schema(group.from);
        let entity: Vec<&str> = group.entity.iter().map(|at| schema.columns[*at].name.as_str()).collect();
        let lines: Vec<String> = group
            .lines
            .iter()
            .map(|line| {
                let text = |expr: &Option<Expr>| expr.as_ref().map(Expr::canonical);
                let ops: Vec<String> = line.ops.iter().map(ToString::to_string).collect();
                let windows: Vec<String> = line.windows.iter().map(|window| text_of(*window)).collect();
                let windows = windows.join(", ");
                let (of, filter) = (text(&line.of), text(&line.filter));
                let modifiers = modifiers_text(line, schema);
                format!("of {of:?} where {filter:?} digits {} {ops:?} [{windows}]{modifiers}", line.digits)
            })
            .collect();
        let bound = group.bound.map_or_else(String::new, |bound| format!(" at most {} entities", bound.entities()));
        let from = self.relations.canonical(group.from, declared);
        format!("group({from} by {entity:?} {lines:?}{bound})")
    }

    /// The text of a look-up: that of its group, the columns of the examples where they have other names, the features
    /// that it takes, by the names under which the model has them, and the derived ones among them.
    fn lookup_text(&self, model: &Model, lookup: &Lookup) -> String {
        let group = &self.groups[lookup.group];
        let names = |schema: &Schema, columns: &[usize]| -> Vec<String> {
            columns.iter().map(|at| schema.columns[*at].name.clone()).collect()
        };
        let theirs = names(self.stream_schema(group.from), &group.entity);
        let ours = names(self.stream_schema(model.examples), &lookup.entity);
        let by = if theirs == ours { String::new() } else { format!(" by {ours:?}") };
        // The text of the group has no names: of two features that swap theirs, each would be taken for the other.
        let all: Vec<&str> = group.feature_names().collect();
        let taken: BTreeMap<usize, &str> = lookup.features.iter().map(|feature| (*feature, all[*feature])).collect();
        let derived = derived_text(group, lookup.features.iter().copied());
        format!("{}{by} takes {taken:?}{derived}", self.features_text(group))
    }

    fn model_text(&self, model: &Model) -> String {
        let groups: Vec<String> = model.lookups.iter().map(|lookup| self.lookup_text(model, lookup)).collect();
        let inputs: Vec<(&str, String)> =
            model.inputs.iter().map(|input| (input.name.as_str(), input.expr.canonical())).collect();
        let label = match &model.label {
            Label::Immediate { value } => format!("label({})", value.canonical()),
            Label::Unlabelled => "unlabelled".to_owned(),
            Label::Joined(label) => {
                let JoinedLabel { from, from_on, after_ms, within_ms, learn, otherwise, .. } = label;
                let schema = self.stream_schema(*from);
                let on: Vec<&str> = from_on.iter().map(|at| schema.columns[*at].name.as_str()).collect();
                let from = self.stream_text(*from);
                let otherwise = match otherwise {
                    Some(Scalar::Float(value)) => format!("{:?}", Some(value)),
                    Some(Scalar::String(class)) => format!("{:?}", Some(class)),
                    _ => "None".to_owned(),
                };
                let after = if *after_ms > 0 { format!(" after {after_ms}") } else { String::new() };
                let learn = match learn {
                    LearnAt::Known => "",
                    LearnAt::Horizon => " at the horizon",
                };
                let value = label.canonical();
                format!("label({from} on {on:?} {value}{after} within {within_ms} otherwise {otherwise}{learn})")
            }
        };
        let options = serde_json::to_string(&model.options).expect("options are plain data");
        let (window_ms, offset_ms) = (model.window_ms, model.offset_ms);
        let mut examples = self.stream_text(model.examples);
        if self.relations.sources(model.examples).len() > 1 {
            // Examples are held out and dealt to shards by the key of this source.
            examples += &format!(" instance {}", self.stream_text(model.instance[0]));
        }
        format!("model({examples} {groups:?} {inputs:?} {label} window {window_ms} offset {offset_ms} {options})")
    }
}

/// The text of a window as it is written. Panes that are kept for requests change no feature, and so no model or view that
/// reads it.
fn written_text(window: Window) -> String {
    window.as_written().canonical()
}

/// The text of the derived features among some, by position; nothing if there are none.
fn derived_text(group: &Group, features: impl Iterator<Item = usize>) -> String {
    let derived = features.filter_map(|feature| group.derived_at(feature));
    derived.map(|derived| format!(" derived {:?} {}", derived.name, derived.expr.canonical())).collect()
}

/// The text of the modifiers that a line has; nothing of those that it does not have.
fn modifiers_text(line: &Line, schema: &Schema) -> String {
    let mut text = String::new();
    if let Some(with) = &line.with {
        text += &format!(" with {:?} digits {}", with.expr.canonical(), with.digits);
    }
    if let Some(by) = line.by {
        text += &format!(" by {:?}", schema.columns[by].name);
    }
    if line.current {
        text += " current";
    }
    if !line.defaults.is_empty() {
        text += &format!(" default {:?}", line.defaults);
    }
    text
}

fn topic_text(topic: &Topic) -> String {
    let columns: Vec<String> = topic
        .schema
        .columns
        .iter()
        .map(|c| {
            let unit = c.time.unit.unwrap_or_default();
            let format = c.time.format.as_ref().map_or_else(String::new, |format| format!(":{format:?}"));
            format!("{:?}:{}:{}:{:?}:{:?}:{unit:?}{format}", c.name, c.ty, c.nullable, c.path, c.resolution)
        })
        .collect();
    let (name, key, time) = (&topic.name, &topic.key, topic.time.canonical());
    format!("{name:?} {columns:?} key {key:?} time {time} lateness {}", topic.lateness_ms)
}
