//! The picture of a running graph: its nodes with the rates of their operators.

use std::collections::HashMap;

use crate::flow::draw::{Graph, GraphNode, NodeKind, NodeNote};
use crate::serve::{OperatorRates, SampledRates};

/// Returns the graph as an SVG, each node with the records per second of its operator, the busiest one marked.
pub fn draw(graph: &Graph, rates: &SampledRates) -> String {
    let of_node = |node: &GraphNode| operator_of(node).and_then(|operator| rates.operators.get(&operator));
    let busy = graph.nodes.iter().filter_map(|node| Some((of_node(node)?.busy, node.id.as_str())));
    let busiest = busy.filter(|(busy, _)| *busy > 0.0).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, id)| id);
    let note = |node: &GraphNode| {
        let records = records(node, of_node(node), rates)?;
        let note = NodeNote { text: format!("{records:.0}/s"), is_busiest: busiest == Some(node.id.as_str()) };
        Some((node.id.clone(), note))
    };
    let notes: HashMap<String, NodeNote> = graph.nodes.iter().filter_map(note).collect();
    graph.svg_with(&notes)
}

/// Returns the records per second by which a node is known: sources and tables by what they read, views by what they send,
/// others by what they receive.
fn records(node: &GraphNode, operator: Option<&OperatorRates>, rates: &SampledRates) -> Option<f64> {
    match node.kind {
        NodeKind::Source | NodeKind::Table => rates.reads.get(&node.label).copied(),
        NodeKind::View => operator.map(|rates| rates.records_out),
        NodeKind::Features | NodeKind::Label | NodeKind::Model => operator.map(|rates| rates.records_in),
        NodeKind::Examples | NodeKind::Store | NodeKind::Registry | NodeKind::Endpoint => None,
    }
}

/// Returns the name of a node's operator; `None` if it has none of its own.
fn operator_of(node: &GraphNode) -> Option<String> {
    let name = &node.label;
    match node.kind {
        NodeKind::Source | NodeKind::Table | NodeKind::View | NodeKind::Features => {
            Some(format!("{}.{name}", node.kind.name()))
        }
        NodeKind::Label => Some(format!("model.{name}.label")),
        NodeKind::Model => Some(format!("model.{name}.learn")),
        NodeKind::Examples | NodeKind::Store | NodeKind::Registry | NodeKind::Endpoint => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn nodes_have_rates_and_the_busiest_is_marked() {
        let text = std::fs::read_to_string("dataflows/flights.toml").unwrap();
        let graph = Graph::of(&crate::spec::parse(&text, "flights.toml").unwrap());
        let rates = |records_in, records_out, busy| OperatorRates { records_in, records_out, busy };
        let operators = BTreeMap::from([
            ("source.departures".to_owned(), rates(0.0, 1200.0, 0.1)),
            ("features.airport".to_owned(), rates(77.0, 12.0, 0.5)),
            ("model.late.learn".to_owned(), rates(5.0, 0.0, 0.2)),
            ("Probe".to_owned(), rates(5.0, 0.0, 0.9)),
        ]);
        let reads = [("departures", 1234.4), ("weather", 8.0)].map(|(name, rate)| (name.to_owned(), rate)).into();
        let rates = SampledRates { operators, reads };
        let drawn = draw(&graph, &rates);
        for text in ["SOURCE · 1234/s", "TABLE · 8/s", "FEATURES · 77/s", "MODEL · 5/s"] {
            assert!(drawn.contains(text), "{text}");
        }
        assert_eq!(drawn.matches("stroke-width=\"3\"").count(), 1);
        assert_eq!(draw(&graph, &SampledRates::default()), graph.svg());
    }
}
