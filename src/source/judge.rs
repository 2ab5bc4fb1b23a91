//! The verdict on a record by its event time.
//!
//! A record is accepted at its effective time, refused, or skipped because it takes effect outside the range that is
//! wanted. Verdicts are passed in offset order, and each depends on the log alone, but for records below the closed
//! frontier: they are *overtaken* and take effect at the frontier.

use std::collections::BTreeMap;
use std::ops::Range;

use super::refusal::Refusal;
use super::{SourcePlan, TumblingWindow, Watermark, WindowOffsets};
use crate::time::{EventTime, Offset, in_range};

/// The decision on one record.
pub(super) enum RecordVerdict {
    /// A record with an effective time.
    Effective(EffectiveTime),
    Refused(Refusal),
    /// A record that was refused outside the wanted range.
    Skipped,
}

/// The effective time of a record.
pub(super) struct EffectiveTime {
    pub time: EventTime,
    /// True if it is later than the event time, by the watermark.
    pub late: bool,
    /// True if the record arrived below the frontier, for the first time.
    pub is_overtaken: bool,
    /// False if it is outside the wanted range.
    pub is_wanted: bool,
}

/// Passes the verdicts on the records of one partition.
pub(super) struct Judge {
    pub watermark: Watermark,
    /// Records below this offset were counted by an earlier run.
    pub already_counted: Offset,
    /// Wanted effective times. A refused record counts as being at the watermark before it.
    pub range: Range<EventTime>,
    /// The most that an event time may be ahead of its message's time, in ms.
    pub max_ahead_ms: i64,
    /// The closed frontier: records below it are overtaken.
    pub frontier: EventTime,
    /// Effective times of records that were overtaken in an earlier run.
    pub overrides: BTreeMap<Offset, EventTime>,
    retention_ms: i64,
    windows: WindowOffsets,
    /// True if `windows` has changed since it was last taken.
    windows_changed: bool,
}

impl Judge {
    /// Returns the judge of a partition from its beginning.
    pub fn new(plan: &SourcePlan) -> Self {
        Judge {
            watermark: Watermark::new(plan.lateness_ms),
            already_counted: 0,
            range: EventTime::MIN..EventTime::MAX,
            max_ahead_ms: i64::MAX,
            frontier: EventTime::MIN,
            overrides: BTreeMap::new(),
            retention_ms: plan.retention_ms,
            windows: WindowOffsets::default(),
            windows_changed: false,
        }
    }

    /// Records the offsets at which these windows are first reached.
    pub fn observe_windows(&mut self, windows: &[TumblingWindow]) {
        self.windows = WindowOffsets::new(windows);
    }

    /// Returns the offsets of windows if a new one has been reached since the last call.
    pub fn changed_windows(&mut self) -> Option<&WindowOffsets> {
        std::mem::take(&mut self.windows_changed).then_some(&self.windows)
    }

    /// Returns whether no further record can be accepted.
    pub fn has_ended(&self) -> bool {
        self.watermark.time() >= self.range.end
    }

    /// Decides on a record with an event time, and advances the watermark unless it is refused.
    pub fn judge(&mut self, offset: Offset, time: EventTime, message_time: Option<EventTime>) -> RecordVerdict {
        let watermark = self.watermark.time();
        let limit = message_time.map(|message| message.saturating_add(self.max_ahead_ms));
        if !in_range(time) {
            return self.refuse(Refusal::out_of_range(time));
        }
        if limit.is_some_and(|limit| time > limit) {
            return self.refuse(Refusal::ahead_of_message(time, self.max_ahead_ms));
        }
        if time < watermark && watermark - time > self.retention_ms {
            return self.refuse(Refusal::too_late(time, watermark - time));
        }
        let mut effective = self.watermark.observe(time);
        let late = effective != time;
        // A record that was overtaken in an earlier run takes effect at the same time again.
        if let Some(overtaken) = self.overrides.remove(&offset) {
            effective = effective.max(overtaken);
        }
        let is_overtaken = offset >= self.already_counted && effective < self.frontier;
        if is_overtaken {
            effective = self.frontier;
        }
        // A record outside the range still reaches windows and moves the end of the job.
        self.windows_changed |= self.windows.observe(effective, offset);
        RecordVerdict::Effective(EffectiveTime {
            time: effective,
            late,
            is_overtaken,
            is_wanted: self.range.contains(&effective),
        })
    }

    /// Refuses a record, unless its place is outside the wanted range.
    pub fn refuse(&self, refusal: Refusal) -> RecordVerdict {
        if self.range.contains(&self.watermark.time()) {
            RecordVerdict::Refused(refusal)
        } else {
            RecordVerdict::Skipped
        }
    }
}
