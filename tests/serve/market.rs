//! A dataflow for replicas: features of every form, tables, and a model that reads them; and files for a run of it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

const SPEC: &str = r#"
name = "market"

[source.orders]
topic = "orders"
format = "csv"
key = ["id"]
time = "at"
columns = { id = "string", buyer = "string", shop = "string?", amount = "float", items = "int", at = "timestamp" }

[table.shops]
topic = "shops"
format = "csv"
time = "at"
key = ["shop"]
columns = { shop = "string", land = "string?", rating = "float?", at = "timestamp" }

[view.placed]
sql = "SELECT o.*, s.land, s.rating, date_part('hour', o.at) AS hour FROM orders o LEFT JOIN shops s ON s.shop = o.shop"

[features.buyer]
from = "orders"
entity = "buyer"
request_windows = true
aggregate = [
  { of = "amount", op = ["mean", "stddev", "last", "time_since_last", 'ewma("1h")', 'decayed_sum("1h")'], windows = ["1h", "6h"] },
  { of = "amount", op = ["sum", "quantile(0.9)", "time_between"], windows = ["lifetime"] },
  { op = "rate", as = "orders", windows = ["1h", "lifetime"] },
  { of = "amount", op = ["sum", "time_since_last"], windows = ["1d"], by = "shop" },
  { of = "shop", op = ["last_k(3)", "distinct_values(5)", "histogram(5)", "mode"], windows = ["1d"] },
  { op = "count", as = "n", windows = [{ session = "30m" }, { cumulative = "1d" }, { tumbling = "1h" }, "last 10", { series = 3, step = "1h" }] },
  { op = "count", as = "before", windows = ["1d"], lag = "1d", default = -1 },
  { of = "at", op = "last", as = "newest", windows = ["1d"] },
  { expr = "amount_mean_1h / amount_mean_6h", as = "trend" },
  { expr = "amount_time_since_last_6h / 60", as = "minutes" },
]

[features.seller]
from = "orders"
entity = "shop"
aggregate = [
  { op = "count", as = "sold", windows = ["1d"], current = true },
  { of = "amount", op = ["mean", "max", "stddev"], windows = ["1d", "lifetime"], current = true },
  { of = "items", op = "sum", windows = ["lifetime"], by = "buyer", current = true },
]

[features.place]
from = "placed"
entity = ["land", "items"]
aggregate = [{ of = "amount", op = ["mean", "count"], windows = ["1d"] }]

[model.large]
kind = "logistic"
examples = "placed"
features = [
  "amount", "hour", "rating", "land", "buyer.amount_mean_1h", "buyer.amount_ewma1h_6h", "buyer.orders_1h",
  "buyer.amount_time_since_last_6h", "buyer.shop_last3_1d", "buyer.amount_sum_1d_by_shop", "buyer.trend",
  "buyer.n_series3x1h", "buyer.before_1d_lag1d", "seller.*", "place.*",
]
label = { value = "items > 2" }
window = "6h"
"#;

/// 2024-01-01T00:00:00Z.
const START: i64 = 1_704_067_200_000;
/// The number of orders, one each three minutes.
const ORDERS: i64 = 1_200;

/// The config of a run or a replica: files in place of topics, Redis at an address.
pub const CONFIG: &str = "[topics.orders]\nfile = \"orders.csv\"\n[topics.shops]\nfile = \"shops.csv\"\n\
                          [play]\nspeed = \"max\"\n[http]\nlisten = \"127.0.0.1:0\"\n[checkpoint]\ninterval = \"off\"\n";

/// Writes `market.toml`, `market.config.toml`, and the records.
pub fn write(folder: &Path) {
    let mut orders = "id,buyer,shop,amount,items,at\n".to_owned();
    for n in 0..ORDERS {
        let shop = if n % 11 == 0 { String::new() } else { format!("s{}", n % 6) };
        let amount = (n * 7919 % 1000) as f64 / 7.0;
        orders += &format!("o{n},u{},{shop},{amount},{},{}\n", n * n % 23, n % 5, START + n * 180_000);
    }
    let mut shops = "shop,land,rating,at,_deleted\n".to_owned();
    for n in 0..40 {
        let land = if n % 4 == 0 { "" } else { ["DE", "FR", "é"][n as usize % 3] };
        // The last one deletes a row that had been written.
        let is_deleted = n == 39;
        shops += &format!("s{},{land},{},{},{is_deleted}\n", n % 5, n as f64 / 3.0, START + n * 3_600_000);
    }
    fs::write(folder.join("orders.csv"), orders).unwrap();
    fs::write(folder.join("shops.csv"), shops).unwrap();
    fs::write(folder.join("market.toml"), SPEC).unwrap();
    fs::write(folder.join("market.config.toml"), CONFIG).unwrap();
}

/// Orders as instances: of known and unknown buyers and shops, without a time, and with values of their own.
pub fn instances() -> Vec<Value> {
    let order = |n: i64| json!({ "buyer": format!("u{}", n % 26), "shop": format!("s{}", n % 8), "amount": n as f64 / 3.0, "items": n % 5 });
    let mut all: Vec<Value> = (0..40).map(order).collect();
    let mut with = |n: i64, name: &str, value: Value| {
        let mut changed = order(n);
        changed[name] = value;
        all.push(changed);
    };
    with(1, "shop", Value::Null);
    with(2, "at", json!("2024-01-03T07:00:00Z"));
    with(3, "at", json!(0));
    with(4, "rating", json!(9.5));
    with(5, "land", Value::Null);
    with(6, "buyer.amount_mean_1h", json!(1.25));
    with(7, "buyer.shop_last3_1d", json!(["s1", "s2"]));
    with(8, "seller.sold_1d", json!(3));
    with(9, "buyer", json!("nobody: %é"));
    all
}
