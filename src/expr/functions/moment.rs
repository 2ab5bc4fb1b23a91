//! Functions of timestamps. The calendar is UTC and Gregorian, also before 1582.
//!
//! Days are counted by the algorithm of Howard Hinnant ("chrono-compatible low-level date algorithms", 2013).

use std::sync::Arc;

use super::super::coerce::to_int;
use super::super::nearest;
use super::super::operand::{Operand, extent, map1, try_map1};
use super::{Arg, Expr, ExprError, Function};
use crate::time::{DAY_MS, TimeFormat};
use crate::value::{ColumnBuilder, Scalar, Type};

pub static FUNCTIONS: &[Function] = &[
    Function {
        name: "date_part",
        signature: "date_part('field', t)",
        summary: "Field of a timestamp; also written extract(field FROM t). An int, except `epoch`, which is a float in seconds. \
                  Fields: year, isoyear, quarter, month, week (ISO), day, doy, dow (Sunday 0), isodow (Monday 1, \
                  Sunday 7), hour, minute, second (whole), milliseconds (of the minute), epoch",
        arity: (2, 2),
        bind: date_part,
    },
    Function {
        name: "date_trunc",
        signature: "date_trunc('unit', t)",
        summary: "t truncated to the start of its year, quarter, month, week (Monday), day, hour, minute or second",
        arity: (2, 2),
        bind: date_trunc,
    },
    Function {
        name: "to_timestamp",
        signature: "to_timestamp(x)",
        summary: "The timestamp x seconds after 1970-01-01T00:00:00Z, to the nearest ms, ties to even; of milliseconds, \
                  to_timestamp(x / 1000.0)",
        arity: (1, 1),
        bind: to_timestamp,
    },
    Function {
        name: "strptime",
        signature: "strptime(text, 'format')",
        summary: "The timestamp that a text says in a format of strftime, as in `time_format`; another text is NULL, counted",
        arity: (2, 2),
        bind: strptime,
    },
];

type FromMs = fn(i64) -> i64;

static FIELDS: &[(&str, FromMs)] = &[
    ("year", |ms| civil(day(ms)).0),
    ("isoyear", |ms| civil(thursday(day(ms))).0),
    ("quarter", |ms| (civil(day(ms)).1 - 1) / 3 + 1),
    ("month", |ms| civil(day(ms)).1),
    ("week", |ms| (day_of_year(thursday(day(ms))) - 1) / 7 + 1),
    ("day", |ms| civil(day(ms)).2),
    ("doy", |ms| day_of_year(day(ms))),
    ("dow", |ms| (day(ms) + 4).rem_euclid(7)),
    ("isodow", |ms| (day(ms) + 3).rem_euclid(7) + 1),
    ("hour", |ms| ms.rem_euclid(DAY_MS) / 3_600_000),
    ("minute", |ms| ms.rem_euclid(3_600_000) / 60_000),
    ("second", |ms| ms.rem_euclid(60_000) / 1000),
    ("milliseconds", |ms| ms.rem_euclid(60_000)),
];

static UNITS: &[(&str, FromMs)] = &[
    ("year", |ms| days(civil(day(ms)).0, 1, 1) * DAY_MS),
    ("quarter", |ms| {
        let (year, month, _) = civil(day(ms));
        days(year, (month - 1) / 3 * 3 + 1, 1) * DAY_MS
    }),
    ("month", |ms| {
        let (year, month, _) = civil(day(ms));
        days(year, month, 1) * DAY_MS
    }),
    ("week", |ms| (thursday(day(ms)) - 3) * DAY_MS),
    ("day", |ms| day(ms) * DAY_MS),
    ("hour", |ms| ms.div_euclid(3_600_000) * 3_600_000),
    ("minute", |ms| ms.div_euclid(60_000) * 60_000),
    ("second", |ms| ms.div_euclid(1000) * 1000),
];

fn date_part(mut args: Vec<Arg>) -> Result<Expr, ExprError> {
    let field = args.remove(0);
    let name = named(&field)?;
    let time = args.remove(0).timestamp()?;
    let nullable = time.nullable();
    if &*name == "epoch" {
        return Ok(Expr::call("date_part'epoch'", Type::Float, nullable, vec![time], |args, _| {
            map1(args[0].ints(), |ms| ms as f64 / 1000.0).floats()
        }));
    }
    let from_ms = look_up(&name, FIELDS, Some("epoch"), &field)?;
    Ok(Expr::call(format!("date_part'{name}'"), Type::Int, nullable, vec![time], move |args, _| {
        map1(args[0].ints(), from_ms).ints()
    }))
}

fn date_trunc(mut args: Vec<Arg>) -> Result<Expr, ExprError> {
    let unit = args.remove(0);
    let name = named(&unit)?;
    let from_ms = look_up(&name, UNITS, None, &unit)?;
    let time = args.remove(0).timestamp()?;
    let nullable = time.nullable();
    Ok(Expr::call(format!("date_trunc'{name}'"), Type::Timestamp, nullable, vec![time], move |args, _| {
        map1(args[0].ints(), from_ms).timestamps()
    }))
}

fn to_timestamp(mut args: Vec<Arg>) -> Result<Expr, ExprError> {
    let seconds = args.remove(0).number()?;
    Ok(match seconds.ty() {
        Type::Int => Expr::call("to_timestamp", Type::Timestamp, true, vec![seconds], |args, stats| {
            try_map1(args[0].ints(), |s| s.checked_mul(1000), &mut stats.overflow).timestamps()
        }),
        _ => Expr::call("to_timestamp", Type::Timestamp, true, vec![seconds], |args, stats| {
            try_map1(args[0].floats(), |s| to_int(s * 1000.0), &mut stats.overflow).timestamps()
        }),
    })
}

fn strptime(mut args: Vec<Arg>) -> Result<Expr, ExprError> {
    let (format, text) = (args.remove(1), args.remove(0).text()?);
    let expected = "directives of strftime that determine a date, such as '%d/%m/%Y %H:%M'";
    let Some(Scalar::String(written)) = format.expr.constant() else {
        return Err(ExprError::new(format.span, "the format is not a constant").expected(expected));
    };
    let format = TimeFormat::new(&written).map_err(|why| {
        ExprError::new(format.span, format!("'{written}' is not a time format: {why}")).expected(expected)
    })?;
    Ok(Expr::call(format!("strptime'{written}'"), Type::Timestamp, true, vec![text], move |args, stats| {
        let (rows, same) = extent(args);
        let (texts, mut times) = (args[0].texts(), ColumnBuilder::new(Type::Timestamp));
        for row in 0..rows {
            let time = texts.at(row).map(|text| format.parse(text));
            stats.unreadable += u64::from(time == Some(None));
            times.append(&time.flatten().map_or(Scalar::Null, Scalar::Timestamp));
        }
        Operand::new(times.finish(), same)
    }))
}

/// Returns the constant text of the first argument, in lower case.
fn named(arg: &Arg) -> Result<Arc<str>, ExprError> {
    match arg.expr.constant() {
        Some(Scalar::String(text)) => Ok(text.to_ascii_lowercase().into()),
        _ => Err(ExprError::new(arg.span.clone(), "the field is not a constant").expected("text in single quotes")),
    }
}

fn look_up(name: &str, list: &[(&str, FromMs)], also: Option<&str>, arg: &Arg) -> Result<FromMs, ExprError> {
    if let Some((_, from_ms)) = list.iter().find(|(known, _)| *known == name) {
        return Ok(*from_ms);
    }
    let names: Vec<&str> = list.iter().map(|(known, _)| *known).chain(also).collect();
    Err(ExprError::new(arg.span.clone(), format!("unknown field '{name}'"))
        .expected(format!("one of {}", names.join(", ")))
        .suggest(nearest(name, names.iter().copied())))
}

/// Returns the days since 1970-01-01.
fn day(ms: i64) -> i64 {
    ms.div_euclid(DAY_MS)
}

/// Returns the Thursday of a day's ISO week, which lies in the week's year.
fn thursday(day: i64) -> i64 {
    day - (day + 3).rem_euclid(7) + 3
}

fn day_of_year(day: i64) -> i64 {
    day - days(civil(day).0, 1, 1) + 1
}

/// Returns year, month and day of the month.
fn civil(day: i64) -> (i64, i64, i64) {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// Returns the days from 1970-01-01 to a date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = year - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Datelike, Timelike};
    use proptest::prelude::*;

    use super::*;

    fn field(name: &str, ms: i64) -> i64 {
        FIELDS.iter().find(|(known, _)| *known == name).expect("a field").1(ms)
    }

    proptest! {
        #[test]
        fn oracle_fields_are_those_of_chrono(ms in crate::time::EARLIEST..crate::time::LATEST) {
            let t = DateTime::from_timestamp_millis(ms).unwrap();
            prop_assert_eq!(field("year", ms), i64::from(t.year()));
            prop_assert_eq!(field("month", ms), i64::from(t.month()));
            prop_assert_eq!(field("day", ms), i64::from(t.day()));
            prop_assert_eq!(field("doy", ms), i64::from(t.ordinal()));
            prop_assert_eq!(field("week", ms), i64::from(t.iso_week().week()));
            prop_assert_eq!(field("isoyear", ms), i64::from(t.iso_week().year()));
            prop_assert_eq!(field("dow", ms), i64::from(t.weekday().num_days_from_sunday()));
            prop_assert_eq!(field("isodow", ms), i64::from(t.weekday().number_from_monday()));
            prop_assert_eq!(field("hour", ms), i64::from(t.hour()));
            prop_assert_eq!(field("minute", ms), i64::from(t.minute()));
            prop_assert_eq!(field("second", ms), i64::from(t.second()));
        }

        #[test]
        fn laws_truncation_keeps_its_field_and_is_idempotent(ms in crate::time::EARLIEST..crate::time::LATEST) {
            for (unit, truncate) in UNITS {
                let start = truncate(ms);
                prop_assert!(start <= ms && truncate(start) == start, "{}", unit);
                prop_assert_eq!(field(unit, start), field(unit, ms));
            }
        }
    }
}
