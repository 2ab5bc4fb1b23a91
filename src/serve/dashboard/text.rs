//! Numbers, times and durations as people read them.

use crate::time::{EventTime, format_time};

/// Returns a number with four significant digits at most, or with a unit of thousands from ten thousand on.
pub fn short(value: f64) -> String {
    let size = value.abs();
    let trimmed = |text: String| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    match size {
        _ if !value.is_finite() => value.to_string(),
        0.0 => "0".to_owned(),
        size if !(1e-4..1e12).contains(&size) => format!("{value:.2e}"),
        size if size >= 1e9 => trimmed(format!("{:.2}", value / 1e9)) + " G",
        size if size >= 1e6 => trimmed(format!("{:.2}", value / 1e6)) + " M",
        size if size >= 1e4 => trimmed(format!("{:.1}", value / 1e3)) + " k",
        size if size >= 100.0 => trimmed(format!("{value:.1}")),
        _ => trimmed(format!("{value:.4}")),
    }
}

/// Returns a count with its thousands apart.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Returns bytes in a unit of two.
pub fn bytes(value: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut size, mut unit) = (value as f64, 0);
    while size >= 1024.0 && unit + 1 < units.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{value} B") } else { format!("{size:.1} {}", units[unit]) }
}

/// Returns seconds in the unit that suits them.
pub fn seconds(value: f64) -> String {
    match value {
        value if !value.is_finite() => "more than the largest bucket".to_owned(),
        value if value < 1.0 => format!("{:.0} ms", value * 1e3),
        value if value < 120.0 => format!("{value:.1} s"),
        value if value < 7200.0 => format!("{:.0} min", value / 60.0),
        value if value < 172_800.0 => format!("{:.1} h", value / 3600.0),
        value => format!("{:.1} d", value / 86_400.0),
    }
}

/// Returns a time to the second, UTC.
pub fn time(time: EventTime) -> String {
    let text = format_time(time).replace('T', " ");
    text.split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (-0.5, "-0.5"),
            (1.0 / 3.0, "0.3333"),
            (99.5, "99.5"),
            (1234.56, "1234.6"),
            (10_000.0, "10 k"),
            (1_500_000.0, "1.5 M"),
            (2e9, "2 G"),
            (1e-7, "1.00e-7"),
            (1e15, "1.00e15"),
        ] {
            assert_eq!(short(value), expected);
        }
        assert_eq!(
            (count(0), count(999), count(1_234_567)),
            ("0".into(), "999".into(), "1\u{202f}234\u{202f}567".into())
        );
        assert_eq!((bytes(17), bytes(2048), bytes(5 << 30)), ("17 B".into(), "2.0 KiB".into(), "5.0 GiB".into()));
        assert_eq!((seconds(0.02), seconds(3.0), seconds(7200.0)), ("20 ms".into(), "3.0 s".into(), "2.0 h".into()));
        assert_eq!(time(0), "1970-01-01 00:00:00");
    }
}
