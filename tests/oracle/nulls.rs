//! Values that are null because they could not be computed: each is counted once, where it became null.

use crate::common::engine::{Inputs, Record, Run};
use tidemill::value::Scalar;

const SPEC: &str = r#"
name = "nulls"

[source.sales]
topic = "sales"
format = "json"
key = ["id"]
time = "at"
where = "coalesce(10 / item > -1, true)"
columns = { id = "string", shop = "string?", item = "int", x = "float?", at = "timestamp" }

[view.logs]
sql = "SELECT s.*, ln(s.x) AS l FROM sales s"

[features.shop]
from = "logs"
entity = "shop"
aggregate = [
  { of = "x", op = ["sum", "mean", "count", "max"], windows = ["1h", "lifetime"] },
  { of = "item", op = "sum", windows = ["1h"], as = "items" },
]

[model.sold]
kind = "logistic"
examples = "logs"
features = ["shop.items_sum_1h", "x", "item", "l", "id"]
label = { value = "x > 0" }
window = "1h"
"#;

/// Four sales of one shop.
fn inputs() -> Inputs {
    let sale = |(at, item, x): (i64, i64, Option<f64>)| Record {
        id: format!("k{at}"),
        shop: Some("s0".to_owned()),
        item,
        x,
        step: 0,
        at: 1_000_000 + at,
    };
    let (large, huge) = (9_000_000_000_000_000_000, 4e19);
    let sales = [(0, 0, Some(1.0)), (1, large, Some(huge)), (2, large, Some(-1.0)), (3, 1, None)];
    Inputs { sales: sales.map(sale).into(), ..Inputs::default() }
}

#[test]
fn a_value_that_cannot_be_computed_is_null_and_counted_at_its_operator() {
    let expected = [
        // 4e19 is counted once for the line, whatever its windows and ops. Two of the items do not fit: as rows of the
        // third and the fourth sale, and for the fourth as an example.
        ("features.shop", vec![("sum_overflow", 3), ("unsummable", 1)]),
        // The second example has a large x and a large item, the third a large item and their sum.
        ("model.sold.learn", vec![("out_of_range", 4)]),
        // 10 / 0.
        ("source.sales", vec![("overflow", 1)]),
        // The logarithm of -1.
        ("view.logs", vec![("non_finite", 1)]),
    ];
    for (read, workers) in [(1, 1), (7, 1), (3, 2), (7, 3)] {
        let found = Run { spec: SPEC, read, workers, ..Run::default() }.run(&inputs());
        let counts = found.nulls.iter().map(|(operator, counts)| {
            (operator.as_str(), counts.iter().map(|(reason, count)| (reason.as_str(), *count)).collect::<Vec<_>>())
        });
        assert_eq!(counts.collect::<Vec<_>>(), expected, "{read} at a time on {workers} workers");
        let float = Scalar::Float;
        let second = [float(1.0), float(1.0), Scalar::Int(2), float(4e19)];
        assert_eq!(found.shop[1][2..6], second, "sum, mean, count and max");
        assert_eq!(found.shop[3].last(), Some(&Scalar::Null), "the sum of the items");
    }
}
