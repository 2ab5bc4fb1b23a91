//! Lists and maps as inputs of a model, from file to offline files: any number of workers gives the same hashes.

use std::process::Command;

use arrow_schema::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::common::engine::rows;
use crate::common::nested::{NESTED_INPUTS, nested_flights};
use crate::replay::digest;

#[test]
fn lists_and_maps_come_out_the_same_on_any_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flights.toml");
    std::fs::write(&file, nested_flights()).unwrap();
    let replay = |workers: &str| {
        let out = folder.path().join(workers);
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.arg("replay").arg(&file).args([
            "--quiet",
            "--to",
            "2013-01-05T12:00:00Z",
            "--workers",
            workers,
            "--out",
        ]);
        let output = command.arg(&out).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        digest(&out)
    };
    let one = replay("1");
    assert!(one["models"]["late"].as_array().unwrap().len() >= 3, "{one}");
    assert_eq!((replay("2"), replay("3")), (one.clone(), one));

    let path = folder.path().join("1/examples/late.parquet");
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap()).unwrap();
    let rows = rows(&path);
    for (name, opening) in NESTED_INPUTS {
        let (at, field) = reader.schema().column_with_name(name).unwrap_or_else(|| panic!("no column {name}"));
        match opening {
            '[' => assert!(matches!(field.data_type(), DataType::List(_)), "{field}"),
            _ => assert!(matches!(field.data_type(), DataType::Map(..)), "{field}"),
        }
        let texts: Vec<String> = rows.iter().map(|row| row[at].to_text()).collect();
        let filled = texts.iter().filter(|text| text.starts_with(opening)).count();
        assert!(filled > texts.len() / 2, "{name} has {filled} values in {} rows", texts.len());
    }
}
