//! The times that answers from the online store are as of.

use crate::time::EventTime;

/// The times that answers are as of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreTimes {
    /// The time before which everything is closed; the minimum before the first record, the maximum once the inputs are
    /// used up.
    pub watermark: EventTime,
    /// The newest time of a record; the minimum before the first.
    pub newest: EventTime,
}

impl Default for StoreTimes {
    /// The times before the first record.
    fn default() -> Self {
        StoreTimes { watermark: EventTime::MIN, newest: EventTime::MIN }
    }
}

impl StoreTimes {
    /// Returns the time before which everything is closed; `None` before the first record.
    pub fn closed(self) -> Option<EventTime> {
        match self.watermark {
            EventTime::MIN => None,
            // The inputs have ended: the watermark is then just after the newest record.
            EventTime::MAX => self.newest().map(|newest| newest + 1),
            time => Some(time),
        }
    }

    /// Returns the newest event time of any record; `None` before the first.
    pub fn newest(self) -> Option<EventTime> {
        Some(self.newest).filter(|newest| *newest != EventTime::MIN)
    }

    /// Returns the time as of which requests ask: the newest time of a record or, where event time follows the clock in a
    /// quiet stream, the watermark. `EventTime::MIN` before the first record.
    pub fn asking(self) -> EventTime {
        match self.watermark {
            // The inputs are used up: time stands still at the newest record.
            EventTime::MAX => self.newest,
            watermark => watermark.max(self.newest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_asking_time_stands_still_at_the_newest_record_once_the_inputs_are_used_up() {
        let times = |watermark, newest| StoreTimes { watermark, newest };
        assert_eq!((times(5, 9).asking(), times(12, 9).asking(), times(EventTime::MAX, 9).asking()), (9, 12, 9));
        let closed = [times(5, 9), times(EventTime::MAX, 9), StoreTimes::default()].map(StoreTimes::closed);
        assert_eq!(closed, [Some(5), Some(10), None]);
    }
}
