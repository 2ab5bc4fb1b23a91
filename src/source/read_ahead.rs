//! Read-ahead of a partition: how many of its records are beyond a given event time.
//!
//! Back pressure needs to know how far a partition has been read ahead of the slowest one. The number of unclosed records
//! is no measure of that: a large lateness or an idle partition keeps many open although no partition is behind. Records
//! are not recounted when the minimum position moves back, as when an idle partition wakes, so the bound can be
//! exceeded by up to `max_in_flight`.
//!
//! ```
//! use tidemill::source::ReadAhead;
//! let mut ahead = ReadAhead::new(4);
//! ahead.push(1_000, 3);
//! ahead.push(2_000, 2);
//! assert_eq!(ahead.beyond(1_500), 2);
//! ```

use std::collections::VecDeque;

use crate::time::EventTime;

/// Records of a partition by the newest effective time of the read that they came with.
#[derive(Debug)]
pub struct ReadAhead {
    /// In the order of reading.
    reads: VecDeque<CountedRead>,
    /// Reads are merged until they have this many records.
    grain: u64,
    records: u64,
}

#[derive(Debug)]
struct CountedRead {
    /// The newest effective time of the read.
    until: EventTime,
    records: u64,
}

impl ReadAhead {
    /// Returns an empty counter that can tell whether at least `limit` records are ahead: it is exact to `limit / 64`.
    pub fn new(limit: u64) -> Self {
        ReadAhead { reads: VecDeque::new(), grain: limit / 64, records: 0 }
    }

    /// Counts a read of `records` records whose newest effective time is `until`.
    pub fn push(&mut self, until: EventTime, records: u64) {
        self.records += records;
        match self.reads.back_mut() {
            Some(last) if last.records < self.grain => {
                last.until = until.max(last.until);
                last.records += records;
            }
            _ => self.reads.push_back(CountedRead { until, records }),
        }
    }

    /// Returns the number of records in reads that end after `time`. Reads that end at or before `time`, or an earlier
    /// argument, are forgotten.
    pub fn beyond(&mut self, time: EventTime) -> u64 {
        while let Some(read) = self.reads.pop_front_if(|read| read.until <= time) {
            self.records -= read.records;
        }
        self.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_at_or_before_the_time_are_not_ahead() {
        let mut ahead = ReadAhead::new(640);
        (0..100).for_each(|time| ahead.push(time, 4));
        assert_eq!(ahead.beyond(-1), 400);
        // Three reads of four are counted as one.
        assert_eq!(ahead.beyond(49), 400 - 48 * 4);
        assert_eq!(ahead.beyond(99), 0);
        ahead.push(120, 1);
        assert_eq!(ahead.beyond(110), 1);
    }
}
