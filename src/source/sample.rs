//! A sample of records without declared columns: the columns that a file or a topic has, and their values.
//!
//! A sample holds values as the format presents them, before any type is declared, so that types can be guessed from
//! them. Every value is kept; a record that cannot be read is left out and counted.
//!
//! ```
//! use tidemill::source::{RecordSample, SampleValue};
//! let mut sample = RecordSample::default();
//! sample.push_json(&serde_json::json!({ "user": "u1", "pay": { "amount": 3 } }));
//! sample.push_json(&serde_json::json!({ "user": "u2" }));
//! let amount = &sample.columns[0];
//! assert_eq!(amount.path, ["pay", "amount"]);
//! assert_eq!(amount.values, [SampleValue::Int(3), SampleValue::Null]);
//! ```

use serde_json::Value;

use crate::value::{Found, Separator};

/// The deepest object of a JSON record whose fields are columns. A deeper one is a value that no type takes.
const DEEPEST: usize = 8;

/// The most columns of a sample; further ones are left out.
const MOST_COLUMNS: usize = 2000;

/// A value of a record that has no declared type.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A number that neither of these may hold exactly; see [`Found::Wide`].
    Wide {
        int: Option<i64>,
        float: f64,
    },
    Text(Box<str>),
    /// Event time in ms.
    Time(i64),
    /// A value that no type takes: a list, bytes, or text that is not UTF-8.
    Unreadable,
}

impl SampleValue {
    /// Returns the value that a format presents.
    pub fn of(found: Found<'_>) -> Self {
        match found {
            Found::Null => SampleValue::Null,
            Found::Bool(value) => SampleValue::Bool(value),
            Found::Int(value) => SampleValue::Int(value),
            Found::Float(value) => SampleValue::Float(value),
            Found::Wide { int, float } => SampleValue::Wide { int, float },
            Found::Text(text) => SampleValue::Text(text.into()),
            Found::Time(time) => SampleValue::Time(time),
            Found::List | Found::Object => SampleValue::Unreadable,
        }
    }

    /// Returns the value as a format presents it.
    pub fn found(&self) -> Found<'_> {
        match self {
            SampleValue::Null => Found::Null,
            SampleValue::Bool(value) => Found::Bool(*value),
            SampleValue::Int(value) => Found::Int(*value),
            SampleValue::Float(value) => Found::Float(*value),
            SampleValue::Wide { int, float } => Found::Wide { int: *int, float: *float },
            SampleValue::Text(text) => Found::Text(text),
            SampleValue::Time(time) => Found::Time(*time),
            SampleValue::Unreadable => Found::List,
        }
    }
}

/// A column of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleColumn {
    /// The names from the outermost object inwards.
    pub path: Vec<String>,
    /// The value of each row.
    pub values: Vec<SampleValue>,
}

/// The first records of a file or a topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordSample {
    /// Columns in the order of the file; those of JSON in the order in which records have them first.
    pub columns: Vec<SampleColumn>,
    pub rows: usize,
    /// Number of records that could not be read.
    pub refused: usize,
    /// The reason that the first of them could not.
    pub first_refusal: Option<String>,
    /// True if there are further records.
    pub has_more: bool,
    /// True if every value is text, as in CSV.
    pub is_text: bool,
    /// The separator of its fields, if it is CSV.
    pub separator: Separator,
    /// Remarks on the columns that are left out.
    pub left_out: Vec<String>,
}

impl RecordSample {
    /// Adds a record of JSON. One that is no object is refused.
    pub fn push_json(&mut self, record: &Value) {
        let Value::Object(_) = record else {
            self.refused += 1;
            self.first_refusal.get_or_insert_with(|| "it is not an object of JSON".to_owned());
            return;
        };
        self.push_fields(&mut Vec::new(), record);
        self.rows += 1;
        for column in &mut self.columns {
            column.values.resize(self.rows, SampleValue::Null);
        }
    }

    fn push_fields(&mut self, path: &mut Vec<String>, value: &Value) {
        if let Value::Object(fields) = value
            && path.len() < DEEPEST
        {
            for (name, value) in fields {
                path.push(name.clone());
                self.push_fields(path, value);
                path.pop();
            }
            return;
        }
        let at = match self.columns.iter().position(|column| column.path == *path) {
            Some(at) => at,
            None if self.columns.len() == MOST_COLUMNS => return,
            None => {
                self.columns.push(SampleColumn { path: path.clone(), values: Vec::new() });
                self.columns.len() - 1
            }
        };
        let values = &mut self.columns[at].values;
        values.resize(self.rows, SampleValue::Null);
        values.push(match value {
            Value::Null => SampleValue::Null,
            Value::Bool(value) => SampleValue::Bool(*value),
            Value::String(text) => SampleValue::Text(text.as_str().into()),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(int), _) => SampleValue::Int(int),
                (None, Some(float)) if number.is_f64() => SampleValue::Float(float),
                (None, float) => SampleValue::Wide { int: None, float: float.unwrap_or(f64::NAN) },
            },
            Value::Array(_) | Value::Object(_) => SampleValue::Unreadable,
        });
    }

    /// Leaves out the columns that cannot be declared: those that no record has a readable value of, and those with a
    /// part of their path that has no name.
    pub fn leave_out_unusable(&mut self) {
        let RecordSample { columns, left_out, .. } = self;
        columns.retain(|column| {
            let has = |wanted: fn(&SampleValue) -> bool| column.values.iter().any(wanted);
            let is_unreadable = has(|value| *value == SampleValue::Unreadable)
                && !has(|value| !matches!(value, SampleValue::Null | SampleValue::Unreadable));
            let is_unnamed = column.path.iter().any(String::is_empty);
            let why = match (is_unreadable, is_unnamed) {
                (true, _) => "a list, or another value that no type takes",
                (_, true) => "a name in its path is empty",
                _ => return true,
            };
            left_out.push(format!("{:?} is left out: {why}", column.path.join(".")));
            false
        });
    }
}
