//! House rules for doc comments: each tells by itself what its item is, from its first word on.

use crate::tokens::Source;
use crate::tree::{Offence, offences, report};

/// First words that open no definition: relative clauses without a head, and verbs that name no operation.
const OPENERS: &[&str] = &[
    "What",
    "Who",
    "Whose",
    "Whoever",
    "Whether",
    "Which",
    "Has",
    "Had",
    "Says",
    "Gives",
    "Tells",
    "Where",
    "When",
    "Why",
    "Nobody",
    "Nothing",
    "How",
    "As",
    "That",
    "And",
    "Of",
    "Because",
    "Ascending",
    "Descending",
    "It",
    "Those",
    "Their",
    "Over",
];

/// The same, of more than one word.
const PHRASES: &[&str] = &["None yet"];

#[test]
fn a_doc_comment_opens_with_a_noun_or_a_verb_and_is_whole() {
    report(["src", "tests", "benches", "examples"].into_iter().flat_map(|folder| offences(folder, docs)).collect());
}

fn docs(source: &Source) -> Vec<Offence> {
    let wrong = |(line, doc): &(usize, String)| {
        let text = doc.trim();
        let first = text.split(|letter: char| !letter.is_alphanumeric() && letter != '\'').next().unwrap_or_default();
        if let Some(opener) = OPENERS
            .iter()
            .chain(PHRASES)
            .find(|opener| **opener == first || opener.contains(' ') && text.starts_with(*opener))
        {
            return Some((*line, format!("a doc comment opens with {opener}")));
        }
        if first.starts_with(char::is_lowercase) && text.starts_with(first) {
            return Some((*line, "a doc comment opens in the middle of a sentence".to_owned()));
        }
        text.ends_with([',', ';']).then(|| (*line, "a doc comment ends in the middle of a sentence".to_owned()))
    };
    source.docs().iter().filter_map(wrong).collect()
}

mod tried {
    use super::*;
    use crate::tree::{NONE, lines};

    #[test]
    fn a_headless_opening_and_half_a_sentence_are_seen() {
        let wrong = "//! What a sink leaves.\n\nstruct A {\n    /// Whether it is.\n    b: bool,\n    /// Slots that changed,\n    c: u8,\n    \
                     /// and those that had.\n    d: u8,\n}\n/// None yet.\nfn e() {}\n";
        assert_eq!(lines(docs, "a.rs", wrong), [1, 4, 6, 8, 11]);
        let right = "//! Whatever it is.\n//!\n//! What follows may ask.\n\n/// `a` of b,\n/// and c.\nfn d() {}\n\
                     /// None for the first.\n// What is no doc.\nfn e() {}\n/// Aside.\nfn f() {}\n";
        assert_eq!(lines(docs, "a.rs", right), NONE);
    }
}
