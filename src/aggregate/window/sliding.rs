//! Sliding windows: the records of some time before the asking time, the oldest edge moving in hops.

use super::kind::{OwnPlace, WindowForm, WindowKind, end_of_names};
use super::maintained::WindowState;
use super::merging::Merging;
use super::panes::Sliding;
use super::parts::StateParts;
use super::provisional::{Queued, Summed};
use super::subtracting::Subtracting;
use crate::aggregate::algebra::{Aggregate, Invertible};
use crate::aggregate::answers::Answers;
use crate::aggregate::assumed_records::AssumedRecords;
use crate::time::{format_duration, parse_duration};

impl WindowKind for Sliding {
    const FORM: WindowForm = WindowForm {
        name: "sliding",
        written: "`\"3h\"`, `{ sliding = \"3h\", hop = \"1m\" }`",
        suffix: "3h",
        records: "event time from floor((t − W) / hop)·hop on",
        state: "a value, and one for each hop with records",
        notes: "",
    };

    fn parse(text: &str) -> Option<Self> {
        parse_duration(text).filter(|size_ms| *size_ms > 0).map(Sliding::new)
    }

    fn suffix(self, written: &str) -> String {
        end_of_names(written, self.size_ms)
    }

    fn describe(self) -> String {
        format!("the last {}", format_duration(self.size_ms))
    }

    fn size(self) -> String {
        format_duration(self.size_ms)
    }

    fn details(self) -> Option<String> {
        Some(format!("hop {}", format_duration(self.hop_ms)))
    }

    fn properties(self) -> Vec<(&'static str, serde_json::Value)> {
        vec![("size_ms", self.size_ms.into()), ("hop_ms", self.hop_ms.into())]
    }

    fn canonical(self) -> String {
        format!("({}, {})", self.size_ms, self.hop_ms)
    }

    fn length_ms(self) -> Option<i64> {
        Some(self.size_ms)
    }

    fn reach_ms(self) -> Option<i64> {
        Some(self.size_ms + self.hop_ms)
    }

    fn own_place(self) -> OwnPlace {
        OwnPlace::Beside
    }

    fn panes(self) -> Option<i64> {
        Some(self.most_panes())
    }

    fn pane_ms(self) -> Option<i64> {
        Some(self.hop_ms)
    }

    fn invertible<A: Invertible, F>(self, parts: StateParts<A, F>) -> Box<dyn WindowState>
    where
        F: Fn(&A::Acc, &mut Answers<'_>) + 'static,
    {
        let closed = Subtracting::new(self, parts.aggregate);
        parts.summed::<Summed<A>, _>(closed)
    }

    fn any<A: Aggregate, F>(self, parts: StateParts<A, F>) -> Box<dyn WindowState>
    where
        F: Fn(&A::Acc, &mut Answers<'_>) + 'static,
    {
        let closed = Merging::new(self, parts.aggregate);
        parts.summed::<Queued<A>, _>(closed)
    }

    fn invertible_bytes<A: Invertible>(self, aggregate: &A, records: &AssumedRecords) -> usize {
        Subtracting::bytes_per_entity(self, aggregate, records)
    }

    fn any_bytes<A: Aggregate>(self, aggregate: &A, records: &AssumedRecords) -> usize {
        Merging::bytes_per_entity(self, aggregate, records)
    }
}
