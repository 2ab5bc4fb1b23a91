//! Strings of a TOML file, and the position in the file of each byte of a string's value.
//!
//! Quotes, escapes and joined lines stand between the two, so that a mistake inside SQL can be reported where it is.

use std::ops::Range;

/// A string of the file.
#[derive(Clone, Debug)]
pub struct Text<'a> {
    pub value: &'a str,
    /// Bytes of the token in the file, quotes included.
    pub span: Range<usize>,
}

/// Returns the byte of the file at which byte `at` of a decoded string begins; `token` is the string with its quotes.
pub fn place(file: &str, token: &Range<usize>, at: usize) -> usize {
    let raw = &file[token.clone()];
    let (quotes, escapes) = match raw.as_bytes() {
        [b'"', b'"', b'"', ..] => (3, true),
        [b'\'', b'\'', b'\'', ..] => (3, false),
        [b'"', ..] => (1, true),
        [b'\'', ..] => (1, false),
        _ => (0, false),
    };
    let mut from = quotes;
    if quotes == 3 {
        // TOML drops a newline right after the opening quotes.
        from += ["\r\n", "\n"].into_iter().find(|line| raw[from..].starts_with(line)).map_or(0, str::len);
    }
    let end = raw.len().saturating_sub(quotes).max(from);
    let mut decoded = 0;
    while decoded < at && from < end {
        let (width, value) = step(&raw[from..end], escapes);
        from += width;
        decoded += value;
    }
    // A backslash at a line's end has no value: the next byte of the value is where the text continues.
    while escapes && from < end {
        match step(&raw[from..end], true) {
            (width, 0) => from += width,
            _ => break,
        }
    }
    token.start + from.min(end)
}

/// Returns the length in bytes of the next unit of raw text, and of its value.
fn step(rest: &str, escapes: bool) -> (usize, usize) {
    let mut letters = rest.chars();
    let first = letters.next().expect("the caller stops at the end");
    if !(escapes && first == '\\') {
        return (first.len_utf8(), first.len_utf8());
    }
    let code = |digits: usize| {
        let hex = rest.get(2..2 + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        (2 + digits, hex.and_then(char::from_u32).map_or(1, char::len_utf8))
    };
    match letters.next() {
        Some('x') => code(2),
        Some('u') => code(4),
        Some('U') => code(8),
        Some(' ' | '\t' | '\r' | '\n') => {
            let blank = rest[1..].len() - rest[1..].trim_start_matches([' ', '\t', '\r', '\n']).len();
            (1 + blank, 0)
        }
        Some(other) => (1 + other.len_utf8(), 1),
        None => (1, 1),
    }
}

/// Returns the key of several words that stands without quotes at a mistake of syntax, `None` if there is none.
pub fn key_without_quotes(file: &str, at: usize) -> Option<String> {
    let line_start = file.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    let line = file[line_start..].lines().next()?;
    let bare = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ');
    // The key ends at its `=` or `]`, and begins after what stands before it.
    let from = at - line_start;
    let end = from + line.get(from..)?.find(['=', ']'])?;
    let begin = line[..end].rfind(|c: char| !bare(c)).map_or(0, |before| before + 1);
    let key = line.get(begin..end)?.trim();
    (begin <= from && key.contains(' ')).then(|| key.to_owned())
}

#[cfg(test)]
mod tests {
    use toml::de::{DeTable, DeValue};

    use super::{key_without_quotes, place};

    #[test]
    fn a_key_of_several_words_is_found_at_the_mistake() {
        for (file, key) in [
            ("a = 1\nTotal Amount = 2\n", Some("Total Amount")),
            ("columns = { Total Amount = \"float\" }", Some("Total Amount")),
            ("[source.my trips]\n", Some("my trips")),
            ("columns = { é b = 1 }", Some("é b")),
            ("a = = 1", None),
            ("a = 'x", None),
        ] {
            let (_, errors) = DeTable::parse_recoverable(file);
            let at = errors[0].span().unwrap().start;
            assert_eq!(key_without_quotes(file, at).as_deref(), key, "{file}");
        }
    }

    /// Returns the byte of the file at which `needle` of the decoded value begins.
    fn find(file: &str, needle: &str) -> usize {
        let table = DeTable::parse(file).unwrap();
        let value = table.get_ref().get("k").unwrap();
        let DeValue::String(text) = value.get_ref() else { panic!("a string") };
        place(file, &value.span(), text.find(needle).unwrap())
    }

    #[test]
    fn a_byte_of_a_strings_value_is_found_in_the_file() {
        for file in [
            r#"k = "ab NEEDLE""#,
            r#"k = 'a\b NEEDLE'"#,
            "k = \"\"\"\nab\n  NEEDLE\"\"\"",
            "k = \"\"\"\r\nab\r\n  NEEDLE\"\"\"",
            "k = '''\nab \"x\"\n  NEEDLE'''",
            "k = \"a\\tb\\u00e9\\U0001F600\\\" NEEDLE\"",
            "k = \"\"\"a \\\n    NEEDLE\"\"\"",
            "k = \"é ü NEEDLE\"",
        ] {
            assert_eq!(find(file, "NEEDLE"), file.find("NEEDLE").unwrap(), "{file}");
        }
    }
}
