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
        let since = from - Plan::new(Arc::new(spec)).reach_ms().expect("all windows are bounded");
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
        prop_assert_eq!(&unscored(&found), &given(&expected.examples));
    }
}
