//! The graph in Graphviz's language.

use super::Graph;

impl Graph {
    /// Returns a `digraph` in the colours of the SVG.
    pub fn dot(&self) -> String {
        let mut out = String::from(
            "digraph dataflow {\n  node [shape=box style=\"rounded,filled\" fontname=\"sans-serif\"]\n  \
             edge [color=\"#8a919c\" fontname=\"sans-serif\"]\n",
        );
        for (at, node) in self.nodes.iter().enumerate() {
            let (fill, stroke) = node.kind.colours();
            let label = quoted(&format!("{}\n{}", node.id, node.detail));
            out += &format!("  n{at} [label={label} fillcolor=\"{fill}\" color=\"{stroke}\"]\n");
        }
        for edge in &self.edges {
            out += &format!("  n{} -> n{} [label={}]\n", edge.from, edge.to, quoted(&edge.label));
        }
        out + "}\n"
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
