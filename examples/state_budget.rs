//! The memory of a million entities: estimated by `tidemill check`, measured as a running job measures it, and allocated.
//!
//! `cargo run --release --example state_budget -- [entities]`
//!
//! One op of each family of aggregates, over numbers and over texts, by category and without, in a sliding window of four
//! panes and in a lifetime window, with one record in each pane. It prints the ratios of each, and fails if an estimate is
//! farther than 25 % from what is measured.

use tidemill::aggregate::{Lifetime, RecordLoad, Sliding, Window};

#[path = "../tests/budget/allocator.rs"]
mod allocator;
#[path = "../tests/budget/cases.rs"]
mod cases;

use cases::{HOP, cases_of, families};

fn main() {
    let entities = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number of entities"));
    let windows: [Window; 2] = [Sliding { size_ms: 2 * HOP, hop_ms: HOP }.into(), Lifetime.into()];
    let (mut least, mut most) = (f64::INFINITY, 0.0f64);
    println!("{entities} entities: bytes of each as measured, estimated / measured, measured / allocated");
    for case in windows.into_iter().flat_map(|window| cases_of(&families(), window, "20ms")) {
        let case = case.with(entities, RecordLoad::EachPane(1));
        let bytes = case.fill();
        let (estimated, measured) = (bytes.estimated as f64, bytes.measured as f64);
        let (ratio, truth) = (estimated / measured, measured / bytes.allocated as f64);
        (least, most) = (least.min(ratio), most.max(ratio));
        println!("{:62} {:>6} {ratio:>6.2} {truth:>6.2}", case.describe(), bytes.measured / entities);
    }
    println!("estimates are from {least:.2} to {most:.2} of what is measured");
    assert!(least > 0.75 && most < 1.25, "an estimate is off by more than 25 %");
}
