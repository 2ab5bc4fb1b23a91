//! The Python client of `clients/python`, against a running job.

use std::path::Path;
use std::process::Command;

use crate::common::program::Run;
use crate::common::servers::eventually;

#[test]
fn the_python_client_is_answered_in_its_types() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/clients/bin/python");
    let imports = Command::new(&python).args(["-c", "import pandas, pyarrow"]).output();
    if !imports.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: tests/setup could not install pandas and pyarrow in target/clients");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tidemill = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.current_dir(root);
        command
    };
    let files = ["dataflows/fraud.toml", "--config", "config/fraud.toml"];
    let out = folder.path().join("out");
    let replayed =
        tidemill().arg("replay").args(files).args(["--to", "2025-01-25", "--unlabelled", "--out"]).arg(&out).output();
    assert!(replayed.unwrap().status.success());

    let home = format!("data_dir={}", folder.path().join("var").display());
    let sets = ["--set", "http.listen=127.0.0.1:0", "--set", &home];
    let run = Run::start(tidemill().arg("run").args(files).args(sets));
    eventually("some versions", || run.get("/models").contains(",3,"));
    eventually("all files are read", || run.says("all files are read"));
    let mut script = Command::new(python);
    script.env("PYTHONPATH", root.join("clients/python")).arg(root.join("tests/serve/python_client.py"));
    let output = script.arg(run.url()).arg(out.join("examples/fraud.parquet")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ok\n");
    run.stop();
}
