//! The generated reference of dataflow files in `docs/`. `UPDATE_GOLDEN=1` rewrites it.

use std::fs;
use std::path::Path;

use tidemill::expr::FUNCTIONS;
use tidemill::spec;

#[test]
fn the_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dataflow.md");
    let written = spec::reference();
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &written).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == written, "docs/dataflow.md is out of date");
}

#[test]
fn every_function_is_named_once_and_as_its_signature_shows() {
    let functions: Vec<_> = FUNCTIONS.iter().copied().flatten().collect();
    for (at, function) in functions.iter().enumerate() {
        assert!(function.signature.starts_with(&format!("{}(", function.name)), "{}", function.signature);
        assert!(functions[..at].iter().all(|other| other.name != function.name), "{}", function.name);
    }
}
