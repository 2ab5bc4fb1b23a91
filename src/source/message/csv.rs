//! CSV messages: one record a message, without a header.
//!
//! Fields are the columns in their declared order, separated by commas, or by what the source says. A field that has a separator, a quote or a line break
//! is quoted, with quotes inside doubled (RFC 4180). An empty field is null, `""` is the empty text. A line break may end
//! the message. The column [`DELETED`] of a table may be left out.
//!
//! ```
//! use tidemill::source::{Csv, MessageFormat};
//! use tidemill::value::{Column, ColumnBuilder, Scalar, Schema, Type};
//! let columns = [("name", Type::String), ("amount", Type::Float), ("at", Type::Timestamp)];
//! let schema = Schema::new(columns.map(|(name, ty)| Column::new(name, ty, true)).to_vec());
//! let mut columns: Vec<_> = schema.columns.iter().map(|column| ColumnBuilder::new(column.ty)).collect();
//! Csv::new(&schema).decode(b"\"Smith, Ann\",,1970-01-01", &mut columns, &mut Vec::new()).unwrap();
//! let row: Vec<_> = columns.iter_mut().map(|column| Scalar::of(&column.finish(), 0)).collect();
//! assert_eq!(row, [Scalar::String("Smith, Ann".into()), Scalar::Null, Scalar::Timestamp(0)]);
//! ```

use std::io::Write;
use std::ops::Range;

use arrow_array::ArrayRef;

use super::{DELETED, MessageFormat};
use crate::value::{Column, ColumnBuilder, FieldError, FieldFault, Found, Scalar, Schema};

/// The format `csv`.
pub struct Csv {
    columns: Vec<Column>,
    /// Between two fields.
    separator: u8,
    /// Text of a quoted field whose doubled quotes have been undone.
    unescaped: Vec<u8>,
}

impl MessageFormat for Csv {
    const NAME: &'static str = "csv";
    const SUMMARY: &'static str =
        "one CSV record per message, without a header: the columns in their declared order; an empty field is null";
    const NAMES_COLUMNS: bool = false;

    fn new(schema: &Schema) -> Self {
        Csv { columns: schema.columns.clone(), separator: schema.separator.byte(), unescaped: Vec::new() }
    }

    fn decode(
        &mut self,
        message: &[u8],
        columns: &mut [ColumnBuilder],
        present: &mut Vec<bool>,
    ) -> Result<(), FieldError> {
        present.clear();
        let decoded = self.append_fields(without_line_break(message), columns, present);
        // The columns that the record did not come to.
        columns[present.len()..].iter_mut().for_each(ColumnBuilder::append_null);
        present.resize(self.columns.len(), false);
        decoded
    }

    fn encode(&self, columns: &[ArrayRef], row: usize, message: &mut Vec<u8>) {
        for (index, (column, values)) in self.columns.iter().zip(columns).enumerate() {
            if index > 0 {
                message.push(self.separator);
            }
            let written = match Scalar::typed(column.ty, values, row) {
                Scalar::Null => Ok(()),
                Scalar::Bool(value) => write!(message, "{value}"),
                Scalar::Int(value) => write!(message, "{value}"),
                // The shortest text that reads back to the same bits.
                Scalar::Float(value) => write!(message, "{value:?}"),
                Scalar::Timestamp(time) => {
                    push_text(column.time.write(time).as_bytes(), self.separator, message);
                    Ok(())
                }
                Scalar::String(text) => {
                    push_text(text.as_bytes(), self.separator, message);
                    Ok(())
                }
            };
            written.expect("writing to memory cannot fail");
        }
    }
}

impl Csv {
    /// Appends the fields of a record up to the first that does not belong to a column, and tells in `present` which of
    /// them have a value.
    fn append_fields(
        &mut self,
        record: &[u8],
        columns: &mut [ColumnBuilder],
        present: &mut Vec<bool>,
    ) -> Result<(), FieldError> {
        let malformed = |why: String| FieldError { column: None, fault: FieldFault::Malformed(why) };
        let mut fault = None;
        let mut next = Some(0);
        for (column, builder) in self.columns.iter().zip(columns) {
            let Some(start) = next else {
                if column.name == DELETED {
                    break;
                }
                let (found, expected) = (present.len(), self.columns.len());
                return Err(malformed(format!("{found} fields, expected {expected}")));
            };
            let field = Field::scan(record, start, self.separator).map_err(|why| malformed(why.to_owned()))?;
            next = field.next;
            let is_null = field.text.is_empty() && !field.is_quoted;
            let text = match field.has_quotes {
                false => &record[field.text],
                true => {
                    undouble(&record[field.text], &mut self.unescaped);
                    &self.unescaped
                }
            };
            present.push(!is_null);
            if is_null {
                builder.append_null();
            } else if let Err(found) = append_text(column, text, builder) {
                fault.get_or_insert(FieldError { column: Some(column.name.clone()), fault: found });
            }
        }
        match fault {
            Some(fault) => Err(fault),
            None if next.is_some() => Err(malformed(format!("more fields than the {} columns", self.columns.len()))),
            None => Ok(()),
        }
    }
}

/// A field of a record.
struct Field {
    /// Without the quotes around it.
    text: Range<usize>,
    is_quoted: bool,
    /// True if the text has doubled quotes.
    has_quotes: bool,
    /// The start of the next field; `None` if this is the last.
    next: Option<usize>,
}

impl Field {
    /// Finds the field that starts at an offset of a record.
    ///
    /// # Errors
    /// If the record is no CSV, or goes on after a line break.
    fn scan(record: &[u8], start: usize, separator: u8) -> Result<Field, &'static str> {
        let after = |end: usize| (end < record.len()).then_some(end + 1);
        if record.get(start) != Some(&b'"') {
            let end = record[start..].iter().position(|byte| *byte == separator || *byte == b'\n');
            let end = end.map_or(record.len(), |length| start + length);
            return match record.get(end) {
                Some(b'\n') => Err("a line break outside quotes, expected one record a message"),
                _ => Ok(Field { text: start..end, is_quoted: false, has_quotes: false, next: after(end) }),
            };
        }
        let (mut at, mut has_quotes) = (start + 1, false);
        loop {
            let quote = record[at..].iter().position(|byte| *byte == b'"').ok_or("a quoted field is not closed")?;
            let end = at + quote;
            match record.get(end + 1) {
                Some(b'"') => (at, has_quotes) = (end + 2, true),
                Some(byte) if *byte != separator => return Err("text after a quoted field, expected a separator"),
                Some(_) | None => {
                    return Ok(Field { text: start + 1..end, is_quoted: true, has_quotes, next: after(end + 1) });
                }
            }
        }
    }
}

fn without_line_break(message: &[u8]) -> &[u8] {
    match message.strip_suffix(b"\n") {
        Some(record) => record.strip_suffix(b"\r").unwrap_or(record),
        None => message,
    }
}

/// Writes a text with its doubled quotes made single.
fn undouble(text: &[u8], single: &mut Vec<u8>) {
    single.clear();
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        single.push(*byte);
        if *byte == b'"' {
            bytes.next();
        }
    }
}

/// Appends a text as a field, quoted if it must be.
fn push_text(text: &[u8], separator: u8, message: &mut Vec<u8>) {
    let is_plain = |byte: &u8| *byte != separator && !matches!(byte, b'"' | b'\n' | b'\r');
    if !text.is_empty() && text.iter().all(is_plain) {
        return message.extend_from_slice(text);
    }
    message.push(b'"');
    for byte in text {
        message.push(*byte);
        if *byte == b'"' {
            message.push(b'"');
        }
    }
    message.push(b'"');
}

/// Appends the text of a field as a value of its column's type; a null if it is not one.
///
/// # Errors
/// If the text is not a value of the column's type.
pub fn append_text(column: &Column, bytes: &[u8], builder: &mut ColumnBuilder) -> Result<(), FieldFault> {
    match std::str::from_utf8(bytes) {
        Ok(text) => column.rules().write(Found::Text(text), builder),
        Err(_) => {
            builder.append_null();
            Err(FieldFault::Malformed("not UTF-8".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Separator, Type};

    fn decode(columns: &[(&str, Type)], message: &str) -> Result<Vec<Scalar>, String> {
        let schema = Schema::new(columns.iter().map(|(name, ty)| Column::new(*name, *ty, true)).collect());
        let mut builders: Vec<_> = schema.columns.iter().map(|column| ColumnBuilder::new(column.ty)).collect();
        let mut present = Vec::new();
        let decoded = Csv::new(&schema).decode(message.as_bytes(), &mut builders, &mut present);
        assert!(builders.iter().all(|builder| builder.len() == 1), "one row is appended: {message:?}");
        decoded.map_err(|error| error.to_string())?;
        let row: Vec<_> = builders.iter_mut().map(|builder| Scalar::of(&builder.finish(), 0)).collect();
        assert!(row.iter().zip(present).all(|(value, present)| value.is_null() != present));
        Ok(row)
    }

    #[test]
    fn each_fault_of_a_record_is_named() {
        let columns = [("id", Type::String), ("n", Type::Int)];
        let row = |id: &str, n| Ok(vec![Scalar::String(id.into()), n]);
        assert_eq!(decode(&columns, "a,7"), row("a", Scalar::Int(7)));
        assert_eq!(decode(&columns, "\"a \"\"b\"\", c\",\r\n"), row("a \"b\", c", Scalar::Null));
        assert_eq!(decode(&columns, "\"\",7\n"), row("", Scalar::Int(7)));
        let fault = |message| decode(&columns, message).unwrap_err();
        assert_eq!(fault("a"), "malformed: 1 fields, expected 2");
        assert_eq!(fault("a,7,8"), "malformed: more fields than the 2 columns");
        assert_eq!(fault("a,7\nb,8"), "malformed: a line break outside quotes, expected one record a message");
        assert_eq!(fault("\"a,7"), "malformed: a quoted field is not closed");
        assert_eq!(fault("\"a\"b,7"), "malformed: text after a quoted field, expected a separator");
        assert_eq!(fault("a,b"), "n: expected int, found the text \"b\"");
    }

    #[test]
    fn fields_may_have_another_separator() {
        let columns =
            || [("name", Type::String), ("x", Type::Float)].map(|(name, ty)| Column::new(name, ty, true)).to_vec();
        for (separator, record) in
            [(Separator::Semicolon, "a,b;1.5"), (Separator::Tab, "a,b\t1.5"), (Separator::Bar, "a,b|1.5")]
        {
            let schema = Schema::new(columns()).separated_by(separator);
            let mut builders: Vec<_> = schema.columns.iter().map(|column| ColumnBuilder::new(column.ty)).collect();
            let mut csv = Csv::new(&schema);
            csv.decode(record.as_bytes(), &mut builders, &mut Vec::new()).unwrap();
            let columns: Vec<ArrayRef> = builders.iter_mut().map(ColumnBuilder::finish).collect();
            assert_eq!(Scalar::of(&columns[0], 0), Scalar::String("a,b".into()));
            assert_eq!(Scalar::of(&columns[1], 0), Scalar::Float(1.5));
            let mut message = Vec::new();
            csv.encode(&columns, 0, &mut message);
            assert_eq!(String::from_utf8(message).unwrap(), record);
        }
    }

    #[test]
    fn a_table_may_leave_out_its_mark_of_a_delete() {
        let columns = [("id", Type::Int), (DELETED, Type::Bool)];
        assert_eq!(decode(&columns, "1"), Ok(vec![Scalar::Int(1), Scalar::Null]));
        assert_eq!(decode(&columns, "1,true"), Ok(vec![Scalar::Int(1), Scalar::Bool(true)]));
    }
}
