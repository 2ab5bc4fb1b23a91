//! Mistakes in dataflow files, `tests/golden/spec/NAME.toml`, and the errors that they cause, `NAME.err`.
//!
//! `UPDATE_GOLDEN=1` rewrites the errors; review the diff.

use std::fs;
use std::path::{Path, PathBuf};

use tidemill::spec;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/spec");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    cases.sort();
    cases
}

#[test]
fn every_mistake_is_reported_as_in_its_golden_file() {
    let update = std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1");
    let mut differ = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 20, "{} cases", cases.len());
    for path in cases {
        let name = path.file_name().unwrap().to_str().unwrap();
        let found = match spec::parse(&fs::read_to_string(&path).unwrap(), name) {
            Ok(_) => String::new(),
            Err(errors) => format!("{errors}\n"),
        };
        let golden = path.with_extension("err");
        if update {
            fs::write(&golden, &found).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if found != expected || found.is_empty() {
            differ.push(format!("--- {name}, expected\n{expected}--- found\n{found}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn the_shipped_dataflows_have_no_mistakes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dataflows");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if let Err(errors) = spec::load(&path) {
            panic!("{errors}");
        }
    }
}
