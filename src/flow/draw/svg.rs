//! The graph as an SVG that needs no style sheet and suits light and dark pages.

use std::borrow::Cow;
use std::fmt::Write;

use super::layout::Layout;
use super::{Graph, Node};

const HEIGHT: f64 = 56.0;
const MARGIN: f64 = 12.0;
const PADDING: f64 = 12.0;
/// More than the mean width of a letter in common fonts, in ems, so that no text leaves its box.
const LETTER: f64 = 0.58;
const LABEL_PX: f64 = 14.0;
const DETAIL_PX: f64 = 11.0;
/// Longer details are cut; the tooltip has all of it.
const MOST_LETTERS: usize = 44;
const FONT: &str = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";
const LINE: &str = "#8a919c";

impl Graph {
    /// A picture, as wide as it needs to be.
    pub fn svg(&self) -> String {
        let widths: Vec<f64> = self.nodes.iter().map(width).collect();
        let layout = Layout::of(self, &widths, HEIGHT);
        let (width, height) = (layout.width + 2.0 * MARGIN, layout.height + 2.0 * MARGIN);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"{} {} {width:.0} {height:.0}\" font-family=\"{FONT}\">\n\
             <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
             orient=\"auto\"><path d=\"M0.5,0.8 L7.5,4 L0.5,7.2 z\" fill=\"{LINE}\"/></marker></defs>\n",
            -MARGIN, -MARGIN
        );
        for (edge, lanes) in self.edges.iter().zip(&layout.lanes) {
            let ((left, y, width), (to, to_y, _)) = (layout.nodes[edge.from], layout.nodes[edge.to]);
            let path = path((left + width, y), lanes, (to, to_y));
            writeln!(
                out,
                "<path d=\"{path}\" fill=\"none\" stroke=\"{LINE}\" stroke-width=\"1.4\" marker-end=\"url(#tip)\"/>"
            )
            .expect("a string takes all");
        }
        for (node, place) in self.nodes.iter().zip(&layout.nodes) {
            out += &draw(node, *place);
        }
        out + "</svg>\n"
    }
}

/// The width of a node's box.
fn width(node: &Node) -> f64 {
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

fn draw(node: &Node, (left, y, width): (f64, f64, f64)) -> String {
    let (fill, stroke) = node.kind.colours();
    let (x, top) = (left + width / 2.0, y - HEIGHT / 2.0);
    let line = |dy: f64, px: f64, style: &str, text: &str| {
        let text = escaped(text);
        let y = top + dy;
        format!("<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{px}\" text-anchor=\"middle\" {style}>{text}</text>\n")
    };
    let frame = format!(
        "<g><title>{}</title><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" rx=\"7\" \
         fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"1.2\"/>\n",
        escaped(&format!("{}: {}", node.id, node.detail))
    );
    frame
        + &line(15.0, 9.0, "fill=\"#59616d\" letter-spacing=\"0.6\"", &node.kind.name().to_uppercase())
        + &line(32.0, LABEL_PX, "fill=\"#1c2128\" font-weight=\"600\"", &node.label)
        + &line(47.0, DETAIL_PX, "fill=\"#3d444d\"", &cut(&node.detail))
        + "</g>\n"
}

/// From the right end of one box through the lanes to the left end of another, level at every end.
fn path(from: (f64, f64), lanes: &[(f64, f64, f64)], to: (f64, f64)) -> String {
    let mut path = format!("M{:.1},{:.1}", from.0, from.1);
    let (mut x, mut y) = from;
    let mut curve = |path: &mut String, to_x: f64, to_y: f64, next_x: f64| {
        let middle = (x + to_x) / 2.0;
        write!(path, " C{middle:.1},{y:.1} {middle:.1},{to_y:.1} {to_x:.1},{to_y:.1}").expect("a string takes all");
        (x, y) = (next_x, to_y);
    };
    for (left, right, height) in lanes {
        curve(&mut path, *left, *height, *right);
        write!(path, " H{right:.1}").expect("a string takes all");
    }
    curve(&mut path, to.0, to.1, to.0);
    path
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
