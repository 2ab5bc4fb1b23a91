//! Warnings of records that came late: how much of a source, and what to do about it.

use std::collections::BTreeMap;

use crate::source::RecordCounts;

/// The largest share of late records that is not warned of.
const MOST_LATE: f64 = 0.05;

/// The remedies for late records.
pub const ADVICE: &str =
    "set `lateness` of the source to the time by which records are out of order, or sort the records by time";

/// Returns a warning for each source of whose records many came late.
pub fn warnings(tallies: &BTreeMap<String, RecordCounts>) -> Vec<String> {
    let is_many = |counts: &RecordCounts| counts.late as f64 > MOST_LATE * counts.read as f64;
    let warning = |(source, counts): (&String, &RecordCounts)| {
        let RecordCounts { read, late, .. } = counts;
        format!(
            "warning: {source}: {late} of {read} records came late, so they take effect after their own time: {ADVICE}"
        )
    };
    tallies.iter().filter(|(_, counts)| is_many(counts)).map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_warned_of_if_more_than_a_twentieth_of_its_records_are_late() {
        let counts = |read, late| RecordCounts { read, late, ..RecordCounts::default() };
        let tallies = [("few", counts(100, 5)), ("many", counts(100, 6)), ("none", counts(0, 0))];
        let warnings = warnings(&tallies.map(|(name, counts)| (name.to_owned(), counts)).into());
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("warning: many: 6 of 100 records came late") && warnings[0].ends_with(ADVICE));
    }
}
