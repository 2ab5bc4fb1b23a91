//! The engine against a naive oracle, which recomputes every feature, example and label from all the records.
//!
//! Records come out of order within the lateness and beyond, with ties in time, in batches of any size, on one to three
//! workers: the files that the engine writes must be what the oracle says, bit for bit.

use std::sync::Arc;

use crate::common::engine::{self, Found, Inputs, Record, Run};
use crate::common::naive;
use crate::common::spec::{BOUNDED, SPEC};
use crate::common::topics::{rising, topic};
use proptest::prelude::*;
use tidemill::flow::Plan;
use tidemill::flow::op::SliceLength;
use tidemill::value::Scalar;

/// A late record that no window can hold, of an entity whose last record leaves at the very time at which it takes
/// effect: it changes nothing, and is given out as a change all the same.
#[test]
fn a_record_that_comes_as_its_entity_leaves_is_a_change_in_batches_of_any_size() {
    let sale = |id: &str, shop: &str, at: i64| Record {
        id: id.to_owned(),
        shop: Some(shop.to_owned()),
        item: 2,
        x: None,
        step: 0,
        at: 1_000_000 + at,
    };
    let sales = vec![sale("k0", "s0", 0), sale("k1", "s1", 165), sale("k2", "s0", 5), sale("k3", "s2", 400)];
    let inputs = Inputs { sales, ..Inputs::default() };
    let expected = naive::compute(&inputs);
    assert_eq!(expected.pair[1][..2], [Scalar::Timestamp(1_000_140), Scalar::String("s0".into())]);
    for read in 1..6 {
        let found = Run { read, ..Run::default() }.run(&inputs);
        assert_eq!((found.shop, found.pair), (expected.shop.clone(), expected.pair.clone()), "{read} at a time");
    }
}

/// The price of item 1: written at 10, then late at 5; deleted at 20, then written late at 15; written at 30.
fn late_prices() -> Inputs {
    let record = |id: &str, at: i64, x: Option<f64>, shop: Option<&str>| Record {
        id: id.to_owned(),
        shop: shop.map(str::to_owned),
        item: 1,
        x,
        step: 0,
        at: 1_000_000 + at,
    };
    let price = |(at, x): (i64, Option<f64>)| record("", at, x, x.map(|_| "s0"));
    let asks: Vec<Record> = [11, 21, 31].map(|at| record(&format!("k{at}"), at, None, Some("s0"))).into();
    let sales = asks.iter().map(|ask| Record { at: ask.at + 60, x: Some(1.0), ..ask.clone() }).collect();
    let prices = [(10, Some(10.0)), (5, Some(5.0)), (20, None), (15, Some(15.0)), (30, Some(30.0)), (25, None)];
    Inputs { asks, sales, prices: prices.map(price).into() }
}

#[test]
fn a_late_record_of_a_table_replaces_no_row_and_no_delete_of_a_newer_time() {
    let inputs = late_prices();
    let prices = |found: &Found| found.examples.iter().map(|row| row[8].clone()).collect::<Vec<_>>();
    let expected = [Scalar::Float(10.0), Scalar::Null, Scalar::Float(30.0)];
    for read in [1, 2, 7] {
        let found = Run { read, workers: 2, ..Run::default() }.run(&inputs);
        assert_eq!(prices(&found), expected, "{read} at a time");
        assert_eq!(found.prices[&1][1], Scalar::Float(30.0), "the row that is served");
        assert_eq!(found.tallies["prices"].late, 3, "they are counted as late all the same");
    }
    // The delete at 20 is remembered where no row is left to say so.
    let upto = |records: usize| Inputs { prices: inputs.prices[..records].to_vec(), ..late_prices() };
    let found = Run::default().run(&upto(4));
    assert_eq!(found.prices.get(&1), None, "the row that is served");
    for at in [11, 20, 21] {
        let stopped = Run { snapshot: Some(1_000_000 + at), ..Run::default() }.run(&inputs);
        let resumed = Run { start: stopped.snapshot, workers: 2, ..Run::default() }.run(&inputs);
        assert_eq!(prices(&resumed), expected[expected.len() - prices(&resumed).len()..], "from {at} on");
        assert_eq!(resumed.prices[&1][1], Scalar::Float(30.0), "from {at} on");
    }
}

/// Examples without score and version, which are learning's: the last two columns.
fn unscored(found: &Found) -> Vec<Vec<Scalar>> {
    found.examples.iter().map(|row| row[..row.len() - 2].to_vec()).collect()
}

fn is_as_computed(found: &Found, expected: &naive::Expected) -> Result<(), TestCaseError> {
    prop_assert_eq!(&found.tallies, &expected.tallies);
    prop_assert_eq!(&found.shop, &expected.shop);
    prop_assert_eq!(&found.pair, &expected.pair);
    prop_assert_eq!(&found.ever, &expected.ever);
    prop_assert_eq!(&found.collected, &expected.collected);
    prop_assert_eq!(&found.defaulted, &expected.defaulted);
    prop_assert_eq!(&found.own, &expected.own);
    prop_assert_eq!(&found.by_shop, &expected.by_shop);
    prop_assert_eq!(&found.shown, &expected.shown);
    prop_assert_eq!(&found.shown_ever, &expected.shown_ever);
    prop_assert_eq!(&unscored(found), &expected.examples);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

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
        let found = engine::run(&SPEC, &inputs, read, workers);
        is_as_computed(&found, &expected)?;
    }

    #[test]
    fn oracle_of_what_takes_effect_before_the_end_that_was_asked_for(
        asks in topic(60),
        sales in topic(120),
        prices in topic(20),
        end in -20i64..600,
        read in 1usize..40,
        workers in 1usize..4,
        partitions in 1usize..4,
    ) {
        let inputs = Inputs { asks, sales, prices };
        let until = Some(1_000_000 + end);
        let expected = naive::compute_of(&inputs, &naive::Dealt { until, ..naive::Dealt::over(partitions) });
        let found = Run { read, workers, partitions, until, ..Run::default() }.run(&inputs);
        is_as_computed(&found, &expected)?;
    }

    #[test]
    fn oracle_of_a_start_at_a_time_less_the_longest_window(
        asks in rising(60),
        sales in rising(120),
        prices in rising(20),
        start in 0i64..1000,
        read in 1usize..40,
        workers in 1usize..4,
        partitions in 1usize..4,
    ) {
        let inputs = Inputs { asks, sales, prices };
        let from = 1_000_000 + start;
        let spec = tidemill::spec::parse(&BOUNDED, "spec.toml").expect("a right spec");
        let since = from - Plan::new(Arc::new(spec)).history_ms().expect("all windows are bounded");
        let expected = naive::compute_of(&inputs, &naive::Dealt { endless: false, ..naive::Dealt::over(partitions) });
        let counted = naive::compute_of(&inputs, &naive::Dealt { since: Some(since), endless: false, ..naive::Dealt::over(partitions) });
        let run = Run { spec: &BOUNDED, read, workers, partitions, from: Some(from), since: Some(since), ..Run::default() };
        let found = run.run(&inputs);
        prop_assert_eq!(&found.tallies, &counted.tallies);
        let given = |rows: &[Vec<Scalar>]| -> Vec<Vec<Scalar>> {
            let given = |row: &&Vec<Scalar>| matches!(row[0], Scalar::Timestamp(time) if time >= from);
            rows.iter().filter(given).cloned().collect()
        };
        prop_assert_eq!(&found.shop, &given(&expected.shop));
        prop_assert_eq!(&found.pair, &given(&expected.pair));
        prop_assert_eq!(&found.defaulted, &given(&expected.defaulted));
        prop_assert_eq!(&found.own, &given(&expected.own));
        prop_assert_eq!(&unscored(&found), &given(&expected.examples));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// A group yields in the middle of boundaries, of runs of look-ups and of what it publishes.
    #[test]
    fn oracle_of_groups_that_yield_after_each_piece_of_their_work(
        asks in topic(60),
        sales in topic(120),
        prices in topic(20),
        read in 1usize..40,
        workers in 1usize..4,
        piece in 1usize..6,
    ) {
        let inputs = Inputs { asks, sales, prices };
        let expected = naive::compute(&inputs);
        let run = |offline, slice| Run { read, workers, offline, slice, ..Run::default() }.run(&inputs);
        is_as_computed(&run(true, engine::slices(piece)), &expected)?;
        // Without files, records of several times are inserted together.
        let (found, usual) = (run(false, engine::slices(piece)), run(false, SliceLength::default()));
        prop_assert_eq!((&found.shown, &found.shown_ever), (&expected.shown, &expected.shown_ever));
        prop_assert_eq!((&found.versions, &found.tallies), (&usual.versions, &usual.tallies));
    }
}
