//! House rules for names and signatures: a type name is unique in the crate, and a record has named fields, in functions
//! that other files can call, in aliases of types and in public fields.

use std::collections::BTreeMap;

use crate::tokens::Source;
use crate::tree::{Offence, report, sources, tidy};

/// A tuple with more members is a record, and has a type.
const WIDEST_TUPLE: usize = 2;

#[test]
fn a_type_name_is_unique_in_the_crate() {
    report(twins(&sources("src")));
}

#[test]
fn no_wide_tuple_is_in_a_public_signature() {
    tidy("src", tuples);
}

/// Aliases that must be tuples, by name: differential's operators take the data of a collection as (data, time, diff).
const TUPLES_OF_DIFFERENTIAL: &[&str] = &["Change"];

/// Every name that more than one type has, with all places.
fn twins(sources: &[Source]) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for source in sources {
        for (line, name) in source.types() {
            places.entry(name).or_default().push(format!("src/{}:{line}", source.path));
        }
    }
    let twins = places.into_iter().filter(|(_, places)| places.len() > 1);
    twins.map(|(name, places)| format!("{name} is {} types: {}", places.len(), places.join(", "))).collect()
}

/// Tuples in the parameters and results of functions that other files can call: `pub` ones and those of traits.
fn tuples(source: &Source) -> Vec<Offence> {
    let token = |at: usize| source.tokens.get(at).map_or("", |(_, token)| token.as_str());
    let (blocks, tests) = (source.blocks(), source.test_line());
    let mut offences = Vec::new();
    for (at, (line, _)) in source.tokens.iter().enumerate().filter(|(at, (line, name))| {
        name == "fn" && *line < tests && token(at + 1) != "(" && (blocks[*at] == "trait" || is_public(source, *at))
    }) {
        let Some(open) = (at + 2..).take_while(|at| !token(*at).is_empty()).find(|at| token(*at) == "(") else {
            continue;
        };
        let widest = widest_tuple(source, open, true);
        if widest > WIDEST_TUPLE {
            offences.push((*line, format!("fn {}: a tuple of {widest} in its signature", token(at + 1))));
        }
    }
    offences.extend(declared_tuples(source));
    offences
}

/// Tuples in aliases of types and in public fields.
fn declared_tuples(source: &Source) -> Vec<Offence> {
    let token = |at: usize| source.tokens.get(at).map_or("", |(_, token)| token.as_str());
    let (blocks, tests) = (source.blocks(), source.test_line());
    let mut offences = Vec::new();
    for (at, (line, name)) in source.tokens.iter().enumerate().filter(|(_, (line, _))| *line < tests) {
        let is_alias = name == "type" && !["impl", "trait"].contains(&blocks[at]);
        let is_field = name == ":" && blocks[at] == "struct" && is_public_field(source, at);
        if !is_alias && !is_field {
            continue;
        }
        let end = (at..source.tokens.len()).find(|at| [":", "="].contains(&token(*at))).unwrap_or(at);
        let named = if is_alias { token(at + 1) } else { token(at - 1) };
        let widest = widest_tuple(source, end + 1, false);
        if widest > WIDEST_TUPLE && !(is_alias && TUPLES_OF_DIFFERENTIAL.contains(&named)) {
            offences.push((*line, format!("{named}: a tuple of {widest}")));
        }
    }
    offences
}

/// Returns whether the field whose `:` is at `at` is `pub`, `pub(super)` or the like.
fn is_public_field(source: &Source, at: usize) -> bool {
    let before = source.tokens[..at].iter().rev().map(|(_, token)| token.as_str());
    before.take_while(|token| !["{", ",", "]"].contains(token)).any(|token| token == "pub")
}

/// Returns whether the function whose `fn` is at `at` is `pub`, `pub(super)` or the like.
fn is_public(source: &Source, at: usize) -> bool {
    let before = source.tokens[..at].iter().rev().map(|(_, token)| token.as_str());
    before.take_while(|token| !["{", "}", ";", "]"].contains(token)).any(|token| token == "pub")
}

/// The most members of a tuple in a signature whose parameters open at `open`, or in a type that starts there: not counted
/// are the parameters themselves and those of `Fn(…)`.
fn widest_tuple(source: &Source, open: usize, is_signature: bool) -> usize {
    /// A bracket, and its members so far where it is a tuple's.
    struct Bracket {
        tuple: bool,
        commas: usize,
        trailing: bool,
    }
    let token = |at: usize| source.tokens.get(at).map_or("", |(_, token)| token.as_str());
    let (mut stack, mut widest): (Vec<Bracket>, usize) = (Vec::new(), 0);
    for at in open.. {
        let here = token(at);
        match here {
            "" => break,
            "{" | ";" if stack.is_empty() => break,
            "," | "}" if stack.is_empty() && !is_signature => break,
            "(" | "[" | "{" | "<" => {
                let called = token(at - 1).starts_with(|letter: char| letter.is_alphanumeric()) || token(at - 1) == ">";
                let tuple = here == "("
                    && !(is_signature && at == open)
                    && (!called || ["mut", "dyn", "as"].contains(&token(at - 1)));
                stack.push(Bracket { tuple, commas: 0, trailing: false });
            }
            ">" if ["-", "="].contains(&token(at - 1)) => {}
            ")" | "]" | "}" | ">" => {
                if let Some(Bracket { tuple: true, commas, trailing }) = stack.pop() {
                    widest = widest.max(commas + usize::from(!trailing));
                }
            }
            "," => {
                if let Some(bracket) = stack.last_mut() {
                    bracket.commas += 1;
                    bracket.trailing = [")", "]"].contains(&token(at + 1));
                }
            }
            _ => {}
        }
    }
    widest
}

mod tried {
    use super::*;
    use crate::tree::{NONE, lines};

    #[test]
    fn a_name_of_two_types_is_seen_wherever_they_are() {
        let one = Source::new("a/mod.rs", "pub struct Place;\nimpl Iterator for Place {\n    type Item = u8;\n}\n");
        let two = "fn f() {\n    enum Place {}\n}\nimpl Iterator for A {\n    type Item = u8;\n}\ntrait Item {}\n";
        let tests = "#[cfg(test)]\nmod tests {\n    struct Place;\n}\n";
        let found = twins(&[one, Source::new("b.rs", two), Source::new("c.rs", tests)]);
        assert_eq!(found, ["Place is 2 types: src/a/mod.rs:1, src/b.rs:2"]);
        let alias = [Source::new("a.rs", "type Reply = u8;\n"), Source::new("b.rs", "struct Reply(u8);\n")];
        assert_eq!(twins(&alias).len(), 1);
    }

    #[test]
    fn a_wide_tuple_is_seen_in_parameters_and_results() {
        let wrong = "pub fn f(a: (u8, u8, u8)) {}\npub fn g() -> Vec<(u8, Vec<(u8, u8)>, u8)> {}\n\
                     impl A {\n    pub(super) const fn h(&self, (a, b, c): Abc) {}\n}\n\
                     pub trait T {\n    fn i(&self) -> Option<(\n        u8,\n        u8,\n        u8,\n    )>;\n}\n";
        assert_eq!(lines(tuples, "a.rs", wrong), [1, 2, 4, 7]);
        let right = "fn f(a: (u8, u8, u8)) {}\npub fn g(a: u8, b: u8, c: u8) -> (u8, u8) {\n    let a = (1, 2, 3);\n}\n\
                     pub fn h(f: impl Fn(u8, u8, u8) -> u8, g: fn(u8, u8, u8)) -> HashMap<u8, (u8, [u8; 3])> {}\n\
                     pub fn i() -> (HashMap<u8, u8>, u8) {}\n";
        assert_eq!(lines(tuples, "a.rs", right), NONE);
    }

    #[test]
    fn a_wide_tuple_is_seen_in_aliases_and_public_fields() {
        let wrong = "type A = (u8, u8, u8);\npub type B<T> = Vec<(T, u8, u8)>;\nstruct C {\n    pub a: Option<(u8, u8, u8)>,\n    \
                     pub(super) b: (\n        u8,\n        u8,\n        u8,\n    ),\n}\n";
        assert_eq!(lines(tuples, "a.rs", wrong), [1, 2, 4, 5]);
        let right = "pub type Change = (u8, u8, u8);\ntype F = fn(u8, u8, u8) -> (u8, u8);\nstruct C {\n    a: (u8, u8, u8),\n    \
                     pub b: (u8, u8),\n    pub c: HashMap<u8, (u8, [u8; 3])>,\n}\nfn f(a: u8) {\n    let b: (u8, u8, u8);\n}\n";
        assert_eq!(lines(tuples, "a.rs", right), NONE);
    }
}
