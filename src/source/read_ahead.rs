//! Read-ahead of a partition: how many of its records, and bytes of them, are beyond a given event time.
//!
//! Back pressure needs to know how far a partition has been read ahead of the slowest one. The number of unclosed records
//! is no measure of that: a large lateness or an idle partition keeps many open although no partition is behind. Records
//! are not recounted when the minimum position moves back, as when an idle partition wakes, so the bound can be
//! exceeded by up to `max_in_flight`.
//!
//! ```
//! use tidemill::source::ReadAhead;
//! let mut ahead = ReadAhead::new(4);
//! ahead.push(1_000, 3, 300);
//! ahead.push(2_000, 2, 200);
//! assert_eq!(ahead.beyond(1_500).records, 2);
//! assert_eq!(ahead.beyond(1_500).bytes, 200);
//! ```

use std::collections::VecDeque;

use crate::time::EventTime;

/// Reads of this many bytes are not merged with the one before.
const MERGED_BYTES: u64 = 1 << 20;

/// Records of a partition by the newest effective time of the read that they came with.
#[derive(Debug)]
pub struct ReadAhead {
    /// Reads, in order.
    reads: VecDeque<CountedRead>,
    /// Reads are merged until they have this many records.
    grain: u64,
    total: Volume,
}

/// A number of records and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    pub records: u64,
    pub bytes: u64,
}

impl Volume {
    /// Returns whether both are below those of a limit.
    pub fn is_below(&self, limit: &Volume) -> bool {
        self.records < limit.records && self.bytes < limit.bytes
    }
}

#[derive(Debug)]
struct CountedRead {
    /// The newest effective time of the read.
    until: EventTime,
    volume: Volume,
}

impl ReadAhead {
    /// Returns an empty counter that can tell whether at least `limit` records are ahead: it is exact to `limit / 64`.
    pub fn new(limit: u64) -> Self {
        ReadAhead { reads: VecDeque::new(), grain: limit / 64, total: Volume::default() }
    }

    /// Counts a read of some records and bytes whose newest effective time is `until`.
    pub fn push(&mut self, until: EventTime, records: u64, bytes: u64) {
        self.total.records += records;
        self.total.bytes += bytes;
        match self.reads.back_mut() {
            Some(last) if last.volume.records < self.grain && bytes < MERGED_BYTES => {
                last.until = until.max(last.until);
                last.volume.records += records;
                last.volume.bytes += bytes;
            }
            _ => self.reads.push_back(CountedRead { until, volume: Volume { records, bytes } }),
        }
    }

    /// Returns the records in reads that end after `time`, and their bytes. Reads that end at or before `time`, or an
    /// earlier argument, are forgotten.
    pub fn beyond(&mut self, time: EventTime) -> Volume {
        while let Some(read) = self.reads.pop_front_if(|read| read.until <= time) {
            self.total.records -= read.volume.records;
            self.total.bytes -= read.volume.bytes;
        }
        self.total
    }
    /// Returns whether the reads that end after `time` have at least this many records. Forgets none.
    pub fn is_beyond(&self, time: EventTime, records: u64) -> bool {
        let mut left = records;
        let newest_first = self.reads.iter().rev().take_while(|read| read.until > time);
        for read in newest_first {
            left = left.saturating_sub(read.volume.records);
            if left == 0 {
                return true;
            }
        }
        left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_at_or_before_the_time_are_not_ahead() {
        let mut ahead = ReadAhead::new(640);
        (0..100).for_each(|time| ahead.push(time, 4, 8));
        assert_eq!(ahead.beyond(-1).records, 400);
        assert!(ahead.is_beyond(-1, 400) && !ahead.is_beyond(-1, 401));
        assert!(ahead.is_beyond(96, 4) && !ahead.is_beyond(99, 1), "none is forgotten by a later time");
        // Three reads of four are counted as one.
        assert_eq!(ahead.beyond(49).records, 400 - 48 * 4);
        assert_eq!(ahead.beyond(99).records, 0);
        ahead.push(120, 1, 1 << 30);
        assert_eq!(ahead.beyond(110), Volume { records: 1, bytes: 1 << 30 });
    }
}
