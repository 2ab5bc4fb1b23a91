//! Replays of shipped dataflows on given records, and the files that they write, by columns.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::MultiGzDecoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tidemill::aggregate::Feature;
use tidemill::value::Scalar;

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the text of a file, unpacked if its name ends in `.gz`.
pub fn unpacked(path: &Path) -> String {
    let (mut text, mut file) = (String::new(), File::open(path).unwrap_or_else(|error| panic!("{path:?}: {error}")));
    match path.extension().is_some_and(|extension| extension == "gz") {
        true => MultiGzDecoder::new(file).read_to_string(&mut text).unwrap(),
        false => file.read_to_string(&mut text).unwrap(),
    };
    text
}

/// Returns a decimal number in units of a power of ten.
pub fn units(text: &str, digits: usize) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= digits, "{text}");
    format!("{whole}{fraction:0<digits$}").parse().unwrap()
}

/// Columns of a file by their names. Lists and maps are JSON texts.
pub struct Columns {
    columns: BTreeMap<String, Vec<Scalar>>,
    len: usize,
}

impl Columns {
    fn read(path: &Path) -> Columns {
        let file = File::open(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let (mut columns, mut len) = (BTreeMap::<String, Vec<Scalar>>::new(), 0);
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            len += batch.num_rows();
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                let value = |row| match Feature::of(column, row) {
                    Feature::Value(value) => value,
                    collection => Scalar::String(collection.to_json(0).to_string().into()),
                };
                columns.entry(field.name().clone()).or_default().extend((0..batch.num_rows()).map(value));
            }
        }
        Columns { columns, len }
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns a value.
    pub fn get(&self, column: &str, row: usize) -> &Scalar {
        &self.columns.get(column).unwrap_or_else(|| panic!("no {column}; there are {:?}", self.columns.keys()))[row]
    }

    /// Returns a text.
    pub fn text(&self, column: &str, row: usize) -> &str {
        let Scalar::String(text) = self.get(column, row) else { panic!("{:?}", self.get(column, row)) };
        text
    }

    /// Returns a timestamp.
    pub fn time(&self, column: &str, row: usize) -> i64 {
        let Scalar::Timestamp(time) = self.get(column, row) else { panic!("{:?}", self.get(column, row)) };
        *time
    }
}

/// A topic and its records as CSV.
pub struct TopicFile<'a> {
    pub topic: &'a str,
    pub csv: &'a str,
}

/// A finished replay.
pub struct Replayed {
    folder: tempfile::TempDir,
}

impl Replayed {
    /// Replays `dataflows/{name}.toml`, of which no record may be refused.
    pub fn of(name: &str, topics: &[TopicFile<'_>]) -> Replayed {
        Replayed::of_text(&fs::read_to_string(root().join(format!("dataflows/{name}.toml"))).unwrap(), topics)
    }

    /// Replays a dataflow, of which no record may be refused.
    pub fn of_text(dataflow: &str, topics: &[TopicFile<'_>]) -> Replayed {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("dataflow.toml"), dataflow).unwrap();
        let mut config = String::new();
        for TopicFile { topic, csv } in topics {
            fs::write(folder.path().join(format!("{topic}.csv")), csv).unwrap();
            config += &format!("[topics.{topic}]\nfile = \"{topic}.csv\"\n");
        }
        fs::write(folder.path().join("config.toml"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.args(["replay", "dataflow.toml", "--config", "config.toml", "--out", "out"]);
        let output = command.current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        println!("{said}");
        for line in said.lines().filter(|line| line.contains(" read, ")) {
            assert!(line.contains(" 0 filtered, ") && line.contains(" 0 late, ") && line.ends_with(" 0 dead letters"));
        }
        Replayed { folder }
    }

    /// Returns the text of a file, such as `digest.json`.
    pub fn text(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join("out").join(file)).unwrap()
    }

    /// Returns the contents of a Parquet file, such as `features/user`.
    pub fn columns(&self, file: &str) -> Columns {
        Columns::read(&self.folder.path().join(format!("out/{file}.parquet")))
    }
}
