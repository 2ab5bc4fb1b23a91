//! Memory that does not grow with records: as many live entities take as much after ten times the records.

use crate::allocator::allocated;
use crate::cases::{Case, cases_of, families};
use crate::common::windows::{EVERY, NaiveShape, NaiveWindow};
use tidemill::aggregate::{Expired, GroupState, RecordLoad, Update};
use tidemill::value::Key;

/// Entities that have records at a time.
const LIVE: usize = 40;

/// The time from a record of an entity to its next, in ms.
const STEP_MS: i64 = 5;

/// Steps until other entities take the place of all.
const LIFE: usize = 30;

/// Steps after which every window is full, and the last of some entities have left.
const FULL: usize = 4 * LIFE;

/// So short that at first already all terms that matter are there.
const HALF_LIFE: &str = "2ms";

/// The records of an entity have so many different values.
const VALUES: usize = 5;

/// The state after so many steps, in each of which every live entity has a record: the most that was measured in the last
/// steps, which reach over a window's whole cycle, and what is allocated at the end.
fn run(case: &Case, steps: usize, stay: bool) -> (usize, usize) {
    let inputs: Vec<_> = (0..VALUES).map(|n| case.input(n)).collect();
    let (state, allocated) = allocated(|| {
        let (mut state, mut most) = (GroupState::new(&case.layout), 0);
        let mut expired = Expired::default();
        for step in 0..steps {
            let time = step as i64 * STEP_MS;
            state.advance(time, &mut expired);
            expired.changed.clear();
            while let Some(slot) = expired.emptied.pop() {
                state.release_if_empty(slot);
            }
            let generation = if stay { 0 } else { step / LIFE };
            let update = |row: usize, state: &mut GroupState| {
                let key = format!("{generation:08}{row:08}");
                let slot = state.slot(key.as_bytes(), Key::hash_of(key.as_bytes()));
                Update { slot, batch: 0, row: row as u32, time, event_time: time }
            };
            let updates: Vec<Update> = (0..LIVE).map(|row| update(row, &mut state)).collect();
            state.insert(&updates, &[std::slice::from_ref(&inputs[step % VALUES])], &mut Vec::new());
            if step + LIFE >= steps {
                most = most.max(state.bytes());
            }
        }
        (state, most)
    });
    (state.1, allocated)
}

fn is_endless(window: &NaiveWindow) -> bool {
    matches!(window.shape, NaiveShape::Lifetime | NaiveShape::Last(_))
}

#[test]
fn ten_times_the_records_of_as_many_live_entities_take_no_more_memory_in_any_window() {
    for window in EVERY {
        for case in cases_of(&families(), window.window(), HALF_LIFE) {
            let case = case.with(LIVE, RecordLoad::EachPane(1));
            for stay in [true, false] {
                if !stay && is_endless(window) {
                    continue;
                }
                let (once, ten_times) = (run(&case, FULL, stay), run(&case, 10 * FULL, stay));
                let what = format!("{}, entities stay: {stay}: {once:?} then {ten_times:?}", case.describe());
                let is_within = |bytes: usize, bound: usize| bytes as f64 <= 1.1 * bound as f64;
                assert!(is_within(ten_times.0, once.0) && is_within(ten_times.1, ten_times.0), "{what}");
            }
        }
    }
}
