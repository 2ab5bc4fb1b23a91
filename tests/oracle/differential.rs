//! Differential dataflow's own `reduce` as a second oracle.
//!
//! A record is inserted into a collection at the first time as of which a window holds it, and removed at the first as
//! of which the window no longer does. What `reduce` makes of the collection at a time is then what an example of that
//! time looks up. Nothing here is shared with the engine, nor with the naive oracle.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;

use differential_dataflow::input::Input;
use proptest::prelude::*;
use tidemill::value::Scalar;
use timely::dataflow::operators::Inspect;

use crate::common::engine::{Inputs, Record, Run};
use crate::common::spec::TOPICS;
use crate::common::topics::topic;

const OPS: [&str; 7] = ["count", "sum", "mean", "min", "max", "range", "distinct"];

/// Columns of an example before its features: its times, and those of its stream.
const BEFORE: usize = 8;

/// A window: its text, and the times from and until which it holds a record of a time.
struct Span {
    text: &'static str,
    lag: i64,
    holds: fn(i64) -> (i64, Option<i64>),
}

/// The first time at which the edge of a sliding window is behind a record.
fn leaves(at: i64, size: i64, hop: i64) -> i64 {
    (at.div_euclid(hop) + 1) * hop + size
}

const SPANS: [Span; 6] = [
    Span { text: r#"{ sliding = "100ms", hop = "10ms" }"#, lag: 0, holds: |at| (at + 1, Some(leaves(at, 100, 10))) },
    Span { text: r#"{ sliding = "50ms", hop = "1ms" }"#, lag: 0, holds: |at| (at + 1, Some(leaves(at, 50, 1))) },
    Span { text: r#"{ sliding = "60ms", hop = "7ms" }"#, lag: 45, holds: |at| (at + 1, Some(leaves(at, 60, 7))) },
    Span {
        text: r#"{ tumbling = "70ms" }"#,
        lag: 0,
        holds: |at| ((at.div_euclid(70) + 1) * 70, Some((at.div_euclid(70) + 2) * 70)),
    },
    Span { text: r#"{ cumulative = "90ms" }"#, lag: 0, holds: |at| (at + 1, Some((at.div_euclid(90) + 1) * 90)) },
    Span { text: "\"lifetime\"", lag: 0, holds: |at| (at + 1, None) },
];

fn spec() -> String {
    let mut lines = String::new();
    for Span { text, lag, .. } in &SPANS {
        let lag = if *lag > 0 { format!(", lag = \"{lag}ms\"") } else { String::new() };
        writeln!(lines, "  {{ of = \"x\", op = {OPS:?}, windows = [{text}]{lag} }},").unwrap();
    }
    format!(
        r#"name = "reduced"
{TOPICS}
[features.shop]
from = "sales"
entity = "shop"
aggregate = [
{lines}]

[model.sold]
kind = "logistic"
examples = "asks"
features = ["shop.*"]
label = {{ value = "item > 0" }}
window = "200ms"
"#
    )
}

/// A number in units of 1e-9, in which sums of it are exact, and its bits.
type Number = (i64, u64);

/// The numbers of a shop, reduced: count, sum in units of 1e-9, the least and greatest number by their bits, and
/// how many are distinct.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
struct Reduced {
    count: i64,
    sum: i64,
    min: u64,
    max: u64,
    distinct: i64,
}

/// An update of what a shop has: time, shop, values, and 1 for an insertion, -1 for a removal.
type Update = (u64, String, Reduced, isize);

fn reduce(values: &[(&Number, isize)]) -> Reduced {
    // They come in ascending order.
    Reduced {
        count: values.iter().map(|(_, times)| *times as i64).sum(),
        sum: values.iter().map(|((number, _), times)| *number * *times as i64).sum(),
        min: values[0].0.1,
        max: values[values.len() - 1].0.1,
        distinct: values.len() as i64,
    }
}

impl Reduced {
    /// The features, in the order of [`OPS`].
    fn features(&self) -> Vec<Scalar> {
        let (min, max) = (f64::from_bits(self.min), f64::from_bits(self.max));
        vec![
            Scalar::Int(self.count),
            Scalar::Float(self.sum as f64 / 1e9),
            Scalar::Float(self.sum as f64 / (self.count * 1_000_000_000) as f64),
            Scalar::Float(min),
            Scalar::Float(max),
            Scalar::Float(max - min),
            Scalar::Int(self.distinct),
        ]
    }
}

/// The values of shops over time, from the records that a window holds.
fn updates(sales: &[Record], span: &'static Span) -> Vec<Update> {
    let number = |x: f64| -> Number { ((x * 1e9).round() as i64, x.to_bits()) };
    let entry = |sale: &Record| Some((sale.shop.clone()?, number(sale.x?), sale.at));
    let entries: Vec<(String, Number, i64)> = sales.iter().filter_map(entry).collect();
    timely::execute_directly(move |worker| {
        let found = Rc::new(RefCell::new(Vec::new()));
        let into = Rc::clone(&found);
        let mut input = worker.dataflow::<u64, _, _>(|scope| {
            let (input, numbers) = scope.new_collection::<(String, Number), isize>();
            let reduced = numbers.reduce(|_, values, output| output.push((reduce(values), 1)));
            reduced.inner.inspect(move |((shop, values), time, times): &((String, Reduced), u64, isize)| {
                into.borrow_mut().push((*time, shop.clone(), values.clone(), *times));
            });
            input
        });
        for (shop, value, at) in entries {
            let (from, until) = (span.holds)(at);
            input.update_at((shop.clone(), value), (from + span.lag) as u64, 1);
            if let Some(until) = until {
                input.update_at((shop, value), (until + span.lag) as u64, -1);
            }
        }
        input.close();
        while worker.step() {}
        found.take()
    })
}

/// Returns the features of a shop as of a time.
fn as_of(updates: &[Update], shop: &str, time: i64) -> Vec<Scalar> {
    let mut all: BTreeMap<&Reduced, isize> = BTreeMap::new();
    for (_, _, values, times) in updates.iter().filter(|update| update.1 == shop && update.0 <= time as u64) {
        *all.entry(values).or_default() += times;
    }
    all.retain(|_, times| *times != 0);
    assert!(all.len() < 2, "{shop} has several values at {time}: {all:?}");
    let nothing =
        || OPS.map(|op| if ["count", "distinct"].contains(&op) { Scalar::Int(0) } else { Scalar::Null }).into();
    all.keys().next().map_or_else(nothing, |values| values.features())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn oracle_of_windows_by_reduce(
        mut asks in topic(40),
        mut sales in topic(90),
        read in 1usize..40,
        workers in 1usize..4,
    ) {
        // A record then takes effect at its own time.
        asks.sort_by_key(|ask| ask.at);
        sales.sort_by_key(|sale| sale.at);
        let inputs = Inputs { asks, sales, ..Inputs::default() };
        let found = Run { spec: &spec(), read, workers, ..Run::default() }.run(&inputs);
        let reduced: Vec<Vec<Update>> = SPANS.iter().map(|span| updates(&inputs.sales, span)).collect();
        for row in &found.examples {
            let Scalar::Timestamp(time) = row[0] else { panic!("an example has a time") };
            let Scalar::String(id) = &row[3] else { panic!("an example has an id") };
            let expected = |shop: &str| -> Vec<Scalar> {
                reduced.iter().flat_map(|updates| as_of(updates, shop, time)).collect()
            };
            let own = &row[BEFORE..BEFORE + OPS.len() * SPANS.len()];
            match &row[4] {
                Scalar::String(shop) => prop_assert_eq!(own, &expected(shop)[..], "{} at {}", id, time),
                _ => prop_assert!(own.iter().all(|feature| matches!(feature, Scalar::Null | Scalar::Int(0)))),
            }
        }
    }
}
