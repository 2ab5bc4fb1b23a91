//! Drawings of a dataflow: its nodes and edges as text, Graphviz and SVG.
//!
//! The graph is derived from a checked spec alone, so it can be drawn before anything runs.
//!
//! ```
//! # let text = std::fs::read_to_string("dataflows/flights.toml").unwrap();
//! let spec = tidemill::spec::parse(&text, "flights.toml").unwrap();
//! let graph = tidemill::flow::draw::Graph::of(&spec);
//! assert!(graph.text().contains("source schedule"));
//! assert!(graph.svg().starts_with("<svg"));
//! ```

mod dot;
mod layout;
mod nodes;
mod svg;
mod text;

/// The kind of a node, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeKind {
    Source,
    Table,
    View,
    Features,
    Examples,
    Label,
    Model,
    Store,
    Registry,
    Endpoint,
}

impl NodeKind {
    /// Returns the kind's name in a drawing.
    pub fn name(self) -> &'static str {
        match self {
            NodeKind::Source => "source",
            NodeKind::Table => "table",
            NodeKind::View => "view",
            NodeKind::Features => "features",
            NodeKind::Examples => "examples",
            NodeKind::Label => "label",
            NodeKind::Model => "model",
            NodeKind::Store => "store",
            NodeKind::Registry => "registry",
            NodeKind::Endpoint => "endpoint",
        }
    }

    /// Returns fill and stroke, readable under dark text on light and dark pages.
    fn colours(self) -> (&'static str, &'static str) {
        match self {
            NodeKind::Source => ("#d3e5fa", "#5b8fc9"),
            NodeKind::Table => ("#d5ecef", "#4d9aa5"),
            NodeKind::View => ("#e3e1f6", "#8079c4"),
            NodeKind::Features => ("#d9efd9", "#5c9f5f"),
            NodeKind::Examples => ("#f6ecc8", "#b8983a"),
            NodeKind::Label => ("#f8e0c6", "#c58546"),
            NodeKind::Model => ("#f7d6d3", "#c56a62"),
            NodeKind::Store | NodeKind::Registry => ("#e4e6ea", "#868d98"),
            NodeKind::Endpoint => ("#ecdcec", "#a172a3"),
        }
    }
}

/// A step of the dataflow.
#[derive(Clone, Debug)]
pub struct GraphNode {
    /// Kind and name, unique in the graph: `features airport`.
    pub id: String,
    pub kind: NodeKind,
    pub label: String,
    /// A short description.
    pub detail: String,
}

/// A note on a node of a running graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeNote {
    /// A few words, behind the node's kind.
    pub text: String,
    /// True of the node that runs most.
    pub is_busiest: bool,
}

/// An edge between two nodes, by position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphEdge {
    pub from: usize,
    pub to: usize,
    /// The text at the edge; may be empty.
    pub label: String,
}

/// An acyclic graph; every edge leads to a node with a higher position.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub nodes: Vec<GraphNode>,
    pub edges: Vec<GraphEdge>,
}
