//! The program itself: its output to a closed pipe, and what it says of files and configs that it cannot use.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const FLIGHTS: &str = "dataflows/flights.toml";

const SMALL: &str = r#"
name = "small"
[source.asks]
topic = "asks"
format = "json"
time = "at"
columns = { user = "string", x = "float", at = "timestamp" }
[features.user]
from = "asks"
entity = "user"
aggregate = [{ of = "x", op = "mean", windows = ["7d"] }]
"#;

/// A folder with a dataflow over one file.
fn small() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = "[topics.asks]\nfile = \"asks.csv\"\n";
    let rows = "user,x,at\na,1,2020-01-01\nb,2,2020-01-02\n";
    for (name, text) in [("asks.csv", rows), ("small.toml", SMALL), ("config.toml", config)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
}

fn replay(folder: &Path) -> Command {
    let mut command = program(&["replay", "small.toml", "--config", "config.toml", "--out", "out"]);
    command.current_dir(folder);
    command
}

/// Runs a command whose stdout is not read.
fn into_closed_pipe(mut command: Command) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
}

fn into_full_device(mut command: Command) -> Output {
    let device = File::options().write(true).open("/dev/full").unwrap();
    command.stdout(device).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
}

#[test]
fn check_reports_what_the_config_says_of_files_and_the_endpoint() {
    let folder = small();
    fs::write(folder.path().join("token"), "").unwrap();
    let check = |set: &str| {
        let mut command = program(&["check", "small.toml", "--config", "config.toml", "--set", set]);
        command.current_dir(folder.path()).output().unwrap()
    };
    assert!(check("http.listen=127.0.0.1:0").status.success());
    for (set, said) in [
        ("http.listen=foo", "[http] listen: "),
        ("http.listen=127.0.0.1:99999", "[http] listen: "),
        ("http.listen=0.0.0.0:1", "[http] listen: "),
        ("topics.asks.file=nothere.csv", "[topics.asks]: "),
        ("topics.asks.file=no*.csv", "[topics.asks]: "),
        ("http.tokens.read=file:token", "the tokens of the role read cannot be used: "),
    ] {
        let Output { status, stderr, .. } = check(set);
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(status.code() == Some(2) && stderr.contains(said), "{set}: {status}: {stderr}");
    }
}

#[test]
fn the_values_of_an_entity_may_be_negative_numbers() {
    for verb in [&["features", "get"][..], &["tap"]] {
        let output =
            program(&[verb, &["user", "plain", "-3", "--url", "http://127.0.0.1:1"]].concat()).output().unwrap();
        // It is asked for: there is no such job.
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn check_estimates_for_one_to_a_billion_records() {
    let check = |records: &str| program(&["check", FLIGHTS, "--records", records]).output().unwrap();
    for records in ["1", "1000000000"] {
        let output = check(records);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for records in ["0", "1000000001", "18446744073709551616", "many"] {
        let output = check(records);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{records}: {said}");
        assert!(said.contains("--records"), "{records}: {said}");
    }
}

#[test]
fn a_closed_pipe_ends_every_verb_quietly_and_a_full_device_is_an_error() {
    let verbs: [&[&str]; 6] = [
        &["check", FLIGHTS],
        &["check", FLIGHTS, "--json"],
        &["graph", FLIGHTS],
        &["graph", FLIGHTS, "--format", "svg"],
        &["--help"],
        &["--version"],
    ];
    for arguments in verbs {
        let closed = into_closed_pipe(program(arguments));
        let said = String::from_utf8_lossy(&closed.stderr);
        assert!(closed.status.success() && said.is_empty(), "{arguments:?}: {said}");
        let full = into_full_device(program(arguments));
        let said = String::from_utf8_lossy(&full.stderr);
        assert_eq!(full.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("error: stdout cannot be written: No space left"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_replay_whose_summary_cannot_be_printed_is_complete() {
    let folder = small();
    let closed = into_closed_pipe(replay(folder.path()));
    assert!(closed.status.success() && closed.stderr.is_empty(), "{}", String::from_utf8_lossy(&closed.stderr));
    let digest = fs::read(folder.path().join("out/digest.json")).unwrap();
    let full = into_full_device(replay(folder.path()));
    assert_eq!(full.status.code(), Some(1));
    assert_eq!(fs::read(folder.path().join("out/digest.json")).unwrap(), digest);
}

/// Returns what a failed command says.
fn said(mut command: Command, code: i32) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains("panicked") && !said.contains("Any {"), "{said}");
    said
}

#[test]
fn files_that_are_not_utf8_are_refused_at_the_byte() {
    let folder = small();
    let check = |name: &str| {
        let mut command = program(&["check", name, "--config", "config.toml"]);
        command.current_dir(folder.path());
        command
    };
    let latin = [SMALL.as_bytes(), b"# caf\xe9\n"].concat();
    fs::write(folder.path().join("latin.toml"), latin).unwrap();
    let lines = SMALL.lines().count() + 1;
    let found = said(check("latin.toml"), 2);
    assert!(found.starts_with(&format!("latin.toml:{lines}:6: error: the byte 0xe9 is not UTF-8 here")), "{found}");
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(SMALL.bytes().flat_map(|byte| [byte, 0])).collect();
    fs::write(folder.path().join("wide.toml"), utf16).unwrap();
    assert!(said(check("wide.toml"), 2).starts_with("wide.toml:1:1: error: this is UTF-16"));
    fs::write(folder.path().join("config.toml"), b"workers = 1\n# \xff\n").unwrap();
    assert!(said(check("small.toml"), 2).starts_with("config.toml:2:3: error: the byte 0xff is not UTF-8 here"));
}

#[test]
fn a_setting_that_librdkafka_refuses_has_its_place_and_no_value() {
    let folder = small();
    let marker = "hunter-2-hunter";
    let check = |kafka: &str, set: &[&str]| {
        fs::write(folder.path().join("config.toml"), format!("workers = 1\n[kafka]\n{kafka}\n")).unwrap();
        let mut command = program(&["check", "small.toml", "--config", "config.toml"]);
        command.args(set).current_dir(folder.path());
        command
    };
    let servers = "\"bootstrap.servers\" = \"127.0.0.1:9\"";
    for (key, set) in [("fetch.wait.max.ms", false), ("ssl.key.password", false), ("nonsense", false), ("debug", true)]
    {
        let (line, argument) = (format!("{key:?} = \"{marker}\""), format!("kafka.{key}={marker}"));
        let (kafka, set): (String, Vec<&str>) = match set {
            true => (servers.to_owned(), vec!["--set", &argument]),
            false => (format!("{servers}\n{line}"), vec![]),
        };
        let place = if set.is_empty() { "config.toml:4:1".to_owned() } else { format!("--set kafka.{key}") };
        let found = said(check(&kafka, &set), 2);
        assert!(found.starts_with(&format!("{place}: error: [kafka] {key}: ")), "{found}");
        assert!(!found.contains(marker), "{found}");
    }
    let found = said(check("\"client.id\" = \"a\"", &[]), 2);
    assert!(found.starts_with("config.toml:2:2: error: [kafka] bootstrap.servers: missing"), "{found}");
}

#[test]
fn no_password_is_shown_by_any_verb() {
    let folder = small();
    let marker = "hunter-2-hunter";
    let urls = [
        format!("redis.url=rediss://user:{marker}@127.0.0.1:1/0"),
        format!("redis.url=http://user:{marker}@127.0.0.1:1/0"),
        format!("registry.url=s3://key:{marker}@bucket/models"),
        format!("checkpoint.url=gs://key:{marker}@bucket/models?token={marker}"),
        format!("topics.asks.file=https://user:{marker}@host/asks.csv"),
        format!("kafka.sasl.password={marker}"),
        marker.to_owned(),
        format!("redis:url={marker}"),
    ];
    let verbs: [&[&str]; 3] = [&["check"], &["replay", "--out", "out"], &["run", "--until-end", "-vv"]];
    for url in &urls {
        for verb in verbs {
            let mut command = program(verb);
            command.current_dir(folder.path()).args(["small.toml", "--config", "config.toml"]);
            command.args(["--set", "http.listen=127.0.0.1:0", "--set", url]);
            let output = command.output().unwrap();
            let printed = [output.stdout, output.stderr].concat();
            let printed = String::from_utf8_lossy(&printed);
            assert!(!printed.contains(marker), "{verb:?} {url}: {printed}");
        }
    }
}

#[test]
fn a_replay_does_not_wait_for_brokers_that_never_answer() {
    let folder = small();
    fs::write(folder.path().join("config.toml"), "[kafka]\n\"bootstrap.servers\" = \"127.0.0.1:1\"\n").unwrap();
    let text = said(replay(folder.path()), 1);
    assert!(text.contains("the brokers cannot be reached"), "{text}");
}

#[test]
fn a_gateway_that_is_one_of_its_servers_is_refused() {
    let folder = small();
    let config = "[http]\nlisten = \"127.0.0.1:8099\"\n[gateway]\nservers = [\"http://127.0.0.1:8099\"]\n";
    fs::write(folder.path().join("config.toml"), config).unwrap();
    let mut command = program(&["gateway", "--config", "config.toml"]);
    command.current_dir(folder.path());
    let text = said(command, 2);
    assert!(text.contains("config.toml:4:1: error: gateway.servers: entry 1 is the gateway itself"), "{text}");
}

#[test]
fn values_that_are_no_number_and_lists_of_no_file_are_refused() {
    let folder = small();
    for (set, expected) in [
        ("max_dead_letters=nan", "max_dead_letters is out of range; expected 0 to 1"),
        ("max_dead_letters=inf", "max_dead_letters is out of range; expected 0 to 1"),
        ("log.predictions=nan", "log.predictions is out of range; expected 0 to 1"),
        ("topics.asks.file=[]", "this list is empty"),
        ("checkpoint.url=file:/x", "expected a path or file:///"),
        ("registry.url=file://tmp/x", "expected a path or file:///"),
    ] {
        let mut command = replay(folder.path());
        command.args(["--set", set]);
        let text = said(command, 2);
        assert!(text.contains(expected), "{set}: {text}");
    }
}
