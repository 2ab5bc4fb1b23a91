//! Checkpoints that are triggered while a feature group is in the middle of a boundary, at which all entities leave its
//! windows: the group works it off in slices, and saves its state once it is done.

use crate::common::engine::{Found, Inputs, Record, Run, slices};
use crate::common::spec::TOPICS;
use crate::common::windows::{EVERY, NaiveShape};
use tidemill::aggregate::Feature;
use tidemill::value::Scalar;

/// Entities that leave at once.
const SHOPS: usize = 150;

/// The time of the first records, and the time at which all of them have left every window.
const BEGIN: i64 = 1_000_000;
const LEFT: i64 = BEGIN + 10_000;

/// A group that entities leave, in every kind of window that records leave by time, and one that keeps them.
fn spec() -> String {
    let line = |window: &crate::common::windows::NaiveWindow| {
        let lag = if window.lag > 0 { format!(", lag = \"{}ms\"", window.lag) } else { String::new() };
        format!("{{ of = \"x\", op = [\"count\", \"max\", \"last_k(2)\"], windows = [{}]{lag} }},\n", window.text())
    };
    let is_endless = |shape: &NaiveShape| matches!(shape, NaiveShape::Lifetime | NaiveShape::Last(_));
    let written = || EVERY.iter().filter(|window| window.is_written());
    let leaving: String = written().filter(|window| !is_endless(&window.shape)).map(line).collect();
    let all: String = written().map(line).collect();
    let group = |name: &str, lines: &str| {
        format!("[features.{name}]\nfrom = \"sales\"\nentity = \"shop\"\naggregate = [\n{lines}]\n")
    };
    format!("name = \"boundary\"\n{TOPICS}\n{}{}", group("shop", &leaving), group("ever", &all))
}

/// A sale of each shop, then one so late that all others leave, a few more, and another of each shop.
fn inputs() -> Inputs {
    let sale = |shop: usize, at: i64| Record {
        id: "k".to_owned(),
        shop: Some(format!("s{shop}")),
        item: 0,
        x: Some(shop as f64 / 8.0),
        step: 0,
        at,
    };
    let first = (0..SHOPS).map(|shop| sale(shop, BEGIN + (shop % 40) as i64 / 4));
    let ticks = (0..120).map(|tick| sale(SHOPS, LEFT + tick));
    let last = (0..SHOPS).map(|shop| sale(shop, LEFT + 150 + shop as i64 / 16));
    Inputs { sales: first.chain(ticks).chain(last).collect(), ..Inputs::default() }
}

/// The vectors of all shops in both groups at the end.
fn vectors(found: &Found) -> Vec<Option<Vec<Feature>>> {
    let online = found.online.as_ref().expect("the run has a store");
    let of_group = |group: &str| {
        let table = online.group(group).expect("the store has all groups").clone();
        let vector = move |shop| {
            let key = table.codec().encode_one(&[Scalar::String(format!("s{shop}").into())]);
            table.get(&key).map(|vector| vector.to_vec())
        };
        (0..=SHOPS).map(vector).collect::<Vec<_>>()
    };
    [of_group("shop"), of_group("ever")].concat()
}

#[test]
fn a_checkpoint_that_is_triggered_within_a_boundary_changes_no_bit() {
    let (spec, inputs) = (spec(), inputs());
    let run = |slice| Run { spec: &spec, read: 1, offline: false, slice, ..Run::default() };
    let whole = run(Default::default()).run(&inputs);
    let expected = vectors(&whole);
    // The record after which all leave is read, and then some of those during which they do.
    for (after, piece) in [(SHOPS + 4, 1), (SHOPS + 12, 1), (SHOPS + 20, 3)] {
        let sliced = Run { snapshot_after: Some(after), ..run(slices(piece)) }.run(&inputs);
        assert_eq!(vectors(&sliced), expected);
        let saved = sliced.late_snapshot.expect("the run takes a snapshot");
        assert!(saved.reads > 20, "the group is not in a boundary: it saves after {} reads", saved.reads);
        for workers in [1, 3] {
            let start = Some((saved.time, saved.parts.clone()));
            let again = Run { start, workers, ..run(slices(piece)) }.run(&inputs);
            assert_eq!(vectors(&again), expected, "from a checkpoint after {after} reads, on {workers} workers");
        }
    }
}
