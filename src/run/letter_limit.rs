//! Limit on dead letters: ends a job if too many of the first records of a source are refused, as it then probably
//! reads them with wrong declarations.
//!
//! A source is judged once, by its first [`EARLY_RECORDS`] records or, if it ends before, by the records that it had. Of
//! fewer than [`FEW_RECORDS`], some may well be bad, so such a source only fails if every record is a dead letter.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::late_records;
use crate::flow::Job;
use crate::source::{DeadLetter, EARLY_RECORDS, EarlyCounts, Reason};

/// Sources with fewer records only fail if all are dead letters.
const FEW_RECORDS: u64 = 100;

/// Compares the dead letters of each source with the config's `max_dead_letters`.
pub struct DeadLetterLimit {
    /// The largest share of dead letters.
    share: f64,
    letters: BTreeMap<String, SourceLetters>,
    /// First dead letters that have not been taken.
    firsts: Vec<String>,
    /// Sources that are within the limit.
    passed: BTreeSet<String>,
}

/// The dead letters of a source.
#[derive(Default)]
struct SourceLetters {
    by_reason: BTreeMap<&'static str, u64>,
    /// The first, in words.
    example: String,
}

impl SourceLetters {
    /// Returns the reasons by count, the most frequent first, the example, and advice on late records.
    fn describe(&self) -> String {
        let mut reasons: Vec<_> = self.by_reason.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let mut text = String::new();
        for (reason, count) in reasons {
            let separator = if text.is_empty() { "" } else { ", " };
            write!(text, "{separator}{reason} {count}").expect("writing to memory cannot fail");
        }
        let advice = match self.by_reason.contains_key(Reason::TooLate.name()) {
            true => format!(
                "; {} are further behind than anything could still use: {}",
                Reason::TooLate.name(),
                late_records::ADVICE
            ),
            false => String::new(),
        };
        format!("{text}; the first is {}{advice}", self.example)
    }
}

impl DeadLetterLimit {
    /// Returns a limit of this share, from 0 to 1.
    pub fn new(share: f64) -> Self {
        DeadLetterLimit { share, letters: BTreeMap::new(), firsts: Vec::new(), passed: BTreeSet::new() }
    }

    /// Observes dead letters. The first of each source is kept for [`DeadLetterLimit::take_firsts`].
    pub fn observe(&mut self, letters: &[DeadLetter]) {
        for letter in letters {
            let DeadLetter { source, partition, offset, reason, detail, .. } = letter;
            let of_source = self.letters.entry(source.clone()).or_default();
            *of_source.by_reason.entry(reason.name()).or_default() += 1;
            if of_source.example.is_empty() {
                of_source.example = format!("partition {partition}, offset {offset}: {detail}");
                self.firsts.push(format!("{source}: the first dead letter is {}", of_source.example));
            }
        }
    }

    /// Returns the first dead letters of sources, in words, each once.
    pub fn take_firsts(&mut self) -> Vec<String> {
        std::mem::take(&mut self.firsts)
    }

    /// Returns why the job must end, if a source is beyond the limit.
    pub fn exceeded(&mut self, job: &Job) -> Option<String> {
        for source in job.plan.readers().map(|reader| &reader.source) {
            if self.passed.contains(source) {
                continue;
            }
            let (mut early, mut has_ended) = (EarlyCounts::default(), job.partitions.is_discovery_complete());
            for partition in job.partitions.list().iter().filter(|partition| partition.id.source == *source) {
                early.add(&partition.stats().early);
                has_ended &= partition.has_ended();
            }
            if early.read < EARLY_RECORDS && !has_ended {
                continue;
            }
            if !self.is_exceeded(early) {
                self.passed.insert(source.clone());
                continue;
            }
            let EarlyCounts { read, dead_letter } = early;
            let which = if read < EARLY_RECORDS { "" } else { "first " };
            let reasons = self.letters.get(source).map_or_else(String::new, SourceLetters::describe);
            let share = self.share;
            return Some(format!(
                "{source}: {dead_letter} of the {which}{read} records are dead letters, more than max_dead_letters = {share} allows: {reasons}"
            ));
        }
        None
    }

    fn is_exceeded(&self, early: EarlyCounts) -> bool {
        let EarlyCounts { read, dead_letter } = early;
        let is_beyond = dead_letter as f64 > self.share * read as f64;
        is_beyond && (read >= FEW_RECORDS || dead_letter == read)
    }

    /// Returns a warning for each source that has dead letters, of how many records.
    pub fn warnings(&self, read: impl Fn(&str) -> u64) -> Vec<String> {
        let warning = |(source, letters): (&String, &SourceLetters)| {
            let count: u64 = letters.by_reason.values().sum();
            format!("{source}: {count} of {} records are dead letters: {}", read(source), letters.describe())
        };
        self.letters.iter().map(warning).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_are_too_late_come_with_advice() {
        let letters = |reasons: &[(&'static str, u64)]| {
            SourceLetters { by_reason: reasons.iter().copied().collect(), example: "offset 0".to_owned() }.describe()
        };
        let with = letters(&[("malformed", 1), ("too_late", 9)]);
        assert!(with.starts_with("too_late 9, malformed 1; the first is offset 0; too_late"), "{with}");
        assert!(with.contains("set `lateness`") && with.contains("sort the records"), "{with}");
        assert_eq!(letters(&[("malformed", 1)]), "malformed 1; the first is offset 0");
    }

    #[test]
    fn a_share_decides_and_few_records_fail_only_together() {
        let exceeded =
            |share: f64, read, dead_letter| DeadLetterLimit::new(share).is_exceeded(EarlyCounts { read, dead_letter });
        assert!(exceeded(0.1, 10_000, 1_001));
        assert!(!exceeded(0.1, 10_000, 1_000));
        assert!(exceeded(0.1, 100, 11) && !exceeded(0.1, 100, 10));
        assert!(!exceeded(0.1, 99, 98) && exceeded(0.1, 99, 99) && exceeded(0.1, 1, 1));
        assert!(!exceeded(0.1, 0, 0), "a source without records");
        assert!(!exceeded(1.0, 10_000, 10_000) && exceeded(0.0, 10_000, 1));
    }
}
