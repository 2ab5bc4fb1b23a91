//! The body of an invocation: a data frame by rows or columns, in JSON or CSV.
//!
//! A body of the type `text/csv` is CSV with a header line, in which an empty field is null. Any other is JSON with one of
//! `dataframe_split`, `dataframe_records`, `instances` and `inputs`. MLflow's own client writes a missing number of a frame
//! as the word `NaN`, which JSON does not have; it is read as null.

use std::borrow::Cow;

use csv_core::ReadRecordResult;
use hyper::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::example::{Frame, InstanceError};
use crate::serve::instance_table::{InstanceTable, TableCell};
use crate::serve::json_columns::JsonColumns;
use crate::serve::payload::Payload;
use crate::serve::served_models::ServedModels;
use crate::serve::{RequestError, json_error};
use crate::time::EventTime;

/// A data frame to predict for, and the parameters beside it.
#[derive(Debug)]
pub struct Invocation<'a> {
    pub params: InvocationParams,
    pub frame: DataFrame<'a>,
}

/// The parameters beside a data frame.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvocationParams {
    pub model: Option<String>,
    pub version: Option<u64>,
}

/// Instances in one of the forms of a data frame.
#[derive(Debug)]
pub enum DataFrame<'a> {
    /// A list of objects.
    Records(&'a RawValue),
    Columns(JsonColumns<'a>),
    Split(SplitFrame<'a>),
    Csv(CsvFrame),
}

/// The names of columns, and rows without names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitFrame<'a> {
    columns: Vec<String>,
    #[serde(borrow)]
    data: Vec<Vec<&'a RawValue>>,
    /// Names of the rows, which no column needs.
    #[serde(borrow, rename = "index")]
    _index: Option<&'a RawValue>,
}

/// The fields of a CSV text, row by row.
#[derive(Debug)]
pub struct CsvFrame {
    columns: Vec<String>,
    /// All fields one after another.
    text: String,
    /// The end of each field in the text.
    ends: Vec<usize>,
    rows: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InvocationBody<'a> {
    params: Option<InvocationParams>,
    #[serde(borrow)]
    dataframe_split: Option<SplitFrame<'a>>,
    #[serde(borrow)]
    dataframe_records: Option<&'a RawValue>,
    #[serde(borrow)]
    instances: Option<&'a RawValue>,
    #[serde(borrow)]
    inputs: Option<&'a RawValue>,
}

impl<'a> Invocation<'a> {
    /// The text of a body; NaN is null in JSON.
    ///
    /// # Errors
    /// If the body is not UTF-8, or says that it is something else than JSON or CSV in UTF-8.
    pub fn text(payload: Payload<'a>) -> Result<Cow<'a, str>, RequestError> {
        check_content_type(payload)?;
        let text = payload.text()?;
        Ok(if is_csv(payload) { text.into() } else { nan_as_null(text) })
    }

    /// Reads the text of a body.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn read(payload: Payload<'_>, text: &'a str) -> Result<Self, RequestError> {
        if is_csv(payload) {
            return Ok(Invocation {
                params: InvocationParams::default(),
                frame: DataFrame::Csv(CsvFrame::read(text)?),
            });
        }
        let body: InvocationBody<'a> = json_error::parse(text, "a data frame in JSON")?;
        let InvocationBody { params, dataframe_split, dataframe_records, instances, inputs } = body;
        let frame = match (dataframe_split, dataframe_records, instances, inputs) {
            (Some(split), None, None, None) => DataFrame::Split(split.checked()?),
            (None, Some(rows), None, None) | (None, None, Some(rows), None) => DataFrame::Records(rows),
            (None, None, None, Some(rows)) if rows.get().starts_with('[') => DataFrame::Records(rows),
            (None, None, None, Some(columns)) => DataFrame::Columns(JsonColumns::read("inputs", columns)?),
            _ => {
                let expected = "expected exactly one of dataframe_split, dataframe_records, instances, inputs";
                return Err(malformed(expected.to_owned()));
            }
        };
        Ok(Invocation { params: params.unwrap_or_default(), frame })
    }
}

impl DataFrame<'_> {
    /// Reads the rows as instances of a model. Returns the first mistake in one, if any.
    ///
    /// # Errors
    /// If the rows are malformed.
    pub fn instances(
        &self,
        models: &ServedModels,
        model: usize,
        newest: Option<EventTime>,
        frame: &mut Frame,
    ) -> Result<Option<InstanceError>, RequestError> {
        match self {
            DataFrame::Records(rows) => {
                let mut rows = serde_json::Deserializer::from_str(rows.get());
                models.read_instances(model, &mut rows, newest, frame)
            }
            DataFrame::Columns(columns) => {
                let columns = columns.unnested(|name| models[model].program.takes_list(name));
                models.read_instances(model, columns.table(), newest, frame)
            }
            DataFrame::Split(SplitFrame { columns: names, data, .. }) => {
                let cell = |row: usize, column: usize| TableCell::Json(data[row][column]);
                models.read_instances(model, InstanceTable { names, rows: data.len(), cell }, newest, frame)
            }
            DataFrame::Csv(csv) => {
                let cell = |row: usize, column: usize| csv.cell(row, column);
                let table = InstanceTable { names: &csv.columns, rows: csv.rows, cell };
                models.read_instances(model, table, newest, frame)
            }
        }
    }
}

impl SplitFrame<'_> {
    /// Checks that each row has a value for each column.
    fn checked(self) -> Result<Self, RequestError> {
        let columns = self.columns.len();
        match self.data.iter().position(|row| row.len() != columns) {
            None => Ok(self),
            Some(at) => {
                let found = self.data[at].len();
                Err(malformed(format!(
                    "dataframe_split.data[{at}]: {found} values; expected {columns}, one for each column"
                )))
            }
        }
    }
}

impl CsvFrame {
    /// Reads a CSV text with a header line.
    fn read(text: &str) -> Result<Self, RequestError> {
        let mut reader = csv_core::Reader::new();
        let mut input = text.as_bytes();
        // Neither what is unquoted nor the number of fields can be more than this.
        let mut output = vec![0; input.len()];
        let most = 2 + input.iter().filter(|byte| matches!(byte, b',' | b'\n' | b'\r')).count();
        let mut ends = vec![0; most];
        let (mut read, mut fields, mut columns, mut lines) = (0, 0, 0, 0);
        // A record that ends with the text takes two calls. Its ends are counted from its beginning.
        let mut begin = 0;
        loop {
            let (result, taken, written, ended) = reader.read_record(input, &mut output[read..], &mut ends[fields..]);
            input = &input[taken..];
            ends[fields..fields + ended].iter_mut().for_each(|end| *end += begin);
            (read, fields) = (read + written, fields + ended);
            if matches!(result, ReadRecordResult::Record) {
                begin = read;
            }
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    return Err(malformed("the CSV cannot be read".to_owned()));
                }
                ReadRecordResult::Record if lines == 0 => (lines, columns) = (1, fields),
                ReadRecordResult::Record => {
                    lines += 1;
                    let found = fields - (lines - 1) * columns;
                    if found != columns {
                        let row = lines - 2;
                        return Err(malformed(format!(
                            "row {row}: {found} fields; expected {columns}, as in the header"
                        )));
                    }
                }
                ReadRecordResult::End => break,
            }
        }
        if lines == 0 {
            return Err(malformed("expected CSV with a header line that names the columns".to_owned()));
        }
        output.truncate(read);
        ends.truncate(fields);
        let text = String::from_utf8(output).map_err(|_| malformed("the CSV is not UTF-8 once unquoted".to_owned()))?;
        let mut frame = CsvFrame { columns: Vec::new(), text, ends, rows: lines - 1 };
        frame.columns = (0..columns).map(|column| frame.field(column).to_owned()).collect();
        Ok(frame)
    }

    /// The text of a field, counted from the first of the header.
    fn field(&self, at: usize) -> &str {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        self.text.get(start..self.ends[at]).unwrap_or_default()
    }

    fn cell(&self, row: usize, column: usize) -> TableCell<'_> {
        match self.field((row + 1) * self.columns.len() + column) {
            "" => TableCell::Null,
            text => TableCell::Text(text),
        }
    }
}

/// Formats of data frames that other servers of these protocols take.
const OTHER_FORMATS: [&str; 7] = [
    "application/parquet",
    "application/x-parquet",
    "application/vnd.apache.parquet",
    "application/vnd.apache.arrow.stream",
    "application/x-recordio-protobuf",
    "application/x-npy",
    "text/libsvm",
];

/// Checks that a body does not claim to be in another format than JSON or CSV, or another encoding than UTF-8.
fn check_content_type(payload: Payload<'_>) -> Result<(), RequestError> {
    let content_type = payload.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_other_format = OTHER_FORMATS.iter().any(|format| essence.eq_ignore_ascii_case(format));
    let is_other_charset = parts.filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
        let charset = value.trim().trim_matches('"');
        let is_utf8 = ["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known));
        name.trim().eq_ignore_ascii_case("charset") && !is_utf8
    });
    match is_other_format || is_other_charset {
        true => Err(RequestError::ContentType { found: content_type.to_owned(), expected: "JSON and CSV in UTF-8" }),
        false => Ok(()),
    }
}

fn is_csv(payload: Payload<'_>) -> bool {
    let content_type = payload.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    content_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("text/csv"))
}

/// Replaces the word NaN, outside of texts, by null.
fn nan_as_null(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") {
        return text.into();
    }
    let (mut out, mut copied) = (String::with_capacity(text.len() + 16), 0);
    let (mut in_text, mut is_escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b'N' if !in_text && at >= copied && text[at..].starts_with("NaN") => {
                out.push_str(&text[copied..at]);
                out.push_str("null");
                copied = at + 3;
            }
            _ => {}
        }
    }
    out.push_str(&text[copied..]);
    out.into()
}

fn malformed(what: String) -> RequestError {
    RequestError::Malformed(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_null_outside_of_texts_only() {
        assert_eq!(nan_as_null(r#"{"a":[NaN,1,NaN],"NaN":"x\"NaN\\"}"#), r#"{"a":[null,1,null],"NaN":"x\"NaN\\"}"#);
        assert!(matches!(nan_as_null(r#"{"a": 1}"#), Cow::Borrowed(_)));
        assert_eq!([nan_as_null("NaNaN"), nan_as_null("é NaN")], ["nullaN", "é null"]);
    }

    #[test]
    fn fields_of_csv_are_unquoted_and_counted() {
        let csv = CsvFrame::read("a,\"b \"\"c\"\"\"\r\n1,\"x,\n\"\n\n,é").unwrap();
        assert_eq!((csv.columns.as_slice(), csv.rows), (&["a".to_owned(), "b \"c\"".to_owned()][..], 2));
        let cells: Vec<String> = (0..4).map(|at| format!("{:?}", csv.cell(at / 2, at % 2))).collect();
        assert_eq!(cells, ["Text(\"1\")", "Text(\"x,\\n\")", "Null", "Text(\"é\")"]);
        let error = |text: &str| CsvFrame::read(text).unwrap_err().to_string();
        assert_eq!(error("a,b\n1,2\n3"), "row 1: 1 fields; expected 2, as in the header");
        assert_eq!(error(""), "expected CSV with a header line that names the columns");
        assert_eq!(CsvFrame::read("a").unwrap().rows, 0);
    }
}
