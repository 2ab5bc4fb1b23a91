//! Where a partition's records first reach the ends of windows: what a version was made from, as offsets.
//!
//! For each grid of windows [k·w + o, (k+1)·w + o) a log has, for every window that has records, the offset of the first
//! record that takes effect in it or later. So the least offset at or after a window's end is a function of the log of
//! records alone.

use std::collections::VecDeque;

use crate::time::{EventTime, Offset};

/// Windows whose ends are remembered.
const KEPT: usize = 256;

/// The windows of a model: their length and where they begin, both in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    pub window_ms: i64,
    pub offset_ms: i64,
}

/// The first records of windows, for several grids.
#[derive(Clone, Debug, Default)]
pub struct Crossings {
    logs: Vec<Log>,
}

#[derive(Clone, Debug)]
struct Log {
    grid: Grid,
    /// The first end of a window that no record has reached.
    next: EventTime,
    /// Starts of windows with the first offset at or after each.
    first: VecDeque<(EventTime, Offset)>,
}

impl Crossings {
    pub fn new(grids: &[Grid]) -> Self {
        let mut logs: Vec<Log> = Vec::new();
        for grid in grids {
            if logs.iter().all(|log| log.grid != *grid) {
                logs.push(Log { grid: *grid, next: EventTime::MIN, first: VecDeque::new() });
            }
        }
        Crossings { logs }
    }

    /// Takes in a record; says whether it is the first to reach a window.
    pub fn observe(&mut self, effective: EventTime, offset: Offset) -> bool {
        let mut crossed = false;
        for log in self.logs.iter_mut().filter(|log| effective >= log.next) {
            let Grid { window_ms, offset_ms } = log.grid;
            let start = (effective - offset_ms).div_euclid(window_ms) * window_ms + offset_ms;
            log.next = start.saturating_add(window_ms);
            log.first.push_back((start, offset));
            if log.first.len() > KEPT {
                log.first.pop_front();
            }
            crossed = true;
        }
        crossed
    }

    /// The least offset of a record at or after a window's end, if there is one yet.
    pub fn at(&self, grid: Grid, end: EventTime) -> Option<Offset> {
        let log = self.logs.iter().find(|log| log.grid == grid)?;
        log.first.iter().find(|(start, _)| *start >= end).map(|(_, offset)| *offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_record_at_or_after_an_end_is_found() {
        let grid = Grid { window_ms: 10, offset_ms: 3 };
        let mut crossings = Crossings::new(&[grid, grid]);
        let crossed: Vec<bool> =
            [4, 12, 13, 11, 14, 47, 20].iter().zip(0..).map(|(time, at)| crossings.observe(*time, at)).collect();
        assert_eq!(crossed, [true, false, true, false, false, true, false]);
        assert_eq!(
            [3, 13, 23, 33, 43, 53].map(|end| crossings.at(grid, end)),
            [Some(0), Some(2), Some(5), Some(5), Some(5), None]
        );
    }
}
