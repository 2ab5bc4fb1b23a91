//! Labels that are joined from a stream, against a join of all records: by the definition, and nothing else.
//!
//! Examples and labels may be of one source, of two or of a union, tie in time and come late. Whatever the partitions, the
//! batches, the workers and restarts, each example must have the label that the definition says, at the time it says.

use proptest::prelude::*;
use tidemill::value::Scalar;

use crate::common::engine::{Found, Inputs, Record, Run};
use crate::common::order::{Placed, place};
use crate::common::topics::topic;

const STREAMS: [&str; 3] = ["asks", "sales", "both"];

/// A label, as a dataflow file declares it.
#[derive(Clone, Debug)]
struct JoinedLabel {
    examples: &'static str,
    from: &'static str,
    on: &'static str,
    after: i64,
    within: i64,
    learn: Option<&'static str>,
    otherwise: Option<i64>,
    value: &'static str,
}

/// Values of labels: of one record, with the example's columns and without, and totals of all.
const VALUES: [&str; 7] =
    ["x", "x - example.x", "example.item", "count(*)", "sum(x)", "max(x * example.x)", "sum(item + example.item)"];

/// The value that a record has for an example, if it has one.
fn value_of(value: &str, record: &Record, example: &Record) -> Option<f64> {
    match value {
        "x" | "sum(x)" => record.x,
        "x - example.x" => Some(record.x? - example.x?),
        "example.item" => Some(example.item as f64),
        "count(*)" => Some(1.0),
        "max(x * example.x)" => Some(record.x? * example.x?),
        "sum(item + example.item)" => Some((record.item + example.item) as f64),
        other => panic!("{other} has no definition"),
    }
}

/// Returns whether two records have the same value of a column. A null equals nothing.
fn is_equal(column: &str, one: &Record, other: &Record) -> bool {
    match column {
        "item" => one.item == other.item,
        "shop" => one.shop.is_some() && one.shop == other.shop,
        other => panic!("{other} has no definition"),
    }
}

/// The total of values by its definition. Sums are of integers, times 10^9.
fn total(value: &str, values: &[f64]) -> Option<f64> {
    match value.split('(').next() {
        Some("count") => Some(values.len() as f64),
        Some("max") => values.iter().copied().max_by(f64::total_cmp),
        _ if values.is_empty() => None,
        _ => Some(values.iter().map(|x| (x * 1e9).round_ties_even() as i64).sum::<i64>() as f64 / 1e9),
    }
}

impl JoinedLabel {
    fn is_learnt_at_horizon(&self) -> bool {
        let is_total = self.value.contains('(');
        self.learn.map_or(is_total || self.otherwise.is_some(), |learn| learn == "horizon")
    }

    fn spec(&self) -> String {
        let source = |name: &str, lateness: i64| {
            format!(
                "[source.{name}]\ntopic = \"{name}\"\nformat = \"json\"\nkey = [\"id\"]\ntime = \"at\"\nlateness = \"{lateness}ms\"\n\
                 columns = {{ id = \"string\", shop = \"string?\", item = \"int\", x = \"float?\", at = \"timestamp\" }}\n"
            )
        };
        let JoinedLabel { examples, from, on, after, within, value, .. } = self;
        let learn = self.learn.map_or(String::new(), |learn| format!(", learn = \"{learn}\""));
        let otherwise = self.otherwise.map_or(String::new(), |label| format!(", otherwise = {label}"));
        let instance = if *examples == "both" { "instance = \"asks\"\n" } else { "" };
        format!(
            "name = \"labels\"\n{}{}\
             [view.both]\nsql = \"SELECT * FROM asks UNION ALL SELECT * FROM sales\"\n\
             [model.sold]\nkind = \"linear\"\nexamples = \"{examples}\"\n{instance}features = [\"item\"]\nwindow = \"50ms\"\n\
             label = {{ from = \"{from}\", on = \"{on}\", value = \"{value}\", after = \"{after}ms\", within = \"{within}ms\"{learn}{otherwise} }}\n",
            source("asks", 40),
            source("sales", 25),
        )
    }
}

/// The fates of examples: time, time of learning, id and label of those that are learnt, and the numbers of those
/// that are dropped and that wait.
#[derive(Debug, Default, PartialEq)]
struct Fates {
    learnt: Vec<(i64, i64, String, String)>,
    dropped: u64,
    waiting: u64,
}

impl Fates {
    fn of(label: &JoinedLabel, inputs: &Inputs, partitions: usize) -> Fates {
        let asks = place("asks", &inputs.asks, 40, partitions);
        let sales = place("sales", &inputs.sales, 25, partitions);
        let Some(end) = asks.iter().chain(&sales).map(|placed| placed.effective + 1).max() else {
            return Fates::default();
        };
        let stream = |name: &str| {
            let asks = asks.iter().filter(|_| name != "sales");
            let mut records: Vec<&Placed> = asks.chain(sales.iter().filter(|_| name != "asks")).collect();
            records.sort_by(|a, b| a.order().cmp(&b.order()));
            records
        };
        let shares_source = label.examples == label.from || [label.examples, label.from].contains(&"both");
        let labels = stream(label.from);
        let mut fates = Fates::default();
        for example in stream(label.examples) {
            let t = example.effective;
            let horizon = t + label.within;
            let belongs = |other: &&&Placed| {
                is_equal(label.on, &other.record, &example.record)
                    && (t + label.after..=horizon).contains(&other.effective)
                    && (!shares_source || other.order() > example.order())
                    && other.effective < end
            };
            let valued =
                |other: &&Placed| Some((other.effective, value_of(label.value, &other.record, &example.record)?));
            let valued: Vec<(i64, f64)> = labels.iter().filter(belongs).filter_map(valued).collect();
            let first = valued.first().copied();
            let known = first.map(|(known, _)| known).filter(|_| !label.is_learnt_at_horizon()).unwrap_or(horizon);
            let found = match label.value.contains('(') {
                true => total(label.value, &valued.into_iter().map(|(_, value)| value).collect::<Vec<_>>()),
                false => first.map(|(_, value)| value),
            };
            let value = found.or(label.otherwise.map(|value| value as f64));
            match value {
                _ if known >= end => fates.waiting += 1,
                None => fates.dropped += 1,
                Some(value) => fates.learnt.push((t, known, example.record.id.clone(), format!("{value:?}"))),
            }
        }
        fates.learnt.sort();
        fates
    }

    fn found(found: &Found) -> Fates {
        let time = |value: &Scalar| match value {
            Scalar::Timestamp(time) => *time,
            other => panic!("{other:?} is not a time"),
        };
        let row = |row: &Vec<Scalar>| match (&row[3], &row[row.len() - 3]) {
            (Scalar::String(id), Scalar::Float(label)) => {
                (time(&row[0]), time(&row[1]), id.to_string(), format!("{label:?}"))
            }
            other => panic!("{other:?} are not an id and a label"),
        };
        let mut learnt: Vec<_> = found.examples.iter().map(row).collect();
        learnt.sort();
        Fates { learnt, dropped: found.unlabelled, waiting: found.waiting }
    }
}

fn label() -> impl Strategy<Value = JoinedLabel> {
    let times = (prop_oneof![Just(0i64), 1i64..60], 0i64..120);
    let learn = prop_oneof![2 => Just(None), 1 => Just(Some("known")), 1 => Just(Some("horizon"))];
    let on = prop::sample::select(vec!["item", "shop"]);
    (0..3usize, 0..3usize, on, 0..VALUES.len(), times, learn, prop::option::of(-9i64..9)).prop_map(
        |(examples, from, on, value, (after, more), learn, otherwise)| {
            let value = VALUES[value];
            JoinedLabel {
                examples: STREAMS[examples],
                from: STREAMS[from],
                on,
                after,
                within: after + more,
                learn: learn.filter(|learn| *learn == "horizon" || !value.contains('(')),
                otherwise: otherwise.filter(|_| value != "count(*)"),
                value,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn oracle_of_joined_labels(
        label in label(),
        asks in topic(50),
        sales in topic(50),
        read in 1usize..40,
        workers in 1usize..4,
        partitions in 1usize..4,
        at in 0i64..700,
    ) {
        let inputs = Inputs { asks, sales, ..Inputs::default() };
        let expected = Fates::of(&label, &inputs, partitions);
        let spec = label.spec();
        let snapshot = Some(1_000_000 + at);
        let whole = Run { spec: &spec, read, workers, partitions, snapshot, ..Run::default() }.run(&inputs);
        prop_assert_eq!(&Fates::found(&whole), &expected);
        if let Some((time, parts)) = whole.snapshot {
            let start = Some((time, parts));
            let resumed = Run { spec: &spec, workers: 4 - workers, partitions, start, ..Run::default() }.run(&inputs);
            let rest = expected.learnt.into_iter().filter(|(_, known, ..)| *known >= time).collect();
            prop_assert_eq!(Fates::found(&resumed), Fates { learnt: rest, ..expected });
        }
    }
}

#[test]
fn a_record_is_never_its_own_label() {
    let record = |id: &str, at: i64, x: f64| Record {
        id: id.into(),
        shop: None,
        item: 1,
        x: Some(x),
        step: 0,
        at: 1_000_000 + at,
    };
    // Two at one time: the second in the total order labels the first. The last has no other behind it.
    let asks = vec![record("k2", 0, 2.0), record("k1", 0, 1.0), record("k3", 5, 3.0)];
    let label = JoinedLabel {
        examples: "asks",
        from: "asks",
        on: "item",
        after: 0,
        within: 1000,
        learn: None,
        otherwise: None,
        value: "x",
    };
    let found = Run { spec: &label.spec(), ..Run::default() }.run(&Inputs { asks, ..Inputs::default() });
    let learnt = |id: &str, known: i64, label: &str| (1_000_000, 1_000_000 + known, id.to_owned(), label.to_owned());
    let expected = Fates { learnt: vec![learnt("k1", 0, "2.0"), learnt("k2", 5, "3.0")], dropped: 0, waiting: 1 };
    assert_eq!(Fates::found(&found), expected);
}

#[test]
fn with_otherwise_a_label_is_not_learnt_before_its_horizon() {
    let record = |id: &str, item: i64, at: i64| Record {
        id: id.into(),
        shop: None,
        item,
        x: Some(1.0),
        step: 0,
        at: 1_000_000 + at,
    };
    // The second is sold at once and the first is not: both are learnt in order of their own times.
    let asks = vec![record("no", 1, 0), record("yes", 2, 1)];
    let sales = vec![record("yes", 2, 2), record("end", 9, 500)];
    let inputs = Inputs { asks, sales, ..Inputs::default() };
    let mut label = JoinedLabel {
        examples: "asks",
        from: "sales",
        on: "item",
        after: 0,
        within: 100,
        learn: None,
        otherwise: Some(0),
        value: "x",
    };
    let learnt = |at: i64, known: i64, id: &str, label: &str| {
        (1_000_000 + at, 1_000_000 + known, id.to_owned(), label.to_owned())
    };
    let found = Run { spec: &label.spec(), ..Run::default() }.run(&inputs);
    assert_eq!(Fates::found(&found).learnt, [learnt(0, 100, "no", "0.0"), learnt(1, 101, "yes", "1.0")]);
    label.learn = Some("known");
    let found = Run { spec: &label.spec(), ..Run::default() }.run(&inputs);
    assert_eq!(Fates::found(&found).learnt, [learnt(0, 100, "no", "0.0"), learnt(1, 2, "yes", "1.0")]);
}
