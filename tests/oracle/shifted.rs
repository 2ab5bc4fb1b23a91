//! Views with `at` against a naive oracle: records that take effect at times of their own, as features, as examples, as
//! labels, and as records that look a table up.
//!
//! Records come late and tie before and after the shift; some have no new time, and some an earlier one.

use proptest::prelude::*;
use tidemill::value::Scalar;

use crate::common::engine::{Found, Inputs, Record, Run};
use crate::common::order::{Placed, changes, float, int, place, row_as_of, text};
use crate::common::spec::SHIFTED;
use crate::common::topics::topic;

/// A record of a view, with its place in the total order: time, key, offset.
#[derive(Clone, Debug)]
struct Known {
    order: (i64, String, usize),
    event_time: i64,
    record: Record,
    price: Option<f64>,
    later: Option<f64>,
}

/// The price of an item as of a time.
fn price(prices: &[Placed], item: i64, a: i64) -> Option<f64> {
    row_as_of(prices, item, a)?.x
}

/// The records that take effect before `end`, and the numbers of those without a time and with one that is too early.
fn known(sales: &[Placed], prices: &[Placed], end: i64) -> (Vec<Known>, u64, u64) {
    let (mut known, mut dropped, mut early) = (Vec::new(), 0, 0);
    for Placed { effective, offset, record, .. } in sales.iter().filter(|sale| sale.effective < end) {
        if record.x.is_none_or(|x| x == 0.125) {
            dropped += 1;
            continue;
        }
        let at = record.at + (record.item - 1) * 60 - 10;
        early += u64::from(at < record.at);
        let time = at.max(*effective);
        known.push(Known {
            order: (time, record.id.clone(), *offset),
            event_time: at.max(record.at),
            price: price(prices, record.item, *effective),
            later: price(prices, record.item, time),
            record: record.clone(),
        });
    }
    known.retain(|known| known.order.0 < end);
    known.sort_by(|a, b| a.order.cmp(&b.order));
    (known, dropped, early)
}

/// The records of a window as of `a`.
fn window<'a>(records: &[&'a Known], a: i64, size: i64, hop: i64) -> Vec<&'a Known> {
    let edge = (a - size).div_euclid(hop) * hop;
    records.iter().filter(|r| r.event_time >= edge && r.order.0 < a).copied().collect()
}

fn shop_vector(known: &[Known], shop: &Option<String>, a: i64) -> Vec<Scalar> {
    let of: Vec<&Known> = known.iter().filter(|r| shop.is_some() && r.record.shop == *shop).collect();
    let items: Vec<i64> = window(&of, a, 60, 7).iter().map(|r| r.record.item).collect();
    let sum = (!items.is_empty()).then(|| items.iter().sum());
    vec![Scalar::Int(items.len() as i64), int(sum), int(items.first().copied()), int(items.last().copied())]
}

fn pair_vector(known: &[Known], shop: &Option<String>, item: i64, a: i64) -> Vec<Scalar> {
    let of: Vec<&Known> =
        known.iter().filter(|r| shop.is_some() && r.record.shop == *shop && r.record.item == item).collect();
    let prices: Vec<f64> = window(&of, a, 120, 20).iter().filter_map(|r| r.later).collect();
    vec![Scalar::Int(prices.len() as i64), float(prices.last().copied())]
}

/// An example with the label that came of the first known record behind it.
fn example(known: &[Known], t: i64, of: &Known, label: &Known) -> Vec<Scalar> {
    let (time, record) = (label.order.0, &of.record);
    let mut row = vec![
        Scalar::Timestamp(t),
        Scalar::Timestamp(time),
        Scalar::Timestamp((time.div_euclid(200) + 1) * 200),
        Scalar::String(record.id.as_str().into()),
        text(&record.shop),
        Scalar::Int(record.item),
        float(of.price),
        float(of.later),
    ];
    row.extend(shop_vector(known, &record.shop, t));
    row.extend(pair_vector(known, &record.shop, record.item, t));
    row.push(Scalar::Float(f64::from(u8::from(label.record.x.unwrap() > 0.0))));
    row
}

/// The examples that are made of the view itself: a record is not its own label.
fn examples_of_the_view(known: &[Known]) -> Vec<Vec<Scalar>> {
    let row = |of: &Known| {
        let fits = |label: &&Known| {
            label.order > of.order && label.record.id == of.record.id && label.order.0 <= of.order.0 + 80
        };
        known.iter().find(fits).map(|label| example(known, of.order.0, of, label))
    };
    known.iter().filter_map(row).collect()
}

/// The examples that are made of another source.
fn examples_of_asks(known: &[Known], asks: &[Placed], prices: &[Placed]) -> Vec<Vec<Scalar>> {
    let row = |ask: &Placed| {
        let t = ask.effective;
        let fits = |label: &&Known| label.record.id == ask.record.id && (t..=t + 80).contains(&label.order.0);
        let of = Known {
            order: (t, ask.record.id.clone(), ask.offset),
            event_time: ask.record.at,
            record: ask.record.clone(),
            price: ask.record.x,
            later: price(prices, ask.record.item, t),
        };
        known.iter().find(fits).map(|label| example(known, t, &of, label))
    };
    let mut asks = asks.to_vec();
    asks.sort_by_key(|ask| (ask.effective, ask.record.id.clone(), ask.offset));
    asks.iter().filter_map(row).collect()
}

fn check(
    found: &Found,
    inputs: &Inputs,
    partitions: usize,
    until: Option<i64>,
    of_view: bool,
) -> Result<(), TestCaseError> {
    let asks = place("asks", &inputs.asks, 40, partitions);
    let sales = place("sales", &inputs.sales, 25, partitions);
    let mut prices = place("prices", &inputs.prices, 0, partitions);
    prices.sort_by_key(|price| (price.effective, price.record.item, price.offset));
    let newest = [&asks, &sales, &prices].into_iter().flatten().map(|placed| placed.effective).max();
    let end = until.unwrap_or(newest.map_or(i64::MIN, |newest| newest + 1));
    let (known, dropped, early) = known(&sales, &prices, end);

    let shops = changes(
        known.iter().map(|r| (r.order.0, &r.record)),
        |r| r.shop.clone(),
        |shop| vec![text(&Some(shop))],
        |r, a| shop_vector(&known, &r.shop, a),
    );
    prop_assert_eq!(&found.shop, &shops);
    let pairs = changes(
        known.iter().map(|r| (r.order.0, &r.record)),
        |r| r.shop.clone().map(|shop| (shop, r.item)),
        |(shop, item)| vec![text(&Some(shop)), Scalar::Int(item)],
        |r, a| pair_vector(&known, &r.shop, r.item, a),
    );
    prop_assert_eq!(&found.pair, &pairs);
    let examples = match of_view {
        true => examples_of_the_view(&known),
        false => examples_of_asks(&known, &asks, &prices),
    };
    // The last two columns are score and version.
    let unscored: Vec<Vec<Scalar>> = found.examples.iter().map(|row| row[..row.len() - 2].to_vec()).collect();
    prop_assert_eq!(&unscored, &examples);
    let counts = found.nulls.get("view.known.at").cloned().unwrap_or_default();
    let count = |reason: &str| counts.get(reason).copied().unwrap_or(0);
    prop_assert_eq!((count("no_time"), count("early_time")), (dropped, early));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn oracle_of_records_that_take_effect_later(
        asks in topic(60),
        sales in topic(80),
        prices in topic(20),
        end in prop::option::of(0i64..900),
        read in 1usize..40,
        workers in 1usize..4,
        partitions in 1usize..4,
        of_view in any::<bool>(),
    ) {
        let inputs = Inputs { asks, sales, prices };
        let until = end.map(|end| 1_000_000 + end);
        let spec = SHIFTED.replace("EXAMPLES", if of_view { "priced" } else { "asked" });
        let found = Run { spec: &spec, read, workers, partitions, until, ..Run::default() }.run(&inputs);
        check(&found, &inputs, partitions, until, of_view)?;
    }
}

/// A record is served from its new time on, however long it has been there.
#[test]
fn a_record_is_not_shown_before_it_takes_effect() {
    let sale = |id: &str, at: i64, item: i64| Record {
        id: id.to_owned(),
        shop: Some("s0".to_owned()),
        item,
        x: Some(1.0),
        step: 0,
        at: 1_000_000 + at,
    };
    let spec = SHIFTED.replace("EXAMPLES", "asked");
    let shown = |sales: Vec<Record>| {
        let found = Run { spec: &spec, ..Run::default() }.run(&Inputs { sales, ..Inputs::default() });
        found.shown.get("s0").map(|vector| vector[0].clone())
    };
    // Of item 2, a sale takes effect 50 ms later.
    assert_eq!(shown(vec![sale("a", 0, 2)]), None);
    assert_eq!(shown(vec![sale("a", 0, 2), sale("b", 49, 2)]), None);
    assert_eq!(shown(vec![sale("a", 0, 2), sale("b", 50, 2)]), Some(Scalar::Int(1)));
    assert_eq!(shown(vec![sale("a", 0, 2), sale("b", 50, 1)]), Some(Scalar::Int(2)));
}
