//! The graph as plain text.

use super::Graph;

impl Graph {
    /// Returns a line for each node, followed by an indented line for each of its edges.
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
