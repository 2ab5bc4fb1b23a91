//! Derivation of the graph from a spec.

use std::collections::HashMap;

use super::{Graph, GraphEdge, GraphNode, NodeKind};
use crate::relation::StreamId;
use crate::spec::{Group, Label, Model, Spec};
use crate::time::format_duration;

/// The node of each source's and view's stream.
type StreamNodes = HashMap<StreamId, usize>;

impl Graph {
    /// Returns the graph of a checked dataflow file.
    pub fn of(spec: &Spec) -> Graph {
        let mut graph = Graph::default();
        let add_source = |source: &crate::spec::Source, graph: &mut Graph| {
            let topic = format!("topic {}", source.topic.topic);
            let detail = if source.filter.is_some() { format!("{topic}, filtered") } else { topic };
            graph.node(NodeKind::Source, &source.topic.name, detail)
        };
        // Sources and tables, which have no inputs.
        let mut streams = StreamNodes::new();
        for source in &spec.sources {
            let node = add_source(source, &mut graph);
            streams.extend(spec.stream(&source.topic.name).map(|stream| (stream, node)));
        }
        let tables: Vec<usize> = spec
            .tables
            .iter()
            .map(|table| graph.node(NodeKind::Table, &table.topic.name, format!("topic {}", table.topic.topic)))
            .collect();
        // Views and feature groups, each after those that it reads.
        let mut groups: Vec<Option<usize>> = vec![None; spec.groups.len()];
        for view in &spec.views {
            let reads = spec.relations.reads(view.stream);
            let filtered = if reads.is_filtered { ", filtered" } else { "" };
            let columns = spec.stream_schema(view.stream).len();
            let at = reads.at.map_or_else(String::new, |at| format!(", at {at}"));
            reads.groups.iter().for_each(|group| _ = graph.group(spec, *group, &streams, &mut groups));
            let node = graph.node(NodeKind::View, &view.name, format!("{columns} columns{filtered}{at}"));
            reads.streams.iter().for_each(|input| graph.edge(streams[input], node, ""));
            reads.tables.iter().for_each(|table| graph.edge(tables[*table], node, "as of"));
            reads.groups.iter().filter_map(|group| groups[*group]).for_each(|group| graph.edge(group, node, "as of"));
            streams.insert(view.stream, node);
        }
        let groups: Vec<usize> =
            (0..spec.groups.len()).map(|group| graph.group(spec, group, &streams, &mut groups)).collect();
        let models: Vec<usize> = spec.models.iter().map(|model| graph.model(model, &streams, &groups)).collect();
        if !groups.is_empty() || !tables.is_empty() {
            let store = graph.node(NodeKind::Store, "online store", "newest vectors and rows".to_owned());
            groups.iter().chain(&tables).for_each(|node| graph.edge(*node, store, ""));
            let endpoint = graph.endpoint(&models);
            graph.edge(store, endpoint, "");
        } else if !models.is_empty() {
            graph.endpoint(&models);
        }
        graph
    }

    fn node(&mut self, kind: NodeKind, label: &str, detail: String) -> usize {
        self.nodes.push(GraphNode { id: format!("{} {label}", kind.name()), kind, label: label.to_owned(), detail });
        self.nodes.len() - 1
    }

    fn edge(&mut self, from: usize, to: usize, label: &str) {
        self.edges.push(GraphEdge { from, to, label: label.to_owned() });
    }

    /// Adds a feature group, by position, if it is not among those that have been added; returns its node.
    fn group(&mut self, spec: &Spec, number: usize, streams: &StreamNodes, added: &mut [Option<usize>]) -> usize {
        if let Some(node) = added[number] {
            return node;
        }
        let group = &spec.groups[number];
        let node = self.node(NodeKind::Features, &group.name, describe(spec, group));
        self.edge(streams[&group.from], node, "");
        added[number] = Some(node);
        node
    }

    /// Adds examples, label and learner of a model; returns the learner.
    fn model(&mut self, model: &Model, streams: &StreamNodes, groups: &[usize]) -> usize {
        let inputs = format!("{} inputs, as of its time", model.inputs.len());
        let examples = self.node(NodeKind::Examples, &model.name, inputs);
        self.edge(streams[&model.examples], examples, "");
        for lookup in &model.lookups {
            self.edge(groups[lookup.group], examples, "");
        }
        let (detail, from) = match &model.label {
            Label::Joined(label) => {
                (format!("{} within {}", label.text(), format_duration(label.within_ms)), Some(label.from))
            }
            Label::Immediate { value } => (value.text().into_owned(), None),
            Label::Unlabelled => ("none".to_owned(), None),
        };
        let label = self.node(NodeKind::Label, &model.name, detail);
        self.edge(examples, label, "");
        if let Some(from) = from {
            self.edge(streams[&from], label, "");
        }
        let window = format_duration(model.window_ms);
        let learner = self.node(NodeKind::Model, &model.name, format!("{}, every {window}", model.options.kind.name));
        self.edge(label, learner, "");
        learner
    }

    /// Adds the registry and the endpoint that serves from it; returns the endpoint.
    fn endpoint(&mut self, models: &[usize]) -> usize {
        let registry = (!models.is_empty()).then(|| {
            let registry = self.node(NodeKind::Registry, "registry", "versions, champion".to_owned());
            models.iter().for_each(|model| self.edge(*model, registry, ""));
            registry
        });
        let endpoint = self.node(NodeKind::Endpoint, "HTTP", "/predict, /features".to_owned());
        if let Some(registry) = registry {
            self.edge(registry, endpoint, "");
        }
        endpoint
    }
}

fn describe(spec: &Spec, group: &Group) -> String {
    let schema = spec.stream_schema(group.from);
    let entity: Vec<&str> = group.entity.iter().map(|at| schema.columns[*at].name.as_str()).collect();
    let count = group.feature_count();
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} feature{plural} by {}", entity.join(", "))
}
