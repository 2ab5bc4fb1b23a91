//! How far a partition has been read ahead of the others.
//!
//! What is closed is no measure of that: a long lateness, or an idle partition, keeps much open without anybody being
//! behind. A record that was once not ahead is not counted again where the slowest goes back, as when a partition wakes:
//! so then there may be up to as many more as are allowed.

use std::collections::VecDeque;

use crate::time::EventTime;

/// Records of a partition that are ahead of a time, counted by the read.
#[derive(Debug)]
pub struct Ahead {
    /// Newest effective time and number of records of reads, in the order of reading.
    reads: VecDeque<(EventTime, u64)>,
    /// Reads of fewer records than this are counted as one.
    grain: u64,
    records: u64,
}

impl Ahead {
    /// None yet; it is to be known whether there are `most`.
    pub fn new(most: u64) -> Self {
        Ahead { reads: VecDeque::new(), grain: most / 64, records: 0 }
    }

    /// Takes in a read of so many records, up to this time.
    pub fn push(&mut self, newest: EventTime, records: u64) {
        self.records += records;
        match self.reads.back_mut() {
            Some((last, before)) if *before < self.grain => {
                *last = newest.max(*last);
                *before += records;
            }
            _ => self.reads.push_back((newest, records)),
        }
    }

    /// How many records there are in reads that go beyond a time, and have gone beyond all before it.
    pub fn of(&mut self, time: EventTime) -> u64 {
        while let Some((_, records)) = self.reads.pop_front_if(|(newest, _)| *newest <= time) {
            self.records -= records;
        }
        self.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_beyond_the_time_is_not_ahead() {
        let mut ahead = Ahead::new(640);
        (0..100).for_each(|time| ahead.push(time, 4));
        assert_eq!(ahead.of(-1), 400);
        // Three reads of four are counted as one.
        assert_eq!(ahead.of(49), 400 - 48 * 4);
        assert_eq!(ahead.of(99), 0);
        ahead.push(120, 1);
        assert_eq!(ahead.of(110), 1);
    }
}
