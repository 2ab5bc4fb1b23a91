//! Every aggregate in every kind of window, with a lag and without, against the naive oracle: closed changes, look-ups of
//! examples, what is served at the end, and what requests for other windows are answered with then.

use crate::common::engine::{Found, Inputs, Run};
use crate::common::naive::{self, ExpectedWindows};
use crate::common::spec::windowed;
use crate::common::topics::topic;
use crate::common::windows::{EVERY, NaiveShape, NaiveWindow, window};
use proptest::prelude::*;
use std::sync::Arc;
use tidemill::flow::Plan;
use tidemill::value::Scalar;

/// Columns of an example before its features: its times, and those of its stream.
const BEFORE: usize = 8;

/// The features of examples, with their time and id.
fn looked_up(found: &Found, width: usize) -> Vec<Vec<Scalar>> {
    let features =
        |row: &Vec<Scalar>| [vec![row[0].clone(), row[3].clone()], row[BEFORE..BEFORE + width].to_vec()].concat();
    found.examples.iter().map(features).collect()
}

fn is_as_computed(found: &Found, expected: &ExpectedWindows) -> Result<(), TestCaseError> {
    prop_assert_eq!(&found.shop, &expected.shop);
    prop_assert_eq!(&found.collected, &expected.collected);
    prop_assert_eq!(&found.own, &expected.own);
    prop_assert_eq!(&found.shown, &expected.shown);
    let width = expected.examples.first().map_or(0, |row| row.len() - 2);
    prop_assert_eq!(&looked_up(found, width), &expected.examples);
    Ok(())
}

/// Some of the windows that a dataflow file can say.
fn windows() -> impl Strategy<Value = Vec<NaiveWindow>> {
    let written: Vec<NaiveWindow> = EVERY.iter().copied().filter(|window| window.is_written()).collect();
    prop::sample::subsequence(written, 3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn oracle_of_every_kind_of_window(
        windows in windows(),
        asks in topic(40),
        sales in topic(90),
        read in 1usize..40,
        workers in 1usize..4,
        partitions in 1usize..4,
    ) {
        let inputs = Inputs { asks, sales, ..Inputs::default() };
        let expected = naive::compute_windows(&inputs, &windows, partitions);
        let run = Run { spec: &windowed(&windows), read, workers, partitions, ..Run::default() };
        is_as_computed(&run.run(&inputs), &expected)?;
    }

    /// A run that is saved at some time, and continued from there by another number of workers, gives what one run does.
    #[test]
    fn oracle_of_every_kind_of_window_after_a_restart(
        windows in windows(),
        sales in topic(90),
        at in 0i64..600,
        workers in 1usize..4,
        then in 1usize..4,
    ) {
        let (inputs, at) = (Inputs { sales, ..Inputs::default() }, 1_000_000 + at);
        let spec = windowed(&windows);
        let expected = naive::compute_windows(&inputs, &windows, 1);
        let first = Run { spec: &spec, workers, snapshot: Some(at), ..Run::default() }.run(&inputs);
        let start = first.snapshot.clone();
        let Some((saved_at, _)) = &start else { return Ok(()) };
        let from = Scalar::Timestamp(*saved_at);
        let second = Run { spec: &spec, workers: then, start: start.clone(), ..Run::default() }.run(&inputs);
        let later = |rows: &[Vec<Scalar>]| -> Vec<Vec<Scalar>> {
            rows.iter().filter(|row| time(&row[0]) >= time(&from)).cloned().collect()
        };
        prop_assert_eq!(&first.shop, &expected.shop);
        prop_assert_eq!(&second.shop, &later(&expected.shop));
        prop_assert_eq!(&second.collected, &later(&expected.collected));
        prop_assert_eq!(&second.own, &later(&expected.own));
        prop_assert_eq!(&second.shown, &expected.shown);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// A window that a request asks for has the answer of a declared one, also after a restart.
    #[test]
    fn oracle_of_windows_on_request(
        asks in topic(20),
        sales in topic(90),
        hops in 1i64..16,
        read in 1usize..40,
        workers in 1usize..4,
        then in 1usize..4,
        partitions in 1usize..4,
        at in 0i64..600,
    ) {
        let inputs = Inputs { asks, sales, ..Inputs::default() };
        let sliding = |size| window(NaiveShape::Sliding { size, hop: 4 });
        let sizes: Vec<i64> = (1..6).map(|times| 4 * hops * times).collect();
        let asked: Vec<NaiveWindow> = sizes.iter().map(|size| sliding(*size)).collect();
        let expected = naive::compute_windows(&inputs, &asked, partitions).shown;
        let spec = windowed(&[sliding(300), window(NaiveShape::Session { gap: 20, max: None })]);
        let spec = spec.replacen("[features.shop]", "[features.shop]\nrequest_windows = true", 1);
        let plan = Plan::new(Arc::new(tidemill::spec::parse(&spec, "spec.toml").expect("a right spec")));
        let windows = plan.spec.groups[0].request_windows();
        let requested: Vec<_> = sizes.iter().map(|size| windows.requested(*size).expect("its panes are kept")).collect();
        let run = |workers, start| {
            Run { spec: &spec, read, workers, partitions, start, snapshot: Some(1_000_000 + at), ..Run::default() }.run(&inputs)
        };
        let newest = inputs.asks.iter().chain(&inputs.sales).map(|record| record.at).max().unwrap_or(i64::MIN);
        let whole = run(workers, None);
        let resumed = whole.snapshot.clone().map(|snapshot| run(then, Some(snapshot)));
        for found in [Some(whole), resumed].into_iter().flatten() {
            let online = found.online.as_ref().expect("the run has a store");
            let table = online.group("shop").expect("the store has all groups");
            for (shop, expected) in &expected {
                let vector = table.get(&table.codec().encode_one(&[Scalar::String(shop.as_str().into())]));
                let vector = vector.expect("it has records for ever");
                let values = requested.iter().flat_map(|requested| requested.values(&vector, newest + 1));
                let values: Vec<Scalar> = values.map(|value| value.scalar(naive::ASKING)).collect();
                prop_assert_eq!(&values, &expected[1..], "{}", shop);
            }
        }
    }
}

fn time(value: &Scalar) -> i64 {
    match value {
        Scalar::Timestamp(time) => *time,
        other => panic!("{other:?} is no time"),
    }
}
