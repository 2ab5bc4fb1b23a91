//! Offsets at which a partition's records first reach the ends of training windows.
//!
//! A version's manifest states from which records it was made, as offsets. For each kind of window, this keeps the
//! offset of the first record that takes effect in each window or later. So the least offset at or after a window's end
//! is a function of the log alone.
//!
//! ```
//! use tidemill::source::{TumblingWindow, WindowOffsets};
//! let window = TumblingWindow { window_ms: 10, offset_ms: 0 };
//! let mut offsets = WindowOffsets::new(&[window]);
//! assert!(offsets.observe(4, 0));
//! assert!(offsets.observe(12, 1));
//! assert_eq!(offsets.at(window, 10), Some(1));
//! ```

use std::collections::VecDeque;

use crate::time::{EventTime, Offset};

/// Window starts that are kept for each kind of window.
const KEPT: usize = 256;

/// Windows [k·w + o, (k+1)·w + o) of length w and offset o, both in event ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TumblingWindow {
    pub window_ms: i64,
    pub offset_ms: i64,
}

/// First offsets of windows, for several kinds of windows.
#[derive(Clone, Debug, Default)]
pub struct WindowOffsets {
    logs: Vec<WindowLog>,
}

#[derive(Clone, Debug)]
struct WindowLog {
    window: TumblingWindow,
    /// The least window end that no record has reached.
    next_end: EventTime,
    /// The last [`KEPT`] windows that were reached, in order.
    starts: VecDeque<WindowStart>,
}

#[derive(Clone, Copy, Debug)]
struct WindowStart {
    start: EventTime,
    /// The first offset of a record that takes effect at `start` or later.
    offset: Offset,
}

impl WindowOffsets {
    /// Returns an empty index for these windows; equal ones are kept once.
    pub fn new(windows: &[TumblingWindow]) -> Self {
        let mut logs: Vec<WindowLog> = Vec::new();
        for window in windows {
            if logs.iter().all(|log| log.window != *window) {
                logs.push(WindowLog { window: *window, next_end: EventTime::MIN, starts: VecDeque::new() });
            }
        }
        WindowOffsets { logs }
    }

    /// Observes the next record and returns whether it is the first to reach a window.
    pub fn observe(&mut self, effective: EventTime, offset: Offset) -> bool {
        let mut is_first = false;
        for log in self.logs.iter_mut().filter(|log| effective >= log.next_end) {
            let TumblingWindow { window_ms, offset_ms } = log.window;
            let start = (effective - offset_ms).div_euclid(window_ms) * window_ms + offset_ms;
            log.next_end = start.saturating_add(window_ms);
            log.starts.push_back(WindowStart { start, offset });
            if log.starts.len() > KEPT {
                log.starts.pop_front();
            }
            is_first = true;
        }
        is_first
    }

    /// Returns the least offset of a record at or after a window's end; `None` if no record has reached it.
    pub fn at(&self, window: TumblingWindow, end: EventTime) -> Option<Offset> {
        let log = self.logs.iter().find(|log| log.window == window)?;
        log.starts.iter().find(|reached| reached.start >= end).map(|reached| reached.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_record_at_or_after_an_end_is_found() {
        let window = TumblingWindow { window_ms: 10, offset_ms: 3 };
        let mut offsets = WindowOffsets::new(&[window, window]);
        let first: Vec<bool> =
            [4, 12, 13, 11, 14, 47, 20].iter().zip(0..).map(|(time, at)| offsets.observe(*time, at)).collect();
        assert_eq!(first, [true, false, true, false, false, true, false]);
        assert_eq!(
            [3, 13, 23, 33, 43, 53].map(|end| offsets.at(window, end)),
            [Some(0), Some(2), Some(5), Some(5), Some(5), None]
        );
    }
}
