//! The JSON schemas of dataflow files and configs, checked by a validator that is not tidemill's: `jsonschema` of Python.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns what a command of the program prints.
fn print(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tidemill")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_schemas_that_are_shipped_are_those_that_the_program_prints() {
    for of in ["dataflow", "config"] {
        let path = root().join(format!("config/schema/{of}.schema.json"));
        let printed = print(&["schema", of]);
        if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &printed).unwrap();
        }
        let shipped = fs::read_to_string(&path).unwrap_or_default();
        assert!(shipped == printed, "{} is out of date; UPDATE_GOLDEN=1 rewrites it", path.display());
    }
}

/// Validates documents: reads a schema and a list of documents on stdin, prints the first error of each, or null.
const VALIDATE: &str = "import json, sys, jsonschema\n\
    given = json.load(sys.stdin)\n\
    jsonschema.Draft7Validator.check_schema(given['schema'])\n\
    validator = jsonschema.Draft7Validator(given['schema'])\n\
    errors = [next(iter(validator.iter_errors(document)), None) for document in given['documents']]\n\
    print(json.dumps([error and f'{list(error.absolute_path)}: {error.message}'[:300] for error in errors]))\n";

/// Returns the first error of each document by a schema; `None` if there is no validator.
fn errors(of: &str, documents: &[Value]) -> Option<Vec<Option<String>>> {
    let python = root().join("target/clients/bin/python");
    let has_validator =
        Command::new(&python).args(["-c", "import jsonschema"]).output().is_ok_and(|it| it.status.success());
    if !has_validator {
        eprintln!("SKIPPED: tests/setup could not install jsonschema in target/clients");
        return None;
    }
    let schema: Value = serde_json::from_str(&print(&["schema", of])).unwrap();
    let input = tempfile::NamedTempFile::new().unwrap();
    fs::write(input.path(), json!({ "schema": schema, "documents": documents }).to_string()).unwrap();
    let stdin = fs::File::open(input.path()).unwrap();
    let output = Command::new(python).args(["-c", VALIDATE]).stdin(stdin).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Returns the files of a kind below folders, each as JSON.
fn files(folders: &[&str]) -> Vec<(PathBuf, Value)> {
    let mut found = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let table: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
                found.push((path, serde_json::to_value(table).unwrap()));
            }
        }
    }
    assert!(found.len() >= 2);
    found
}

/// Checks that the files below folders fit the schema of their kind.
fn accept(of: &str, folders: &[&str]) {
    let files = files(folders);
    let documents: Vec<Value> = files.iter().map(|(_, document)| document.clone()).collect();
    for ((path, _), error) in files.iter().zip(errors(of, &documents).into_iter().flatten()) {
        assert_eq!(error, None, "{}", path.display());
    }
}

#[test]
fn every_dataflow_that_is_shipped_fits_the_schema() {
    accept("dataflow", &["dataflows"]);
}

#[test]
fn every_config_that_is_shipped_fits_the_schema() {
    accept("config", &["config", "config/kubernetes", "config/kubernetes-replicas"]);
}

/// Returns a document with a key renamed at each place that has it, or with another value there.
fn changed(document: &Value, pointer: &str, value: Option<Value>) -> Value {
    let mut changed = document.clone();
    let (table, key) = pointer.rsplit_once('/').unwrap();
    let table = changed.pointer_mut(table).unwrap_or_else(|| panic!("{pointer}")).as_object_mut().unwrap();
    let was = table.remove(key).unwrap_or_else(|| panic!("{pointer}"));
    match value {
        Some(value) => table.insert(key.to_owned(), value),
        None => table.insert(format!("{key}_"), was),
    };
    changed
}

#[test]
fn a_wrong_key_and_a_wrong_value_do_not_fit() {
    let of = |path: &str| -> Value {
        let table: toml::Table = fs::read_to_string(root().join(path)).unwrap().parse().unwrap();
        serde_json::to_value(table).unwrap()
    };
    let clicks = of("dataflows/clicks.toml");
    let keys = [
        "/name",
        "/source",
        "/source/clicks/topic",
        "/source/clicks/columns/price/type",
        "/view/looks/sql",
        "/features/visit/entity",
        "/features/visit/aggregate/0/op",
        "/features/visit/aggregate/0/windows/0/session",
        "/model/order/window",
        "/model/order/label/value",
        "/model/order/optimizer/alpha",
        "/model/order/publish/metric",
        "/test/0/name",
    ];
    let values = [
        ("/source/clicks/lateness", json!("5 seconds")),
        ("/source/clicks/format", json!("xml")),
        ("/source/clicks/columns/user", json!("text")),
        ("/features/visit/aggregate", json!({})),
        ("/model/order/kind", json!("logistik")),
        ("/model/order/optimizer/alpha", json!("much")),
    ];
    let mut documents: Vec<Value> = keys.iter().map(|key| changed(&clicks, key, None)).collect();
    documents.extend(values.iter().map(|(key, value)| changed(&clicks, key, Some(value.clone()))));
    let embedded = of("config/embedded.toml");
    let wrong = [
        changed(&embedded, "/data_dir", None),
        changed(&embedded, "/play/speed", None),
        changed(&embedded, "/play/speed", Some(json!("fast"))),
        changed(&embedded, "/topics/weather/file", None),
        json!({ "workers": 0 }),
        json!({ "idle_after": 5 }),
        json!({ "http": { "tokens": { "read": "abc" } } }),
    ];
    for (of, documents) in [("dataflow", documents.as_slice()), ("config", &wrong)] {
        for (at, error) in errors(of, documents).into_iter().flatten().enumerate() {
            assert!(error.is_some(), "{of} {at}: {}", documents[at]);
        }
    }
}
