//! The type of a column, guessed from its values.
//!
//! The type is the narrowest that all values have, by the rules of the program's own readers. If a few values of many are
//! of another form, as a typo among numbers is, the type is that of the others, which is unsure: records with such a
//! value become dead letters.

use std::collections::{BTreeSet, HashSet};

use super::clock::{TimeLayout, unit_of};
use super::forms::{FormCounts, form_of, null_text};
use super::names;
use crate::source::{SampleColumn, SampleValue};
use crate::time::format_time;
use crate::value::{Column, Found, Scalar, TimeRules, Type};

/// Words of names that tell of times.
const TIME_WORDS: [&str; 22] = [
    "time",
    "timestamp",
    "ts",
    "date",
    "datetime",
    "day",
    "at",
    "epoch",
    "when",
    "created",
    "updated",
    "occurred",
    "dt",
    "moment",
    "started",
    "ended",
    "sent",
    "received",
    "millis",
    "clock",
    "seconds",
    "utc",
];

/// Largest share of the values that may be of another form than the others.
const STRAY: f64 = 0.002;

/// A column with its guessed type.
#[derive(Clone, Debug)]
pub struct GuessedColumn {
    /// The type, its name, where records have it, and how times are read.
    pub column: Column,
    /// Keys of the file by which times are read: `unit = "s"`; empty for ISO 8601.
    pub time_keys: String,
    /// The reason for the type.
    pub why: String,
    /// The reason why the type may be wrong.
    pub doubt: Option<String>,
    /// The value of each row, null if it does not fit.
    pub values: Vec<Scalar>,
    /// Number of different values, and of rows without one.
    pub distinct: usize,
    pub nulls: usize,
    /// Texts that mean null in this column.
    pub null_texts: BTreeSet<&'static str>,
    /// The unit in which the numbers would be times.
    pub possible_unit: Option<&'static str>,
}

/// A type, and how the values of a timestamp are read.
struct TypeGuess {
    ty: Type,
    time: TimeRules,
    time_keys: String,
    doubt: Option<String>,
}

impl TypeGuess {
    fn of(ty: Type) -> Self {
        TypeGuess { ty, time: TimeRules::default(), time_keys: String::new(), doubt: None }
    }

    fn with_layout(layout: &TimeLayout) -> Self {
        let time = TimeRules { unit: None, format: Some(layout.format.clone()) };
        let time_keys = format!("time_format = {}", names::quoted(&layout.text));
        TypeGuess { time, time_keys, ..TypeGuess::of(Type::Timestamp) }
    }
}

impl GuessedColumn {
    /// Guesses the type of a column, which is to have a name that is not taken yet.
    pub fn new(sampled: &SampleColumn, is_text: bool, taken: &mut Vec<String>) -> Self {
        let own = sampled.path.last().cloned().unwrap_or_default();
        let joined = names::plain(&sampled.path.join("_"));
        let short = names::plain(&own);
        let name = names::unique(if taken.contains(&short) { joined } else { short }, taken);

        let present: Vec<&SampleValue> =
            sampled.values.iter().filter(|value| form_of(value, is_text).is_some()).collect();
        let guess = guess_type(&own, &FormCounts::of(&sampled.values, is_text), &present);
        let mut column = Column::new(name, guess.ty, true);
        column.path.clone_from(&sampled.path);
        column.time = guess.time;
        let mut guessed = GuessedColumn {
            column,
            time_keys: guess.time_keys,
            why: String::new(),
            doubt: guess.doubt,
            values: Vec::new(),
            distinct: 0,
            nulls: 0,
            null_texts: BTreeSet::new(),
            possible_unit: None,
        };
        if is_text && guess.ty != Type::String {
            let text = |value: &SampleValue| match value {
                SampleValue::Text(text) => null_text(text),
                _ => None,
            };
            guessed.null_texts = sampled.values.iter().filter_map(text).collect();
        }
        if matches!(guess.ty, Type::Int | Type::Float) {
            let numbers = present.iter().filter_map(|value| number(value));
            guessed.possible_unit = unit_of(numbers).map(|(name, _)| name);
        }
        guessed
    }

    /// Reads the values, with the texts that mean null in the whole file, and says why the type is this one.
    pub fn read(&mut self, sampled: &SampleColumn, nulls: &BTreeSet<&'static str>) {
        let rules = self.column.rules();
        let mut misfit = None;
        let mut misfits = 0;
        let mut read = |value: &SampleValue| {
            let is_null = matches!(value, SampleValue::Text(text) if nulls.contains(&**text));
            let found = if is_null { Found::Null } else { value.found() };
            let mut scalar = Scalar::Null;
            if rules.write(found, &mut scalar).is_err() {
                misfit.get_or_insert_with(|| found.to_string());
                misfits += 1;
            }
            scalar
        };
        self.values = sampled.values.iter().map(&mut read).collect();
        self.nulls = self.values.iter().filter(|value| value.is_null()).count();
        self.column.nullable = self.nulls > misfits;
        let different: HashSet<String> =
            self.values.iter().filter(|value| !value.is_null()).map(Scalar::to_text).collect();
        self.distinct = different.len();
        if let Some(misfit) = misfit {
            let ty = self.column.ty;
            self.doubt =
                Some(format!("{misfits} of {} values are not of type {ty}, such as {misfit}", self.values.len()));
        } else if self.distinct == 0 {
            self.doubt = Some("there is no value".to_owned());
        }
        self.why = self.reason(misfits);
    }

    /// Describes the values in words. `misfits` of those that are null are values that the type does not take.
    fn reason(&self, misfits: usize) -> String {
        let (least, most) = (self.extreme(std::cmp::Ordering::Less), self.extreme(std::cmp::Ordering::Greater));
        let mut why = match self.column.ty {
            Type::Bool => "true or false".to_owned(),
            Type::Int => format!("whole numbers from {least} to {most}"),
            Type::Float => format!("numbers from {least} to {most}"),
            Type::Timestamp => format!("times from {least} to {most}"),
            Type::String if self.distinct == 1 => "one text".to_owned(),
            Type::String => format!("{} different texts", self.distinct),
        };
        if self.distinct == 0 {
            why = "no value".to_owned();
        }
        match self.nulls - misfits {
            0 => why,
            nulls => format!("{why}; {nulls} of {} are null", self.values.len()),
        }
    }

    /// Returns the least or the greatest value as text.
    fn extreme(&self, wanted: std::cmp::Ordering) -> String {
        let mut found: Option<&Scalar> = None;
        for value in self.values.iter().filter(|value| !value.is_null()) {
            let is_it = found.is_none_or(|known| order(value, known) == wanted);
            found = if is_it { Some(value) } else { found };
        }
        match found {
            Some(Scalar::Timestamp(time)) => format_time(*time),
            Some(value) => value.to_text(),
            None => String::new(),
        }
    }

    /// Returns the name in records.
    pub fn own_name(&self) -> &str {
        self.column.path.last().map_or("", String::as_str)
    }

    /// Returns whether a word of the name tells of a time.
    pub fn is_named_as_time(&self) -> bool {
        tells_of_time(self.own_name())
    }

    /// Returns whether the values are 0 and 1, or true and false.
    pub fn is_binary(&self) -> bool {
        let is_bit = |value: &Scalar| matches!(value, Scalar::Null | Scalar::Int(0 | 1));
        self.column.ty == Type::Bool || self.column.ty == Type::Int && self.values.iter().all(is_bit)
    }
}

fn tells_of_time(name: &str) -> bool {
    names::words(name).iter().any(|word| TIME_WORDS.contains(&word.as_str()))
}

fn order(one: &Scalar, other: &Scalar) -> std::cmp::Ordering {
    match (one, other) {
        (Scalar::Int(one), Scalar::Int(other)) | (Scalar::Timestamp(one), Scalar::Timestamp(other)) => one.cmp(other),
        (Scalar::Float(one), Scalar::Float(other)) => one.total_cmp(other),
        _ => std::cmp::Ordering::Equal,
    }
}

/// Returns the number that a value is or spells.
fn number(value: &SampleValue) -> Option<f64> {
    match value {
        SampleValue::Int(value) => Some(*value as f64),
        SampleValue::Float(value) | SampleValue::Wide { float: value, .. } => Some(*value),
        SampleValue::Text(text) => text.trim_ascii().parse().ok(),
        _ => None,
    }
}

fn guess_type(name: &str, counts: &FormCounts, present: &[&SampleValue]) -> TypeGuess {
    if counts.total == 0 {
        return TypeGuess::of(Type::String);
    }
    // Values that are all of one form.
    let bits = || present.iter().filter(|value| matches!(number(value), Some(x) if x == 0.0 || x == 1.0)).count();
    match counts.total {
        total if counts.numbers() == total => return guess_number(name, counts, present),
        total if counts.times == total => return TypeGuess::of(Type::Timestamp),
        total if counts.bools > 0 && counts.bools + bits() == total => return TypeGuess::of(Type::Bool),
        _ => {}
    }
    // Texts of a layout.
    let mut texts = Vec::with_capacity(present.len());
    for value in present {
        match value {
            SampleValue::Text(text) => texts.push(text.trim_ascii()),
            _ => break,
        }
    }
    let layouts = if texts.len() == present.len() { TimeLayout::of_texts(texts.iter().copied()) } else { Vec::new() };
    if let Some(first) = layouts.first() {
        return guess_layout(first, &layouts, &texts);
    }
    // Values of which few are of another form.
    let others = |count: usize| (counts.total - count) as f64 <= STRAY * counts.total as f64;
    match () {
        () if others(counts.times) => TypeGuess::of(Type::Timestamp),
        () if others(counts.ints) => TypeGuess::of(Type::Int),
        () if others(counts.numbers()) => TypeGuess::of(Type::Float),
        // Where numbers are no texts, as in JSON, no type takes both.
        () if texts.len() < present.len() && counts.numbers() > counts.texts => {
            TypeGuess::of(if counts.floats == 0 { Type::Int } else { Type::Float })
        }
        () => TypeGuess::of(Type::String),
    }
}

/// Guesses the type of numbers: times, if the name tells of them and they are in a unit near today.
fn guess_number(name: &str, counts: &FormCounts, present: &[&SampleValue]) -> TypeGuess {
    let numbers = present.iter().filter_map(|value| number(value));
    if tells_of_time(name) {
        let ints: Vec<i64> = numbers.clone().filter(|x| x.fract() == 0.0).map(|x| x as i64).collect();
        let is_whole = ints.len() == present.len();
        if let Some(layout) = TimeLayout::of_digits(&ints).filter(|_| is_whole) {
            return TypeGuess::with_layout(&layout);
        }
        if let Some((name, unit)) = unit_of(numbers) {
            let time = TimeRules { unit: Some(unit), format: None };
            return TypeGuess { time, time_keys: format!("unit = \"{name}\""), ..TypeGuess::of(Type::Timestamp) };
        }
    }
    TypeGuess::of(if counts.floats == 0 { Type::Int } else { Type::Float })
}

/// Chooses a layout: of several that give other times, the one by which more rows are in order.
fn guess_layout(first: &TimeLayout, layouts: &[TimeLayout], texts: &[&str]) -> TypeGuess {
    let times = |layout: &TimeLayout| texts.iter().map(|text| layout.format.parse(text)).collect::<Vec<_>>();
    let disorder = |layout: &TimeLayout| times(layout).windows(2).filter(|pair| pair[0] > pair[1]).count();
    let of_first = times(first);
    let Some(other) = layouts.iter().find(|layout| times(layout) != of_first) else {
        return TypeGuess::with_layout(first);
    };
    let (chosen, refused) = if disorder(other) < disorder(first) { (other, first) } else { (first, other) };
    let doubt = format!("the texts may also be times of {}", refused.text);
    TypeGuess { doubt: Some(doubt), ..TypeGuess::with_layout(chosen) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(name: &str, values: &[&str]) -> GuessedColumn {
        let values = values.iter().map(|text| SampleValue::Text((*text).into())).collect();
        let sampled = SampleColumn { path: vec![name.to_owned()], values };
        let mut guessed = GuessedColumn::new(&sampled, true, &mut Vec::new());
        let nulls = guessed.null_texts.clone();
        guessed.read(&sampled, &nulls);
        guessed
    }

    #[test]
    fn the_type_is_the_narrowest_that_all_values_have() {
        for (values, ty, nullable) in [
            (&["1", "2"][..], Type::Int, false),
            (&["1", "2.5", "NA"], Type::Float, true),
            (&["1", "", "x"], Type::String, false),
            (&["007", "008"], Type::String, false),
            (&["true", "0"], Type::Bool, false),
            (&["2024-01-31", "2024-01-31T08:00:00+01:00", ""], Type::Timestamp, true),
            (&["", "NA"], Type::String, false),
        ] {
            let guessed = guess("x", values);
            assert_eq!((guessed.column.ty, guessed.column.nullable), (ty, nullable), "{values:?}");
        }
    }

    #[test]
    fn numbers_are_times_only_if_the_name_tells_of_them() {
        assert_eq!(guess("id", &["1706688000"]).column.ty, Type::Int);
        assert_eq!(guess("id", &["1706688000"]).possible_unit, Some("s"));
        let times = guess("created_at", &["1706688000000", "1706688000250"]);
        assert_eq!((times.column.ty, times.time_keys.as_str()), (Type::Timestamp, "unit = \"ms\""));
        assert_eq!(times.why, "times from 2024-01-31T08:00:00.000Z to 2024-01-31T08:00:00.250Z");
        assert_eq!(guess("date", &["20240131"]).time_keys, "time_format = \"%Y%m%d\"");
        assert_eq!(guess("date", &["7"]).column.ty, Type::Int);
    }

    #[test]
    fn a_day_that_may_be_a_month_is_unsure_and_read_so_that_rows_are_in_order() {
        let times = guess("at", &["01/02/2024", "02/02/2024", "03/02/2024", "01/03/2024"]);
        assert_eq!(times.time_keys, "time_format = \"%d/%m/%Y\"");
        assert_eq!(times.doubt.as_deref(), Some("the texts may also be times of %m/%d/%Y"));
        let times = guess("at", &["01/31/2024", "02/01/2024"]);
        assert_eq!((times.time_keys.as_str(), times.doubt), ("time_format = \"%m/%d/%Y\"", None));
    }

    #[test]
    fn a_few_values_of_another_form_are_named() {
        let mut values = vec!["12"; 999];
        values.push("twelve");
        let guessed = guess("x", &values);
        assert_eq!((guessed.column.ty, guessed.column.nullable), (Type::Int, false));
        assert_eq!(guessed.doubt.as_deref(), Some("1 of 1000 values are not of type int, such as the text \"twelve\""));
    }
}
