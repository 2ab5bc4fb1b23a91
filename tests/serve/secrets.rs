//! Secrets: planted wherever a run takes one, and searched for in everything that it says and writes.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::certificates::Authority;
use crate::common::clicks;
use crate::common::program::Run;
use crate::common::servers::{Server, eventually};

/// Secrets, none of which is a part of anything else.
const TOKENS: [&str; 3] = ["heron-reads-9f31", "egret-asks-77ab", "crane-keeps-c0de"];
const GUESSED: &str = "gull-guesses-5e5e";
const PASSWORD: &str = "bittern-hides-e4a1";
const QUERIED: &str = "stork-queries-1d1d";

/// Writes the dataflow, its records and a config with every secret, and returns the config's path.
fn write(folder: &Path, redis: u16, cert: &Path, key: &Path) {
    clicks::write(folder);
    for (name, token) in ["read", "predict", "admin"].into_iter().zip(TOKENS) {
        fs::write(folder.join(name), format!("{token}\n")).unwrap();
    }
    let config = format!(
        "data_dir = \"var\"\n{}\
         [http]\nlisten = \"127.0.0.1:0\"\ntls = {{ cert = {cert:?}, key = {key:?} }}\n\
         tokens = {{ read = \"file:read\", predict = \"file:predict\", admin = \"file:admin\" }}\n\
         [redis]\nurl = \"redis://:{PASSWORD}@127.0.0.1:{redis}\"\n\
         [checkpoint]\ninterval = \"300ms\"\n[offline]\nenabled = true\n\
         [log]\nfile = \"var/tidemill.log\"\n",
        clicks::TOPICS,
    );
    fs::write(folder.join("config.toml"), config).unwrap();
}

/// The bytes of every file in a folder, by path.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        match fs::read_dir(&path) {
            Ok(entries) => open.extend(entries.map(|entry| entry.unwrap().path())),
            Err(_) => found.extend(fs::read(&path).map(|bytes| (path.display().to_string(), bytes))),
        }
    }
    found
}

#[test]
fn no_secret_is_in_anything_that_a_run_says_or_writes() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let pair = authority.pair("server");
    let redis = Server::redis();
    let mut connection = redis.connection();
    let required: String = redis::cmd("CONFIG").arg(&["SET", "requirepass", PASSWORD]).query(&mut connection).unwrap();
    assert_eq!(required, "OK");
    write(folder.path(), redis.port, &pair.cert, &pair.key);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.args(["run", "clicks.toml", "--config", "config.toml", "-vv"]).current_dir(folder.path());
    let run = Run::start(&mut command);

    let mut said: Vec<(String, Vec<u8>)> = Vec::new();
    let mut ask = |token: &str, path: &str, more: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-i", "--max-time", "10", "--cacert"]).arg(authority.certificate()).args(more);
        if !token.is_empty() {
            curl.args(["-H", &format!("Authorization: Bearer {token}")]);
        }
        let answer = curl.arg(format!("{}{path}", run.url())).output().unwrap().stdout;
        let text = String::from_utf8_lossy(&answer).into_owned();
        said.push((format!("{path} {more:?}"), answer));
        text
    };
    eventually("the run is ready", || ask("", "/health/ready", &[]).starts_with("HTTP/1.1 200"));
    let [read, predict, admin] = TOKENS;
    let guessed = ["-u", &format!("user:{GUESSED}")];
    for path in ["/metrics", "/dataflow", "/", "/models", "/models/paid/versions", "/features/user/u1", "/none"] {
        ask(read, path, &[]);
        ask("", path, &guessed);
        ask(GUESSED, &format!("{path}?token={QUERIED}"), &[]);
    }
    let body = ["--json", r#"{"instances":[{"id":"c","user":"u1"}]}"#];
    assert!(ask(predict, "/predict", &body).starts_with("HTTP/1.1 200"));
    assert!(ask(GUESSED, "/predict", &body).starts_with("HTTP/1.1 401"));
    assert!(ask(admin, "/models/paid/promote", &["--json", r#"{"version":1}"#]).starts_with("HTTP/1.1 200"));
    ask(read, "/models/paid/promote", &["--json", r#"{"version":1}"#]);
    // The password is no longer right, so the errors of Redis are about it; then tokens and key are of no use.
    let _: String = redis::cmd("CONFIG").arg(&["SET", "requirepass", "other"]).query(&mut connection).unwrap();
    fs::write(folder.path().join("read"), format!("two words {}\n", TOKENS[0])).unwrap();
    let key = fs::read_to_string(&pair.key).unwrap();
    let secret_line = key.lines().nth(1).unwrap().to_owned();
    fs::write(&pair.key, key.replace("PRIVATE", "PIRATE")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2500));
    ask(read, "/models", &[]);
    ask(read, "/metrics", &[]);
    said.push(("stderr".to_owned(), run.stop().into_bytes()));
    said.extend(files(&folder.path().join("var")));
    for part in ["stderr", "tidemill.log", "checkpoints", "dead_letters.jsonl", "registry", "offline", "/dataflow"] {
        assert!(said.iter().any(|(place, bytes)| place.contains(part) && !bytes.is_empty()), "nothing in {part}");
    }
    for secret in TOKENS.into_iter().chain([GUESSED, PASSWORD, &secret_line]) {
        for (place, bytes) in &said {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} is in {place}: {:?}", String::from_utf8_lossy(bytes));
        }
    }
    // A query is echoed in the answer to its client, and nowhere else.
    for (place, bytes) in said.iter().filter(|(place, _)| !place.contains("token=")) {
        assert!(!bytes.windows(QUERIED.len()).any(|part| part == QUERIED.as_bytes()), "{place}");
    }
}
