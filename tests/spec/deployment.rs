//! The files of `config` that start the program in production: what they say of its flags, paths and times is so.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tidemill::run::config::{Clock, Config};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Returns the value of the only line `key SEPARATOR value` of a text.
fn value<'a>(text: &'a str, key: &str, separator: char) -> &'a str {
    let mut found = text.lines().filter_map(|line| line.trim().split_once(separator)).filter(|(name, _)| *name == key);
    let (_, value) = found.next().unwrap_or_else(|| panic!("no {key}"));
    assert!(found.next().is_none(), "{key} is there twice");
    value.trim()
}

#[test]
fn the_config_for_kubernetes_fits_its_manifests() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/kubernetes/config.toml");
    let config = Config::load(&path, &[]).unwrap_or_else(|error| panic!("{error:?}"));
    let set = read("config/kubernetes/statefulset.yaml");
    // The flights are of the past, which the wall clock would close at once.
    assert!(set.contains("[\"run\", \"dataflows/flights.toml\"") && config.clock == Clock::Stream);
    let grace = Duration::from_secs(value(&set, "terminationGracePeriodSeconds", ':').parse().unwrap());
    assert!(grace > config.shutdown_timeout, "{grace:?}");
    let port = value(&set, "containerPort", ':');
    assert!(config.http.listen.ends_with(&format!(":{port}")), "{} {port}", config.http.listen);
    let data_dir = config.data_dir.to_str().unwrap();
    assert!(set.contains(&format!("mountPath: {data_dir}\n")), "{data_dir}");
    let docker = read("Dockerfile");
    assert!(docker.contains(&format!("VOLUME {data_dir}\n")) && docker.contains(&format!("data_dir={data_dir}\"")));
    assert_eq!(value(&docker, "USER", ' '), value(&set, "runAsUser", ':'));
    assert_eq!(value(&docker, "EXPOSE", ' '), port);
    for path in ["/health/live", "/health/ready"] {
        assert!(set.contains(&format!("path: {path}\n")), "{path}");
    }
}

#[test]
fn the_commands_of_the_unit_are_those_of_the_program() {
    let unit = read("config/systemd/tidemill@.service");
    let timeout: u64 = value(&unit, "TimeoutStopSec", '=').trim_end_matches('s').parse().unwrap();
    assert!(Duration::from_secs(timeout) > Config::default().shutdown_timeout);
    let folder = tempfile::tempdir().unwrap();
    let etc = folder.path().to_str().unwrap();
    let small = "name = \"small\"\n[source.a]\ntopic = \"a\"\nformat = \"csv\"\ntime = \"at\"\n\
                 columns = { user = \"string\", at = \"timestamp\" }\n[features.user]\nfrom = \"a\"\n\
                 entity = \"user\"\naggregate = [{ op = \"count\", windows = [\"1h\"] }]\n";
    let config = "[topics.a]\nfile = \"a.csv\"\n[http]\nlisten = \"127.0.0.1:0\"\n";
    for (name, text) in [("flights.toml", small), ("config.toml", config), ("a.csv", "user,at\nx,2020-01-01\n")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let line = value(&unit, "ExecStart", '=').replace("%i", "flights").replace("/etc/tidemill", etc);
    let line = line.replace("/var/lib/tidemill", &format!("{etc}/state"));
    let run = || {
        let arguments = line.strip_prefix("/usr/local/bin/tidemill ").unwrap().split(' ');
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.args(arguments).arg("--until-end").current_dir(folder.path()).output().unwrap()
    };
    let output = run();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(folder.path().join("state/small").is_dir());

    // A wrong file is not started again and again: the main process itself ends with the status that prevents it.
    fs::write(folder.path().join("flights.toml"), small.replace("count", "cuont")).unwrap();
    let status = run().status.code().unwrap().to_string();
    assert_eq!(status, value(&unit, "RestartPreventExitStatus", '='));
}

#[test]
fn a_release_archive_has_the_program_and_is_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let pack = |name: &str| {
        let archives = folder.path().join(name);
        let mut make = Command::new("make");
        make.args(["--silent", "dist", concat!("BIN=", env!("CARGO_BIN_EXE_tidemill"))]);
        make.arg(format!("ARCHIVES={}", archives.display())).current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = make.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        archives
    };
    let (one, other) = (pack("one"), pack("other"));
    let sum = fs::read_dir(&one).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let sum = sum.into_iter().find(|name| name.ends_with(".sha256")).unwrap();
    assert_eq!(fs::read(one.join(&sum)).unwrap(), fs::read(other.join(&sum)).unwrap());
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(&one).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run("sha256sum", &["--check", &sum]);
    let archive = sum.strip_suffix(".sha256").unwrap();
    run("tar", &["-xzf", archive]);
    let unpacked = archive.strip_suffix(".tar.gz").unwrap();
    assert!(run(&format!("./{unpacked}/tidemill"), &["--version"]).starts_with("tidemill "));
    let flights = format!("{unpacked}/dataflows/flights.toml");
    run(&format!("{unpacked}/tidemill"), &["check", &flights, "--config", &format!("{unpacked}/config/embedded.toml")]);
    for file in ["LICENSE", "README.md", "man/tidemill.1", "completions/tidemill.bash"] {
        assert!(one.join(unpacked).join(file).exists(), "{file}");
    }
}
