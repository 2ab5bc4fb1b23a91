//! Alias moves and splits by hand: who may make them, and under which names.
//!
//! A move by hand decides which version answers. It never touches the lineage: learning continues from the version that
//! the trainer accepted last, and the trainer's next champion takes the alias again.

use super::RegistryError;
use super::history::{RECOVERY, TRAINER, When};
use super::split_log::RAMP;

/// The longest name of an alias or an author, in bytes.
const LONGEST_NAME: usize = 64;

/// The longest reason of a move or a split by hand, in characters.
const LONGEST_REASON: usize = 1000;

/// A move by hand, but for the version.
#[derive(Clone, Copy, Debug)]
pub struct MoveByHand<'a> {
    /// Letters, digits, `_`, `-` and `.`, at most 64, and not digits alone: an arm of a split names a version by them.
    pub alias: &'a str,
    pub when: When,
    pub reason: &'a str,
    /// The author: any text but the names under which moves are made by themselves.
    pub by: &'a str,
    /// The number of the move that this one takes back, if it is a rollback.
    pub reverts: Option<u64>,
}

/// A split that a person makes or clears, but for its arms.
#[derive(Clone, Copy, Debug)]
pub struct SplitByHand<'a> {
    pub when: When,
    pub reason: &'a str,
    pub by: &'a str,
}

impl MoveByHand<'_> {
    /// Checks the names and the reason.
    ///
    /// # Errors
    /// If the alias has no valid name, the author has that of the trainer, a recovery or a ramp, the reason is too long, or
    /// one of them has control characters.
    pub(super) fn check(&self) -> Result<(), RegistryError> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
        let is_number = self.alias.chars().all(|letter| letter.is_ascii_digit());
        if is_number || self.alias.len() > LONGEST_NAME || !self.alias.chars().all(is_plain) {
            return Err(RegistryError::Alias { alias: self.alias.to_owned() });
        }
        check_origin(self.by, self.reason)
    }
}

/// Checks the author of a move or a split, and its reason.
///
/// # Errors
/// If there is no author, the name is one under which changes are made by themselves, the reason is too long, or one of
/// them has control characters.
pub(super) fn check_origin(by: &str, reason: &str) -> Result<(), RegistryError> {
    if by.is_empty() || by.len() > LONGEST_NAME || [TRAINER, RECOVERY, RAMP].contains(&by) {
        return Err(RegistryError::Author { by: by.to_owned() });
    }
    if by.chars().chain(reason.chars()).any(char::is_control) {
        return Err(RegistryError::ControlCharacter);
    }
    match reason.chars().count() {
        length if length > LONGEST_REASON => Err(RegistryError::Reason { length, longest: LONGEST_REASON }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_the_trainer_has_its_own() {
        let when = When { event: 0, wall: 0 };
        let check = |alias: &str, by: &str| MoveByHand { alias, when, reason: "", by, reverts: None }.check();
        assert!(check("canary-2.b_c", "Ann Lee").is_ok());
        for alias in ["", "3", "a b", "a/b", "é", &"a".repeat(65)] {
            assert!(matches!(check(alias, "ann"), Err(RegistryError::Alias { .. })), "{alias}");
        }
        for by in ["", "trainer", "recovery", "ramp", &"a".repeat(65)] {
            assert!(matches!(check("champion", by), Err(RegistryError::Author { .. })), "{by}");
        }
        assert!(check_origin("ann", &"é".repeat(1000)).is_ok());
        assert!(matches!(check_origin("ann", "two\nlines"), Err(RegistryError::ControlCharacter)));
        assert!(matches!(check_origin("a\u{1b}[31m", ""), Err(RegistryError::ControlCharacter)));
        assert!(matches!(check_origin("ann", &"é".repeat(1001)), Err(RegistryError::Reason { length: 1001, .. })));
    }
}
