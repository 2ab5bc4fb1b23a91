//! The engine against a naive oracle, which recomputes every feature, example and label from all the records.
//!
//! Records come out of order within the lateness and beyond, with ties in time, in batches of any size, on one to three
//! workers: the files that the engine writes must be what the oracle says, bit for bit.

mod common;

use common::engine::{self, Inputs, Record};
use common::naive;
use proptest::prelude::*;

const SPEC: &str = r#"
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

/// A record with times that tie and jump, and values that are null, negative and tiny.
fn record() -> impl Strategy<Value = Record> {
    let x = prop_oneof![
        Just(None),
        (-3i32..4).prop_map(|x| Some(f64::from(x) / 8.0)),
        any::<i16>().prop_map(|x| Some(f64::from(x) * 1e-9))
    ];
    (0u8..12, prop::option::weighted(0.9, 0u8..3), 0i64..3, x, 0i64..12, prop::bool::weighted(0.2)).prop_map(
        |(id, shop, item, x, step, back)| Record {
            id: format!("k{id}"),
            shop: shop.map(|shop| format!("s{shop}")),
            item,
            x,
            step: if back { -step * 6 } else { step },
            at: 0,
        },
    )
}

/// Records whose steps are added up to times.
fn topic(most: usize) -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec(record(), 0..most).prop_map(|mut records| {
        let mut now = 1_000_000;
        for record in &mut records {
            now += record.step;
            record.at = now;
        }
        records
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn oracle_of_features_examples_and_labels(
        asks in topic(60),
        sales in topic(120),
        prices in topic(20),
        read in 1usize..40,
        workers in 1usize..4,
    ) {
        let inputs = Inputs { asks, sales, prices };
        let expected = naive::compute(&inputs);
        let found = engine::run(SPEC, &inputs, read, workers);
        prop_assert_eq!(&found.tallies, &expected.tallies);
        prop_assert_eq!(&found.shop, &expected.shop);
        prop_assert_eq!(&found.pair, &expected.pair);
        // Score and version are learning's; they are the last two columns.
        let examples: Vec<_> = found.examples.iter().map(|row| row[..row.len() - 2].to_vec()).collect();
        prop_assert_eq!(&examples, &expected.examples);
    }
}
