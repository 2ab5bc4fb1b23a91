//! The public Python clients, unchanged: `tests/setup` installs them.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{columns, orders, predicted, shop};
use crate::common::shop::Client;

/// Runs a script of `tests/serve/protocols` with the clients, unless they could not be installed. It gets the address, and
/// the orders with their predictions as JSON.
fn run(script: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/clients/bin/python");
    if !root.join("target/clients/installed").exists() {
        eprintln!("SKIPPED: {script}: tests/setup could not install the Python clients in target/clients");
        return;
    }
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
    let mut command = Command::new(python);
    command
        .arg(root.join("tests/serve/protocols").join(script))
        .args([server.addr().to_string(), expected.to_string()]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ok\n", "{script}");
    server.drain();
}

#[test]
fn the_client_of_triton_is_answered() {
    run("triton_client.py");
}

#[test]
fn the_client_of_mlflow_is_answered() {
    run("mlflow_client.py");
}
