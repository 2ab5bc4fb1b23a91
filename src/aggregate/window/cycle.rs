//! Cycles: time cut into stretches of equal length, such as days.
//!
//! Stretch p is `[p·length + offset, (p + 1)·length + offset)`, in ms since the UTC epoch.

use crate::time::{EventTime, format_duration};

/// Stretches of `length_ms`, moved by `offset_ms` from the UTC epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cycle {
    pub length_ms: i64,
    /// Shift from multiples of the length, shorter than it; may be negative.
    pub offset_ms: i64,
}

impl Cycle {
    /// The stretch of a time: lengths since the epoch, floored toward −∞.
    pub fn stretch(self, time: EventTime) -> i64 {
        time.saturating_sub(self.offset_ms).div_euclid(self.length_ms)
    }

    /// The first time after a stretch.
    pub fn end(self, stretch: i64) -> EventTime {
        (stretch + 1) * self.length_ms + self.offset_ms
    }

    /// Returns whether a stretch can hold records: its times are none that arithmetic on times could overflow with.
    pub fn has_stretch(self, stretch: i64) -> bool {
        const FARTHEST: i64 = 1 << 60;
        stretch.checked_mul(self.length_ms).is_some_and(|start| (-FARTHEST..=FARTHEST).contains(&start))
    }

    /// A text that two cycles share if and only if they are the same.
    pub fn canonical(self) -> String {
        format!("({}, {})", self.length_ms, self.offset_ms.rem_euclid(self.length_ms))
    }

    /// The offset in words; `None` of none.
    pub fn details(self) -> Option<String> {
        (self.offset_ms != 0).then(|| format!("offset {}", signed(self.offset_ms)))
    }
}

/// A duration that may be negative.
fn signed(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    format!("{sign}{}", format_duration(ms.abs()))
}
