//! The dataflow that the engine's tests run.

use std::sync::LazyLock;

use super::naive::{ENDLESS, WINDOWS, collections, ops, series_ops};
use super::windows::NaiveWindow;

/// Two streams and a table, every aggregate in every window, a label within a short time.
pub static SPEC: LazyLock<String> = LazyLock::new(|| spec(TEMPLATE));

/// The same without windows that reach back without end.
pub static BOUNDED: LazyLock<String> = LazyLock::new(|| {
    let (before, ever) = TEMPLATE.split_once("[features.ever]").expect("the group stands there");
    let (_, after) = ever.split_once("[model.sold]").expect("the model follows it");
    spec(&format!("{before}[model.sold]{after}").replace("\"ever.*\", ", ""))
});

fn spec(template: &str) -> String {
    let ops: Vec<String> = ops().iter().map(|(op, _)| format!("{op:?}")).collect();
    let lists: Vec<String> = collections().iter().map(|(op, _)| format!("{op:?}")).collect();
    let list = |windows: &[NaiveWindow]| windows.iter().map(|window| window.text()).collect::<Vec<_>>().join(", ");
    template
        .replace("LISTS", &lists.join(", "))
        .replace("OPS", &ops.join(", "))
        .replace("FIRST", &list(&WINDOWS[..1]))
        .replace("WINDOWS", &list(WINDOWS))
        .replace("ENDLESS", &list(ENDLESS))
}

/// The topics of the dataflows: two streams and a table.
macro_rules! topics {
    () => {
        r#"
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
"#
    };
}

/// The topics of all specs.
pub const TOPICS: &str = topics!();

const TEMPLATE: &str = concat!(
    "name = \"oracle\"\n",
    topics!(),
    r#"
[view.asked]
sql = "SELECT a.*, p.price FROM asks a LEFT JOIN prices p ON p.item = a.item"

[features.shop]
from = "sales"
entity = "shop"
aggregate = [
  { of = "x", with = "nullif(item, 2)", op = [OPS], windows = [WINDOWS] },
  { op = "count", where = "x > 0", windows = [{ sliding = "100ms", hop = "1ms" }], as = "positive" },
]

[features.pair]
from = "sales"
entity = ["shop", "item"]
aggregate = [{ of = "item", op = ["sum", "last"], windows = [{ sliding = "120ms", hop = "20ms" }] }]

[features.defaulted]
from = "sales"
entity = "shop"
aggregate = [
  { of = "x", with = "nullif(item, 2)", op = [OPS], where = "item > 0", default = 7, windows = [FIRST] },
]

[features.own]
from = "sales"
entity = "shop"
aggregate = [
  { expr = "x_sum_60ms / x_count_60ms", as = "average" },
  { expr = "coalesce(x_time_since_last_60ms, -1) * x_count_60ms", as = "waited" },
  { of = "x", with = "nullif(item, 2)", op = [OPS], where = "item > 0", current = true, windows = [FIRST] },
  { expr = "case when x_count_60ms > 2 then 'many' when x_count_60ms > 0 then 'few' end", as = "size" },
]

[features.ever]
from = "sales"
entity = "shop"
aggregate = [{ of = "x", with = "nullif(item, 2)", op = [OPS], windows = [ENDLESS] }]

[features.by_shop]
from = "sales"
entity = "item"
aggregate = [{ of = "x", with = "nullif(item, 2)", op = [OPS], by = "shop", windows = [FIRST, ENDLESS] }]

[features.collected]
from = "sales"
entity = "shop"
aggregate = [{ of = "x", op = [LISTS], windows = [WINDOWS, ENDLESS] }]

[model.sold]
kind = "logistic"
examples = "asked"
features = ["shop.*", "pair.*", "defaulted.*", "own.*", "ever.*", "price", "x", "shop"]
label = { from = "sales", on = "id", value = "x > 0", within = "80ms" }
window = "200ms"
"#
);

/// A stream of three SELECTs over two sources; the third repeats the records of the second under other items.
pub const UNITED: &str = concat!(
    "name = \"united\"\n",
    topics!(),
    r#"
[view.positive]
sql = "SELECT s.id, s.shop, s.item, s.x, s.at FROM sales s WHERE s.x > 0"

[view.both]
sql = """
SELECT * FROM positive
UNION ALL
SELECT a.id, a.shop, a.item, p.price, a.at FROM asks a JOIN prices p ON p.item = a.item
UNION ALL
SELECT id, shop, item + 100, x, at FROM sales
"""

[features.shop]
from = "both"
entity = "shop"
aggregate = [
  { of = "item", op = ["count", "sum", "first", "last"], windows = [{ sliding = "60ms", hop = "7ms" }] },
]

[features.pair]
from = "both"
entity = ["shop", "item"]
aggregate = [{ of = "x", op = ["count", "last"], windows = [{ sliding = "120ms", hop = "20ms" }] }]

[model.sold]
kind = "logistic"
examples = "both"
instance = "asks"
features = ["shop.*", "pair.*", "x"]
label = { from = "sales", on = "id", value = "x > 0", within = "80ms" }
window = "200ms"
"#
);

/// A view whose records take effect later, by an amount of their own; one that joins a table as of then; examples of it, or
/// of another stream (`EXAMPLES`), whose labels come of the first.
pub const SHIFTED: &str = concat!(
    "name = \"shifted\"\n",
    topics!(),
    r#"
[view.known]
sql = "SELECT s.id, s.shop, s.item, s.x, s.at, p.price FROM sales s LEFT JOIN prices p ON p.item = s.item"
at = "CASE WHEN x <> 0.125 THEN at + (item - 1) * interval '60 ms' - interval '10 ms' END"

[view.priced]
sql = "SELECT k.id, k.shop, k.item, k.price, p.price AS later FROM known k LEFT JOIN prices p ON p.item = k.item"

[view.asked]
sql = "SELECT a.id, a.shop, a.item, a.x AS price, p.price AS later FROM asks a LEFT JOIN prices p ON p.item = a.item"

[features.shop]
from = "known"
entity = "shop"
aggregate = [
  { of = "item", op = ["count", "sum", "first", "last"], windows = [{ sliding = "60ms", hop = "7ms" }] },
]

[features.pair]
from = "priced"
entity = ["shop", "item"]
aggregate = [{ of = "later", op = ["count", "last"], windows = [{ sliding = "120ms", hop = "20ms" }] }]

[model.sold]
kind = "logistic"
examples = "EXAMPLES"
features = ["shop.*", "pair.*", "price"]
label = { from = "known", on = "id", value = "x > 0", within = "80ms" }
window = "200ms"
"#
);

/// Features of features: a view of two sources whose records look groups up, one of which counts the asks themselves; a
/// group over it; and a group over a view that looks that one up. Groups and views stand in an order in which they cannot
/// answer.
pub const CHAINED: &str = concat!(
    "name = \"chained\"\n",
    topics!(),
    r#"
[view.deep]
sql = "SELECT s.shop, s.at, p.busy_sum_120ms AS sums FROM sales s LEFT JOIN pair p ON p.item = s.item + 1 AND p.shop = s.shop"

[view.scored]
sql = """
SELECT a.id, a.shop, a.item, a.x, a.at, s.item_count_60ms AS busy, coalesce(s.twice, -1) AS twice,
       own.count_100ms AS seen, own.top, own.others_100ms AS others, p.price
FROM asks a LEFT JOIN own ON own.item = a.item LEFT JOIN prices p ON p.item = a.item LEFT JOIN shop s ON s.shop = a.shop
UNION ALL
SELECT v.id, v.shop, v.item, v.x, v.at, s.item_count_60ms, s.twice, 0, v.x, s.item_last_60ms, v.x
FROM sales v LEFT JOIN shop s ON s.shop = CASE WHEN v.item = 0 THEN 's0' ELSE v.shop END
"""

[features.ever]
from = "deep"
entity = "shop"
aggregate = [{ of = "sums", op = ["count", "sum"], windows = ["lifetime"] }]

[features.pair]
from = "scored"
entity = ["shop", "item"]
aggregate = [
  { of = "busy", op = ["count", "sum", "last"], windows = [{ sliding = "120ms", hop = "20ms" }] },
  { of = "seen", op = "sum", windows = [{ sliding = "120ms", hop = "20ms" }] },
  { of = "top", op = "max", windows = [{ sliding = "120ms", hop = "20ms" }] },
]

[features.own]
from = "asks"
entity = "item"
aggregate = [
  { op = "count", windows = [{ sliding = "100ms", hop = "10ms" }], current = true },
  { of = "x", op = "max", windows = [{ sliding = "100ms", hop = "10ms" }], current = true },
  { op = "count", as = "others", windows = [{ sliding = "100ms", hop = "10ms" }] },
  { expr = "x_max_100ms", as = "top" },
]

[features.shop]
from = "sales"
entity = "shop"
aggregate = [
  { of = "item", op = ["count", "sum", "last"], windows = [{ sliding = "60ms", hop = "7ms" }] },
  { expr = "item_sum_60ms * 2", as = "twice" },
]

[model.sold]
kind = "logistic"
examples = "scored"
instance = "asks"
features = ["pair.*", "busy", "twice", "seen", "top", "others", "price"]
label = { from = "sales", on = "id", value = "x > 0", within = "80ms" }
window = "200ms"
"#
);

/// A group `shop` with every op with a scalar answer and a group `collected` with all others, in some windows, and a model
/// whose examples look the former up.
pub fn windowed(windows: &[NaiveWindow]) -> String {
    let line = |window: &NaiveWindow, ops: Vec<&str>, more: &str| {
        let lag = if window.lag > 0 { format!(", lag = \"{}ms\"", window.lag) } else { String::new() };
        let has_pairs = ops.contains(&"covariance");
        let ops: Vec<String> = ops.iter().map(|op| format!("{op:?}")).collect();
        let with = if has_pairs { ", with = \"nullif(item, 2)\"" } else { "" };
        format!("  {{ of = \"x\"{with}, op = [{}], windows = [{}]{lag}{more} }},", ops.join(", "), window.text())
    };
    let scalar_ops = || ops().iter().map(|(op, _)| *op).collect::<Vec<_>>();
    let of = |series: bool| windows.iter().filter(move |window| window.is_series() == series);
    let scalars = of(false).map(|window| line(window, scalar_ops(), ""));
    let lists = of(false).map(|window| line(window, collections().iter().map(|(op, _)| *op).collect(), ""));
    let of_series = |window: &NaiveWindow| series_ops(*window).iter().map(|(op, _)| *op).collect::<Vec<_>>();
    let series = of(true).map(|window| line(window, of_series(window), ""));
    let own = windows.iter().filter(|window| window.has_own()).map(|window| {
        line(window, if window.is_series() { of_series(window) } else { scalar_ops() }, ", current = true")
    });
    let (scalars, own): (Vec<String>, Vec<String>) = (scalars.collect(), own.collect());
    let lists: Vec<String> = lists.chain(series).collect();
    WINDOWED.replace("SCALARS", &scalars.join("\n")).replace("LISTS", &lists.join("\n")).replace("OWN", &own.join("\n"))
}

const WINDOWED: &str = concat!(
    "name = \"windowed\"\n",
    topics!(),
    r#"
[features.shop]
from = "sales"
entity = "shop"
aggregate = [
  { op = "count", windows = ["lifetime"] },
SCALARS
]

[features.collected]
from = "sales"
entity = "shop"
aggregate = [
  { op = "count", windows = ["lifetime"] },
LISTS
]

[features.own]
from = "sales"
entity = "shop"
aggregate = [
  { op = "count", windows = ["lifetime", { tumbling = "70ms" }], current = true },
OWN
]

[model.sold]
kind = "logistic"
examples = "asks"
features = ["shop.*", "own.*", "x"]
label = { from = "sales", on = "id", value = "x > 0", within = "80ms" }
window = "200ms"
"#
);
