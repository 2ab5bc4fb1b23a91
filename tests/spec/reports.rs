//! Segments, persistence and weights of a dataflow file, from the file to what a replay prints and the registry lists.

use std::fs;
use std::process::Command;

use serde_json::Value;

const SPEC: &str = r#"
name = "clicks"
[source.clicks]
topic = "clicks"
format = "csv"
time = "at"
columns = { user = "string", title = "string?", paid = "bool", price = "float", at = "timestamp" }
[model.paid]
kind = "logistic"
examples = "clicks"
features = ["title", "price"]
tokens = ["title"]
ngrams = 2
winsorise = 0.01
min_count = 2
expire = 5
weight = "price / 10"
class_weight = { true = 2 }
negative_sampling = 0.9
segments = ["user"]
persistence = "user"
label = { value = "paid" }
window = "1h"
"#;

#[test]
fn a_replay_prints_segments_and_persistence_and_so_do_the_scores_of_its_registry() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = "user,title,paid,price,at\n".to_owned();
    for at in 0..600_i64 {
        let (title, user) = (["a red hat", "a blue hat", ""][at as usize % 3], at % 2);
        rows += &format!("u{user},{title},{},{}.5,{}\n", at % 3 == 0, at % 20, 1_577_836_800_000 + at * 60_000);
    }
    let config = "[topics.clicks]\nfile = \"clicks.csv\"\nnulls = [\"\"]\n";
    for (name, text) in [("clicks.csv", rows.as_str()), ("clicks.toml", SPEC), ("config.toml", config)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let program = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tidemill")).args(arguments).current_dir(folder.path()).output();
        let output = output.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(output.stderr));
        text(output.stdout)
    };
    let printed = program(&["replay", "clicks.toml", "--config", "config.toml", "--out", "out"]);
    assert!(printed.contains("(no skill 0.") && printed.contains(", persistence 0."), "{printed}");
    let segment = printed.lines().find(|line| line.starts_with("scores paid where user is u1: 270 scored, logloss 0."));
    assert!(segment.is_some_and(|line| line.contains("(no skill 0.")), "{printed}");

    let digest = fs::read_to_string(folder.path().join("out/digest.json")).unwrap();
    let digest: Value = serde_json::from_str(&digest).unwrap();
    let scores = &digest["training"]["paid"]["scores"];
    let examples = |user: &str| scores["segments"]["user"][user]["examples"].as_u64().unwrap();
    assert_eq!(examples("u0") + examples("u1"), scores["examples"].as_u64().unwrap());
    assert!(scores["persistence"]["accuracy"].is_f64() && scores["persistence"].get("logloss").is_none(), "{scores}");
    assert!(digest["training"]["paid"]["windows"][3]["segments"]["user"]["u0"]["champion"]["auc"].is_f64());

    let arguments = ["models", "scores", "paid", "--registry", "out/registry", "--metric", "accuracy"];
    let table = program(&arguments);
    assert!(table.lines().nth(1).unwrap().ends_with("no skill  persistence"), "{table}");
    assert!(table.contains("user = u1"), "{table}");
    let points: Value = serde_json::from_str(&program(&[&arguments[..], &["--json"]].concat())).unwrap();
    let point = &points["points"][4];
    assert!(point["persistence"].is_f64() && point["segments"]["user"]["u0"]["no_skill"].is_f64(), "{points}");

    // `check` shows the same preparation.
    let plan = program(&["check", "clicks.toml", "--config", "config.toml"]);
    assert!(plan.contains("each example counts ") && plan.contains("learns 0.9 of"), "{plan}");
}

/// Nulls are bought, all else is not: with the last label of all nulls together, every prediction would be right.
#[test]
fn nulls_are_a_segment_of_their_own_and_no_key_whose_last_label_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = "user,title,paid,price,at\n".to_owned();
    for at in 0..600_i64 {
        let user = ["", "null", "other", "u0"][at as usize % 4];
        rows += &format!("{user},a hat,{},1,{}\n", user.is_empty(), 1_577_836_800_000 + at * 60_000);
    }
    let config = "[topics.clicks]\nfile = \"clicks.csv\"\nnulls = [\"\"]\n";
    let spec = SPEC.replace("negative_sampling = 0.9\n", "").replace("user = \"string\"", "user = \"string?\"");
    for (name, text) in [("clicks.csv", rows.as_str()), ("clicks.toml", &spec), ("config.toml", config)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let arguments = ["replay", "clicks.toml", "--config", "config.toml", "--out", "out"];
    let mut replay = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    let output = replay.args(arguments).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let digest = fs::read_to_string(folder.path().join("out/digest.json")).unwrap();
    let scores = &serde_json::from_str::<Value>(&digest).unwrap()["training"]["paid"]["scores"];
    let segments = scores["segments"]["user"].as_object().unwrap();
    assert_eq!(segments.keys().collect::<Vec<_>>(), ["\"null\"", "\"other\"", "null", "u0"]);
    let examples = |segment: &str| segments[segment]["examples"].as_u64().unwrap() as f64;
    let all = scores["examples"].as_u64().unwrap() as f64;
    assert_eq!(examples("null"), all / 4.0);
    assert_eq!(scores["persistence"]["accuracy"].as_f64(), Some(0.75));
}
