//! The form of a value, and the texts that mean null.

use crate::source::SampleValue;
use crate::time::parse_time;

/// Texts that programs write where there is no value. In a column of texts they are texts.
const NULL_TEXTS: [&str; 14] =
    ["NA", "N/A", "n/a", "na", "NaN", "nan", "null", "NULL", "Null", "None", "none", "\\N", "-", "?"];

/// The form that a value has by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueForm {
    Bool,
    Int,
    Float,
    Time,
    Text,
    Unreadable,
}

/// The number of values of each form.
#[derive(Clone, Copy, Debug, Default)]
pub struct FormCounts {
    pub bools: usize,
    pub ints: usize,
    pub floats: usize,
    pub times: usize,
    pub texts: usize,
    pub total: usize,
}

/// Returns the form of a value; `None` if it is null. In a format of texts only, a text may mean null.
pub fn form_of(value: &SampleValue, is_text: bool) -> Option<ValueForm> {
    Some(match value {
        SampleValue::Null => return None,
        SampleValue::Bool(_) => ValueForm::Bool,
        SampleValue::Int(_) => ValueForm::Int,
        SampleValue::Float(_) | SampleValue::Wide { .. } => ValueForm::Float,
        SampleValue::Time(_) => ValueForm::Time,
        SampleValue::Unreadable => ValueForm::Unreadable,
        SampleValue::Text(text) if is_text && null_text(text).is_some() => return None,
        SampleValue::Text(text) => form_of_text(text.trim_ascii()),
    })
}

/// Returns the text that stands for null, if this is one: the empty one, or one that other columns may have as a text.
pub fn null_text(text: &str) -> Option<&'static str> {
    match text {
        "" => Some(""),
        text => NULL_TEXTS.into_iter().find(|null| *null == text),
    }
}

fn form_of_text(text: &str) -> ValueForm {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Leading zeros belong to codes, which a number would lose.
    if is_digits {
        let is_code = digits.len() > 1 && digits.starts_with('0');
        return if !is_code && text.parse::<i64>().is_ok() { ValueForm::Int } else { ValueForm::Text };
    }
    let begins_number = text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.'));
    match text {
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => ValueForm::Bool,
        text if begins_number && text.parse::<f64>().is_ok_and(f64::is_finite) => ValueForm::Float,
        text if parse_time(text).is_some() => ValueForm::Time,
        _ => ValueForm::Text,
    }
}

impl FormCounts {
    /// Counts the forms of values that are not null.
    pub fn of(values: &[SampleValue], is_text: bool) -> Self {
        let mut counts = FormCounts::default();
        for form in values.iter().filter_map(|value| form_of(value, is_text)) {
            counts.total += 1;
            match form {
                ValueForm::Bool => counts.bools += 1,
                ValueForm::Int => counts.ints += 1,
                ValueForm::Float => counts.floats += 1,
                ValueForm::Time => counts.times += 1,
                ValueForm::Text => counts.texts += 1,
                ValueForm::Unreadable => {}
            }
        }
        counts
    }

    /// Returns the number of numbers.
    pub fn numbers(&self) -> usize {
        self.ints + self.floats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_form_of_what_it_spells() {
        for (text, form) in [
            ("12", ValueForm::Int),
            ("-12", ValueForm::Int),
            ("012", ValueForm::Text),
            ("0", ValueForm::Int),
            ("99999999999999999999", ValueForm::Text),
            ("1.0", ValueForm::Float),
            ("-1e3", ValueForm::Float),
            ("inf", ValueForm::Text),
            ("true", ValueForm::Bool),
            ("2024-01-31T08:00:00+01:00", ValueForm::Time),
            ("31.01.2024", ValueForm::Text),
            ("u1", ValueForm::Text),
        ] {
            assert_eq!(form_of(&SampleValue::Text(text.into()), true), Some(form), "{text}");
        }
        for null in ["", "NA", "null"] {
            assert_eq!(form_of(&SampleValue::Text(null.into()), true), None, "{null}");
            assert_eq!(form_of(&SampleValue::Text(null.into()), false), Some(ValueForm::Text), "{null}");
        }
    }
}
