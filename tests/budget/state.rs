//! The state of every aggregate in every kind of window, with the records that an estimate assumes.

use crate::cases::{Case, HOP, cases_of};
use tidemill::aggregate::{
    Cumulative, Cycle, KINDS, LastN, Lifetime, Op, RecordLoad, Series, Session, Sliding, Tumbling, Window,
};
use tidemill::time::DAY_MS;

/// The sliding window with its panes.
const SLIDING: Sliding = Sliding { size_ms: 10 * HOP, hop_ms: HOP };

/// Every kind of aggregate in a window.
fn cases_in(window: Window) -> Vec<Case> {
    // So short that records are of different half-lives.
    cases_of(KINDS, window, "20ms")
}

/// Checks a case. `most` is the share by which what is measured may differ from what is allocated.
fn check(case: &Case, most: f64) {
    let bytes = case.fill();
    let what = format!("{} with {:?}: {bytes:?}", case.describe(), case.load);
    let is_near = |one: usize, other: usize, most: f64| (one as f64 / other as f64 - 1.0).abs() < most;
    assert!(is_near(bytes.measured, bytes.allocated, most), "{what}");
    assert!(is_near(bytes.estimated, bytes.measured, 0.25), "{what}");
}

#[test]
fn twenty_thousand_entities_are_as_large_as_estimated_whatever_is_aggregated() {
    for case in cases_in(SLIDING.into()) {
        check(&case.with(20_000, RecordLoad::EachPane(1)), 0.1);
    }
}

#[test]
fn entities_are_as_large_as_estimated_in_every_window_with_few_and_many_records() {
    let cycle = Cycle { length_ms: HOP, offset_ms: 0 };
    let windows: [Window; 7] = [
        SLIDING.into(),
        Tumbling(cycle).into(),
        Cumulative(cycle).into(),
        Session { gap_ms: HOP, max_ms: None }.into(),
        Lifetime.into(),
        LastN(10).into(),
        Series { steps: 3, step: Sliding { size_ms: 3 * HOP, hop_ms: HOP } }.into(),
    ];
    for window in windows {
        for records in [1, 12] {
            // More entities than a measurement looks at would take long.
            cases_in(window).into_iter().for_each(|case| check(&case.with(500, RecordLoad::EachPane(records)), 0.1));
        }
    }
}

#[test]
fn entities_are_as_large_as_estimated_with_so_many_records_a_day() {
    let series = Series { steps: 3, step: Sliding { size_ms: 3 * HOP, hop_ms: HOP } };
    for window in [Window::from(SLIDING), series.into()] {
        // One record, fewer than there are panes, and some for each pane.
        for records in [1, 5, 24] {
            let daily = records * DAY_MS / window.reach_ms().expect("the window has a length");
            // Trees of some twenty entries are measured by their average filling.
            let load = RecordLoad::Daily(u64::try_from(daily).expect("not negative"));
            cases_in(window).into_iter().for_each(|case| check(&case.with(500, load), 0.15));
        }
    }
}

#[test]
fn the_memory_of_many_entities_is_estimated_from_some_of_them() {
    let op = Op::parse("distinct").expect("an op");
    check(&Case::new(&op, Lifetime.into(), true, false).with(50_000, RecordLoad::EachPane(3)), 0.1);
}
