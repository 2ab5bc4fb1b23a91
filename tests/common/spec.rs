//! The dataflow that the engine's tests run.

use std::sync::LazyLock;

use super::naive::{WINDOWS, ops};

/// Two streams and a table, every aggregate in every window, a label within a short time.
pub static SPEC: LazyLock<String> = LazyLock::new(|| {
    let ops: Vec<String> = ops().iter().map(|(op, _)| format!("{op:?}")).collect();
    let windows = |windows: &[(&str, _)]| windows.iter().map(|(text, _)| *text).collect::<Vec<_>>().join(", ");
    TEMPLATE.replace("OPS", &ops.join(", ")).replace("WINDOWS", &windows(WINDOWS))
});

const TEMPLATE: &str = r#"
name = "oracle"

[source.asks]
topic = "asks"
format = "json"
key = ["id"]
time = "at"
lateness = "40ms"
columns = { id = "string", shop = "string?", item = "int", x = "float?", at = "timestamp" }

[source.sales]
topic = "sales"
format = "json"
key = ["id"]
time = "at"
lateness = "25ms"
columns = { id = "string", shop = "string?", item = "int", x = "float?", at = "timestamp" }

[table.prices]
topic = "prices"
format = "json"
time = "at"
key = ["item"]
columns = { item = "int", price = "float?", at = "timestamp" }

[view.asked]
sql = "SELECT a.*, p.price FROM asks a LEFT JOIN prices p ON p.item = a.item"

[features.shop]
from = "sales"
entity = "shop"
aggregate = [
  { of = "x", op = [OPS], windows = [WINDOWS] },
  { op = "count", where = "x > 0", windows = [{ sliding = "100ms", hop = "1ms" }], as = "positive" },
]

[features.pair]
from = "sales"
entity = ["shop", "item"]
aggregate = [{ of = "item", op = ["sum", "last"], windows = [{ sliding = "120ms", hop = "20ms" }] }]

[model.sold]
kind = "logistic"
examples = "asked"
features = ["shop.*", "pair.*", "price", "x", "shop"]
label = { from = "sales", on = "id", value = "x > 0", within = "80ms" }
window = "200ms"
"#;
