//! UNION ALL against a naive oracle: features and examples of a stream of two sources, one of which comes twice.
//!
//! Records of both sources tie in time and come late, so that the total order of the stream decides what is first and
//! last. Whatever the partitions, the batches and the workers, the files must be what the definition says.

use proptest::prelude::*;
use tidemill::value::Scalar;

use crate::common::engine::{Inputs, Record, Run};
use crate::common::order::{Placed, changes, float, int, place, row_as_of, text};
use crate::common::spec::UNITED;
use crate::common::topics::topic;

/// A record of the union, in the total order: time, source by name, key, offset, number of the SELECT.
#[derive(Clone, Debug)]
struct United {
    order: (i64, &'static str, String, usize, usize),
    record: Record,
}

/// The records of a window as of `a`.
fn window<'a>(records: &[&'a United], a: i64, size: i64, hop: i64) -> Vec<&'a United> {
    let edge = (a - size).div_euclid(hop) * hop;
    records.iter().filter(|r| r.record.at >= edge && r.order.0 < a).copied().collect()
}

fn shop_vector(both: &[United], shop: &Option<String>, a: i64) -> Vec<Scalar> {
    let of: Vec<&United> = both.iter().filter(|r| shop.is_some() && r.record.shop == *shop).collect();
    let items: Vec<i64> = window(&of, a, 60, 7).iter().map(|r| r.record.item).collect();
    let sum = (!items.is_empty()).then(|| items.iter().sum());
    vec![Scalar::Int(items.len() as i64), int(sum), int(items.first().copied()), int(items.last().copied())]
}

fn pair_vector(both: &[United], shop: &Option<String>, item: i64, a: i64) -> Vec<Scalar> {
    let of: Vec<&United> =
        both.iter().filter(|r| shop.is_some() && r.record.shop == *shop && r.record.item == item).collect();
    let xs: Vec<f64> = window(&of, a, 120, 20).iter().filter_map(|r| r.record.x).collect();
    vec![Scalar::Int(xs.len() as i64), float(xs.last().copied())]
}

/// The three SELECTs, merged in the total order.
fn unite(asks: &[Placed], sales: &[Placed], prices: &[Placed]) -> Vec<United> {
    let united = |placed: &Placed, source: &'static str, number: usize, record: Record| {
        let Placed { effective, offset, .. } = *placed;
        United { order: (effective, source, record.id.clone(), offset, number), record }
    };
    let mut both = Vec::new();
    for sale in sales {
        if sale.record.x.is_some_and(|x| x > 0.0) {
            both.push(united(sale, "sales", 0, sale.record.clone()));
        }
        both.push(united(sale, "sales", 2, Record { item: sale.record.item + 100, ..sale.record.clone() }));
    }
    for ask in asks {
        if let Some(price) = row_as_of(prices, ask.record.item, ask.effective) {
            both.push(united(ask, "asks", 1, Record { x: price.x, ..ask.record.clone() }));
        }
    }
    both.sort_by(|a, b| a.order.cmp(&b.order));
    both
}

/// The examples, each with the first sale of its id within 80 ms that is behind it: a sale is not its own label.
fn examples(both: &[United], sales: &[Placed]) -> Vec<Vec<Scalar>> {
    let mut rows = Vec::new();
    for United { order, record } in both {
        let t = order.0;
        let fits = |sale: &&Placed| {
            let place = (sale.effective, "sales", sale.record.id.clone(), sale.offset);
            let (t, source, id, offset, _) = order.clone();
            let is_behind = place > (t, source, id, offset);
            is_behind && sale.record.id == record.id && sale.record.x.is_some() && sale.effective <= t + 80
        };
        let Some(label) = sales.iter().find(fits) else { continue };
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
        ];
        row.extend(shop_vector(both, &record.shop, t));
        row.extend(pair_vector(both, &record.shop, record.item, t));
        row.push(Scalar::Float(f64::from(u8::from(label.record.x.unwrap() > 0.0))));
        rows.push(row);
    }
    rows
}

fn is_as_computed(inputs: &Inputs, read: usize, workers: usize, partitions: usize) -> Result<(), TestCaseError> {
    let asks = place("asks", &inputs.asks, 40, partitions);
    let mut sales = place("sales", &inputs.sales, 25, partitions);
    sales.sort_by_key(Placed::order);
    let mut prices = place("prices", &inputs.prices, 0, partitions);
    prices.sort_by_key(Placed::order);
    let both = unite(&asks, &sales, &prices);

    let found = Run { spec: UNITED, read, workers, partitions, ..Run::default() }.run(inputs);
    let shops = changes(
        both.iter().map(|r| (r.order.0, &r.record)),
        |r| r.shop.clone(),
        |shop| vec![text(&Some(shop))],
        |r, a| shop_vector(&both, &r.shop, a),
    );
    prop_assert_eq!(&found.shop, &shops);
    let pairs = changes(
        both.iter().map(|r| (r.order.0, &r.record)),
        |r| r.shop.clone().map(|shop| (shop, r.item)),
        |(shop, item)| vec![text(&Some(shop)), Scalar::Int(item)],
        |r, a| pair_vector(&both, &r.shop, r.item, a),
    );
    prop_assert_eq!(&found.pair, &pairs);
    // The last two columns are score and version.
    let unscored: Vec<Vec<Scalar>> = found.examples.iter().map(|row| row[..row.len() - 2].to_vec()).collect();
    prop_assert_eq!(&unscored, &examples(&both, &sales));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn oracle_of_features_and_examples_of_a_union_of_two_sources(
        asks in topic(60),
        sales in topic(80),
        prices in topic(20),
        read in 1usize..40,
        workers in 1usize..4,
        partitions in 1usize..4,
    ) {
        is_as_computed(&Inputs { asks, sales, prices }, read, workers, partitions)?;
    }
}
