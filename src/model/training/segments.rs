//! Scores by segment: those of the examples that have one value in a column.
//!
//! The number of segments is bounded: the first [`MOST`] values of a column have scores of their own, and all later ones share
//! those of [`OTHER`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Scores, Scoring};
use crate::value::Scalar;

/// Values of a column that have scores of their own.
const MOST: usize = 20;

/// The segment of all further values.
const OTHER: &str = "other";

/// Returns the name of the segment of a value: its text, in double quotes if that would be `null`, the name of nulls, or `other`, that of the rest, or begins with one.
pub fn segment_name(value: &Scalar) -> String {
    match value {
        Scalar::String(text) if matches!(&**text, "null" | OTHER) || text.starts_with('"') => format!("{text:?}"),
        value => value.to_text(),
    }
}

/// The scores of a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SegmentPair {
    pub champion: Scores,
    pub no_skill: Scores,
}

/// Scores by column, and by its values.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct SegmentScores {
    columns: BTreeMap<String, BTreeMap<String, SegmentPair>>,
}

/// The values of columns that have scores of their own, by column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SegmentNames {
    columns: BTreeMap<String, BTreeSet<String>>,
}

/// The metrics of a segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SegmentSummary {
    /// Examples that were scored.
    pub examples: u64,
    pub champion: Vec<(&'static str, f64)>,
    pub no_skill: Vec<(&'static str, f64)>,
}

/// The metrics of segments, by column and value.
pub type SegmentSummaries = BTreeMap<String, BTreeMap<String, SegmentSummary>>;

impl SegmentNames {
    /// Returns the segment of a value, which gets scores of its own while there is room.
    fn segment<'a>(&mut self, column: &str, value: &'a str) -> &'a str {
        if !self.columns.contains_key(column) {
            self.columns.insert(column.to_owned(), BTreeSet::new());
        }
        let known = self.columns.get_mut(column).expect("the column was just added");
        if known.contains(value) {
            return value;
        }
        if known.len() < MOST {
            known.insert(value.to_owned());
            return value;
        }
        OTHER
    }

    /// Returns whether there are no more names than there can be.
    pub fn fits(&self) -> bool {
        self.columns.values().all(|known| known.len() <= MOST)
    }
}

impl SegmentScores {
    /// Returns the scores of an example's segment of a column.
    pub fn of(
        &mut self,
        names: &mut SegmentNames,
        column: &str,
        value: &Arc<str>,
        scoring: Scoring,
    ) -> &mut SegmentPair {
        let segment = names.segment(column, value);
        let column = self.columns.entry(column.to_owned()).or_default();
        let new = || SegmentPair { champion: Scores::new(scoring), no_skill: Scores::new(scoring) };
        column.entry(segment.to_owned()).or_insert_with(new)
    }

    /// Adds the scores of a window.
    pub fn merge(&mut self, window: &SegmentScores) {
        for (column, segments) in &window.columns {
            let own = self.columns.entry(column.clone()).or_default();
            for (segment, more) in segments {
                match own.get_mut(segment) {
                    Some(known) => {
                        known.champion.merge(&more.champion);
                        known.no_skill.merge(&more.no_skill);
                    }
                    None => _ = own.insert(segment.clone(), more.clone()),
                }
            }
        }
    }

    /// Returns the metrics.
    pub fn summaries(&self) -> SegmentSummaries {
        let summary = |pair: &SegmentPair| SegmentSummary {
            examples: pair.champion.examples(),
            champion: pair.champion.all(),
            no_skill: pair.no_skill.all(),
        };
        let of_column = |segments: &BTreeMap<String, SegmentPair>| {
            segments.iter().map(|(segment, pair)| (segment.clone(), summary(pair))).collect()
        };
        self.columns.iter().map(|(column, segments)| (column.clone(), of_column(segments))).collect()
    }

    /// Returns whether all are scores of that kind.
    pub fn fit(&self, scoring: Scoring) -> bool {
        let mut pairs = self.columns.values().flat_map(BTreeMap::values);
        pairs.all(|pair| pair.champion.is_of(scoring) && pair.no_skill.is_of(scoring))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Task;

    #[test]
    fn nulls_and_the_rest_share_a_segment_with_no_text() {
        let name = |text: &str| segment_name(&Scalar::String(text.into()));
        assert_eq!(
            ["u0", "", "null", "other", "\"other\""].map(name),
            ["u0", "", "\"null\"", "\"other\"", r#""\"other\"""#]
        );
        assert_eq!(
            [Scalar::Null, Scalar::Int(7), Scalar::Bool(true)].map(|value| segment_name(&value)),
            ["null", "7", "true"]
        );
    }

    #[test]
    fn the_first_values_have_scores_of_their_own_and_the_rest_shares_one() {
        let (mut names, mut scores, mut all) =
            (SegmentNames::default(), SegmentScores::default(), SegmentScores::default());
        for round in 0..100 {
            let value: Arc<str> = format!("v{}", round % 30).into();
            scores.of(&mut names, "town", &value, Task::Binary.into()).champion.add(&[0.5], 1.0);
        }
        all.merge(&scores);
        all.merge(&scores);
        let summaries = &all.summaries()["town"];
        assert_eq!(summaries.len(), MOST + 1);
        assert_eq!((summaries["v0"].examples, summaries["other"].examples), (8, 60));
        assert!(names.fits() && scores.fit(Task::Binary.into()) && !scores.fit(Task::Regression.into()));
    }
}
