//! Where the nodes of a graph go: in layers from left to right, after Sugiyama.
//!
//! An edge that passes layers is led through a dummy in each of them, so that it goes between the boxes. The layers
//! are ours (as far right as the longest way from the left, what nothing flows into as far right as its readers
//! allow); `rust-sugiyama` orders each layer and spreads it. It works from top to bottom, so heights and widths are
//! swapped on the way there and back.

use rust_sugiyama::configure::Config;
use rust_sugiyama::from_vertices_and_edges;

use super::Graph;

/// Between layers, and between boxes of one.
const GAP_X: f64 = 64.0;
const GAP_Y: f64 = 18.0;
/// The height that a passing edge takes.
const LANE: f64 = 6.0;

/// Pixels from the top left.
pub struct Layout {
    /// Left end, vertical centre and width of each box; those of a layer are as wide as its widest.
    pub nodes: Vec<(f64, f64, f64)>,
    /// What each edge passes, from left to right: the left and the right end of a layer, and the height there.
    pub lanes: Vec<Vec<(f64, f64, f64)>>,
    pub width: f64,
    pub height: f64,
}

impl Layout {
    /// Places boxes of at least the given widths and of one height.
    pub fn of(graph: &Graph, widths: &[f64], height: f64) -> Layout {
        let layers = layers(graph);
        let mut sizes = vec![height; widths.len()];
        let mut links: Vec<(u32, u32)> = Vec::new();
        let mut ways: Vec<Vec<(usize, usize)>> = Vec::with_capacity(graph.edges.len());
        for edge in &graph.edges {
            let mut way = Vec::new();
            let mut last = edge.from;
            for layer in layers[edge.from] + 1..layers[edge.to] {
                way.push((sizes.len(), layer));
                links.push((last as u32, sizes.len() as u32));
                last = sizes.len();
                sizes.push(LANE);
            }
            links.push((last as u32, edge.to as u32));
            ways.push(way);
        }
        let heights = spread(&sizes, &links);
        let mut columns = vec![0.0f64; layers.iter().max().map_or(0, |last| last + 1)];
        for (layer, width) in layers.iter().zip(widths) {
            columns[*layer] = columns[*layer].max(*width);
        }
        let mut lefts = Vec::with_capacity(columns.len());
        let mut right = 0.0;
        for width in &columns {
            lefts.push(right);
            right += width + GAP_X;
        }
        let node = |at: usize| (lefts[layers[at]], heights[at], columns[layers[at]]);
        let lane = |(at, layer): &(usize, usize)| (lefts[*layer], lefts[*layer] + columns[*layer], heights[*at]);
        Layout {
            nodes: (0..widths.len()).map(node).collect(),
            lanes: ways.iter().map(|way| way.iter().map(lane).collect()).collect(),
            width: (right - GAP_X).max(0.0),
            height: heights.iter().zip(&sizes).map(|(y, size)| y + size / 2.0).fold(0.0, f64::max),
        }
    }
}

/// The layer of each node.
fn layers(graph: &Graph) -> Vec<usize> {
    let mut layers = vec![0usize; graph.nodes.len()];
    for at in 0..graph.nodes.len() {
        let before = graph.edges.iter().filter(|edge| edge.to == at).map(|edge| layers[edge.from] + 1);
        layers[at] = before.max().unwrap_or(0);
    }
    for at in 0..graph.nodes.len() {
        if graph.edges.iter().all(|edge| edge.to != at) {
            let readers = graph.edges.iter().filter(|edge| edge.from == at).map(|edge| layers[edge.to]);
            layers[at] = readers.min().map_or(0, |layer| layer.saturating_sub(1));
        }
    }
    layers
}

/// The vertical centre of each vertex; parts that do not hang together stand one below the other.
fn spread(sizes: &[f64], links: &[(u32, u32)]) -> Vec<f64> {
    let vertex = |(at, size): (usize, &f64)| (at as u32, (size + GAP_Y, 1.0));
    let vertices: Vec<(u32, (f64, f64))> = sizes.iter().enumerate().map(vertex).collect();
    let config = Config { vertex_spacing: 1.0, dummy_vertices: false, ..Config::default() };
    let mut centres = vec![0.0; sizes.len()];
    let mut top = 0.0;
    for (part, _, _) in from_vertices_and_edges(&vertices, links, &config) {
        let ends = |sign: f64| part.iter().map(move |(at, (y, _))| y + sign * sizes[*at] / 2.0);
        let (least, most) = (ends(-1.0).fold(f64::INFINITY, f64::min), ends(1.0).fold(f64::NEG_INFINITY, f64::max));
        for (at, (y, _)) in &part {
            centres[*at] = top + y - least;
        }
        top += most - least + GAP_Y;
    }
    centres
}
