//! The graph of relations, in topological order.

use std::collections::BTreeSet;

use super::{CanonicalText, DeclaredTexts, GroupJoin, Relation, RelationOp, SourceRecords, StreamId, ViewReads};
use crate::expr::with_stack;
use crate::value::Schema;

/// A relation with its output.
#[derive(Debug)]
pub struct RelationNode {
    /// Name of the operator in the running graph.
    pub operator: String,
    /// Name of the source or view whose records these are; `None` for a step inside a view.
    pub name: Option<String>,
    pub relation: Relation,
    pub schema: Schema,
}

impl RelationNode {
    /// Returns whether this is the stream of a view.
    pub fn is_view(&self) -> bool {
        self.name.is_some() && !matches!(self.relation, Relation::Source(_))
    }
}

/// All relations of a dataflow. Every one comes after its inputs.
#[derive(Debug, Default)]
pub struct Relations {
    nodes: Vec<RelationNode>,
}

impl Relations {
    /// Adds a source.
    pub fn add_source(&mut self, source: SourceRecords) -> StreamId {
        let name = source.name.clone();
        let stream = self.add(format!("source.{name}"), Relation::Source(source));
        self.set_name(stream, name);
        stream
    }

    /// Adds a relation under the name of its operator.
    ///
    /// # Panics
    /// If an input is not among the relations.
    pub fn add(&mut self, operator: impl Into<String>, relation: Relation) -> StreamId {
        let inputs: Vec<&Schema> = relation.inputs().iter().map(|input| self.schema(*input)).collect();
        let schema = relation.schema(&inputs);
        self.nodes.push(RelationNode { operator: operator.into(), name: None, relation, schema });
        StreamId(self.nodes.len() - 1)
    }

    /// Names the stream of a view.
    pub fn set_name(&mut self, stream: StreamId, name: impl Into<String>) {
        self.nodes[stream.0].name = Some(name.into());
    }

    /// Returns the relation of a stream.
    pub fn node(&self, stream: StreamId) -> &RelationNode {
        &self.nodes[stream.0]
    }

    /// Returns all streams, each after its inputs.
    pub fn iter(&self) -> impl Iterator<Item = (StreamId, &RelationNode)> {
        self.nodes.iter().enumerate().map(|(at, node)| (StreamId(at), node))
    }

    /// Returns the columns of a stream.
    pub fn schema(&self, stream: StreamId) -> &Schema {
        &self.nodes[stream.0].schema
    }

    /// Returns the source or view of a name.
    pub fn find(&self, name: &str) -> Option<StreamId> {
        self.nodes.iter().position(|node| node.name.as_deref() == Some(name)).map(StreamId)
    }

    /// Returns the sources whose records a stream has, ascending.
    pub fn sources(&self, stream: StreamId) -> Vec<usize> {
        let mut sources = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut open = vec![stream];
        while let Some(stream) = open.pop() {
            if !seen.insert(stream) {
                continue;
            }
            match &self.node(stream).relation {
                Relation::Source(records) => _ = sources.insert(records.source),
                other => open.extend(other.inputs()),
            }
        }
        sources.into_iter().collect()
    }

    /// Returns the feature groups that records look up on some way to a stream.
    pub fn groups(&self, stream: StreamId) -> BTreeSet<usize> {
        let mut groups = BTreeSet::new();
        let (mut seen, mut open) = (BTreeSet::new(), vec![stream]);
        while let Some(stream) = open.pop() {
            let relation = &self.node(stream).relation;
            if let Relation::GroupJoin(join) = relation {
                groups.insert(join.group);
            }
            open.extend(relation.inputs().into_iter().filter(|input| seen.insert(*input)));
        }
        groups
    }

    /// Returns the joins with a feature group, each with its stream.
    pub fn group_joins(&self) -> impl Iterator<Item = (StreamId, &GroupJoin)> {
        self.iter().filter_map(|(stream, node)| match &node.relation {
            Relation::GroupJoin(join) => Some((stream, join)),
            _ => None,
        })
    }

    /// Returns whether records on some way to a stream take effect later than at their source.
    pub fn is_shifted(&self, stream: StreamId) -> bool {
        let (mut seen, mut open) = (BTreeSet::new(), vec![stream]);
        while let Some(stream) = open.pop() {
            match &self.node(stream).relation {
                Relation::Shift(_) => return true,
                other => open.extend(other.inputs().into_iter().filter(|input| seen.insert(*input))),
            }
        }
        false
    }

    /// Returns the name of a source.
    ///
    /// # Panics
    /// If there is no such source.
    pub fn source_name(&self, source: usize) -> &str {
        let mut all = self.nodes.iter().filter_map(|node| match &node.relation {
            Relation::Source(records) => Some(records),
            _ => None,
        });
        &all.find(|records| records.source == source).expect("a source of this dataflow").name
    }

    /// Returns the streams from `from` to `to`, both included, if there is exactly one way.
    ///
    /// # Errors
    /// The number of ways if there is none, or if there are several.
    pub fn path(&self, from: StreamId, to: StreamId) -> Result<Vec<StreamId>, u64> {
        // Ways from `from` to each stream up to `to`.
        let mut ways = vec![0u64; to.0 + 1];
        for at in from.0..=to.0 {
            ways[at] = match at == from.0 {
                true => 1,
                false => {
                    let inputs = self.nodes[at].relation.inputs();
                    inputs.iter().fold(0, |sum: u64, input| sum.saturating_add(ways[input.0]))
                }
            };
        }
        match ways[to.0] {
            1 => {}
            number => return Err(number),
        }
        // Backwards: of the inputs of a stream with one way, one has a way.
        let mut path = vec![to];
        let mut at = to;
        while at != from {
            let inputs = self.node(at).relation.inputs();
            at = inputs
                .into_iter()
                .find(|input| ways[input.0] == 1)
                .expect("a stream with one way has an input with it");
            path.push(at);
        }
        path.reverse();
        Ok(path)
    }

    /// Returns the canonical text of a stream, given those of the sources, tables and groups.
    pub fn canonical(&self, stream: StreamId, declared: &DeclaredTexts) -> String {
        self.canonical_text(stream, declared).into_text()
    }

    fn canonical_text(&self, stream: StreamId, declared: &DeclaredTexts) -> CanonicalText {
        let relation = &self.node(stream).relation;
        let inputs =
            relation.inputs().into_iter().map(|input| with_stack(|| self.canonical_text(input, declared))).collect();
        relation.canonical(inputs, declared)
    }

    /// Describes how a view is made from the sources, views, tables and feature groups that it reads directly.
    pub fn describe(&self, view: StreamId) -> String {
        let relation = &self.node(view).relation;
        let describe = |input: StreamId| match &self.node(input).name {
            Some(name) => format!("from {name}"),
            None => self.describe(input),
        };
        let inputs: Vec<String> = relation.inputs().into_iter().map(describe).collect();
        relation.describe(&inputs)
    }

    /// Returns the streams, tables and feature groups that a view reads directly.
    pub fn reads(&self, view: StreamId) -> ViewReads {
        let mut reads = ViewReads::default();
        self.add_reads(view, &mut reads);
        reads
    }

    fn add_reads(&self, stream: StreamId, reads: &mut ViewReads) {
        let relation = &self.node(stream).relation;
        for input in relation.inputs() {
            match &self.node(input).name {
                Some(_) => reads.streams.push(input),
                None => self.add_reads(input, reads),
            }
        }
        relation.add_reads(reads);
    }
}
