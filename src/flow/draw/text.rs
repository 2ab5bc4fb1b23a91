//! The graph as plain text: every node, and what it flows into.

use super::Graph;

impl Graph {
    /// A line a node and an indented line an edge.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (at, node) in self.nodes.iter().enumerate() {
            out += &format!("{}: {}\n", node.id, node.detail);
            for edge in self.edges.iter().filter(|edge| edge.from == at) {
                let label = if edge.label.is_empty() { String::new() } else { format!(" ({})", edge.label) };
                out += &format!("  -> {}{label}\n", self.nodes[edge.to].id);
            }
        }
        out
    }
}
