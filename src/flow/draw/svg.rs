//! The graph as an SVG that needs no style sheet and suits light and dark pages.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

use super::layout::{Crossing, GraphLayout, NodeBox};
use super::{Graph, GraphNode, NodeNote};

const HEIGHT: f64 = 56.0;
const MARGIN: f64 = 12.0;
const PADDING: f64 = 12.0;
/// Assumed width of a letter in ems: more than the mean of common fonts, so that text stays within its box.
const LETTER: f64 = 0.58;
const LABEL_PX: f64 = 14.0;
const DETAIL_PX: f64 = 11.0;
/// Length to which details are shortened; the tooltip has the full text.
const MOST_LETTERS: usize = 44;
const FONT: &str = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";
const LINE: &str = "#8a919c";
/// The frame of the busiest node.
const BUSIEST: &str = "#c2410c";

impl Graph {
    /// Returns the graph as an SVG document.
    pub fn svg(&self) -> String {
        self.svg_with(&HashMap::new())
    }

    /// Returns the graph as an SVG document, with notes on nodes, by their ids.
    pub fn svg_with(&self, notes: &HashMap<String, NodeNote>) -> String {
        let widths: Vec<f64> = self.nodes.iter().map(width).collect();
        let layout = GraphLayout::of(self, &widths, HEIGHT);
        let (width, height) = (layout.width + 2.0 * MARGIN, layout.height + 2.0 * MARGIN);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"{} {} {width:.0} {height:.0}\" font-family=\"{FONT}\">\n\
             <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
             orient=\"auto\"><path d=\"M0.5,0.8 L7.5,4 L0.5,7.2 z\" fill=\"{LINE}\"/></marker></defs>\n",
            -MARGIN, -MARGIN
        );
        for (edge, crossings) in self.edges.iter().zip(&layout.crossings) {
            let (from, to) = (layout.nodes[edge.from], layout.nodes[edge.to]);
            let path = path((from.left + from.width, from.y), crossings, (to.left, to.y));
            writeln!(
                out,
                "<path d=\"{path}\" fill=\"none\" stroke=\"{LINE}\" stroke-width=\"1.4\" marker-end=\"url(#tip)\"/>"
            )
            .expect("writing to a string does not fail");
        }
        for (node, placed) in self.nodes.iter().zip(&layout.nodes) {
            out += &draw(node, *placed, notes.get(&node.id));
        }
        out + "</svg>\n"
    }
}

/// Returns the width of a node's box, in pixels.
fn width(node: &GraphNode) -> f64 {
    let text = |text: &str, px: f64| text.chars().count() as f64 * px * LETTER;
    text(&node.label, LABEL_PX).max(text(&cut(&node.detail), DETAIL_PX)).max(text(node.kind.name(), DETAIL_PX))
        + 2.0 * PADDING
}

fn cut(text: &str) -> Cow<'_, str> {
    match text.chars().count() > MOST_LETTERS {
        true => text.chars().take(MOST_LETTERS - 1).chain(['…']).collect(),
        false => Cow::Borrowed(text),
    }
}

fn draw(node: &GraphNode, NodeBox { left, y, width }: NodeBox, note: Option<&NodeNote>) -> String {
    let (fill, stroke) = node.kind.colours();
    let (stroke, stroke_width) = if note.is_some_and(|note| note.is_busiest) { (BUSIEST, 3.0) } else { (stroke, 1.2) };
    let kind = node.kind.name().to_uppercase();
    let kind = note.map_or_else(|| kind.clone(), |note| format!("{kind} \u{b7} {}", note.text));
    let (x, top) = (left + width / 2.0, y - HEIGHT / 2.0);
    let line = |dy: f64, px: f64, style: &str, text: &str| {
        let text = escaped(text);
        let y = top + dy;
        format!("<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{px}\" text-anchor=\"middle\" {style}>{text}</text>\n")
    };
    let frame = format!(
        "<g><title>{}</title><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" rx=\"7\" \
         fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"{stroke_width}\"/>\n",
        escaped(&format!("{}: {}", node.id, node.detail))
    );
    frame
        + &line(15.0, 9.0, "fill=\"#59616d\" letter-spacing=\"0.6\"", &kind)
        + &line(32.0, LABEL_PX, "fill=\"#1c2128\" font-weight=\"600\"", &node.label)
        + &line(47.0, DETAIL_PX, "fill=\"#3d444d\"", &cut(&node.detail))
        + "</g>\n"
}

/// Returns the path of an edge from the right end of one box through the crossings to the left end of another, with
/// horizontal tangents.
fn path(from: (f64, f64), crossings: &[Crossing], to: (f64, f64)) -> String {
    let mut path = format!("M{:.1},{:.1}", from.0, from.1);
    let (mut x, mut y) = from;
    let mut curve = |path: &mut String, to_x: f64, to_y: f64, next_x: f64| {
        let middle = (x + to_x) / 2.0;
        write!(path, " C{middle:.1},{y:.1} {middle:.1},{to_y:.1} {to_x:.1},{to_y:.1}")
            .expect("writing to a string does not fail");
        (x, y) = (next_x, to_y);
    };
    for Crossing { left, right, y } in crossings {
        curve(&mut path, *left, *y, *right);
        write!(path, " H{right:.1}").expect("writing to a string does not fail");
    }
    curve(&mut path, to.0, to.1, to.0);
    path
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
