//! The picture of a running graph: its nodes with the rates of their operators.

use std::collections::{BTreeMap, HashMap};

use crate::flow::draw::{Graph, NodeNote};
use crate::serve::OperatorRates;

/// Returns the graph as an SVG, each node with the records per second of its operator, the busiest one marked.
pub fn draw(graph: &Graph, rates: &BTreeMap<String, OperatorRates>) -> String {
    let of_node = |id: &str| operator_of(id).and_then(|operator| Some((rates.get(&operator)?, operator)));
    let busy = graph.nodes.iter().filter_map(|node| Some((of_node(&node.id)?.0.busy, node.id.as_str())));
    let busiest = busy.filter(|(busy, _)| *busy > 0.0).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, id)| id);
    let note = |id: &String| {
        let (rates, operator) = of_node(id)?;
        // Sources and views are known by what they send, others by what they receive.
        let sends = ["source.", "table.", "view."].iter().any(|start| operator.starts_with(start));
        let records = if sends { rates.records_out } else { rates.records_in };
        let note = NodeNote { text: format!("{records:.0}/s"), is_busiest: busiest == Some(id.as_str()) };
        Some((id.clone(), note))
    };
    let notes: HashMap<String, NodeNote> = graph.nodes.iter().filter_map(|node| note(&node.id)).collect();
    graph.svg_with(&notes)
}

/// Returns the name of a node's operator; `None` if it has none of its own.
fn operator_of(id: &str) -> Option<String> {
    let (kind, name) = id.split_once(' ')?;
    match kind {
        "source" | "table" | "view" | "features" => Some(format!("{kind}.{name}")),
        "label" => Some(format!("model.{name}.label")),
        "model" => Some(format!("model.{name}.learn")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_rates_and_the_busiest_is_marked() {
        let text = std::fs::read_to_string("dataflows/flights.toml").unwrap();
        let graph = Graph::of(&crate::spec::parse(&text, "flights.toml").unwrap());
        let rates = |records_in, records_out, busy| OperatorRates { records_in, records_out, busy };
        let rates = BTreeMap::from([
            ("source.departures".to_owned(), rates(0.0, 1234.4, 0.1)),
            ("features.airport".to_owned(), rates(77.0, 12.0, 0.5)),
            ("model.late.learn".to_owned(), rates(5.0, 0.0, 0.2)),
            ("Probe".to_owned(), rates(5.0, 0.0, 0.9)),
        ]);
        let drawn = draw(&graph, &rates);
        for text in ["SOURCE · 1234/s", "FEATURES · 77/s", "MODEL · 5/s"] {
            assert!(drawn.contains(text), "{text}");
        }
        assert_eq!(drawn.matches("stroke-width=\"3\"").count(), 1);
        assert_eq!(draw(&graph, &BTreeMap::new()), graph.svg());
    }
}
