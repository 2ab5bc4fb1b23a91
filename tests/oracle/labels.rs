//! The fate of examples: each one made is labelled, dropped for a reason, or still waits.

use std::collections::BTreeMap;

use crate::common::engine::{Found, Inputs, Record, Run};
use tidemill::model::LabelFault;
use tidemill::value::Scalar;

const JOINED: &str = r#"
name = "labels"

[source.asks]
topic = "asks"
format = "json"
key = ["id"]
time = "at"
columns = { id = "string", shop = "string?", item = "int", x = "float?", at = "timestamp" }

[source.sales]
topic = "sales"
format = "json"
key = ["id"]
time = "at"
columns = { id = "string", shop = "string?", item = "int", x = "float?", at = "timestamp" }

[model.sold]
kind = "poisson"
examples = "asks"
features = ["item"]
label = { from = "sales", on = "id", value = "x", within = "80ms" }
window = "50ms"
"#;

fn record(id: &str, at: i64, x: Option<f64>) -> Record {
    Record { id: id.to_owned(), shop: None, item: 1, x, step: 0, at: 1_000_000 + at }
}

/// Five asks: sold twice, refunded, sold for too much, not sold, and open at the end.
fn joined() -> Inputs {
    let asks = [("k0", 0), ("k1", 10), ("k2", 20), ("k3", 30), ("k4", 150)].map(|(id, at)| record(id, at, None));
    let sales = [
        ("k0", 5, Some(2.0)),
        ("k1", 14, None),
        ("k1", 15, Some(-1.0)),
        ("k1", 17, Some(3.0)),
        ("k2", 25, Some(1e300)),
        ("k9", 160, Some(1.0)),
    ];
    Inputs { asks: asks.into(), sales: sales.map(|(id, at, x)| record(id, at, x)).into(), ..Inputs::default() }
}

fn assert_counted(found: &Found, named: &str) {
    assert_eq!((found.made, found.unlabelled, found.waiting), (5, 1, 1), "{named}");
    let totals = found.totals.as_ref().expect("the model has ended");
    let refused = BTreeMap::from([(LabelFault::Negative, 1), (LabelFault::OutOfRange, 1)]);
    assert_eq!((totals.received, &totals.refused), (3, &refused), "{named}");
    assert_eq!(found.made, totals.received + found.unlabelled + found.waiting, "{named}");
    let windows: Vec<_> = found.refused.iter().map(|window| (window.window_end, &window.labels)).collect();
    assert_eq!(windows, [(1_000_050, &refused)], "said once, at the window's end: {named}");
}

#[test]
fn a_joined_label_that_a_kind_cannot_learn_is_dropped_with_its_reason() {
    let inputs = joined();
    for (read, workers) in [(1, 1), (7, 2), (3, 3)] {
        let found = Run { spec: JOINED, read, workers, ..Run::default() }.run(&inputs);
        assert_counted(&found, &format!("{read} at a time on {workers} workers"));
        let labels: Vec<_> = found.examples.iter().map(|row| (row[3].clone(), row[row.len() - 3].clone())).collect();
        assert_eq!(labels, [(Scalar::String("k0".into()), Scalar::Float(2.0))]);
    }
    for at in [3, 18, 60, 120] {
        let whole = Run { spec: JOINED, snapshot: Some(1_000_000 + at), workers: 2, ..Run::default() }.run(&inputs);
        let resumed = Run { spec: JOINED, start: whole.snapshot, ..Run::default() }.run(&inputs);
        let said = if at < 50 { resumed.refused } else { whole.refused };
        assert_counted(&Found { refused: said, ..resumed }, &format!("from a snapshot at {at}"));
    }
}

#[test]
fn a_label_that_is_known_at_once_is_checked_too() {
    let spec = JOINED.replace("kind = \"poisson\"", "kind = \"logistic\"").replace(
        "label = { from = \"sales\", on = \"id\", value = \"x\", within = \"80ms\" }",
        "label = { value = \"x\" }",
    );
    let labels = [Some(0.0), Some(0.7), Some(1.0), Some(2.0), Some(-1.0), None];
    let asks = labels.iter().enumerate().map(|(at, x)| record(&format!("k{at}"), at as i64, *x)).collect();
    let found = Run { spec: &spec, ..Run::default() }.run(&Inputs { asks, ..Inputs::default() });
    let totals = found.totals.expect("the model has ended");
    let refused = BTreeMap::from([(LabelFault::Null, 1), (LabelFault::NotTruth, 3)]);
    assert_eq!((totals.received, totals.refused, found.examples.len()), (6, refused, 2));
}
