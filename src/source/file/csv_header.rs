//! The header of a CSV file whose columns are not declared: whether there is one, and which columns can be read by it.

use crate::source::SampleValue;
use crate::time::parse_time;

/// Separators that some programs write in place of commas.
const OTHER_SEPARATORS: [char; 3] = [';', '\t', '|'];

/// Checks that the fields of a header are separated by commas.
///
/// # Errors
/// If they are separated by something else.
pub fn check_commas(header: &[String]) -> Result<(), String> {
    let [only] = header else { return Ok(()) };
    match OTHER_SEPARATORS.into_iter().find(|separator| only.contains(*separator)) {
        Some(separator) => Err(format!(
            "its header has no comma and several {separator:?}; expected fields that are separated by commas"
        )),
        None => Ok(()),
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
    let first = header.iter().position(|other| other == name).unwrap_or(at);
    let (first, this) = (first + 1, at + 1);
    (first != this).then(|| format!("column {this} is left out: it has the name of column {first}, {name:?}"))
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
        check_commas(&header).and_then(|()| check_names(&header, &values))
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
    fn other_separators_than_commas_are_named() {
        assert!(check("a;b\n1,5;2").unwrap_err().contains("';'"));
        assert!(check("a\tb\n1\t2").unwrap_err().contains("'\\t'"));
        assert_eq!(check("a;b,c\n1,2"), Ok(()), "a name may have one");
    }

    #[test]
    fn a_column_without_a_name_of_its_own_is_left_out() {
        let header = ["a", "", "a"].map(str::to_owned);
        assert_eq!(fault_of(&header, 0), None);
        assert!(fault_of(&header, 1).unwrap().contains("column 2 is left out: it has no name"));
        assert!(fault_of(&header, 2).unwrap().contains("the name of column 1, \"a\""));
    }
}
