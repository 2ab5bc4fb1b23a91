//! The newest dead letters, for people who look.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;

/// The number of letters that are shown.
const NEWEST: usize = 8;

/// The longest detail that is kept, in characters.
const MOST_LETTERS: usize = 300;

/// A dead letter as it is shown: where the record is and what is wrong with it. Its value is in the dead letters' file or
/// topic only, as it may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownLetter {
    pub source: String,
    pub partition: u32,
    pub offset: u64,
    pub reason: String,
    pub detail: String,
}

/// Dead letters since the start of the process: counts by source and reason, and the newest.
#[derive(Debug, Default)]
pub struct LetterBoard(Mutex<ShownLetters>);

/// The contents of a [`LetterBoard`].
#[derive(Clone, Debug, Default)]
pub struct ShownLetters {
    /// Counts by source, then by reason.
    pub counts: BTreeMap<(String, String), u64>,
    /// Newest first.
    pub newest: VecDeque<ShownLetter>,
}

impl LetterBoard {
    /// Adds a letter.
    pub fn add(&self, letter: ShownLetter) {
        let mut shown = self.0.lock();
        *shown.counts.entry((letter.source.clone(), letter.reason.clone())).or_default() += 1;
        let detail = letter.detail.chars().take(MOST_LETTERS).collect();
        shown.newest.push_front(ShownLetter { detail, ..letter });
        shown.newest.truncate(NEWEST);
    }

    /// Returns what is shown now.
    pub fn shown(&self) -> ShownLetters {
        self.0.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_newest_are_shown() {
        let board = LetterBoard::default();
        for offset in 0..20 {
            let (source, reason) = ("clicks".to_owned(), if offset % 2 == 0 { "malformed" } else { "too_late" });
            let letter =
                ShownLetter { source, partition: 0, offset, reason: reason.to_owned(), detail: "x".repeat(999) };
            board.add(letter);
        }
        let shown = board.shown();
        let key = |reason: &str| ("clicks".to_owned(), reason.to_owned());
        assert_eq!((shown.counts[&key("malformed")], shown.counts[&key("too_late")]), (10, 10));
        let offsets: Vec<u64> = shown.newest.iter().map(|letter| letter.offset).collect();
        assert_eq!(offsets, [19, 18, 17, 16, 15, 14, 13, 12]);
        assert!(shown.newest.iter().all(|letter| letter.detail.len() == MOST_LETTERS));
    }
}
