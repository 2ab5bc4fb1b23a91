//! Refusal of a record: the step and the reason, from which its dead letter is made.

use super::{ComputedTime, DeadLetter, OutlierRule, RawMessage, Reason, SourcePlan};
use crate::time::{EventTime, Offset, format_duration, format_time};
use crate::value::{FieldError, FieldFault};

/// The reason why a record becomes a dead letter. In a box, since verdicts on records that are accepted, nearly all, are
/// passed on in the same types.
pub(super) struct Refusal(Box<RefusalFacts>);

struct RefusalFacts {
    /// The step that refuses it: `decode` or `watermark`.
    stage: &'static str,
    reason: Reason,
    /// The event time, if the record has one.
    time: Option<EventTime>,
    detail: String,
    /// True if the record has no fault but that columns are missing, or its time is no time.
    is_incomplete: bool,
}

impl Refusal {
    /// Refuses a record that has a fault or lacks a column.
    pub fn of_field(error: &FieldError, plan: &SourcePlan) -> Self {
        let column = error.column.as_ref().and_then(|name| plan.schema.index_of(name));
        let is_time = column.is_some_and(|column| plan.time.reads(column));
        let is_incomplete = match error.fault {
            FieldFault::Missing | FieldFault::Null(_) => true,
            FieldFault::Malformed(_) => false,
            FieldFault::WrongType { .. } | FieldFault::NonFinite | FieldFault::UnparsableTime(_) => is_time,
        };
        let detail = match (&error.column, &error.fault) {
            // The letter's reason says that the record as a whole is malformed.
            (None, FieldFault::Malformed(why)) => why.clone(),
            _ => error.to_string(),
        };
        Refusal::in_decoding(Reason::from(error), detail, is_incomplete)
    }

    /// Refuses a record for which the expression of its time is NULL. `nulls` are the names of the columns that the
    /// expression reads and that are null in the record.
    pub fn without_time(time: &ComputedTime, nulls: &[&str]) -> Self {
        let detail = match nulls {
            [] => format!("the time, {}, has no value", time.text()),
            nulls => format!("the time, {}, has no value: {} is null", time.text(), nulls.join(", ")),
        };
        let reason = if nulls.is_empty() { Reason::UnparsableTime } else { Reason::MissingField };
        Refusal::in_decoding(reason, detail, true)
    }

    fn in_decoding(reason: Reason, detail: String, is_incomplete: bool) -> Self {
        Refusal(Box::new(RefusalFacts { stage: "decode", reason, time: None, detail, is_incomplete }))
    }

    /// Returns whether a source's `where` may exclude the record all the same.
    pub fn is_incomplete(&self) -> bool {
        self.0.is_incomplete
    }

    /// Refuses an event time, for this reason.
    fn of_time(time: EventTime, reason: Reason, detail: String) -> Self {
        Refusal(Box::new(RefusalFacts { stage: "watermark", reason, time: Some(time), detail, is_incomplete: false }))
    }

    /// Refuses an event time that no record may have.
    pub fn out_of_range(time: EventTime) -> Self {
        let detail = format!("{} is outside what an event time may be", format_time(time));
        Refusal::of_time(time, Reason::TimeOutOfRange, detail)
    }

    /// Refuses an event time that is too far ahead of its message's time.
    pub fn ahead_of_message(time: EventTime, max_ahead_ms: i64) -> Self {
        let (shown, limit) = (format_time(time), format_duration(max_ahead_ms));
        let detail = format!("{shown} is more than max_ahead = {limit} after the timestamp of its message");
        Refusal::of_time(time, Reason::TimeOutOfRange, detail)
    }

    /// Refuses an event time that runs ahead of the records around it. `newest` is the newest time before it.
    pub fn outlier(time: EventTime, newest: EventTime, rule: OutlierRule) -> Self {
        let (shown, limit) = (format_time(time), format_duration(rule.tolerance_ms()));
        let before = match newest {
            EventTime::MIN => String::new(),
            newest => format!(" the records before it, up to {}, and", format_time(newest)),
        };
        let detail = format!("{shown} is more than {limit} (max_ahead) after{before} the records that follow");
        Refusal::of_time(time, Reason::TimeOutOfRange, detail)
    }

    /// Refuses an event time that no window, join or label can hold any more.
    pub fn too_late(time: EventTime, behind_ms: i64) -> Self {
        let time_text = format_time(time);
        let detail = format!("{time_text} is {behind_ms} ms behind the watermark: nothing could still hold it");
        Refusal::of_time(time, Reason::TooLate, detail)
    }

    /// Returns the dead letter of the record at an offset.
    pub fn into_letter(self, plan: &SourcePlan, partition: u32, offset: Offset, raw: RawMessage) -> DeadLetter {
        let RefusalFacts { stage, reason, time, detail, .. } = *self.0;
        let RawMessage { key, value, headers, format, csv_header: header } = raw;
        let (source, topic) = (plan.source.clone(), plan.topic.clone());
        let format = format.or(plan.format.map(|format| format.name));
        DeadLetter {
            source,
            topic,
            partition,
            offset,
            time,
            stage,
            reason,
            detail,
            key,
            value,
            format,
            header,
            headers,
        }
    }
}
