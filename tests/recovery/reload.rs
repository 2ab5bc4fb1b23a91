//! SIGHUP: a run goes over to a changed config, and no bad file takes it down.

use std::fs;
use std::process::Command;

use crate::backup::{command, end, prepare, versions};
use crate::common::program::Run;
use crate::common::servers::{eventually, free_ports};

#[test]
fn a_run_goes_over_to_another_config_and_loses_nothing() {
    let [folder, unbroken] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    prepare(folder.path());
    let [port] = free_ports();
    let mut started: Command = command(folder.path(), &["play.speed=1000000"]);
    started.args(["--fresh", "--set", &format!("http.listen=127.0.0.1:{port}")]);
    let run = Run::start(&mut started);
    let says = |what: &str| eventually(what, || run.says(what));
    eventually("some versions", || run.get("/models").contains(",5,"));
    let [file, config] = ["dataflow.toml", "config.toml"].map(|name| folder.path().join(name));
    let [right_file, right_config] = [&file, &config].map(|path| fs::read_to_string(path).unwrap());

    run.signal("HUP");
    says("SIGHUP: nothing has changed; the run keeps its current config");
    fs::write(&config, right_config.clone() + "wrokers = 2\n").unwrap();
    run.signal("HUP");
    says("config.toml:");
    says("SIGHUP: the files are wrong; the run keeps its current config");
    fs::write(&config, format!("{right_config}[http.tokens]\nadmin = \"file:nowhere\"\n")).unwrap();
    run.signal("HUP");
    says("nowhere: the file cannot be read");
    fs::write(&config, format!("{right_config}[http.tls]\ncert = \"no.pem\"\nkey = \"no.key\"\n")).unwrap();
    run.signal("HUP");
    says("no.pem");
    // The run's state must be where the config looks for it, and be of the files that it reads.
    fs::copy(folder.path().join("feedback.csv"), folder.path().join("copy.csv")).unwrap();
    for (changed, said) in [
        (right_config.replace("feedback.csv", "nowhere.csv"), "nowhere.csv"),
        (
            format!("{right_config}[log]\nfile = \"/proc/none/a.log\"\n"),
            "[log] file: /proc/none/a.log cannot be opened",
        ),
        (format!("{right_config}[registry]\nurl = \"moved\"\n"), "SIGHUP: registry.url has changed"),
        (format!("{right_config}[checkpoint]\nurl = \"moved\"\n"), "SIGHUP: checkpoint.url has changed"),
        (
            right_config.replace("feedback.csv", "copy.csv"),
            "SIGHUP: the config reads topic \"feedback\" from elsewhere",
        ),
    ] {
        fs::write(&config, changed).unwrap();
        run.signal("HUP");
        says(said);
    }
    fs::write(&config, &right_config).unwrap();
    fs::write(&file, right_file.replace("of = \"fraud\", as = \"risk\"", "of = \"1 - fraud\", as = \"risk\"")).unwrap();
    run.signal("HUP");
    says("a checkpoint of the run is not of it: the features of terminal, the versions of fraud");
    assert!(run.get("/health/ready").contains("200 OK"));
    assert!(!run.says("resuming from checkpoint"));

    // A comment is no change of the definition, and the config says another number of versions.
    fs::write(&file, format!("# mine\n{right_file}")).unwrap();
    fs::write(&config, format!("{right_config}[http]\nmax_connections = 77\n")).unwrap();
    run.signal("HUP");
    says("SIGHUP: the config has changed; starting again from a last checkpoint");
    says("resuming from checkpoint");
    eventually("it serves again", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let said = run.stop();
    let resumed = said.split("resuming from checkpoint").nth(1).expect("it resumed");
    assert!(!resumed.contains("no version yet"), "{resumed}");

    // The versions are those of a run without a stop.
    end(folder.path());
    prepare(unbroken.path());
    end(unbroken.path());
    assert_eq!(versions(folder.path()), versions(unbroken.path()));
}

#[test]
fn a_run_without_checkpoints_keeps_its_config() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let run = Run::start(&mut command(folder.path(), &["checkpoint.interval=off"]));
    let config = folder.path().join("config.toml");
    fs::write(&config, fs::read_to_string(&config).unwrap() + "[http]\nthreads = 2\n").unwrap();
    run.signal("HUP");
    let said = "SIGHUP: the config has changed, and without checkpoints the state would be lost";
    eventually(said, || run.says(said));
    assert!(run.get("/health/live").contains("200 OK"));
    run.stop();
}
