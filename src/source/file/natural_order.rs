//! Natural order of paths: numbers within names count by their value, so `part-2` comes before `part-10`.

use std::cmp::Ordering;
use std::path::Path;

/// Compares two paths folder by folder in natural order. Only equal paths are equal.
pub fn compare(one: &Path, other: &Path) -> Ordering {
    let mut parts = one.components().zip(other.components()).map(|(one, other)| {
        let (one, other) = (one.as_os_str().to_string_lossy(), other.as_os_str().to_string_lossy());
        compare_names(one.as_bytes(), other.as_bytes())
    });
    parts.find(|order| order.is_ne()).unwrap_or(Ordering::Equal).then_with(|| one.cmp(other))
}

fn compare_names(mut one: &[u8], mut other: &[u8]) -> Ordering {
    loop {
        match (one.first(), other.first()) {
            (Some(a), Some(b)) if a.is_ascii_digit() && b.is_ascii_digit() => {
                let (a, b) = (take_number(&mut one), take_number(&mut other));
                // Without leading zeros, the longer number is the larger.
                let order = a.len().cmp(&b.len()).then_with(|| a.cmp(b));
                if order.is_ne() {
                    return order;
                }
            }
            (Some(a), Some(b)) if a == b => (one, other) = (&one[1..], &other[1..]),
            (a, b) => return a.cmp(&b),
        }
    }
}

/// Removes the digits at the beginning of a text and returns them without leading zeros.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeros = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_by_their_value() {
        let sorted = [
            "2024-1-9.csv",
            "2024-1-10.csv",
            "2024-10-1.csv",
            "day=2/part-1.csv",
            "day=10/part-1.csv",
            "part-01.csv",
            "part-1.csv",
            "part-2.csv",
            "part-10.csv",
            "part-99999999999999999999998.csv",
            "part-99999999999999999999999.csv",
            "part-a.csv",
        ];
        let mut shuffled = sorted;
        shuffled.reverse();
        shuffled.sort_by(|one, other| compare(Path::new(one), Path::new(other)));
        assert_eq!(shuffled, sorted);
    }
}
