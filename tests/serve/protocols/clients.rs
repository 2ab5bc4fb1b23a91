//! The public Python clients, unchanged: `tests/setup` installs them.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{columns, orders, predicted, shop};
use crate::common::shop::Client;

/// Runs a script of `tests/serve/protocols` with the packages of a folder, unless they could not be installed.
pub fn run(packages: &str, script: &str, arguments: &[String]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installed = root.join("target").join(packages);
    if !installed.join("installed").exists() {
        eprintln!("SKIPPED: {script}: tests/setup could not install the Python packages in target/{packages}");
        return;
    }
    let mut command = Command::new(installed.join("bin/python"));
    let output = command.arg(root.join("tests/serve/protocols").join(script)).args(arguments).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ok\n", "{script}");
}

/// Runs a script with the clients of protocols. It gets the address, and the orders with their predictions as JSON.
fn predict_by(script: &str) {
    let shop = shop();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut expected = json!({ "orders": orders(), "columns": columns(), "predictions": {} });
    for model in ["large", "counted", "levels", "sorts"] {
        let versions = json!({
            "1": predicted(&mut client, model, Some(1)), "2": predicted(&mut client, model, Some(2)),
        });
        expected["predictions"][model] = versions;
    }
    drop(client);
    run("clients", script, &[server.addr().to_string(), expected.to_string()]);
    server.drain();
}

#[test]
fn the_client_of_triton_is_answered() {
    predict_by("triton_client.py");
}

#[test]
fn the_client_of_mlflow_is_answered() {
    predict_by("mlflow_client.py");
}

/// The same requests get the same answers from a feature server of Feast that has the same features.
#[test]
fn features_are_those_of_a_feature_server_of_feast() {
    let shop = shop();
    let server = shop.serve();
    run("feast", "feast_server.py", &[server.addr().to_string()]);
    server.drain();
}
