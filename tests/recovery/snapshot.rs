//! Snapshots: state saved as of a closed time, loaded into a fresh graph with another number of workers, goes on as if
//! nothing had happened.

use crate::common::engine::{Inputs, Record, Run, slices};
use crate::common::spec::{CHAINED, SHIFTED, SPEC, UNITED};
use crate::common::topics::topic;
use proptest::prelude::*;
use tidemill::value::Scalar;

/// Rows whose time, in this column, is at or after T.
fn from(rows: &[Vec<Scalar>], column: usize, t: i64) -> Vec<Vec<Scalar>> {
    let late = |row: &&Vec<Scalar>| matches!(row[column], Scalar::Timestamp(time) if time >= t);
    rows.iter().filter(late).cloned().collect()
}

/// Rows of the shop's features, of the pair's, of those of all time, and of examples.
type Outcome = [Vec<Vec<Scalar>>; 4];

/// Numbers and hashes.
type Versions = Vec<(u64, String)>;

/// The outcome of an uninterrupted run of a dataflow from T on, and that of a run restarted at T.
fn both(
    spec: &str,
    inputs: &Inputs,
    t: i64,
    workers: (usize, usize),
    lose: Option<&str>,
) -> Option<(Outcome, Outcome, Versions, Versions)> {
    let whole = Run { spec, workers: workers.0, snapshot: Some(t), ..Run::default() }.run(inputs);
    // A run that ends before T has no snapshot of it.
    let (time, mut parts) = whole.snapshot.clone()?;
    assert_eq!(time, t);
    if let Some(lose) = lose {
        assert!(parts.remove(lose).is_some(), "{lose} takes part in the snapshot");
    }
    let again = Run { spec, read: 5, workers: workers.1, start: Some((t, parts)), ..Run::default() }.run(inputs);
    let expected =
        [from(&whole.shop, 0, t), from(&whole.pair, 0, t), from(&whole.ever, 0, t), from(&whole.examples, 1, t)];
    let made = whole.versions.iter().filter(|version| again.versions.iter().any(|other| other.0 == version.0));
    let expected_versions = made.cloned().collect();
    Some((expected, [again.shop, again.pair, again.ever, again.examples], expected_versions, again.versions))
}

/// Checks that a run that starts from a snapshot as of `at` has the results of one that reads everything; `workers` are the
/// numbers of workers before and after it.
fn restart_changes_no_bit(spec: &str, inputs: &Inputs, at: i64, workers: (usize, usize)) -> Result<(), TestCaseError> {
    if let Some((expected, found, versions, again)) = both(spec, inputs, at, workers, None) {
        prop_assert_eq!(found, expected);
        prop_assert_eq!(again, versions);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_from_a_snapshot_changes_no_bit(
        asks in topic(60),
        sales in topic(120),
        prices in topic(20),
        at in 0i64..700,
        before in 1usize..4,
        after in 1usize..4,
    ) {
        restart_changes_no_bit(&SPEC, &Inputs { asks, sales, prices }, 1_000_000 + at, (before, after))?;
    }

    #[test]
    fn a_restart_from_a_snapshot_of_a_union_changes_no_bit(
        asks in topic(60),
        sales in topic(120),
        prices in topic(20),
        at in 0i64..700,
        before in 1usize..4,
        after in 1usize..4,
    ) {
        restart_changes_no_bit(UNITED, &Inputs { asks, sales, prices }, 1_000_000 + at, (before, after))?;
    }

    #[test]
    fn a_restart_from_a_snapshot_of_features_of_features_changes_no_bit(
        asks in topic(60),
        sales in topic(120),
        prices in topic(20),
        at in 0i64..700,
        before in 1usize..4,
        after in 1usize..4,
    ) {
        restart_changes_no_bit(CHAINED, &Inputs { asks, sales, prices }, 1_000_000 + at, (before, after))?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_from_a_snapshot_of_a_view_with_later_times_changes_no_bit(
        asks in topic(60),
        sales in topic(120),
        prices in topic(20),
        at in 0i64..700,
        before in 1usize..4,
        after in 1usize..4,
        of_view in any::<bool>(),
    ) {
        let spec = SHIFTED.replace("EXAMPLES", if of_view { "priced" } else { "asked" });
        restart_changes_no_bit(&spec, &Inputs { asks, sales, prices }, 1_000_000 + at, (before, after))?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Feature groups yield in the middle of the boundaries that lie between the barrier and what they have processed.
    #[test]
    fn a_snapshot_of_groups_that_yield_after_each_piece_is_that_of_others(
        asks in topic(60),
        sales in topic(120),
        prices in topic(20),
        at in 0i64..700,
        before in 1usize..4,
        after in 1usize..4,
        piece in 1usize..4,
        chained in any::<bool>(),
    ) {
        let (inputs, t) = (Inputs { asks, sales, prices }, 1_000_000 + at);
        let spec = if chained { CHAINED } else { &SPEC };
        let run = |workers, start, slice| Run { spec, workers, start, slice, snapshot: Some(t), ..Run::default() };
        let whole = run(before, None, Default::default()).run(&inputs);
        let sliced = run(before, None, slices(piece)).run(&inputs);
        prop_assert_eq!(&sliced.examples, &whole.examples);
        if let Some(snapshot) = sliced.snapshot {
            let again = Run { snapshot: None, ..run(after, Some(snapshot), slices(piece)) }.run(&inputs);
            let found = [again.shop, again.pair, again.ever, again.examples];
            let [shop, pair, ever] = [&whole.shop, &whole.pair, &whole.ever].map(|rows| from(rows, 0, t));
            prop_assert_eq!(found, [shop, pair, ever, from(&whole.examples, 1, t)]);
            prop_assert_eq!((&again.shown, &again.shown_ever), (&whole.shown, &whole.shown_ever));
        }
    }
}

/// Records that keep every operator's state busy across T.
fn steady() -> Inputs {
    let record = |id: i64, index: i64, at: i64| Record {
        id: format!("k{}", id % 9),
        shop: Some(format!("s{}", index % 2)),
        item: index % 3,
        x: Some((index % 7 - 3) as f64 / 8.0),
        step: 0,
        at: 1_000_000 + at,
    };
    Inputs {
        asks: (0..80).map(|index| record(index, index, index * 10)).collect(),
        sales: (0..160).map(|index| record(index * 4 + 2, index, index * 5 + 3)).collect(),
        prices: (0..3).map(|index| record(index, index, index)).collect(),
    }
}

#[test]
fn every_operator_has_state_that_a_restart_needs() {
    let inputs = steady();
    let t = 1_000_450;
    let (expected, found, versions, again) = both(&SPEC, &inputs, t, (2, 3), None).expect("the run passes T");
    assert_eq!((&found, &again), (&expected, &versions));
    assert!(!versions.is_empty());
    for operator in
        ["features.shop", "features.pair", "features.ever", "table.prices", "model.sold.label", "model.sold.learn"]
    {
        let (expected, found, versions, again) =
            both(&SPEC, &inputs, t, (1, 2), Some(operator)).expect("the run passes T");
        assert!((found, again) != (expected, versions), "the run did not miss the state of {operator}");
    }
}

#[test]
fn groups_that_others_look_up_have_state_that_a_restart_needs() {
    let (inputs, t) = (steady(), 1_000_450);
    let (expected, found, versions, again) = both(CHAINED, &inputs, t, (2, 3), None).expect("the run passes T");
    assert_eq!((&found, &again), (&expected, &versions));
    assert!(!versions.is_empty());
    for operator in ["features.shop", "features.own", "features.pair", "features.ever"] {
        let lost = both(CHAINED, &inputs, t, (1, 2), Some(operator)).expect("the run passes T");
        assert!((lost.0, lost.2) != (lost.1, lost.3), "the run did not miss the state of {operator}");
    }
}

#[test]
fn records_that_wait_for_their_time_are_state_that_a_restart_needs() {
    let (inputs, t, spec) = (steady(), 1_000_450, SHIFTED.replace("EXAMPLES", "asked"));
    let (expected, found, versions, again) = both(&spec, &inputs, t, (2, 3), None).expect("the run passes T");
    assert_eq!((&found, &again), (&expected, &versions));
    let lost = both(&spec, &inputs, t, (1, 2), Some("view.known.at")).expect("the run passes T");
    assert!(lost.0 != lost.1, "the run did not miss the records that wait");
}

#[test]
fn a_record_that_no_run_had_read_takes_effect_at_the_snapshot_at_the_earliest() {
    let t = 1_000_450;
    let run = |inputs: &Inputs, start, snapshot| Run { partitions: 2, start, snapshot, ..Run::default() }.run(inputs);
    // Sales are read from one partition before the snapshot; the other gets its first one after it.
    let mut inputs = steady();
    inputs.sales.retain(|sale| sale.partition("sales", 2) == 1);
    let start = run(&inputs, None, Some(t)).snapshot;
    let (id, shop) = ("other".to_owned(), Some("new".to_owned()));
    inputs.sales.push(Record { id, shop, at: t - 30, ..inputs.sales[0].clone() });
    assert_eq!(inputs.sales.last().map(|sale| sale.partition("sales", 2)), Some(0));
    let found = run(&inputs, start, None);
    assert_eq!(found.tallies["sales"].applied, inputs.sales.len() as u64);
    let mut shown = found.shop.iter().filter(|row| row[1] == Scalar::String("new".into()));
    assert_eq!(shown.next().map(|row| &row[0]), Some(&Scalar::Timestamp(t)));
}
