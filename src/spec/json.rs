//! The output of `tidemill check --json`: the checked file as data.

use serde_json::{Map, Value, json};

use super::{AssumedEntities, FeatureRef, Group, Label, Model, Recommend, Spec, Topic, Window, feature_type};
use crate::value::{Scalar, Schema};

impl Spec {
    /// Returns the plan as JSON, with the memory that entities take.
    pub fn to_json(&self, assumed: AssumedEntities) -> Value {
        let sources = self.sources.iter().map(|source| {
            let mut value = topic(&source.topic);
            value["where"] = source.filter.as_ref().map(|filter| filter.text()).into();
            value
        });
        let views = self.views.iter().map(|view| {
            let reads = self.relations.reads(view.stream);
            let tables: Vec<&str> = reads.tables.iter().map(|table| self.tables[*table].topic.name.as_str()).collect();
            let from: Vec<&str> = reads.streams.iter().map(|stream| self.stream_name(*stream)).collect();
            let from = if let [only] = from[..] { json!(only) } else { json!(from) };
            let groups: Vec<&str> = reads.groups.iter().map(|group| self.groups[*group].name.as_str()).collect();
            let columns = columns(self.stream_schema(view.stream));
            json!({
                "name": view.name, "from": from, "tables": tables, "features": groups, "at": reads.at, "columns": columns
            })
        });
        let mut value = json!({
            "dataflow": self.name,
            "definition": self.definition(),
            "sources": sources.collect::<Vec<_>>(),
            "tables": self.tables.iter().map(|table| topic(&table.topic)).collect::<Vec<_>>(),
            "views": views.collect::<Vec<_>>(),
            "features": self.groups.iter().map(|group| self.group_json(group, assumed)).collect::<Vec<_>>(),
            "models": self.models.iter().map(|model| self.model_json(model)).collect::<Vec<_>>(),
        });
        if let Some(bytes) = self.bytes_of(assumed) {
            value["bytes"] = bytes.into();
        }
        value
    }

    fn group_json(&self, group: &Group, assumed: AssumedEntities) -> Value {
        let features = group.features.iter().map(|feature| {
            let line = &group.lines[feature.line];
            let from = self.stream_schema(group.from);
            json!({
                "name": feature.name,
                "type": feature.ty,
                "op": group.op(feature).to_string(),
                "of": line.of.as_ref().map(|of| of.text()),
                "with": line.with.as_ref().map(|with| with.expr.text()),
                "by": line.by.map(|column| from.columns[column].name.as_str()),
                "current": line.current,
                "default": line.defaults.get(feature.op).map(Scalar::to_json),
                "where": line.filter.as_ref().map(|filter| filter.text()),
                "window": window(group.window(feature)),
            })
        });
        let derived = group.derived.iter().map(
            |derived| json!({ "name": derived.name, "type": derived.expr.ty(), "expr": derived.expr.text().trim() }),
        );
        let bytes = group.bytes_per_entity(assumed.load());
        let mut value = json!({
            "name": group.name,
            "definition": self.group_definition(group),
            "from": self.stream_name(group.from),
            "entity": names(self.stream_schema(group.from), &group.entity),
            "bytes_per_entity": bytes,
            "features": features.collect::<Vec<_>>(),
            "derived": derived.collect::<Vec<_>>(),
        });
        if let Some(bound) = group.bound {
            value["max_entities"] = bound.entities().into();
        }
        if let Some(bytes) = group.bytes_of(assumed) {
            value["bytes"] = bytes.into();
        }
        value
    }

    fn model_json(&self, model: &Model) -> Value {
        let examples = self.stream_schema(model.examples);
        let lookups = model.lookups.iter().map(|lookup| {
            let group = &self.groups[lookup.group];
            let features: Vec<&str> = lookup.features.iter().map(|at| group.feature_column(*at).0).collect();
            let by = self.describe_entity(model, lookup);
            json!({ "group": group.name, "entity": names(examples, &lookup.entity), "by": by, "features": features })
        });
        let inputs = model
            .inputs
            .iter()
            .map(|input| json!({ "name": input.name, "type": feature_type(&input.column()), "nullable": input.expr.nullable() }));
        json!({
            "name": model.name,
            "definition": self.model_definition(model),
            "examples": self.stream_name(model.examples),
            "instance": self.stream_name(model.instance[0]),
            "lookups": lookups.collect::<Vec<_>>(),
            "inputs": inputs.collect::<Vec<_>>(),
            "label": self.label_json(&model.label),
            "window_ms": model.window_ms,
            "offset_ms": model.offset_ms,
            "options": model.options,
            "recommend": model.recommend.as_ref().map(|recommend| self.recommend_json(recommend)),
        })
    }

    fn recommend_json(&self, recommend: &Recommend) -> Value {
        let feature = |of: &FeatureRef| {
            let group = &self.groups[of.group];
            format!("{}.{}", group.name, group.features[of.feature].name)
        };
        json!({
            "items": self.tables[recommend.table].topic.name,
            "seen": recommend.seen.as_ref().map(feature),
            "popularity": recommend.popularity.as_ref().map(feature),
        })
    }

    fn label_json(&self, label: &Label) -> Value {
        match label {
            Label::Immediate { value } => json!({ "value": value.text() }),
            Label::Unlabelled => Value::Null,
            Label::Joined(label) => json!({
                "value": label.text(),
                "from": self.stream_name(label.from),
                "on": names(self.stream_schema(label.from), &label.from_on),
                "after_ms": label.after_ms,
                "within_ms": label.within_ms,
                "learn": label.learn.name(),
                "otherwise": label.otherwise.as_ref().map(Scalar::to_json),
            }),
        }
    }
}

/// Its properties, and the most panes that an entity can have, if it has panes.
fn window(window: Window) -> Value {
    let properties = window.properties().into_iter().chain(window.panes().map(|panes| ("panes", panes.into())));
    Value::Object(properties.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

fn topic(topic: &Topic) -> Value {
    json!({
        "name": topic.name,
        "topic": topic.topic,
        "format": topic.format,
        "separator": topic.schema.separator.text(),
        "key": names(&topic.schema, &topic.key),
        "time": topic.time.text(&topic.schema),
        "lateness_ms": topic.lateness_ms,
        "columns": columns(&topic.schema),
    })
}

fn columns(schema: &Schema) -> Vec<Value> {
    let column = |c: &crate::value::Column| json!({ "name": c.name, "type": c.ty, "nullable": c.nullable });
    schema.columns.iter().map(column).collect()
}

fn names<'a>(schema: &'a Schema, columns: &[usize]) -> Vec<&'a str> {
    columns.iter().map(|at| schema.columns[*at].name.as_str()).collect()
}
