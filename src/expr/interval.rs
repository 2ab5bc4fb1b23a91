//! Intervals: lengths of time that are added to a timestamp or subtracted from it.
//!
//! `t + interval '6 hours'`, `t - interval '1 day 30 minutes'`, `t + interval '90' second`, `t + n * interval '1 second'`.
//! There are no columns of intervals: one is bound with the timestamp that it shifts, as an int of ms. Its units have a
//! fixed length, since event time knows no calendar; months and years have none and are refused. A time that does not
//! fit is NULL, counted.

use std::ops::Range;

use sqlparser::ast::{self, BinaryOperator as Binary, Expr as Ast, Value};

use super::bind::Binder;
use super::coerce::to_int;
use super::functions::Arg;
use super::operand::{try_map1, try_map2};
use super::tree::Expr;
use super::{ExprError, start_of};
use crate::time::length::{self, LONGEST_MS, LengthFault};
use crate::value::Type;

/// Units of an interval by their names, without a plural's `s`, and their lengths in ms.
static UNITS: &[(&[&str], i64)] = &[
    (&["millisecond", "ms", "msec"], 1),
    (&["second", "sec", "s"], 1_000),
    (&["minute", "min", "m"], 60_000),
    (&["hour", "hr", "h"], 3_600_000),
    (&["day", "d"], 86_400_000),
    (&["week", "w"], 604_800_000),
];

const FORM: &str = "a length such as interval '6 hours', in units from milliseconds to weeks";

/// An interval in a syntax tree, and what it is multiplied by.
struct IntervalForm<'t> {
    interval: &'t ast::Interval,
    factor: Option<&'t Ast>,
}

impl<'t> IntervalForm<'t> {
    /// Returns the interval that a tree is, if it is one: alone, or multiplied by a number.
    fn of(tree: &'t Ast) -> Option<Self> {
        let tree = unnested(tree);
        if let Ast::Interval(interval) = tree {
            return Some(IntervalForm { interval, factor: None });
        }
        let Ast::BinaryOp { left, op: Binary::Multiply, right } = tree else { return None };
        match (unnested(left), unnested(right)) {
            (Ast::Interval(interval), _) => Some(IntervalForm { interval, factor: Some(right) }),
            (_, Ast::Interval(interval)) => Some(IntervalForm { interval, factor: Some(left) }),
            _ => None,
        }
    }
}

fn unnested(mut tree: &Ast) -> &Ast {
    while let Ast::Nested(inner) = tree {
        tree = inner;
    }
    tree
}

impl Binder<'_> {
    /// Returns whether a tree is an interval, alone or multiplied by a number.
    pub fn is_interval(&self, tree: &Ast) -> bool {
        IntervalForm::of(tree).is_some()
    }

    /// Binds `time + interval` or `time - interval`.
    ///
    /// # Panics
    /// If the second operand is no interval.
    pub fn shifted(&mut self, time: Option<Arg>, op: &Binary, by: &Ast, span: &Range<usize>) -> Option<Expr> {
        let ms = self.interval_ms(&IntervalForm::of(by).expect("an interval"), span);
        let time = time?;
        let (name, shift): (_, fn(i64, i64) -> Option<i64>) = match op {
            Binary::Plus => ("+ interval", i64::checked_add),
            Binary::Minus => ("- interval", i64::checked_sub),
            other => {
                let message = format!("operator {other} is not supported with an interval");
                return self.fail(time.span, message, "a timestamp + or - an interval");
            }
        };
        let time = self.keep(time.timestamp())?;
        Some(Expr::call(name, Type::Timestamp, true, vec![time, ms?], move |args, stats| {
            try_map2(args[0].ints(), args[1].ints(), shift, &mut stats.overflow).timestamps()
        }))
    }

    /// Binds the length of an interval, in ms.
    fn interval_ms(&mut self, form: &IntervalForm, within: &Range<usize>) -> Option<Expr> {
        let span = self.positions.bytes(start_of(&form.interval.value)).unwrap_or_else(|| within.clone());
        let length = length_of(form.interval);
        let length = self.keep(length.map_err(|what| ExprError::new(span, what).expected(FORM)));
        let Some(factor) = form.factor else { return length.map(Expr::int) };
        let factor = self.bind(factor, within)?;
        let (factor, length) = (self.keep(factor.number())?, length?);
        let ms = match factor.ty() {
            Type::Int => Expr::call(format!("* {length} ms"), Type::Int, true, vec![factor], move |args, stats| {
                try_map1(args[0].ints(), |n| n.checked_mul(length), &mut stats.overflow).ints()
            }),
            _ => Expr::call(format!("* {length} ms"), Type::Int, true, vec![factor], move |args, stats| {
                try_map1(args[0].floats(), |x| to_int(x * length as f64), &mut stats.overflow).ints()
            }),
        };
        Some(ms)
    }
}

/// Returns the length of an interval in ms, or what is wrong with it.
fn length_of(interval: &ast::Interval) -> Result<i64, String> {
    let ast::Interval { value, leading_field, leading_precision, last_field, fractional_seconds_precision } = interval;
    let text = match value.as_ref() {
        Ast::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => text.as_str(),
            _ => return Err("the length of an interval is not text in single quotes".to_owned()),
        },
        _ => return Err("the length of an interval is not a constant".to_owned()),
    };
    if leading_precision.is_some() || last_field.is_some() || fractional_seconds_precision.is_some() {
        return Err("an interval of a range of units".to_owned());
    }
    match leading_field {
        Some(unit) => parse(&format!("{text} {unit}")),
        None => parse(text),
    }
}

/// Parses numbers, each with its unit: `1 day 2.5 hours`, `-30s`. They are read as decimals, so `2.3 hours` are exact.
fn parse(text: &str) -> Result<i64, String> {
    let wrong = || format!("'{}' is not an interval", text.trim());
    let too_long = || format!("'{}' is too long", text.trim());
    let (mut rest, mut total) = (text.trim(), 0_i64);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(rest.len());
        let number = &rest[..end];
        if length::parse(number, 1) == Err(LengthFault::NoNumber) {
            return Err(wrong());
        }
        rest = rest[end..].trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        let singular = name.strip_suffix('s').filter(|singular| singular.len() > 1).unwrap_or(&name);
        let named = |(names, _): &&(&[&str], i64)| names.iter().any(|known| *known == name || *known == singular);
        let Some((_, unit_ms)) = UNITS.iter().find(named) else {
            return Err(match singular {
                "month" | "mon" | "year" | "yr" | "quarter" => format!("a {singular} has no fixed length"),
                "" => wrong(),
                _ => format!("'{name}' is not a unit of an interval"),
            });
        };
        let ms = length::parse(number, *unit_ms).map_err(|fault| match fault {
            LengthFault::NoNumber => wrong(),
            LengthFault::Fraction => format!("'{}' is not a whole number of milliseconds", text.trim()),
            LengthFault::TooLong => too_long(),
        })?;
        total = total.checked_add(ms).filter(|total| total.abs() <= LONGEST_MS).ok_or_else(too_long)?;
        rest = rest[end..].trim_start();
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_postgresql_reads_them() {
        for (text, ms) in [
            ("6 hours", 21_600_000),
            ("1 day 2.5 hours", 95_400_000),
            ("-30s", -30_000),
            ("1 hour -1 minute", 3_540_000),
            ("250 ms", 250),
            ("2 Weeks", 1_209_600_000),
            ("1min", 60_000),
            ("2.3 hours", 8_280_000),
            ("1.1 weeks -0.7 days", 604_800_000 / 10 * 11 - 86_400_000 / 10 * 7),
        ] {
            assert_eq!(parse(text), Ok(ms), "{text}");
        }
        let unfit = ["", "6", "hours", "1 month", "2 years", "1 fortnight", "0.5 ms", "1e9 days", "1 - 2 hours"];
        for text in unfit {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("1 month").unwrap_err().contains("no fixed length"));
        assert_eq!(parse("0.5 ms").unwrap_err(), "'0.5 ms' is not a whole number of milliseconds");
        for text in ["1000000000 weeks", "99999999999999999999999999999999 s", "11574074 days 11574074 days"] {
            assert_eq!(parse(text).unwrap_err(), format!("'{text}' is too long"));
        }
    }
}
