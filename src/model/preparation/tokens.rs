//! Texts as inputs: a bag of their words, and of words that follow each other.
//!
//! A word is a run of letters and digits, in lower case. Each run of up to `ngrams` words is an entry, by the hash of the words
//! with a space between; the first [`MOST`] of a text count. With n of them, each adds 1/√n, so that a long text weighs no more
//! than a short one. A null, and a text without words, has none.

use super::layout::MAP_BITS;
use super::values::{MapEntry, hash};

/// Entries of a text, at most.
const MOST: usize = 1000;

/// Returns the hashes of the runs of words of a text, the shortest first.
fn hashes(text: &str, seed: u64, ngrams: usize) -> Vec<u64> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<String> = words.take(MOST).map(str::to_lowercase).collect();
    let runs = (1..=ngrams).flat_map(|length| words.windows(length));
    runs.take(MOST).map(|run| hash(seed, run.join(" ").as_bytes())).collect()
}

fn weight(hashes: &[u64]) -> f64 {
    1.0 / (hashes.len() as f64).sqrt()
}

/// Appends the entries of a text, which is at a position among the maps of a layout.
pub(super) fn push_tokens(text: Option<&str>, map: u32, seed: u64, ngrams: usize, out: &mut Vec<MapEntry>) {
    let hashes = text.map_or_else(Vec::new, |text| hashes(text, seed, ngrams));
    let number = weight(&hashes);
    out.extend(hashes.iter().map(|hash| MapEntry { map, hash: *hash, number }));
}

/// Writes a text as numbers, each the sum of the entries whose hash names it; null without a word.
pub(super) fn fill_tokens(text: Option<&str>, seed: u64, ngrams: usize, cells: &mut [f64]) {
    let hashes = text.map_or_else(Vec::new, |text| hashes(text, seed, ngrams));
    cells.fill(if hashes.is_empty() { f64::NAN } else { 0.0 });
    for hash in &hashes {
        cells[(hash >> (u64::BITS - MAP_BITS)) as usize] += weight(&hashes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_lower_case_runs_of_letters_and_digits() {
        let of = |text: &str| hashes(text, 7, 2);
        let expected = ["grüße", "aus", "ulm", "grüße aus", "aus ulm"].map(|run| hash(7, run.as_bytes()));
        assert_eq!(of("Grüße, aus -- ULM!"), expected);
        assert!(of("").is_empty() && of(" … ").is_empty());
        assert_eq!(of(&"a ".repeat(5000)).len(), MOST);
    }

    #[test]
    fn entries_of_a_text_have_one_length_together() {
        for text in ["one", "one two two three"] {
            let mut entries = Vec::new();
            push_tokens(Some(text), 0, 7, 1, &mut entries);
            let squares: f64 = entries.iter().map(|entry| entry.number * entry.number).sum();
            assert!((squares - 1.0).abs() < 1e-12);
            let mut cells = [0.0; 1 << MAP_BITS];
            fill_tokens(Some(text), 7, 1, &mut cells);
            let sum: f64 = entries.iter().map(|entry| entry.number).sum();
            assert!((cells.iter().sum::<f64>() - sum).abs() < 1e-12);
        }
        let mut cells = [0.0; 1 << MAP_BITS];
        fill_tokens(None, 7, 1, &mut cells);
        assert!(cells.iter().all(|cell| cell.is_nan()), "null is no word at all");
    }
}
