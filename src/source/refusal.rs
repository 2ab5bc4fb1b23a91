//! Refusal of a record: the step and the reason, from which its dead letter is made.

use super::{DeadLetter, OutlierRule, RawMessage, Reason, SourcePlan};
use crate::time::{EventTime, Offset, format_duration, format_time};
use crate::value::FieldError;

/// The reason why a record becomes a dead letter.
pub(super) struct Refusal {
    /// The step that refuses it: `decode` or `watermark`.
    stage: &'static str,
    reason: Reason,
    /// The event time, if the record has one.
    time: Option<EventTime>,
    detail: String,
}

impl Refusal {
    /// Refuses a record that has a fault or lacks a column.
    pub fn of_field(error: &FieldError) -> Self {
        Refusal { stage: "decode", reason: Reason::from(error), time: None, detail: error.to_string() }
    }

    /// Refuses an event time that no record may have.
    pub fn out_of_range(time: EventTime) -> Self {
        let detail = format!("{} is outside what an event time may be", format_time(time));
        Refusal { stage: "watermark", reason: Reason::TimeOutOfRange, time: Some(time), detail }
    }

    /// Refuses an event time that is too far ahead of its message's time.
    pub fn ahead_of_message(time: EventTime, max_ahead_ms: i64) -> Self {
        let (shown, limit) = (format_time(time), format_duration(max_ahead_ms));
        let detail = format!("{shown} is more than max_ahead = {limit} after the timestamp of its message");
        Refusal { stage: "watermark", reason: Reason::TimeOutOfRange, time: Some(time), detail }
    }

    /// Refuses an event time that runs ahead of the records around it. `newest` is the newest time before it.
    pub fn outlier(time: EventTime, newest: EventTime, rule: OutlierRule) -> Self {
        let (shown, limit) = (format_time(time), format_duration(rule.tolerance_ms()));
        let before = match newest {
            EventTime::MIN => String::new(),
            newest => format!(" the records before it, up to {}, and", format_time(newest)),
        };
        let detail = format!("{shown} is more than {limit} (max_ahead) after{before} the records that follow");
        Refusal { stage: "watermark", reason: Reason::TimeOutOfRange, time: Some(time), detail }
    }

    /// Refuses an event time that no window, join or label can hold any more.
    pub fn too_late(time: EventTime, behind_ms: i64) -> Self {
        let time_text = format_time(time);
        let detail = format!("{time_text} is {behind_ms} ms behind the watermark: nothing could still hold it");
        Refusal { stage: "watermark", reason: Reason::TooLate, time: Some(time), detail }
    }

    /// Returns the dead letter of the record at an offset.
    pub fn into_letter(self, plan: &SourcePlan, partition: u32, offset: Offset, raw: RawMessage) -> DeadLetter {
        let Refusal { stage, reason, time, detail } = self;
        let RawMessage { key, value, headers } = raw;
        let (source, topic) = (plan.source.clone(), plan.topic.clone());
        DeadLetter { source, topic, partition, offset, time, stage, reason, detail, key, value, headers }
    }
}
