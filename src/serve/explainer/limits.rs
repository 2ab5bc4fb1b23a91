//! The limits of one explanation: its time, the records that it keeps, and whether anybody still waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::failure::ExplanationFailure;

/// The limits of one explanation, which is checked against them again and again.
#[derive(Clone, Debug)]
pub struct ExplanationLimits {
    began: Instant,
    time: Duration,
    most_records: usize,
    is_cancelled: Arc<AtomicBool>,
}

impl ExplanationLimits {
    /// Limits from now on.
    pub fn new(time: Duration, most_records: usize) -> Self {
        ExplanationLimits { began: Instant::now(), time, most_records, is_cancelled: Arc::default() }
    }

    /// No limits: of an explanation that has a process of its own.
    pub fn none() -> Self {
        ExplanationLimits::new(Duration::MAX, usize::MAX)
    }

    /// Cancels the explanation.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Relaxed);
    }

    /// Checks whether the explanation may go on, with this number of records kept.
    ///
    /// # Errors
    /// If it was cancelled, takes too long or keeps too many.
    pub fn check(&self, records: usize) -> Result<(), ExplanationFailure> {
        if self.is_cancelled.load(Relaxed) {
            Err(ExplanationFailure::Cancelled)
        } else if records > self.most_records {
            Err(ExplanationFailure::TooManyRecords(self.most_records))
        } else if self.began.elapsed() > self.time {
            Err(ExplanationFailure::TooLate(self.time))
        } else {
            Ok(())
        }
    }
}
