//! Sliding windows: the records of some time before the asking time, the oldest edge moving in hops.

use super::WindowKind;
use super::merging::Merging;
use super::panes::Sliding;
use super::subtracting::Subtracting;
use crate::aggregate::algebra::{Aggregate, Invertible};
use crate::time::{format_duration, parse_duration};

impl WindowKind for Sliding {
    type Subtracting<A: Invertible> = Subtracting<A>;
    type Merging<A: Aggregate> = Merging<A>;

    fn parse(text: &str) -> Option<Self> {
        parse_duration(text).filter(|size_ms| *size_ms > 0).map(Sliding::new)
    }

    /// The text of the window, or its size where the text has a dot: names of features have none.
    fn suffix(self, written: &str) -> String {
        if written.contains('.') { format_duration(self.size_ms) } else { written.to_owned() }
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

    fn panes(self) -> Option<i64> {
        Some(self.size_ms.div_euclid(self.hop_ms) + 2)
    }

    fn subtracting<A: Invertible>(self, aggregate: A) -> Subtracting<A> {
        Subtracting::new(self, aggregate)
    }

    fn merging<A: Aggregate>(self, aggregate: A) -> Merging<A> {
        Merging::new(self, aggregate)
    }
}
