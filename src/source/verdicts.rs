//! Records that wait for a verdict that depends on the records after them; see [`OutlierRule`].

use std::collections::VecDeque;

use super::RawMessage;
use super::outlier::{FOLLOWERS, OutlierRule};
use super::refusal::Refusal;
use crate::time::{EventTime, Offset, in_range};

/// The size of the records that wait from which on the first is judged by those that are there.
const MOST_BYTES: usize = 32 << 20;

/// A record that has been decoded but not judged.
pub(super) struct Arrival {
    pub offset: Offset,
    pub message_time: Option<EventTime>,
    /// The event time, or why there is none.
    pub decoded: Result<EventTime, Refusal>,
    pub raw: RawMessage,
}

impl Arrival {
    fn time(&self) -> Option<EventTime> {
        self.decoded.as_ref().ok().copied().filter(|time| in_range(*time))
    }
}

/// The records that wait, in offset order.
#[derive(Default)]
pub(super) struct WaitingRecords {
    /// `None` if no record is judged by its neighbours.
    rule: Option<OutlierRule>,
    arrivals: VecDeque<Arrival>,
    /// The size of the records as they were received.
    raw_bytes: usize,
    /// True if there will be no further record.
    input_ended: bool,
    /// The offset at which the input had ended when an earlier run judged the records below it.
    ended_before: Offset,
}

impl WaitingRecords {
    /// Judges records by this rule from now on.
    pub fn judge_by(&mut self, rule: OutlierRule) {
        self.rule = Some(rule);
    }

    /// Continues after an earlier run, whose input had ended at an offset.
    pub fn resume_at_end(&mut self, offset: Offset) {
        self.ended_before = offset;
    }

    /// Declares that there will be no further record.
    pub fn end_input(&mut self) {
        self.input_ended = true;
    }

    pub fn len(&self) -> usize {
        self.arrivals.len()
    }

    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// Returns the size of the records as they were received.
    pub fn raw_bytes(&self) -> usize {
        self.raw_bytes
    }

    pub fn push(&mut self, arrival: Arrival) {
        self.raw_bytes += arrival.raw.bytes();
        self.arrivals.push_back(arrival);
    }

    pub fn clear(&mut self) {
        self.arrivals.clear();
        self.raw_bytes = 0;
    }

    /// Returns whether the verdict on a record depends on the records after it. `newest` is the newest time before it.
    pub fn is_ahead(&self, newest: EventTime, decoded: &Result<EventTime, Refusal>) -> bool {
        let time = decoded.as_ref().ok().filter(|time| in_range(**time));
        self.rule.zip(time).is_some_and(|(rule, time)| rule.is_ahead(newest, *time))
    }

    /// Removes the first record if its verdict depends on no further one. If it is an outlier, its event time is replaced
    /// by the refusal.
    pub fn next_judged(&mut self, newest: EventTime) -> Option<Arrival> {
        let first = self.arrivals.front()?;
        let judged = self.rule.zip(first.time()).filter(|(rule, time)| rule.is_ahead(newest, *time));
        let outlier = match judged {
            Some((rule, time)) => self.is_outlier(rule, newest, time)?.then(|| Refusal::outlier(time, newest, rule)),
            None => None,
        };
        let mut first = self.arrivals.pop_front()?;
        self.raw_bytes -= first.raw.bytes();
        if let Some(refusal) = outlier {
            first.decoded = Err(refusal);
        }
        Some(first)
    }

    /// Returns whether the first record, which is ahead, is an outlier; `None` if that is not known yet.
    fn is_outlier(&self, rule: OutlierRule, newest: EventTime, time: EventTime) -> Option<bool> {
        // An earlier run that was at the end of its input did not know the records after that.
        let end = if self.arrivals[0].offset < self.ended_before { self.ended_before } else { Offset::MAX };
        let times = self.arrivals.iter().skip(1).take_while(|arrival| arrival.offset < end).filter_map(Arrival::time);
        let is_complete = self.input_ended
            || self.raw_bytes >= MOST_BYTES
            || times.clone().count() >= FOLLOWERS
            || self.arrivals.back().is_some_and(|last| last.offset + 1 >= end);
        match is_complete {
            true => Some(rule.is_outlier(newest, time, times.take(FOLLOWERS))),
            false => rule.is_confirmed(time, times).then_some(false),
        }
    }
}
