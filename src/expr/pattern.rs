//! LIKE patterns: `%` is any text, `_` any character, `\` takes the next character as it is.

use std::sync::Arc;

use arrow_array::BooleanArray;

use super::operand::{Operand, extent};
use super::tree::Expr;
use crate::value::{Scalar, Type};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PatternPart {
    Any,
    One,
    Letter(char),
}

/// A parsed pattern.
#[derive(Clone, Debug)]
struct Pattern {
    parts: Vec<PatternPart>,
    fold_case: bool,
}

impl Pattern {
    fn new(text: &str, fold_case: bool) -> Self {
        let mut parts = Vec::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '%' if parts.last() == Some(&PatternPart::Any) => {}
                '%' => parts.push(PatternPart::Any),
                '_' => parts.push(PatternPart::One),
                '\\' => parts.extend(letters.next().map(|letter| PatternPart::Letter(folded(letter, fold_case)))),
                letter => parts.push(PatternPart::Letter(folded(letter, fold_case))),
            }
        }
        Pattern { parts, fold_case }
    }

    /// Matches greedily, backtracking to the newest `%` only: the product of the two lengths at worst.
    fn matches(&self, text: &str) -> bool {
        let (mut rest, mut at) = (text.chars(), 0);
        let mut retry: Option<(std::str::Chars, usize)> = None;
        loop {
            let ahead = rest.clone().next();
            match (self.parts.get(at), ahead) {
                (Some(PatternPart::Any), _) => {
                    retry = Some((rest.clone(), at));
                    at += 1;
                    continue;
                }
                (Some(PatternPart::One), Some(_)) => {
                    rest.next();
                    at += 1;
                    continue;
                }
                (Some(PatternPart::Letter(wanted)), Some(letter)) if *wanted == folded(letter, self.fold_case) => {
                    rest.next();
                    at += 1;
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            let Some((from, any)) = &mut retry else { return false };
            if from.next().is_none() {
                return false;
            }
            (rest, at) = (from.clone(), *any + 1);
        }
    }
}

fn folded(letter: char, fold_case: bool) -> char {
    if fold_case { letter.to_lowercase().next().unwrap_or(letter) } else { letter }
}

/// Builds `text LIKE pattern`, or `ILIKE` if `fold` is set.
pub fn like(text: Expr, pattern: Expr, fold_case: bool) -> Expr {
    let nullable = text.nullable || pattern.nullable;
    let name = if fold_case { "ilike" } else { "like" };
    if let Some(Scalar::String(constant)) = pattern.constant() {
        let read = Pattern::new(&constant, fold_case);
        return Expr::call(format!("{name}{constant:?}"), Type::Bool, nullable, vec![text], move |args, _| {
            let texts = args[0].texts();
            answers(args, |row| texts.at(row).map(|text| read.matches(text)))
        });
    }
    Expr::call(name, Type::Bool, nullable, vec![text, pattern], move |args, _| {
        let (texts, patterns) = (args[0].texts(), args[1].texts());
        answers(args, |row| Some(Pattern::new(patterns.at(row)?, fold_case).matches(texts.at(row)?)))
    })
}

fn answers(args: &[Operand], answer: impl Fn(usize) -> Option<bool>) -> Operand {
    let (rows, same) = extent(args);
    Operand::new(Arc::new((0..rows).map(answer).collect::<BooleanArray>()), same)
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn a_pattern_matches_as_in_postgresql() {
        let holds = |text, pattern| Pattern::new(pattern, false).matches(text);
        assert!(holds("LAX", "L%") && holds("LAX", "%X") && holds("LAX", "_A_") && holds("", "%"));
        assert!(holds("a%b", r"a\%b") && !holds("axb", r"a\%b"));
        assert!(holds("abcabd", "%abd") && holds("mississippi", "m%iss%pi"));
        assert!(!holds("LAX", "l%") && !holds("LAX", "LA") && !holds("", "_"));
        assert!(Pattern::new("é_%", true).matches("ÉTÉ"));
    }
}
