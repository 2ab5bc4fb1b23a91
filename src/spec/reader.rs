//! Reading of a table of the file: typed values with their positions, and a problem for whatever is wrong.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Absent, Section};
use super::problem::{Mistake, Problems};
use super::toml_text::Text;
use crate::expr::nearest;
use crate::time::{DurationFault, duration_fault, format_duration, parse_duration};

/// A TOML table whose keys are those of a section.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    table: &'a DeTable<'a>,
    section: &'static Section,
    /// The position of the table, for problems of the table as a whole.
    pub at: Range<usize>,
    /// Keys that an unknown one was probably meant for.
    meant: Vec<String>,
    problems: &'a Problems<'a>,
}

pub type TomlValue<'a> = Spanned<DeValue<'a>>;

impl<'a> Fields<'a> {
    /// Opens a table; reports unknown and missing keys.
    pub fn open(table: &'a DeTable<'a>, section: &'static Section, at: Range<usize>, problems: &'a Problems) -> Self {
        let mut fields = Fields { table, section, at, meant: Vec::new(), problems };
        for key in table.keys().filter(|key| section.keys.iter().all(|known| known.name != key.get_ref())) {
            let names = || section.keys.iter().map(|key| key.name).filter(|name| !table.contains_key(*name));
            let all: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
            let suggestion = nearest(key.get_ref(), names());
            fields.meant.extend(suggestion.clone());
            let message = format!("unknown key '{}' in {}", key.get_ref(), section.title);
            let mistake = Mistake::new(key.span(), message).expected(format!("one of {}", all.join(", ")));
            problems.add(mistake.suggest(suggestion));
        }
        section.keys.iter().filter(|key| key.absent == Absent::Required).for_each(|key| fields.require(key.name));
        fields
    }

    /// Reports a key that is missing, unless an unknown key was probably meant for it.
    pub fn require(&self, name: &str) {
        let Some(key) = self.section.keys.iter().find(|key| key.name == name) else { return };
        if !self.table.contains_key(name) && !self.meant.iter().any(|meant| meant == name) {
            let message = format!("missing key '{name}' in {}", self.section.title);
            self.problems.expected(self.at.clone(), message, format!("{name} = {}", key.plain_form()));
        }
    }

    /// Reports a key that is missing beside another, as [`Fields::require`] does.
    pub fn require_with(&self, name: &str, beside: &str) {
        let Some(key) = self.section.keys.iter().find(|key| key.name == name) else { return };
        if !self.table.contains_key(name) && !self.meant.iter().any(|meant| meant == name) {
            let message = format!("key '{beside}' requires '{name}'");
            self.problems.expected(self.at.clone(), message, format!("{name} = {}", key.plain_form()));
        }
    }

    /// Returns whether an unknown key was probably meant for one of the section's.
    pub fn is_mistyped(&self) -> bool {
        !self.meant.is_empty()
    }

    /// Opens a value that must be a table; reports it if it is not.
    pub fn of(value: &'a TomlValue<'a>, section: &'static Section, problems: &'a Problems) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Fields::open(table, section, value.span(), problems)),
            other => wrong(problems, value.span(), other, "a table"),
        }
    }

    pub fn get(&self, key: &str) -> Option<&'a TomlValue<'a>> {
        debug_assert!(self.section.keys.iter().any(|known| known.name == key), "{key} is not in the section's keys");
        self.table.get(key)
    }

    /// Returns the position of a key's value, or else of the table.
    pub fn span(&self, key: &str) -> Range<usize> {
        self.table.get(key).map_or_else(|| self.at.clone(), Spanned::span)
    }

    pub fn text(&self, key: &str) -> Option<Text<'a>> {
        text(self.get(key)?, self.problems)
    }

    /// Returns a string, if there is one; reports nothing.
    pub fn text_if_any(&self, key: &str) -> Option<Text<'a>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(Text { value: text, span: value.span() }),
            _ => None,
        }
    }

    /// Returns a string or a list of strings as a list.
    pub fn texts(&self, key: &str) -> Option<Vec<Text<'a>>> {
        texts(self.get(key)?, self.problems)
    }

    /// Returns the values of a list.
    pub fn list(&self, key: &str) -> Option<Vec<&'a TomlValue<'a>>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Array(list) => Some(list.iter().collect()),
            other => wrong(self.problems, value.span(), other, "a list"),
        }
    }

    /// Returns a duration, in ms.
    pub fn duration(&self, key: &str) -> Option<i64> {
        duration(&self.text(key)?, self.problems)
    }

    /// Returns a duration greater than zero, in ms.
    pub fn span_of_time(&self, key: &str) -> Option<i64> {
        let text = self.text(key)?;
        positive(&text, duration(&text, self.problems)?, self.problems)
    }

    pub fn int(&self, key: &str, allowed: Range<i64>) -> Option<i64> {
        let value = self.get(key)?;
        let range = || match allowed.end {
            i64::MAX => format!("an int of at least {}", allowed.start),
            end => format!("an int from {} to {}", allowed.start, end - 1),
        };
        let DeValue::Integer(digits) = value.get_ref() else {
            return wrong(self.problems, value.span(), value.get_ref(), &range());
        };
        let int = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
        let found = int.filter(|int| allowed.contains(int));
        if found.is_none() {
            self.problems.expected(value.span(), format!("{digits} is out of range"), range());
        }
        found
    }

    pub fn bool(&self, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            other => wrong(self.problems, value.span(), other, "true or false"),
        }
    }

    /// Returns a finite number.
    pub fn number(&self, key: &str) -> Option<f64> {
        number(self.get(key)?, self.problems)
    }
}

pub fn text<'a>(value: &'a TomlValue<'a>, problems: &Problems) -> Option<Text<'a>> {
    match value.get_ref() {
        DeValue::String(text) => Some(Text { value: text, span: value.span() }),
        other => wrong(problems, value.span(), other, "a string"),
    }
}

pub fn texts<'a>(value: &'a TomlValue<'a>, problems: &Problems) -> Option<Vec<Text<'a>>> {
    match value.get_ref() {
        DeValue::String(text) => Some(vec![Text { value: text, span: value.span() }]),
        DeValue::Array(list) => {
            let found: Vec<_> = list.iter().map(|value| text(value, problems)).collect();
            if found.is_empty() {
                problems.expected(value.span(), "this list is empty", "a string or a list of strings");
                return None;
            }
            found.into_iter().collect()
        }
        other => wrong(problems, value.span(), other, "a string or a list of strings"),
    }
}

pub fn duration(text: &Text, problems: &Problems) -> Option<i64> {
    let found = parse_duration(text.value);
    if found.is_none() {
        let fault = duration_fault(text.value);
        let message = format!("'{}' is {fault}", text.value);
        let expected = match fault {
            DurationFault::TooLong => "less than 100000000000000ms, which are 3,168 years",
            DurationFault::Negative | DurationFault::NoDuration => {
                "a number and one of ms s m h d w, such as \"90s\" or \"3h\""
            }
        };
        problems.expected(text.span.clone(), message, expected);
    }
    found
}

pub fn positive(text: &Text, ms: i64, problems: &Problems) -> Option<i64> {
    if ms == 0 {
        problems.expected(
            text.span.clone(),
            format!("{} is not allowed", format_duration(0)),
            "a duration greater than zero",
        );
    }
    (ms > 0).then_some(ms)
}

pub fn number(value: &TomlValue, problems: &Problems) -> Option<f64> {
    let found = match value.get_ref() {
        DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix()).ok().map(|int| int as f64),
        DeValue::Float(digits) => digits.as_str().parse().ok().filter(|x: &f64| x.is_finite()),
        other => return wrong(problems, value.span(), other, "a number"),
    };
    if found.is_none() {
        problems.expected(value.span(), "this number is out of range", "a finite number");
    }
    found
}

/// Reports a value of the wrong type.
pub fn wrong<T>(problems: &Problems, span: Range<usize>, found: &DeValue, expected: &str) -> Option<T> {
    let found = match found.type_str() {
        "integer" => "an int",
        "array" => "a list",
        "boolean" => "a bool",
        "string" => "a string",
        "float" => "a float",
        "datetime" => "a date",
        _ => "a table",
    };
    problems.expected(span, format!("this is {found}"), expected);
    None
}

/// Returns the entries of a table in the order of the file.
pub fn entries<'a>(table: &'a DeTable<'a>) -> Vec<(Text<'a>, &'a TomlValue<'a>)> {
    let named = |(key, value): (&'a Spanned<_>, &'a TomlValue<'a>)| {
        let key: &'a Spanned<std::borrow::Cow<'a, str>> = key;
        (Text { value: key.get_ref().as_ref(), span: key.span() }, value)
    };
    let mut entries: Vec<_> = table.iter().map(named).collect();
    entries.sort_by_key(|(key, _)| key.span.start);
    entries
}
