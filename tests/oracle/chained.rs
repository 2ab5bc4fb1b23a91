//! Views whose records look feature groups up, against a naive oracle: as features of other groups, as examples, and as
//! the records that look those groups up in turn.
//!
//! Every vector is recomputed from all the records before the one that has it. Records come late and tie.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemill::value::Scalar;

use crate::common::engine::{Found, Inputs, Record, Run};
use crate::common::order::{Order, Placed, changes, float, int, place, row_as_of, text};
use crate::common::spec::CHAINED;
use crate::common::topics::topic;

/// A record of the view `scored`.
#[derive(Clone, Debug)]
struct Scored {
    order: Order,
    record: Record,
    busy: i64,
    twice: Option<i64>,
    seen: i64,
    top: Option<f64>,
    others: Option<i64>,
    price: Option<f64>,
}

/// A record of the view `deep`.
#[derive(Clone, Debug)]
struct Deep {
    order: Order,
    record: Record,
    sums: Option<i64>,
}

/// Returns whether a record that takes effect at `effective` counts in a window as of `a`.
fn is_in(effective: i64, record: &Record, a: i64, size: i64, hop: i64) -> bool {
    record.at >= (a - size).div_euclid(hop) * hop && effective < a
}

/// The records of a topic that take effect before `end`, in the total order.
fn placed(topic: &'static str, records: &[Record], lateness: i64, partitions: usize, end: i64) -> Vec<Placed> {
    let mut placed = place(topic, records, lateness, partitions);
    placed.retain(|placed| placed.effective < end);
    placed.sort_by_key(Placed::order);
    placed
}

/// The sum of ints, null of none.
fn sum(of: impl Iterator<Item = i64> + Clone) -> Option<i64> {
    of.clone().next().map(|_| of.sum())
}

/// The items of a shop as of `a`.
fn items(sales: &[Placed], shop: &Option<String>, a: i64) -> Vec<i64> {
    let of = sales
        .iter()
        .filter(|sale| shop.is_some() && sale.record.shop == *shop && is_in(sale.effective, &sale.record, a, 60, 7));
    of.map(|sale| sale.record.item).collect()
}

/// The price of an item as of a time.
fn price(prices: &[Placed], item: i64, a: i64) -> Option<f64> {
    row_as_of(prices, item, a)?.x
}

fn scored(asks: &[Placed], sales: &[Placed], prices: &[Placed]) -> Vec<Scored> {
    let of_ask = |ask: &Placed| {
        let (t, record) = (ask.effective, &ask.record);
        let items = items(sales, &record.shop, t);
        let same =
            asks.iter().filter(|ask| ask.record.item == record.item && is_in(ask.effective, &ask.record, t, 100, 10));
        let xs = same.clone().map(|ask| ask.record.x).chain([record.x]).flatten();
        Scored {
            busy: items.len() as i64,
            twice: Some(sum(items.iter().copied()).map_or(-1, |sum| sum * 2)),
            seen: same.clone().count() as i64 + 1,
            top: xs.max_by(f64::total_cmp),
            others: Some(same.count() as i64),
            price: price(prices, record.item, t),
            order: ask.order(),
            record: record.clone(),
        }
    };
    let of_sale = |sale: &Placed| {
        let record = &sale.record;
        let shop = if record.item == 0 { Some("s0".to_owned()) } else { record.shop.clone() };
        let items = items(sales, &shop, sale.effective);
        Scored {
            busy: items.len() as i64,
            twice: sum(items.iter().copied()).map(|sum| sum * 2),
            seen: 0,
            top: record.x,
            others: items.last().copied(),
            price: record.x,
            order: sale.order(),
            record: record.clone(),
        }
    };
    let mut scored: Vec<Scored> = asks.iter().map(of_ask).chain(sales.iter().map(of_sale)).collect();
    scored.sort_by(|a, b| a.order.cmp(&b.order));
    scored
}

fn pair_vector(scored: &[Scored], shop: &Option<String>, item: i64, a: i64) -> Vec<Scalar> {
    let is_of = |record: &Record| shop.is_some() && record.shop == *shop && record.item == item;
    let of: Vec<&Scored> =
        scored.iter().filter(|r| is_of(&r.record) && is_in(r.order.0, &r.record, a, 120, 20)).collect();
    vec![
        Scalar::Int(of.len() as i64),
        int(sum(of.iter().map(|r| r.busy))),
        int(of.last().map(|r| r.busy)),
        int(sum(of.iter().map(|r| r.seen))),
        float(of.iter().filter_map(|r| r.top).max_by(f64::total_cmp)),
    ]
}

fn deep(sales: &[Placed], scored: &[Scored]) -> Vec<Deep> {
    let of = |sale: &Placed| {
        let record = &sale.record;
        let sums = match pair_vector(scored, &record.shop, record.item + 1, sale.effective)[1] {
            Scalar::Int(sum) => Some(sum),
            _ => None,
        };
        Deep { order: sale.order(), record: record.clone(), sums }
    };
    sales.iter().map(of).collect()
}

fn ever_vector(deep: &[Deep], shop: &Option<String>, a: i64) -> Vec<Scalar> {
    let of = deep.iter().filter(|r| r.record.shop == *shop && r.order.0 < a).filter_map(|r| r.sums);
    vec![Scalar::Int(of.clone().count() as i64), int(sum(of))]
}

/// The examples, each with the first sale of its id within 80 ms that is behind it: a sale is not its own label.
fn examples(scored: &[Scored], sales: &[Placed]) -> Vec<Vec<Scalar>> {
    let row = |of: &Scored| {
        let (t, record) = (of.order.0, &of.record);
        let fits = |sale: &&Placed| {
            sale.order() > of.order
                && sale.record.id == record.id
                && sale.record.x.is_some()
                && sale.effective <= t + 80
        };
        let label = sales.iter().find(fits)?;
        let known = label.effective;
        let mut row = vec![
            Scalar::Timestamp(t),
            Scalar::Timestamp(known),
            Scalar::Timestamp((known.div_euclid(200) + 1) * 200),
            Scalar::String(record.id.as_str().into()),
            text(&record.shop),
            Scalar::Int(record.item),
            float(record.x),
            Scalar::Timestamp(record.at),
            Scalar::Int(of.busy),
            int(of.twice),
            Scalar::Int(of.seen),
            float(of.top),
            int(of.others),
            float(of.price),
        ];
        row.extend(pair_vector(scored, &record.shop, record.item, t));
        row.push(Scalar::Float(f64::from(u8::from(label.record.x? > 0.0))));
        Some(row)
    };
    scored.iter().filter_map(row).collect()
}

fn check(found: &Found, inputs: &Inputs, partitions: usize, until: Option<i64>) -> Result<(), TestCaseError> {
    let end = until.unwrap_or(i64::MAX);
    let asks = placed("asks", &inputs.asks, 40, partitions, end);
    let sales = placed("sales", &inputs.sales, 25, partitions, end);
    let prices = placed("prices", &inputs.prices, 0, partitions, end);
    let scored = scored(&asks, &sales, &prices);
    let deep = deep(&sales, &scored);

    let pairs = changes(
        scored.iter().map(|r| (r.order.0, &r.record)),
        |r| r.shop.clone().map(|shop| (shop, r.item)),
        |(shop, item)| vec![text(&Some(shop)), Scalar::Int(item)],
        |r, a| pair_vector(&scored, &r.shop, r.item, a),
    );
    prop_assert_eq!(&found.pair, &pairs);
    let ever = changes(
        deep.iter().map(|r| (r.order.0, &r.record)),
        |r| r.shop.clone(),
        |shop| vec![text(&Some(shop))],
        |r, a| ever_vector(&deep, &r.shop, a),
    );
    prop_assert_eq!(&found.ever, &ever);
    // An entity is kept while it has records that count.
    let counts = |vector: &[Scalar]| vector[0] != Scalar::Int(0);
    let vector = |r: &Deep| Some((r.record.shop.clone()?, ever_vector(&deep, &r.record.shop, i64::MAX)));
    let expected: BTreeMap<String, Vec<Scalar>> =
        deep.iter().filter_map(vector).filter(|(_, vector)| counts(vector)).collect();
    let shown = found.shown_ever.iter().filter(|(_, vector)| counts(vector));
    prop_assert_eq!(shown.map(|(shop, vector)| (shop.clone(), vector.clone())).collect::<BTreeMap<_, _>>(), expected);
    // The last two columns are score and version.
    let unscored: Vec<Vec<Scalar>> = found.examples.iter().map(|row| row[..row.len() - 2].to_vec()).collect();
    prop_assert_eq!(&unscored, &examples(&scored, &sales));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn oracle_of_features_of_features(
        asks in topic(60),
        sales in topic(80),
        prices in topic(20),
        end in prop::option::of(0i64..900),
        read in 1usize..40,
        workers in 1usize..4,
        partitions in 1usize..4,
    ) {
        let inputs = Inputs { asks, sales, prices };
        let until = end.map(|end| 1_000_000 + end);
        let found = Run { spec: CHAINED, read, workers, partitions, until, ..Run::default() }.run(&inputs);
        check(&found, &inputs, partitions, until)?;
    }
}

/// An entity that was dropped at the bound of its group has the features of no records, for views as for examples.
#[test]
fn an_entity_that_was_dropped_has_the_features_of_no_records() {
    let record = |id: &str, shop: &str, at: i64| Record {
        id: id.to_owned(),
        shop: Some(shop.to_owned()),
        item: 1,
        x: Some(1.0),
        step: 0,
        at: 1_000_000 + at,
    };
    let inputs = Inputs {
        asks: vec![record("k1", "s0", 20), record("k2", "s1", 21)],
        sales: vec![record("a", "s0", 0), record("b", "s1", 10), record("k1", "s9", 50), record("k2", "s9", 51)],
        prices: Vec::new(),
    };
    let group = "[features.shop]\nfrom = \"sales\"\nentity = \"shop\"\n";
    assert!(CHAINED.contains(group));
    let bounded = CHAINED.replace(group, &format!("{group}max_entities = 1\n"));
    let busy = |spec: &str| {
        let found = Run { spec, workers: 2, ..Run::default() }.run(&inputs);
        let of = |row: &Vec<Scalar>| (row[3].clone(), row[8].clone(), row[9].clone());
        found.examples.iter().map(of).collect::<Vec<_>>()
    };
    let row = |id: &str, busy: i64, twice: i64| (Scalar::String(id.into()), Scalar::Int(busy), Scalar::Int(twice));
    assert_eq!(busy(CHAINED), [row("k1", 1, 2), row("k2", 1, 2)]);
    assert_eq!(busy(&bounded), [row("k1", 0, -1), row("k2", 1, 2)]);
}
