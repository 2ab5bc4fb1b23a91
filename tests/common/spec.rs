//! The dataflow that the engine's tests run.

/// Two streams and a table, every aggregate, windows of all sorts, a label within a short time.
pub const SPEC: &str = r#"
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
  { of = "x", op = ["count", "sum", "mean", "variance", "stddev", "min", "max", "first", "last"], windows = [{ sliding = "60ms", hop = "7ms" }, { sliding = "300ms", hop = "50ms" }] },
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
