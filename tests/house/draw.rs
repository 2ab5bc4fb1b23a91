//! Pictures of dataflows.

use std::path::Path;

use tidemill::flow::draw::{Graph, NodeKind};
use tidemill::spec;

fn flights() -> Graph {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/flights.toml");
    Graph::of(&spec::load(&path).unwrap())
}

/// The numbers of an attribute of every element that has it.
fn numbers(svg: &str, element: &str, attribute: &str) -> Vec<f64> {
    let elements = svg.split('<').filter(|part| part.starts_with(element));
    let value = |part: &str| {
        let from = part.find(&format!(" {attribute}=\""))? + attribute.len() + 3;
        part[from..].split('"').next()?.parse().ok()
    };
    elements.filter_map(value).collect()
}

#[test]
fn every_edge_leads_forward_and_every_declaration_has_a_node() {
    let graph = flights();
    assert!(graph.edges.iter().all(|edge| edge.from < edge.to));
    let count = |kind| graph.nodes.iter().filter(|node| node.kind == kind).count();
    assert_eq!((count(NodeKind::Source), count(NodeKind::Table), count(NodeKind::View)), (2, 1, 1));
    assert_eq!((count(NodeKind::Features), count(NodeKind::Model), count(NodeKind::Endpoint)), (6, 1, 1));
    let into = |id: &str| graph.edges.iter().filter(|edge| graph.nodes[edge.to].id == id).count();
    assert_eq!((into("examples late"), into("label late"), into("store online store")), (7, 2, 7));
}

#[test]
fn the_forms_hold_every_node_and_edge() {
    let graph = flights();
    assert_eq!(graph.text().matches("->").count(), graph.edges.len());
    assert_eq!(graph.dot().matches("->").count(), graph.edges.len());
    let svg = graph.svg();
    assert_eq!(svg.matches("<rect").count(), graph.nodes.len());
    assert_eq!(svg.matches("marker-end").count(), graph.edges.len());
    assert!(svg.contains("delay &gt;= 15 within 1d"));
}

#[test]
fn a_picture_is_the_same_every_time() {
    let svg = flights().svg();
    assert!((0..20).all(|_| flights().svg() == svg));
}

#[test]
fn no_two_boxes_overlap() {
    let svg = flights().svg();
    let [x, y, width, height] = ["x", "y", "width", "height"].map(|attribute| numbers(&svg, "rect", attribute));
    for a in 0..x.len() {
        for b in 0..a {
            let apart = x[a] >= x[b] + width[b] || x[b] >= x[a] + width[a];
            assert!(apart || y[a] >= y[b] + height[b] || y[b] >= y[a] + height[a], "boxes {a} and {b}");
        }
    }
}

#[test]
fn a_file_of_one_source_is_drawn_too() {
    let text =
        "name = \"one\"\n[source.s]\ntopic = \"s\"\nformat = \"json\"\ntime = \"t\"\ncolumns = { t = \"timestamp\" }\n";
    let graph = Graph::of(&spec::parse(text, "one.toml").unwrap());
    assert_eq!(graph.text(), "source s: topic s\n");
    assert!(graph.svg().contains("<rect") && Graph::default().svg().starts_with("<svg"));
}
