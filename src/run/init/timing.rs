//! The event time of a sample, and how far out of order its records are.

use super::column::GuessedColumn;
use super::names;
use super::spans::round_up;
use crate::expr::nearest;
use crate::run::Failure;
use crate::time::{EventTime, format_duration, in_range};
use crate::value::{Scalar, Type};

/// Days from 0001-01-01, which is day 1, to 1970-01-01, as Python's `date.toordinal` counts them.
const ORDINAL_OF_1970: i64 = 719_163;

/// Names of event times, the likeliest first.
const LIKELY: [&str; 8] = ["timestamp", "event_time", "time", "ts", "datetime", "at", "date", "epoch"];

/// A lateness of more than this share of the span would keep back too much.
const MOST_LATENESS: f64 = 0.1;

/// The guessed event time.
#[derive(Clone, Debug)]
pub struct GuessedTiming {
    /// The column; `None` if an expression is the time.
    pub column: Option<usize>,
    /// The name of the column, or the expression.
    pub text: String,
    /// The event time of each row that has one.
    pub times: Vec<Option<EventTime>>,
    pub why: String,
    pub doubt: Option<String>,
    pub lateness_ms: i64,
    pub why_lateness: String,
    pub doubt_of_lateness: Option<String>,
}

/// A column that may be the event time.
struct TimeCandidate {
    column: usize,
    /// The share of rows that are not before the row before.
    order: f64,
    likelihood: usize,
}

impl GuessedTiming {
    /// Returns the event time that was asked for.
    ///
    /// # Errors
    /// If there is no such column, or it has no times.
    pub fn of_name(name: &str, columns: &[GuessedColumn]) -> Result<Self, Failure> {
        let at = find(name, columns, "--time")?;
        let column = &columns[at];
        match column.column.ty {
            Type::Timestamp => Ok(Self::of_column(at, columns, "--time says so".to_owned(), None)),
            Type::Int | Type::Float => {
                let name = names::spelt(&column.column);
                let expr = match column.possible_unit {
                    Some("ms") => (format!("to_timestamp({name} / 1000.0)"), 1.0),
                    Some("us") => (format!("to_timestamp({name} / 1000000.0)"), 1e-3),
                    Some("ns") => (format!("to_timestamp({name} / 1000000000.0)"), 1e-6),
                    _ => (format!("to_timestamp({name})"), 1e3),
                };
                let doubt = column.possible_unit.is_none().then(|| "its numbers are taken for seconds".to_owned());
                Ok(Self::of_expr(expr.0, column, |x| x * expr.1, "--time says so".to_owned(), doubt))
            }
            ty => Err(Failure::Usage(format!(
                "error: --time: {name:?} is of type {ty} ({}); expected times in ISO 8601, numbers since 1970, or a \
                 known layout",
                column.why
            ))),
        }
    }

    /// Guesses the event time; `None` if no column may be one.
    pub fn guess(columns: &[GuessedColumn]) -> Option<Self> {
        let timestamps = columns.iter().enumerate().filter(|(_, column)| column.column.ty == Type::Timestamp);
        let mut candidates: Vec<TimeCandidate> = timestamps.map(|(at, _)| TimeCandidate::new(at, columns)).collect();
        candidates.sort_by(|one, other| {
            // Order decides only where it differs much: an event time is nearly in order.
            let coarse = |candidate: &TimeCandidate| (candidate.order * 10.0).round() as i64;
            coarse(other)
                .cmp(&coarse(one))
                .then(one.likelihood.cmp(&other.likelihood))
                .then(one.column.cmp(&other.column))
        });
        let names = |candidates: &[TimeCandidate]| {
            candidates.iter().map(|found| columns[found.column].column.name.clone()).collect::<Vec<_>>().join(", ")
        };
        match candidates.as_slice() {
            [] => Self::of_numbers(columns),
            [only] => Some(Self::of_column(only.column, columns, "the only column of times".to_owned(), None)),
            [first, rest @ ..] => {
                let doubt = format!("{} are times, too", names(rest));
                let why = "of the columns of times the likeliest by its order and name".to_owned();
                Some(Self::of_column(first.column, columns, why, Some(doubt)))
            }
        }
    }

    /// Guesses a time from numbers: of a unit near today, of days, or of rows.
    fn of_numbers(columns: &[GuessedColumn]) -> Option<Self> {
        let numeric = || columns.iter().filter(|column| column.column.ty.is_numeric() && column.nulls == 0);
        let is_ordinal = |column: &&GuessedColumn| {
            let is_day = |value: &Scalar| matches!(value, Scalar::Int(day) if (693_596..803_170).contains(day));
            names::words(column.own_name()).iter().any(|word| word == "ordinal") && column.values.iter().all(is_day)
        };
        if let Some(column) = numeric().find(|column| column.possible_unit.is_some() && is_ascending(column)) {
            return Self::of_name(&column.column.name, columns).ok().map(|timing| GuessedTiming {
                why: format!("its ascending numbers are near today in {}", column.possible_unit.unwrap_or_default()),
                doubt: Some("no name tells of a time".to_owned()),
                ..timing
            });
        }
        if let Some(column) = numeric().find(is_ordinal) {
            let name = names::spelt(&column.column);
            let expr = format!("to_timestamp(({name} - {ORDINAL_OF_1970}) * 86400)");
            let ms = |day: f64| (day - ORDINAL_OF_1970 as f64) * 86_400_000.0;
            let doubt = Some("no column is written as times".to_owned());
            return Some(Self::of_expr(expr, column, ms, "days since the year 1".to_owned(), doubt));
        }
        let counter = numeric().find(|column| is_counter(column))?;
        let expr = format!("to_timestamp({})", names::spelt(&counter.column));
        let why = format!("{} counts the rows; each is taken for a second", counter.column.name);
        let doubt = Some("no column is a time".to_owned());
        Some(Self::of_expr(expr, counter, |x| x * 1e3, why, doubt))
    }

    fn of_column(at: usize, columns: &[GuessedColumn], why: String, doubt: Option<String>) -> Self {
        let column = &columns[at];
        let time = |value: &Scalar| match value {
            Scalar::Timestamp(time) => Some(*time),
            _ => None,
        };
        let times = column.values.iter().map(time).collect();
        let doubt = match column.nulls {
            0 => doubt.or_else(|| column.doubt.clone()),
            nulls => Some(format!("{nulls} records without a time become dead letters")),
        };
        Self::of_times(times, column.column.name.clone(), why, doubt, Some(at))
    }

    fn of_expr(
        text: String,
        column: &GuessedColumn,
        to_ms: impl Fn(f64) -> f64,
        why: String,
        doubt: Option<String>,
    ) -> Self {
        let time = |value: &Scalar| match value {
            Scalar::Int(value) => Some(to_ms(*value as f64) as i64),
            Scalar::Float(value) => Some(to_ms(*value) as i64),
            _ => None,
        };
        Self::of_times(column.values.iter().map(time).collect(), text, why, doubt, None)
    }

    /// Measures how far out of order times are.
    fn of_times(
        times: Vec<Option<EventTime>>,
        text: String,
        why: String,
        doubt: Option<String>,
        column: Option<usize>,
    ) -> Self {
        let (mut newest, mut late, mut most) = (EventTime::MIN, 0, 0);
        for time in times.iter().flatten() {
            if *time < newest {
                late += 1;
                most = most.max(newest - time);
            }
            newest = newest.max(*time);
        }
        let far = times.iter().flatten().filter(|time| !in_range(**time)).count();
        let doubt = match far {
            0 => doubt,
            far => Some(format!("{far} records have a time that no event may have; they become dead letters")),
        };
        let least = times.iter().flatten().min().copied().unwrap_or(0);
        let span = newest.saturating_sub(least);
        let mut timing = GuessedTiming {
            column,
            text,
            times,
            why,
            doubt,
            lateness_ms: 0,
            why_lateness: "the records are in order".to_owned(),
            doubt_of_lateness: None,
        };
        let behind = format_duration(round_up(most));
        if late > 0 && most as f64 <= MOST_LATENESS * span as f64 {
            timing.lateness_ms = round_up(most);
            timing.why_lateness = format!("{late} records are up to {behind} behind an earlier one");
        } else if late > 0 {
            timing.why_lateness = format!("{late} records are up to {behind} behind an earlier one");
            timing.doubt_of_lateness = Some("the records are not in order of time; sort them".to_owned());
        }
        timing
    }
}

impl TimeCandidate {
    fn new(at: usize, columns: &[GuessedColumn]) -> Self {
        let column = &columns[at];
        let times: Vec<&Scalar> = column.values.iter().filter(|value| !value.is_null()).collect();
        let time = |value: &Scalar| match value {
            Scalar::Timestamp(time) => *time,
            _ => 0,
        };
        let ordered = times.windows(2).filter(|pair| time(pair[0]) <= time(pair[1])).count();
        // A column that is often null is less of an event time.
        let order = (ordered + 1) as f64 / column.values.len().max(1) as f64;
        let own = column.own_name().to_ascii_lowercase();
        let likelihood = LIKELY.iter().position(|name| *name == own).unwrap_or(match column.is_named_as_time() {
            true => LIKELY.len(),
            false => LIKELY.len() + 1,
        });
        TimeCandidate { column: at, order, likelihood }
    }
}

/// Returns whether no number is below the one before.
fn is_ascending(column: &GuessedColumn) -> bool {
    let number = |value: &Scalar| match value {
        Scalar::Int(value) => *value as f64,
        Scalar::Float(value) => *value,
        _ => f64::NAN,
    };
    column.values.len() > 1 && column.values.windows(2).all(|pair| number(&pair[0]) <= number(&pair[1]))
}

/// Returns whether numbers are whole and each is above the one before.
fn is_counter(column: &GuessedColumn) -> bool {
    column.column.ty == Type::Int && column.distinct == column.values.len() && is_ascending(column)
}

/// Finds a column by its name in records, or by the one that it has in the dataflow file.
///
/// # Errors
/// If there is none.
pub fn find(name: &str, columns: &[GuessedColumn], flag: &str) -> Result<usize, Failure> {
    let is_it = |column: &GuessedColumn| column.column.flat_name() == name || column.column.name == name;
    columns.iter().position(is_it).ok_or_else(|| {
        let known: Vec<String> = columns.iter().map(|column| column.column.flat_name()).collect();
        let meant = nearest(name, known.iter().map(String::as_str));
        let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
        let known = known.join(", ");
        Failure::Usage(format!("error: {flag}: the sample has no column {name:?}; expected one of {known}{meant}"))
    })
}
