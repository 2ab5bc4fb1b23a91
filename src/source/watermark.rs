//! Watermark of a partition: the event time below which its records count as late.
//!
//! - Notation: t₁, t₂, … are the event times of a partition's records in offset order, L its lateness.
//! - Definition: the watermark before record i is Wᵢ = max(t₁ … tᵢ₋₁) − L. The record is *late* if tᵢ < Wᵢ; its
//!   effective time is max(tᵢ, Wᵢ).
//! - Property: no effective time is below an earlier watermark, so a frontier at the watermark never has to move back;
//!   and effective times are a function of the log alone.
//!
//! ```
//! use tidemill::source::Watermark;
//! let mut watermark = Watermark::new(10);
//! assert_eq!([100, 95, 80, 120, 109].map(|t| watermark.observe(t)), [100, 95, 90, 120, 110]);
//! assert_eq!(watermark.time(), 110);
//! ```

use crate::time::EventTime;

/// The newest event time observed in a partition, and the lateness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    newest: EventTime,
    lateness_ms: i64,
}

impl Watermark {
    /// Returns the watermark of a partition without records.
    pub fn new(lateness_ms: i64) -> Self {
        Watermark { newest: i64::MIN, lateness_ms }
    }

    /// Returns the watermark after records with event times up to `newest`.
    pub fn resuming(lateness_ms: i64, newest: EventTime) -> Self {
        Watermark { newest, lateness_ms }
    }

    /// Observes the next record's event time and returns its effective time.
    pub fn observe(&mut self, time: EventTime) -> EventTime {
        let effective = time.max(self.time());
        self.newest = self.newest.max(time);
        effective
    }

    /// Returns the watermark: no later record takes effect before it. The minimum before the first record.
    pub fn time(&self) -> EventTime {
        if self.newest == i64::MIN { i64::MIN } else { self.newest.saturating_sub(self.lateness_ms) }
    }

    /// Returns the newest event time; the minimum before the first record.
    pub fn newest(&self) -> EventTime {
        self.newest
    }
}
