//! Layout of a graph in layers from left to right, after Sugiyama.
//!
//! A node's layer is the length of the longest path to it; a node without inputs moves right up to its first reader. An
//! edge that crosses layers gets a dummy vertex in each of them, so that it passes between the boxes. `rust-sugiyama`
//! orders and spreads each layer. It works from top to bottom, so widths and heights are swapped for it.

use rust_sugiyama::configure::Config;
use rust_sugiyama::from_vertices_and_edges;

use super::Graph;

/// Gap between layers, in pixels.
const GAP_X: f64 = 64.0;
/// Gap between the boxes of a layer, in pixels.
const GAP_Y: f64 = 18.0;
/// Height that a passing edge takes, in pixels.
const CROSSING_HEIGHT: f64 = 6.0;

/// Positions in pixels from the top left.
pub struct GraphLayout {
    /// One for each node of the graph.
    pub nodes: Vec<NodeBox>,
    /// For each edge, the layers that it crosses, from left to right.
    pub crossings: Vec<Vec<Crossing>>,
    pub width: f64,
    pub height: f64,
}

/// The box of a node. All boxes of a layer are as wide as its widest.
#[derive(Clone, Copy)]
pub struct NodeBox {
    pub left: f64,
    /// The vertical centre.
    pub y: f64,
    pub width: f64,
}

/// The part of an edge that crosses a layer, horizontally.
#[derive(Clone, Copy)]
pub struct Crossing {
    pub left: f64,
    pub right: f64,
    pub y: f64,
}

impl GraphLayout {
    /// Places boxes of at least the given widths and of one height.
    pub fn of(graph: &Graph, widths: &[f64], height: f64) -> GraphLayout {
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
                sizes.push(CROSSING_HEIGHT);
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
        let node = |at: usize| NodeBox { left: lefts[layers[at]], y: heights[at], width: columns[layers[at]] };
        let crossing = |(at, layer): &(usize, usize)| {
            let left = lefts[*layer];
            Crossing { left, right: left + columns[*layer], y: heights[*at] }
        };
        GraphLayout {
            nodes: (0..widths.len()).map(node).collect(),
            crossings: ways.iter().map(|way| way.iter().map(crossing).collect()).collect(),
            width: (right - GAP_X).max(0.0),
            height: heights.iter().zip(&sizes).map(|(y, size)| y + size / 2.0).fold(0.0, f64::max),
        }
    }
}

/// Returns the layer of each node.
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

/// Returns the vertical centre of each vertex; unconnected parts are stacked.
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
