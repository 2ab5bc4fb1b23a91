//! The moment of an answer: as of when its features are.

use crate::store::RequestLookups;
use crate::time::EventTime;

/// The moment that a whole answer is of. Vectors that are read after it has been taken have all records before its watermark.
#[derive(Clone, Copy, Debug)]
pub struct AnswerMoment<'a> {
    /// The time before which everything is closed; `None` before the first record.
    pub watermark: Option<EventTime>,
    /// The asking time of features that depend on it.
    pub asking: EventTime,
    /// The look-ups of the request.
    pub lookups: &'a RequestLookups,
}

impl AnswerMoment<'_> {
    /// The time before which everything is closed; `EventTime::MIN` before the first record.
    pub fn closed(self) -> EventTime {
        self.watermark.unwrap_or(EventTime::MIN)
    }
}
