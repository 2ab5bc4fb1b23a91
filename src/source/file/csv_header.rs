//! The header of a CSV file whose columns are not declared: whether there is one, and which columns can be read by it.

use crate::source::SampleValue;
use crate::time::parse_time;
use crate::value::Separator;

/// Returns the end of an error about a column that a header lacks: the separator that it seems to have in place of the one
/// that it is read with.
pub fn other_separator(header: &str, separator: Separator) -> String {
    match Separator::most_of(header) {
        other if other == separator || !header.contains(other.text()) => String::new(),
        other => format!("; are its fields separated by {0:?}? Then the source has separator = {0:?}", other.text()),
    }
}

/// Checks that a first record has names rather than values: not only numbers and times, and no text that its own column
/// has again.
///
/// # Errors
/// If it looks like a record.
pub fn check_names(header: &[String], values: &[Vec<SampleValue>]) -> Result<(), String> {
    let expected = "expected a header with the names of the columns as the first line";
    let is_value = |text: &&String| text.trim().parse::<f64>().is_ok() || parse_time(text).is_some();
    let named = header.iter().filter(|name| !name.is_empty());
    if named.clone().count() > 0 && named.clone().all(|name| is_value(&name)) {
        let first = &header[0];
        return Err(format!("its first line has only numbers and times, as {first:?}; {expected}"));
    }
    let has_again = |(name, values): &(&String, &Vec<SampleValue>)| {
        let is_name = |value: &SampleValue| matches!(value, SampleValue::Text(text) if **text == ***name);
        !name.is_empty() && !is_value(name) && values.iter().any(is_name)
    };
    // Files that were put together may repeat the whole header.
    let mut again = header.iter().zip(values).filter(has_again);
    match again.next() {
        Some((name, _)) if again.count() + 1 < header.len() || header.len() == 1 => {
            Err(format!("its first line has {name:?}, which is a value further down; {expected}"))
        }
        _ => Ok(()),
    }
}

/// Returns the reason why a column cannot be found by its name; `None` if it can.
pub fn fault_of(header: &[String], at: usize) -> Option<String> {
    let name = &header[at];
    if name.is_empty() {
        return Some(format!("column {} is left out: it has no name", at + 1));
    }
    let other = header.iter().enumerate().find(|(other, known)| *other != at && *known == name)?.0;
    let (other, this) = (other + 1, at + 1);
    Some(format!("column {this} is left out: column {other} has the same name, {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let mut rows = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        let header = rows.next().unwrap();
        let mut values = vec![Vec::new(); header.len()];
        for row in rows {
            row.into_iter().zip(&mut values).for_each(|(field, values)| values.push(SampleValue::Text(field.into())));
        }
        check_names(&header, &values)
    }

    #[test]
    fn a_record_in_place_of_a_header_is_seen() {
        for right in ["user,at\nu1,2024-01-31", "seq,0,1\n0,1,0", "a\nb", "a,b\n1,2\na,b\n3,4", "x,label\nlabel2,x"] {
            assert_eq!(check(right), Ok(()), "{right}");
        }
        for wrong in ["1,2.5\n2,3.5", "UA,2024-01-31\nUA,2024-02-01", "2024-01-31\n2024-02-01", "u1\nu2\nu1"] {
            assert!(check(wrong).unwrap_err().contains("expected a header"), "{wrong}");
        }
    }

    #[test]
    fn another_separator_than_that_of_the_source_is_named() {
        let said = |header| other_separator(header, Separator::Comma);
        assert!(said("a;b").ends_with(r#"the source has separator = ";""#), "{}", said("a;b"));
        assert!(said("a\tb").ends_with(r#"separator = "\t""#), "{}", said("a\tb"));
        assert!(other_separator("a,b", Separator::Bar).ends_with(r#"separator = ",""#));
        assert!(said("a;b;c,d").ends_with(r#"separator = ";""#), "a name may have a comma");
        assert_eq!([said("a"), said("a,b;c")], ["", ""]);
    }

    #[test]
    fn a_column_without_a_name_of_its_own_is_left_out() {
        let header = ["a", "", "a"].map(str::to_owned);
        assert!(fault_of(&header, 0).unwrap().contains("column 1 is left out: column 3 has the same name"));
        assert!(fault_of(&header, 1).unwrap().contains("column 2 is left out: it has no name"));
        assert!(fault_of(&header, 2).unwrap().contains("column 1 has the same name, \"a\""));
        assert_eq!(fault_of(&["a", "b"].map(str::to_owned), 0), None);
    }
}
