//! Definitions: stable texts of what a group or a model is made from, and their hashes.
//!
//! Two files that say the same in another order, layout or spelling give the same texts. A group's text leaves out
//! its features' names, since its state does not depend on them; a model's has its inputs' names, since weights go by
//! them. Where things run, and topics' names, are no part of any definition.

use super::{Group, Label, Model, Spec, StreamRef, Topic, View};
use crate::hash::sha256;
use crate::value::Scalar;

/// SHA-256 of a text, in hex.
pub fn hash(text: &str) -> String {
    sha256(text)
}

impl Spec {
    /// The hash of everything in the file.
    pub fn definition(&self) -> String {
        let mut parts = vec![format!("dataflow {:?}", self.name)];
        parts.extend((0..self.sources.len()).map(|at| self.stream_text(StreamRef::Source(at))));
        parts.extend(self.tables.iter().map(|table| format!("table({})", topic_text(&table.topic))));
        parts.extend((0..self.views.len()).map(|at| self.stream_text(StreamRef::View(at))));
        for group in &self.groups {
            let names: Vec<&str> = group.features.iter().map(|feature| feature.name.as_str()).collect();
            parts.push(format!("{:?} {names:?} {}", group.name, self.group_text(group)));
        }
        parts.extend(self.models.iter().map(|model| format!("{:?} {}", model.name, self.model_text(model))));
        hash(&parts.join("\n"))
    }

    /// The hash of what decides a group's state.
    pub fn group_definition(&self, group: &Group) -> String {
        hash(&self.group_text(group))
    }

    /// The hash of what decides a model's versions.
    pub fn model_definition(&self, model: &Model) -> String {
        hash(&self.model_text(model))
    }

    fn stream_text(&self, stream: StreamRef) -> String {
        match stream {
            StreamRef::Source(at) => {
                let source = &self.sources[at];
                let filter = source.filter.as_ref().map(crate::expr::Expr::canonical);
                format!("source({} where {filter:?})", topic_text(&source.topic))
            }
            StreamRef::View(at) => self.view_text(&self.views[at]),
        }
    }

    fn view_text(&self, view: &View) -> String {
        let joins: Vec<String> = view
            .joins
            .iter()
            .map(|join| {
                let on: Vec<String> = join.on.iter().map(crate::expr::Expr::canonical).collect();
                format!("join({} on {on:?} outer {})", topic_text(&self.tables[join.table].topic), join.outer)
            })
            .collect();
        let filter = view.filter.as_ref().map(crate::expr::Expr::canonical);
        let items: Vec<(&str, String)> =
            view.items.iter().map(|item| (item.name.as_str(), item.expr.canonical())).collect();
        format!("view({} {joins:?} where {filter:?} {items:?})", self.stream_text(view.from))
    }

    fn group_text(&self, group: &Group) -> String {
        let schema = self.stream_schema(group.from);
        let entity: Vec<&str> = group.entity.iter().map(|at| schema.columns[*at].name.as_str()).collect();
        let lines: Vec<String> = group
            .lines
            .iter()
            .map(|line| {
                let text = |expr: &Option<crate::expr::Expr>| expr.as_ref().map(crate::expr::Expr::canonical);
                let ops: Vec<String> = line.ops.iter().map(ToString::to_string).collect();
                let windows: Vec<String> = line.windows.iter().map(|window| window.canonical()).collect();
                let windows = windows.join(", ");
                let (of, filter) = (text(&line.of), text(&line.filter));
                format!("of {of:?} where {filter:?} digits {} {ops:?} [{windows}]", line.digits)
            })
            .collect();
        format!("group({} by {entity:?} {lines:?})", self.stream_text(group.from))
    }

    fn model_text(&self, model: &Model) -> String {
        let groups: Vec<String> =
            model.lookups.iter().map(|lookup| self.group_text(&self.groups[lookup.group])).collect();
        let inputs: Vec<(&str, String)> =
            model.inputs.iter().map(|input| (input.name.as_str(), input.expr.canonical())).collect();
        let label = match &model.label {
            Label::Immediate { value } => format!("label({})", value.canonical()),
            Label::Unlabelled => "unlabelled".to_owned(),
            Label::Joined { from, from_on, value, within_ms, otherwise, .. } => {
                let schema = self.stream_schema(*from);
                let on: Vec<&str> = from_on.iter().map(|at| schema.columns[*at].name.as_str()).collect();
                let from = self.stream_text(*from);
                let otherwise = match otherwise {
                    Some(Scalar::Float(value)) => format!("{:?}", Some(value)),
                    Some(Scalar::String(class)) => format!("{:?}", Some(class)),
                    _ => "None".to_owned(),
                };
                format!("label({from} on {on:?} {} within {within_ms} otherwise {otherwise})", value.canonical())
            }
        };
        let options = serde_json::to_string(&model.options).expect("options are plain data");
        let (window_ms, offset_ms) = (model.window_ms, model.offset_ms);
        let examples = self.stream_text(model.examples);
        format!("model({examples} {groups:?} {inputs:?} {label} window {window_ms} offset {offset_ms} {options})")
    }
}

fn topic_text(topic: &Topic) -> String {
    let columns: Vec<String> = topic
        .schema
        .columns
        .iter()
        .map(|c| format!("{:?}:{}:{}:{:?}:{:?}:{:?}", c.name, c.ty, c.nullable, c.path, c.resolution, c.unit))
        .collect();
    format!("{:?} {columns:?} key {:?} time {} lateness {}", topic.name, topic.key, topic.time, topic.lateness_ms)
}
