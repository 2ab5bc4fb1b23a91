//! Words of names, names that need no quotes, and the spelling of those that do.

use crate::expr::{Expr, Scope};
use crate::value::{Column, Schema};

/// The longest name that is made from another one.
const LONGEST: usize = 60;

/// Names of columns that tidemill itself adds to examples, features and files begin so.
const RESERVED: char = '_';

/// Returns a column as an expression: its name, in double quotes if it is a word of SQL.
pub fn spelt(column: &Column) -> String {
    let (name, schema) = (&column.name, Schema::new(vec![column.clone()]));
    let is_name = Expr::parse(name, &Scope::of("sample", &schema)).is_ok_and(|expr| expr.as_column().is_some());
    if is_name { name.clone() } else { format!("\"{name}\"") }
}

/// Returns the words of a name in lower case: those of `TX_FRAUD` are `tx` and `fraud`, those of `customerId`
/// `customer` and `id`.
pub fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut before = ' ';
    for letter in name.chars() {
        let begins =
            letter.is_uppercase() && before.is_lowercase() || letter.is_ascii_digit() && before.is_alphabetic();
        if !letter.is_alphanumeric() || begins {
            words.push(String::new());
        }
        if letter.is_alphanumeric() {
            words.last_mut().expect("there is always one").extend(letter.to_lowercase());
        }
        before = letter;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Returns whether a name can be written without quotes in TOML and SQL, and is none of tidemill's own.
pub fn is_plain(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && name.len() <= LONGEST
}

/// Returns a plain name that is like another one: `Total Amount` becomes `total_amount`, `0` becomes `column_0`.
pub fn plain(name: &str) -> String {
    if is_plain(name) {
        return name.to_owned();
    }
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { RESERVED };
    let found: String = name.chars().map(letter).collect();
    let parts: Vec<&str> = found.split(RESERVED).filter(|part| !part.is_empty()).collect();
    let mut found = parts.join("_");
    if !found.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        found = if found.is_empty() { "column".to_owned() } else { format!("column_{found}") };
    }
    found.truncate(LONGEST);
    found
}

/// Returns a name that is not taken yet, and takes it: the same one, or with a number behind it.
pub fn unique(name: String, taken: &mut Vec<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name));
    let free = free.expect("there are more numbers than names");
    taken.push(free.clone());
    free
}

/// Returns a text as TOML writes it.
pub fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_marks_digits_and_capitals() {
        assert_eq!(words("TX_FRAUD"), ["tx", "fraud"]);
        assert_eq!(words("customerId"), ["customer", "id"]);
        assert_eq!(words("is-late?"), ["is", "late"]);
        assert_eq!(words("f12"), ["f", "12"]);
        assert!(words("…").is_empty());
    }

    #[test]
    fn a_plain_name_is_like_the_one_it_is_made_from() {
        assert_eq!(plain("Total Amount"), "total_amount");
        assert_eq!(plain("amount"), "amount");
        assert_eq!(plain("0"), "column_0");
        assert_eq!(plain("_time"), "time");
        assert_eq!(plain("…"), "column");
        let mut taken = Vec::new();
        assert_eq!(["a", "a", "a"].map(|name| unique(name.to_owned(), &mut taken)), ["a", "a_2", "a_3"]);
    }
}
