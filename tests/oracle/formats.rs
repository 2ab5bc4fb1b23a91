//! One table in three formats: a value means the same as a line of JSON, a field of CSV and a value of Parquet.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Decimal128Builder, StringDictionaryBuilder};
use arrow_array::types::{ArrowPrimitiveType, Float16Type, Int8Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Date64Array, Decimal256Array, Float16Array, Float32Array,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, LargeStringArray, NullArray, RecordBatch, StringArray,
    StringViewArray, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidemill::flow::Plan;
use tidemill::source::{FilePartition, Ingest, InputStatus, Partition, Reason};
use tidemill::time::parse_time;
use tidemill::value::Scalar;

/// The outcome of the records of a file.
#[derive(Debug, PartialEq)]
struct Outcome {
    rows: Vec<Vec<Scalar>>,
    /// Offset and reason of each dead letter.
    letters: Vec<(u64, Reason)>,
    /// The dead letters' values.
    values: Vec<String>,
    filtered: u64,
}

/// Reads a file as a source or a table with these keys and columns, without their event time, which is `at`.
fn read(path: &Path, kind: &str, keys: &str, columns: &str) -> Result<Outcome, String> {
    let stream = "[source.other]\ntopic = \"o\"\nformat = \"json\"\ntime = \"at\"\ncolumns = { at = \"timestamp\" }\n";
    let text = format!(
        "name = \"t\"\n{stream}[{kind}.t]\ntopic = \"t\"\nformat = \"json\"\ntime = \"at\"\n{keys}\n[{kind}.t.columns]\nat = \"timestamp\"\n{columns}\n"
    );
    let spec = tidemill::spec::parse(&text, "t.toml").map_err(|errors| errors.to_string())?;
    let plan = Plan::new(Arc::new(spec));
    let reader = plan.readers().last().expect("the last topic").clone();
    let (nulls, optional) = (vec![String::new()], vec!["_deleted".to_owned()]);
    let opened = FilePartition::open(vec![path.to_owned()], reader.schema.clone(), nulls, optional);
    let mut partition = opened.map_err(|error| error.to_string())?;
    let mut ingest = Ingest::new(reader, 0);
    let mut outcome = Outcome { rows: Vec::new(), letters: Vec::new(), values: Vec::new(), filtered: 0 };
    loop {
        let status = partition.read(3, &mut ingest).map_err(|error| error.to_string())?;
        let taken = ingest.take_unsorted();
        let columns = &taken.batch.columns;
        let row = |row| columns[1..].iter().map(|column| Scalar::of(column, row)).collect();
        outcome.rows.extend((0..taken.batch.len()).map(row));
        outcome.filtered += taken.counts.filtered;
        for letter in taken.letters {
            outcome.letters.push((letter.offset, letter.reason));
            outcome.values.push(String::from_utf8(letter.value.expect("a value")).expect("text"));
        }
        if status == InputStatus::EndOfInput {
            return Ok(outcome);
        }
    }
}

fn read_text(name: &str, text: &str, kind: &str, keys: &str, columns: &str) -> Result<Outcome, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    fs::write(&path, text).expect("the file can be written");
    read(&path, kind, keys, columns)
}

fn write_parquet(path: &Path, columns: &[(&str, ArrayRef)], compression: Compression) {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.iter().map(|(name, array)| (*name, array.clone(), true)));
    let batch = batch.expect("columns of one length");
    let properties = WriterProperties::builder().set_compression(compression).build();
    let file = fs::File::create(path).expect("the file can be created");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("the batch can be written");
    writer.close().expect("the file can be closed");
}

/// Reads one column of a Parquet file as a column of a declared type.
fn read_column(array: ArrayRef, ty: &str) -> Result<Outcome, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t.parquet");
    let at: ArrayRef = Arc::new(Int64Array::from_iter_values(0..array.len() as i64));
    write_parquet(&path, &[("at", at), ("v", array)], Compression::SNAPPY);
    let columns = if ty.starts_with('{') { format!("v = {ty}") } else { format!("v = \"{ty}\"") };
    read(&path, "source", "", &columns)
}

fn column(outcome: Result<Outcome, String>) -> Vec<Scalar> {
    let outcome = outcome.expect("the file can be read");
    assert_eq!(outcome.letters, [], "no dead letters");
    outcome.rows.into_iter().map(|mut row| row.remove(0)).collect()
}

fn opt<T>(first: T, last: T) -> Vec<Option<T>> {
    vec![Some(first), None, Some(last)]
}

fn ints(values: &[Option<i64>]) -> Vec<Scalar> {
    values.iter().map(|value| value.map_or(Scalar::Null, Scalar::Int)).collect()
}

#[test]
fn every_type_of_parquet_that_converts_without_loss_is_converted() {
    let expected = ints(&[Some(1), None, Some(3)]);
    let decimal = |scale, values: [i128; 2]| {
        let mut builder = Decimal128Builder::new().with_precision_and_scale(20, scale).expect("a valid precision");
        builder.append_value(values[0]);
        builder.append_null();
        builder.append_value(values[1]);
        Arc::new(builder.finish()) as ArrayRef
    };
    let wide = Decimal256Array::from(vec![
        Some(arrow_buffer::i256::from_i128(100)),
        None,
        Some(arrow_buffer::i256::from_i128(300)),
    ]);
    let wide = wide.with_precision_and_scale(50, 2).expect("a valid precision");
    let mut dictionary = StringDictionaryBuilder::<Int8Type>::new();
    dictionary.append_option(Some("1"));
    dictionary.append_null();
    dictionary.append_value("3");
    let half = <Float16Type as ArrowPrimitiveType>::Native::from_f32;
    let numbers: Vec<ArrayRef> = vec![
        Arc::new(Int8Array::from(vec![Some(1), None, Some(3)])),
        Arc::new(Int16Array::from(vec![Some(1), None, Some(3)])),
        Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])),
        Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])),
        Arc::new(UInt8Array::from(vec![Some(1), None, Some(3)])),
        Arc::new(UInt16Array::from(vec![Some(1), None, Some(3)])),
        Arc::new(UInt32Array::from(vec![Some(1), None, Some(3)])),
        Arc::new(UInt64Array::from(vec![Some(1), None, Some(3)])),
        Arc::new(Float16Array::from(vec![Some(half(1.0)), None, Some(half(3.0))])),
        Arc::new(Float32Array::from(vec![Some(1.0), None, Some(3.0)])),
        Arc::new(Float64Array::from(opt(1.0, 3.0))),
        decimal(0, [1, 3]),
        decimal(4, [10_000, 30_000]),
        Arc::new(wide),
        Arc::new(StringArray::from(opt("1", "3.0"))),
        Arc::new(LargeStringArray::from(opt("1", " 3 "))),
        Arc::new(StringViewArray::from(opt("1", "3e0"))),
        Arc::new(dictionary.finish()),
    ];
    for array in numbers {
        let label = array.data_type().to_string();
        assert_eq!(column(read_column(array.clone(), "int?")), expected, "{label}");
        let floats = [Scalar::Float(1.0), Scalar::Null, Scalar::Float(3.0)];
        assert_eq!(column(read_column(array, "float?")), floats, "{label}");
    }
    let nulls: ArrayRef = Arc::new(NullArray::new(3));
    for ty in ["string?", "int?", "float?", "bool?", "timestamp?"] {
        assert_eq!(column(read_column(nulls.clone(), ty)), vec![Scalar::Null; 3], "{ty}");
    }
    let cents = column(read_column(decimal(2, [10, 1_234_567_890_123_456_789]), "float?"));
    assert_eq!(cents[0], Scalar::Float(0.1));
    assert_eq!(cents[2], Scalar::Float("12345678901234567.89".parse().unwrap()));
    let bools: ArrayRef = Arc::new(BooleanArray::from(opt(true, false)));
    let expected = [Scalar::Bool(true), Scalar::Null, Scalar::Bool(false)];
    assert_eq!(column(read_column(bools, "bool?")), expected);
    let zero: ArrayRef = Arc::new(Float64Array::from(opt(1.0, 0.0)));
    assert_eq!(column(read_column(zero, "bool?")), expected);
}

#[test]
fn every_type_of_time_of_parquet_is_read() {
    let day = 86_400_000;
    let noon = 20_000 * day + day / 2;
    let times: Vec<(ArrayRef, i64)> = vec![
        (Arc::new(Date32Array::from(vec![20_000])), 20_000 * day),
        (Arc::new(Date64Array::from(vec![20_000 * day])), 20_000 * day),
        (Arc::new(TimestampSecondArray::from(vec![noon / 1000])), noon),
        (Arc::new(TimestampMillisecondArray::from(vec![noon])), noon),
        (Arc::new(TimestampMicrosecondArray::from(vec![noon * 1000 + 999])), noon),
        (Arc::new(TimestampNanosecondArray::from(vec![noon * 1_000_000 + 999_999])), noon),
        (Arc::new(TimestampMillisecondArray::from(vec![noon]).with_timezone("Europe/Berlin")), noon),
        (Arc::new(TimestampMicrosecondArray::from(vec![-1]).with_timezone("+01:00")), -1),
        (Arc::new(StringArray::from(vec!["2024-10-04T13:00+0100"])), noon),
        (Arc::new(Int64Array::from(vec![noon])), noon),
        (Arc::new(Float64Array::from(vec![noon as f64 + 0.5])), noon),
    ];
    for (array, time) in times {
        let label = array.data_type().to_string();
        assert_eq!(column(read_column(array, "timestamp")), [Scalar::Timestamp(time)], "{label}");
    }
    let seconds = "{ type = \"timestamp\", unit = \"s\" }";
    let float: ArrayRef = Arc::new(Float64Array::from(vec![1_706_688_000.5]));
    let expected = [Scalar::Timestamp(1_706_688_000_500)];
    assert_eq!(column(read_column(float, seconds)), expected);
    let mut decimal = Decimal128Builder::new().with_precision_and_scale(20, 3).expect("a valid precision");
    decimal.append_value(1_706_688_000_500);
    assert_eq!(column(read_column(Arc::new(decimal.finish()), seconds)), expected);
    let compact: ArrayRef = Arc::new(Int32Array::from(vec![20_240_131]));
    let expected = [Scalar::Timestamp(parse_time("2024-01-31").unwrap())];
    assert_eq!(column(read_column(compact, "{ type = \"timestamp\", time_format = \"%Y%m%d\" }")), expected);
}

#[test]
fn a_type_of_parquet_that_does_not_convert_is_refused_before_the_first_row() {
    let refused = |array: ArrayRef, ty: &str| read_column(array, ty).expect_err("a refusal");
    let bytes: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"a"]));
    let time: ArrayRef = Arc::new(Time64MicrosecondArray::from(vec![1]));
    let stamp: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1]));
    let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let flag: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    for ty in ["string", "int", "float", "bool", "timestamp"] {
        for array in [&bytes, &time] {
            let error = refused(array.clone(), ty);
            let expected = format!("\"v\" has the type {}, which does not convert", array.data_type());
            assert!(error.contains("t.parquet") && error.contains(&expected) && error.contains(ty), "{error}");
        }
    }
    for ty in ["string", "int", "float", "bool"] {
        assert!(refused(stamp.clone(), ty).contains("Timestamp"));
    }
    for ty in ["string", "int", "float", "timestamp"] {
        assert!(refused(flag.clone(), ty).contains("Boolean"));
    }
    assert!(refused(number, "string").contains("Int64"));
    // Text is read whole before the first row: no row survives because others are null.
    let text: ArrayRef = Arc::new(StringArray::from(vec![Some("1"), None, Some("x")]));
    let error = refused(text.clone(), "int?");
    assert!(error.contains("\"v\" has the type Utf8, and the text \"x\" is not of type int"), "{error}");
    assert!(refused(text, "bool?").contains("is not of type bool"));
}

#[test]
fn a_value_that_its_declared_type_cannot_hold_is_a_dead_letter_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = |extension: &str| folder.path().join(format!("t.{extension}"));
    fs::write(path("jsonl"), "{\"at\":1,\"v\":1.5}\n{\"at\":2,\"v\":2.0}\n{\"at\":3,\"v\":1e300}\n").unwrap();
    fs::write(path("csv"), "at,v\n1,1.5\n2,2.0\n3,1e300\n").unwrap();
    let at: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let v: ArrayRef = Arc::new(Float64Array::from(vec![1.5, 2.0, 1e300]));
    write_parquet(&path("parquet"), &[("at", at), ("v", v)], Compression::UNCOMPRESSED);
    for extension in ["jsonl", "csv", "parquet"] {
        let outcome = read(&path(extension), "source", "", "v = \"int?\"").unwrap();
        assert_eq!(outcome.rows, [[Scalar::Int(2)]], "{extension}");
        assert_eq!(outcome.letters, [(0, Reason::WrongType), (2, Reason::WrongType)], "{extension}");
    }
}

#[test]
fn every_codec_of_parquet_is_read() {
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values((0..1000).map(|value| value % 7)));
    let folder = tempfile::tempdir().unwrap();
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let path = folder.path().join("t.parquet");
        write_parquet(&path, &[("at", values.clone()), ("v", values.clone())], compression);
        let outcome = read(&path, "source", "", "v = \"int\"").unwrap_or_else(|error| panic!("{compression}: {error}"));
        assert_eq!(outcome.rows.len() + outcome.letters.len(), 1000, "{compression}");
    }
}

#[test]
fn a_path_is_found_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = |extension: &str| folder.path().join(format!("t.{extension}"));
    fs::write(path("jsonl"), "{\"at\":1,\"PM2.5\":7,\"a\":{\"b\":\"x\"}}\n").unwrap();
    fs::write(path("csv"), "at,PM2.5,a.b\n1,7,x\n").unwrap();
    let at: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let nested: ArrayRef = Arc::new(StructArray::try_from(vec![("b", text)]).unwrap());
    write_parquet(&path("parquet"), &[("at", at.clone()), ("PM2.5", at), ("a", nested)], Compression::SNAPPY);
    let columns =
        |pm: &str| format!("pm = {{ type = \"int?\", path = {pm} }}\nb = {{ type = \"string?\", path = \"a.b\" }}");
    for extension in ["jsonl", "csv", "parquet"] {
        let expected = Scalar::Int(if extension == "parquet" { 1 } else { 7 });
        for pm in ["\"PM2.5\"", "[\"PM2.5\"]"] {
            let outcome = read(&path(extension), "source", "", &columns(pm)).unwrap();
            assert_eq!(outcome.rows, [[expected.clone(), Scalar::String("x".into())]], "{extension} {pm}");
        }
    }
    for extension in ["csv", "parquet"] {
        let error = read(&path(extension), "source", "", &columns("\"PM25\"")).unwrap_err();
        assert!(error.contains("has no column \"PM25\", the path of \"pm\""), "{error}");
        assert!(error.contains("did you mean \"PM2.5\"?"), "{error}");
    }
}

#[test]
fn a_file_may_have_a_column_by_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |extension: &str| folder.path().join(format!("t.{extension}"));
    fs::write(path("csv"), "at,x\n1,7\n").unwrap();
    let at: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let x: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    write_parquet(&path("parquet"), &[("at", at), ("x", x)], Compression::SNAPPY);
    for extension in ["csv", "parquet"] {
        let outcome = read(&path(extension), "source", "", "x = { type = \"int\", path = \"in.x\" }").unwrap();
        assert_eq!(outcome.rows, [[Scalar::Int(7)]], "{extension}");
    }
}

#[test]
fn a_null_struct_of_parquet_has_null_fields() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![Some(5), Some(6)]));
    let fields = vec![arrow_schema::Field::new("v", arrow_schema::DataType::Int64, true)];
    let nulls = arrow_buffer::NullBuffer::from(vec![true, false]);
    let nested: ArrayRef = Arc::new(StructArray::new(fields.into(), vec![inner], Some(nulls)));
    let at: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    write_parquet(&path, &[("at", at), ("o", nested)], Compression::SNAPPY);
    let outcome = read(&path, "source", "", "v = { type = \"int?\", path = \"o.v\" }").unwrap();
    assert_eq!(outcome.rows, [[Scalar::Int(5)], [Scalar::Null]]);
}

#[test]
fn several_columns_have_one_path() {
    let both = "v = \"int\"\nw = { type = \"float?\", path = \"v\" }";
    let expected = [[Scalar::Int(5), Scalar::Float(5.0)]];
    for (name, text) in [("t.jsonl", "{\"at\":1,\"v\":5}\n"), ("t.csv", "at,v\n1,5\n")] {
        assert_eq!(read_text(name, text, "source", "", both).unwrap().rows, expected, "{name}");
    }
    // In either order, at the top and below, and of an object beside what is in it.
    let nested = |columns: &str, json: Value| {
        let text = format!("{json}\n");
        read_text("t.jsonl", &text, "source", "", columns).unwrap()
    };
    let below = "w = { type = \"float?\", path = \"o.v\" }\nv = { type = \"int?\", path = \"o.v\" }\nu = { type = \"string?\", path = \"o.u\" }";
    let found = nested(below, json!({"at": 1, "o": {"u": "x", "v": 5}}));
    assert_eq!(found.rows, [[Scalar::Float(5.0), Scalar::Int(5), Scalar::String("x".into())]]);
    for columns in [
        "o = \"string?\"\nv = { type = \"int?\", path = \"o.v\" }",
        "v = { type = \"int?\", path = \"o.v\" }\no = \"string?\"",
    ] {
        let is_first = columns.starts_with('v');
        let ordered = |o: Scalar, v: Scalar| if is_first { vec![v, o] } else { vec![o, v] };
        let whole = Scalar::String("{\"u\":1,\"v\":5}".into());
        assert_eq!(nested(columns, json!({"at": 1, "o": {"u": 1, "v": 5}})).rows, [ordered(whole, Scalar::Int(5))]);
        assert_eq!(
            nested(columns, json!({"at": 1, "o": "x"})).rows,
            [ordered(Scalar::String("x".into()), Scalar::Null)]
        );
        assert_eq!(nested(columns, json!({"at": 1, "o": null})).rows, [ordered(Scalar::Null, Scalar::Null)]);
        assert_eq!(nested(columns, json!({"at": 1})).rows, [ordered(Scalar::Null, Scalar::Null)]);
    }
    // A fault of one of them is a fault of the record.
    assert_eq!(nested(both, json!({"at": 1, "v": 5.5})).letters, [(0, Reason::WrongType)]);
    let twice = read_text("t.jsonl", "{\"at\":1,\"v\":5,\"v\":5}\n", "source", "", both).unwrap();
    assert_eq!(twice.letters, [(0, Reason::Malformed)]);
}

#[test]
fn a_null_object_has_null_columns() {
    let columns = "v = { type = \"int?\", path = \"o.v\" }\nw = { type = \"int?\", path = \"o.p.w\" }";
    let nulls = vec![Scalar::Null, Scalar::Null];
    for record in ["{\"at\":1,\"o\":null}", "{\"at\":1,\"o\":{\"p\":null}}", "{\"at\":1,\"o\":{}}", "{\"at\":1}"] {
        let outcome = read_text("t.jsonl", record, "source", "", columns).unwrap();
        assert_eq!((outcome.rows, outcome.letters), (vec![nulls.clone()], vec![]), "{record}");
    }
    let needed = "v = { type = \"int\", path = \"o.v\" }";
    let outcome = read_text("t.jsonl", "{\"at\":1,\"o\":null}\n{\"at\":1,\"o\":7}\n", "source", "", needed).unwrap();
    assert_eq!(outcome.letters, [(0, Reason::MissingField), (1, Reason::WrongType)]);
}

#[test]
fn a_delete_of_debezium_deletes_a_row() {
    let id = Scalar::String("a".into());
    let deleted = |outcome: Outcome| -> Vec<(Scalar, Scalar)> {
        assert_eq!(outcome.letters, []);
        outcome.rows.into_iter().map(|mut row| (row.remove(0), row.pop().expect("the mark"))).collect()
    };
    let envelope =
        "id = { type = \"string\", path = \"payload.after.id\" }\nv = { type = \"int\", path = \"payload.after.v\" }";
    let change = |before: Value, after: Value, at: i64| {
        json!({"at": at, "payload": {"op": "x", "before": before, "after": after}}).to_string()
    };
    let row = json!({"id": "a", "v": 1});
    let text = [
        change(Value::Null, row.clone(), 1),
        change(row.clone(), json!({"id": "a", "v": 2}), 2),
        change(row.clone(), Value::Null, 3),
        change(json!({"id": "a"}), Value::Null, 4),
    ];
    let outcome = read_text("t.jsonl", &text.join("\n"), "table", "key = [\"id\"]", envelope).unwrap();
    let marks = [Scalar::Null, Scalar::Null, Scalar::Bool(true), Scalar::Bool(true)];
    assert_eq!(deleted(outcome), marks.map(|mark| (id.clone(), mark)));
    // Flattened records have a mark, and null where there is no value any more.
    let text = "{\"id\":\"a\",\"v\":null,\"at\":1,\"__deleted\":\"true\"}\n{\"id\":\"a\",\"v\":1,\"at\":2,\"__deleted\":\"false\"}\n{\"id\":\"a\",\"v\":null,\"at\":3,\"_deleted\":true}\n";
    let outcome = read_text("t.jsonl", text, "table", "key = [\"id\"]", "id = \"string\"\nv = \"int\"").unwrap();
    let marks = [true, false, true].map(Scalar::Bool);
    assert_eq!(deleted(outcome), marks.map(|mark| (id.clone(), mark)));
    // Where the key is not in the row, a row that is null has no values.
    let beside = "id = \"string\"\nv = { type = \"int?\", path = \"after.v\" }";
    let outcome =
        read_text("t.jsonl", "{\"id\":\"a\",\"at\":1,\"after\":null}\n", "table", "key = [\"id\"]", beside).unwrap();
    assert_eq!(deleted(outcome), [(id, Scalar::Null)]);
}

#[test]
fn a_byte_order_mark_and_blank_lines_are_no_records() {
    let columns = "v = \"int\"";
    let text = "\u{feff}\n\n{\"at\":1,\"v\":1}\r\n \t\r\n\n{\"at\":2,\"v\":2}\n\n\n";
    let outcome = read_text("t.jsonl", text, "source", "", columns).unwrap();
    assert_eq!((outcome.rows, outcome.letters), (vec![vec![Scalar::Int(1)], vec![Scalar::Int(2)]], vec![]));
    for (name, text) in [
        ("t.jsonl", "\u{feff}{\"at\":1,\"v\":1}"),
        ("t.csv", "\u{feff}at,v\n\n1,1\n\n"),
        ("t.jsonl", "{\"at\":1,\"v\":1}\n"),
    ] {
        let outcome = read_text(name, text, "source", "", columns).unwrap();
        assert_eq!((outcome.rows, outcome.letters), (vec![vec![Scalar::Int(1)]], vec![]), "{text:?}");
    }
    // In the middle of a file, a mark is text.
    let outcome = read_text("t.jsonl", "{\"at\":1,\"v\":1}\n\u{feff}\n", "source", "", columns).unwrap();
    assert_eq!(outcome.letters, [(1, Reason::Malformed)]);
}

#[test]
fn a_condition_that_is_false_without_the_time_filters_a_record_that_has_none() {
    let columns = "kind = \"string\"\nv = \"int?\"";
    let records = [
        r#"{"at":1,"kind":"trip","v":1}"#,
        // Filtered: the condition is false whatever the time is.
        r#"{"at":null,"kind":"heartbeat"}"#,
        r#"{"kind":"heartbeat"}"#,
        r#"{"at":"soon","kind":"heartbeat"}"#,
        r#"{"at":{},"kind":"heartbeat"}"#,
        // Refused: it may be true, or the record is at fault otherwise.
        r#"{"at":null,"kind":"trip"}"#,
        r#"{"at":"soon","kind":"trip"}"#,
        r#"{"at":null,"kind":"heartbeat","v":"x"}"#,
        r#"{"at":null,"kind":"heartbeat","#,
    ];
    let text = records.join("\n");
    let outcome =
        |filter: &str| read_text("t.jsonl", &text, "source", &format!("where = {filter:?}"), columns).unwrap();
    let found = outcome("kind = 'trip'");
    let reasons = [Reason::MissingField, Reason::UnparsableTime, Reason::WrongType, Reason::Malformed];
    assert_eq!(found.letters, [5, 6, 7, 8].into_iter().zip(reasons).collect::<Vec<_>>());
    assert_eq!((found.rows.len(), found.filtered), (1, 4));
    let found = outcome("kind = 'trip' and at > timestamp '1970-01-01'");
    assert_eq!((found.letters.len(), found.filtered), (4, 4), "false and unknown is false");
    let found = outcome("at is not null");
    assert_eq!((found.letters.len(), found.rows.len(), found.filtered), (2, 1, 6));
    // In CSV, and where a column is missing that must be there.
    let csv = "at,kind,v\n,heartbeat,\n,trip,1\nsoon,heartbeat,2\n1,trip,3\n1,,3\n";
    let found = read_text("t.csv", csv, "source", "where = \"v = 3\"", columns).unwrap();
    assert_eq!(found.letters, [(0, Reason::MissingField), (4, Reason::MissingField)]);
    assert_eq!((found.rows.len(), found.filtered), (1, 2));
}

#[test]
fn a_dead_letter_has_the_record_as_it_was_read() {
    let columns = "v = \"int\"\ns = \"string?\"";
    let record = r#"x,"a, ""b""
c",5"#;
    let csv = format!("v,s,at\n{record}\n1,d,2\n");
    let found = read_text("t.csv", &csv, "source", "", columns).unwrap();
    assert_eq!(found.values, [record]);
    assert_eq!(found.rows.len(), 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let at: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![5, 6]));
    let v: ArrayRef = Arc::new(Float64Array::from(vec![1.5, 2.0]));
    let text: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    let nested: ArrayRef = Arc::new(StructArray::try_from(vec![("s", text)]).unwrap());
    write_parquet(&path, &[("at", at), ("v", v), ("o", nested)], Compression::SNAPPY);
    let columns = "v = \"int\"\ns = { type = \"string?\", path = \"o.s\" }";
    let found = read(&path, "source", "", columns).unwrap();
    assert_eq!(found.values, [r#"{"at":"1970-01-01T00:00:00.005Z","o":{"s":"a"},"v":1.5}"#]);
    // Mended, it is a record of JSON.
    let mended = found.values[0].replace("1.5", "1.0");
    let found = read_text("t.jsonl", &mended, "source", "", columns).unwrap();
    assert_eq!(found.rows, [[Scalar::Int(1), Scalar::String("a".into())]]);
}

#[test]
fn a_time_format_reads_text_in_every_format() {
    let columns = "t = { type = \"timestamp?\", time_format = \"%d/%m/%Y %H:%M\" }";
    let folder = tempfile::tempdir().unwrap();
    let path = |extension: &str| folder.path().join(format!("t.{extension}"));
    fs::write(path("jsonl"), "{\"at\":1,\"t\":\"31/01/2024 08:30\"}\n{\"at\":2,\"t\":\"2024-01-31T08:30\"}\n").unwrap();
    fs::write(path("csv"), "at,t\n1,31/01/2024 08:30\n2,2024-01-31T08:30\n").unwrap();
    let at: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let t: ArrayRef = Arc::new(StringArray::from(vec!["31/01/2024 08:30", "2024-01-31T08:30"]));
    write_parquet(&path("parquet"), &[("at", at), ("t", t)], Compression::SNAPPY);
    for extension in ["jsonl", "csv", "parquet"] {
        let outcome = read(&path(extension), "source", "", columns).unwrap();
        let expected = Scalar::Timestamp(parse_time("2024-01-31T08:30").unwrap());
        assert_eq!(outcome.rows, [[expected]], "{extension}");
        assert_eq!(outcome.letters, [(1, Reason::UnparsableTime)], "{extension}");
    }
}

/// A value of a table that a program writes in all three formats.
#[derive(Clone, Debug)]
enum Cell {
    Null,
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Time(i64),
}

impl Cell {
    fn json(&self) -> Value {
        match self {
            Cell::Null => Value::Null,
            Cell::Int(value) => json!(value),
            Cell::Float(value) => json!(value),
            Cell::Bool(value) => json!(value),
            Cell::Text(text) => json!(text),
            Cell::Time(time) => json!(tidemill::time::format_time(*time)),
        }
    }

    fn csv(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Int(value) => value.to_string(),
            Cell::Float(value) => format!("{value:?}"),
            Cell::Bool(value) => value.to_string(),
            Cell::Text(text) => format!("\"{}\"", text.replace('"', "\"\"")),
            Cell::Time(time) => tidemill::time::format_time(*time),
        }
    }
}

/// The cells of one column, all of one kind or null, as an array.
fn array(cells: &[Cell]) -> ArrayRef {
    macro_rules! of {
        ($array:ident, $kind:path) => {
            Arc::new($array::from_iter(cells.iter().map(|cell| match cell {
                $kind(value) => Some(value.to_owned()),
                _ => None,
            })))
        };
    }
    match cells.iter().find(|cell| !matches!(cell, Cell::Null)) {
        None => Arc::new(NullArray::new(cells.len())),
        Some(Cell::Int(_)) => of!(Int64Array, Cell::Int),
        Some(Cell::Float(_)) => of!(Float64Array, Cell::Float),
        Some(Cell::Bool(_)) => of!(BooleanArray, Cell::Bool),
        Some(Cell::Text(_)) => of!(StringArray, Cell::Text),
        Some(Cell::Time(_)) => of!(TimestampMillisecondArray, Cell::Time),
        Some(Cell::Null) => unreachable!("it is not null"),
    }
}

/// A column: a declared type that takes the kind of its values in every format, and its values.
fn table_column() -> impl Strategy<Value = (&'static str, Vec<Cell>)> {
    let int = prop_oneof![-20i64..20, any::<i64>()];
    let float = prop_oneof![(-20i32..20).prop_map(f64::from), -1e3..1e3f64, Just(1e16), Just(-0.0)];
    let digits = prop_oneof![(-20i64..20).prop_map(|n| n.to_string()), (-20i32..20).prop_map(|n| format!("{n}.0"))];
    let text = prop_oneof!["[a-z\", ]{1,5}", Just("007".to_owned()), Just("true".to_owned()), Just("1.0".to_owned())];
    let times = prop_oneof![
        (1_000_000_000_000i64..2_000_000_000_000).prop_map(tidemill::time::format_time),
        Just("20240131".to_owned()),
        Just("2024-01-31 08:00+01".to_owned()),
        Just("1706688000000".to_owned()),
        Just("1706688000000.5".to_owned()),
        Just("soon".to_owned()),
    ];
    let of = |types: &'static [&'static str], cell: BoxedStrategy<Cell>| {
        let cell = prop_oneof![1 => Just(Cell::Null), 3 => cell];
        (prop::sample::select(types), prop::collection::vec(cell, 6))
    };
    prop_oneof![
        of(&["int?", "float?", "bool?"], int.prop_map(Cell::Int).boxed()),
        of(&["timestamp?"], (1_000_000_000_000i64..2_000_000_000_000).prop_map(Cell::Int).boxed()),
        of(&["int?", "float?", "bool?", "timestamp?"], float.prop_map(Cell::Float).boxed()),
        of(&["bool?"], any::<bool>().prop_map(Cell::Bool).boxed()),
        of(&["int?", "float?"], digits.prop_map(Cell::Text).boxed()),
        of(&["string?"], text.prop_map(Cell::Text).boxed()),
        of(&["timestamp?"], times.prop_map(Cell::Text).boxed()),
        of(&["timestamp?"], (0i64..2_000_000_000_000).prop_map(Cell::Time).boxed()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn oracle_a_table_is_the_same_in_every_format(columns in prop::collection::vec(table_column(), 1..4)) {
        let folder = tempfile::tempdir().unwrap();
        let path = |extension: &str| folder.path().join(format!("t.{extension}"));
        let names: Vec<String> = (0..columns.len()).map(|at| format!("c{at}")).collect();
        let (mut jsonl, mut csv) = (String::new(), format!("at,{}\n", names.join(",")));
        for row in 0..6 {
            let mut object = serde_json::Map::from_iter([("at".to_owned(), json!(row))]);
            object.extend(names.iter().zip(&columns).map(|(name, (_, cells))| (name.clone(), cells[row].json())));
            jsonl += &format!("{}\n", Value::Object(object));
            let fields: Vec<String> = columns.iter().map(|(_, cells)| cells[row].csv()).collect();
            csv += &format!("{row},{}\n", fields.join(","));
        }
        fs::write(path("jsonl"), jsonl).unwrap();
        fs::write(path("csv"), csv).unwrap();
        let at: ArrayRef = Arc::new(Int64Array::from_iter_values(0..6));
        let mut arrays = vec![("at", at)];
        arrays.extend(names.iter().zip(&columns).map(|(name, (_, cells))| (name.as_str(), array(cells))));
        write_parquet(&path("parquet"), &arrays, Compression::SNAPPY);
        let declared: Vec<String> = names.iter().zip(&columns).map(|(name, (ty, _))| format!("{name} = \"{ty}\"")).collect();
        let outcome = |extension: &str| {
            let outcome = read(&path(extension), "source", "", &declared.join("\n")).unwrap();
            (format!("{:?}", outcome.rows), outcome.letters)
        };
        let expected = outcome("jsonl");
        prop_assert_eq!(outcome("csv"), expected.clone(), "CSV and JSON");
        prop_assert_eq!(outcome("parquet"), expected, "Parquet and JSON");
    }
}
