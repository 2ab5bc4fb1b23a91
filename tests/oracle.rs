//! The engine against a naive oracle, which recomputes every feature, example and label from all the records.
//!
//! Records come out of order within the lateness and beyond, with ties in time, in batches of any size, on one to three
//! workers: the files that the engine writes must be what the oracle says, bit for bit.

mod common;

use common::engine::{self, Inputs, Run};
use common::naive;
use common::spec::SPEC;
use common::topics::topic;
use proptest::prelude::*;

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
        let found = engine::run(SPEC, &inputs, read, workers);
        prop_assert_eq!(&found.tallies, &expected.tallies);
        prop_assert_eq!(&found.shop, &expected.shop);
        prop_assert_eq!(&found.pair, &expected.pair);
        prop_assert_eq!(&found.shown, &expected.shown);
        // Score and version are learning's; they are the last two columns.
        let examples: Vec<_> = found.examples.iter().map(|row| row[..row.len() - 2].to_vec()).collect();
        prop_assert_eq!(&examples, &expected.examples);
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
        let expected = naive::compute_of(&inputs, &naive::Dealt { partitions, until });
        let found = Run { read, workers, partitions, until, ..Run::default() }.run(&inputs);
        prop_assert_eq!(&found.tallies, &expected.tallies);
        prop_assert_eq!(&found.shop, &expected.shop);
        prop_assert_eq!(&found.pair, &expected.pair);
        prop_assert_eq!(&found.shown, &expected.shown);
        let examples: Vec<_> = found.examples.iter().map(|row| row[..row.len() - 2].to_vec()).collect();
        prop_assert_eq!(&examples, &expected.examples);
    }
}
