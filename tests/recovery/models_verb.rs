//! `tidemill models`: on a registry, and through a running job.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::common::program::Run;
use crate::common::servers::eventually;
use crate::common::training::DAY;
use crate::locks::Clicks;
use crate::registry::{publish, registry, versions};

/// Runs `tidemill models` with a config that is not that of any job.
fn models(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.arg("models").args(arguments).env("USER", "ann").stdin(Stdio::null());
    command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
}

/// Returns stdout of a verb that succeeds.
fn printed(arguments: &[&str]) -> String {
    let output = models(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&printed(&[arguments, &["--json"]].concat())).unwrap()
}

/// Returns what a verb that fails says.
fn said(arguments: &[&str], code: i32) -> String {
    let output = models(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// Returns the champion that the newest move of model `x` names.
fn newest_champion(registry: &[&str]) -> u64 {
    let list = json(&[&["list"], registry].concat());
    list["models"][0]["champion"].as_u64().unwrap_or_default()
}

#[test]
fn the_verbs_read_a_registry_and_move_its_aliases() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    publish(&registry, &versions(3));
    let on = ["--registry", folder.path().to_str().unwrap()];
    let list = printed(&[&["list"], &on[..]].concat());
    assert_eq!(list, "model  kind      champion  versions\nlate   logistic  3         3 from 1 to 3\n");
    let shown = printed(&[&["show", "late"], &on[..]].concat());
    for line in ["model        late", "version      3", "aliases      champion", "decision     published: no gate"] {
        assert!(shown.lines().any(|found| found == line), "{line}: {shown}");
    }
    let shown = json(&[&["show", "late", "--version", "2"], &on[..]].concat());
    assert_eq!((&shown["version"], &shown["aliases"]), (&2.into(), &Value::Array(vec![])));
    // A move by hand holds from the newest event time that the registry knows of.
    let moved = printed(&[&["promote", "late", "2", "--reason", "3 is odd"], &on[..]].concat());
    assert_eq!(moved, "champion of late is version 2 from 1970-01-04T00:00:00.000Z on (move 4 of its history)\n");
    let moved =
        printed(&[&["promote", "late", "3", "--alias", "canary", "--from", "1970-01-04T06:00:00Z"], &on[..]].concat());
    assert_eq!(moved, "canary of late is version 3 from 1970-01-04T06:00:00.000Z on (move 5 of its history)\n");
    let moved = printed(&[&["rollback", "late", "--by", "bob"], &on[..]].concat());
    assert_eq!(moved, "champion of late is version 3 from 1970-01-04T06:00:00.000Z on (move 6 of its history)\n");
    let history = json(&[&["history", "late"], &on[..]].concat());
    let by: Vec<&str> =
        history["history"].as_array().unwrap().iter().map(|entry| entry["by"].as_str().unwrap()).collect();
    assert_eq!(by, ["trainer", "trainer", "trainer", "ann", "ann", "bob"]);
    assert_eq!(history["history"][5]["aliases"], serde_json::json!({ "canary": 3, "champion": 3 }));
    let table = printed(&[&["history", "late"], &on[..]].concat());
    assert!(table.starts_with("number  time") && table.lines().count() == 7, "{table}");
    assert!(table.lines().nth(4).unwrap().ends_with("champion  2        ann      3 is odd"), "{table}");
    // Which version was champion at T.
    for (time, champion) in
        [("1970-01-02", "1"), ("1970-01-03T12:00:00Z", "2"), ("259200000", "2"), ("1970-01-05", "3")]
    {
        assert_eq!(printed(&[&["history", "late", "--at", time], &on[..]].concat()).trim(), champion, "{time}");
    }
    // When a version was champion, by whom and why.
    let shown = printed(&[&["show", "late"], &on[..]].concat());
    let of_second = json(&[&["show", "late", "--version", "2"], &on[..]].concat());
    let period = |from: &str, until: Value, number: u64, by: &str, reason: &str| serde_json::json!({ "from": from, "until": until, "move": number, "by": by, "reason": reason });
    let (third, fourth, sixth) = ("1970-01-03T00:00:00.000Z", "1970-01-04T00:00:00.000Z", "1970-01-04T06:00:00.000Z");
    let learnt = of_second["champion"][0]["reason"].as_str().unwrap();
    let of_trainer = period(third, fourth.into(), 2, "trainer", learnt);
    let of_ann = period(fourth, sixth.into(), 4, "ann", "3 is odd");
    assert_eq!(of_second["champion"], serde_json::json!([of_trainer, of_ann]));
    let listed = printed(&[&["show", "late", "--version", "2"], &on[..]].concat());
    let second = format!("             {fourth} to {sixth} by ann (move 4): 3 is odd");
    assert!(listed.lines().any(|line| line == second), "{listed}");
    let by_bob = format!("champion     from {sixth} on by bob (move 6): rolled back by hand");
    assert!(shown.lines().any(|line| line == by_bob), "{shown}");
    let at = json(&[&["history", "late", "--at", "1970-01-05"], &on[..]].concat());
    assert_eq!(at["period"], period(sixth, Value::Null, 6, "bob", "rolled back by hand"));
    let before = (DAY - 1).to_string();
    let none = said(&[&["history", "late", "--at", &before], &on[..]].concat(), 1);
    assert!(none.contains("model late had no champion at 1970-01-01T23:59:59.999Z"), "{none}");
}

#[test]
fn scores_are_printed_window_by_window_from_a_registry_and_from_a_job_alike() {
    let clicks = Clicks::new();
    let out = clicks.path("out");
    let ended = clicks.replay(&out).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let printed_by_replay = String::from_utf8(ended.stdout).unwrap();
    let digest: Value = serde_json::from_slice(&std::fs::read(out.join("digest.json")).unwrap()).unwrap();
    let windows = digest["training"]["x"]["windows"].as_array().unwrap();
    assert_eq!(windows.len(), digest["models"]["x"].as_array().unwrap().len());
    let path = out.join("registry");
    let on = ["--registry", path.to_str().unwrap()];
    let scores = json(&[&["scores", "x", "--metric", "mae"], &on[..]].concat());
    assert_eq!(scores["points"].as_array().unwrap().len(), windows.len());
    for (point, window) in scores["points"].as_array().unwrap().iter().zip(windows) {
        let names = ["champion", "predecessor", "newest", "no_skill"];
        let metrics = names.map(|name| window[name].get("mae").cloned().unwrap_or_default());
        assert_eq!(names.map(|name| point[name].clone()), metrics);
        let Some(champion) = window["champion"]["rmse"].as_f64() else { continue };
        let line = format!(
            "scores x to {}: {} scored, rmse {champion:.4} (no skill {:.4})",
            window["window_end"].as_str().unwrap(),
            window["examples"],
            window["no_skill"]["rmse"].as_f64().unwrap()
        );
        assert!(printed_by_replay.lines().any(|found| found == line), "{line}: {printed_by_replay}");
    }
    assert!(printed_by_replay.lines().any(|line| line.starts_with("scores x: ")), "{printed_by_replay}");
    let table = printed(&[&["scores", "x", "--start", "2020-01-10", "--end", "2020-01-12"], &on[..]].concat());
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0] == "rmse" && lines[1].starts_with("window end") && lines.len() == 4, "{table}");
    assert!(
        lines[2].starts_with("2020-01-11T00:00:00.000Z") && lines[3].starts_with("2020-01-12T00:00:00.000Z"),
        "{table}"
    );
    assert!(
        said(&[&["scores", "x", "--metric", "ma"], &on[..]].concat(), 1)
            .contains("has no metric ma; did you mean mae?")
    );
    let all = json(&[&["scores", "x", "--start", "earliest", "--end", "latest"], &on[..]].concat());
    assert_eq!(all, json(&[&["scores", "x"], &on[..]].concat()));
    let newest = json(&[&["history", "x", "--at", "latest"], &on[..]].concat());
    assert_eq!(newest["champion"], json(&[&["show", "x"], &on[..]].concat())["version"]);
    assert!(
        said(&[&["history", "x", "--at", "earliest"], &on[..]].concat(), 1).contains("had no champion at 1900-01-01")
    );
    // A job answers the same.
    let run = clicks.start("home", &[]);
    eventually("the end", || run.says("all files are read"));
    // The registry is written on a thread of its own.
    let written = || json(&["scores", "x", "--url", &run.url()])["points"].as_array().unwrap().len();
    eventually("the scores are written", || written() >= 12);
    let of_job = json(&["scores", "x", "--metric", "mae", "--url", &run.url()]);
    let newest = |scores: &Value| scores["points"].as_array().unwrap()[..10].to_vec();
    assert_eq!(newest(&of_job), newest(&scores));
    let url = run.url();
    let of_job = json(&["scores", "x", "--start", "2020-01-10", "--end", "2020-01-12", "--url", &url]);
    assert_eq!((&of_job["metric"], of_job["points"].as_array().unwrap().len()), (&"rmse".into(), 2));
    run.stop();
}

#[test]
fn a_missing_model_or_version_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    publish(&registry, &versions(1));
    let on = ["--registry", folder.path().to_str().unwrap()];
    let fails = |arguments: &[&str], code| said(&[arguments, &on[..]].concat(), code);
    assert!(fails(&["show", "lat"], 1).contains("has no model lat; did you mean late?"));
    assert!(fails(&["history", "nonsense"], 1).contains("has no model nonsense; it has late"));
    assert!(fails(&["show", "late", "--version", "7"], 1).contains("model late has no version 7"));
    assert!(fails(&["promote", "late", "7"], 1).contains("model `late` has no version 7"));
    assert!(fails(&["promote", "late", "1", "--alias", "a b"], 1).contains("`a b` is not a valid alias"));
    assert!(fails(&["promote", "late", "1", "--by", "trainer"], 1).contains("`trainer` is not a valid author"));
    assert!(fails(&["rollback", "late"], 1).contains("no earlier champion"));
    assert!(fails(&["promote", "late", "1", "--from", "1960-01-01"], 1).contains("--from is before 1970-01-02"));
    assert!(fails(&["promote", "late", "1", "--from", "2999-01-01"], 1).contains("--from is after "));
    assert!(fails(&["split", "late", "champion=1", "--from", "2999-01-01"], 1).contains("--from is after "));
    assert!(fails(&["split", "late", "--clear"], 1).contains("model `late` has no split that could be cleared"));
    let long = "why ".repeat(300);
    assert!(fails(&["promote", "late", "1", "--reason", &long], 1).contains("the reason has 1200 characters"));
    assert!(
        fails(&["history", "late", "--at", "soon"], 2)
            .contains("expected RFC 3339, a date, epoch ms, earliest or latest")
    );
    assert_eq!(registry.history("late").unwrap().len(), 1, "nothing has moved");
    let missing = folder.path().join("none");
    assert!(said(&["list", "--registry", missing.to_str().unwrap()], 2).contains("there is no folder"));
    assert!(!missing.exists());
    let other = tempfile::tempdir().unwrap();
    let path = other.path().to_str().unwrap();
    assert_eq!(said(&["list", "--registry", path], 0), "");
    std::fs::create_dir(other.path().join("late")).unwrap();
    for verb in [&["list"][..], &["show", "late"], &["history", "late"], &["scores", "late"]] {
        let error = said(&[verb, &["--registry", path]].concat(), 2);
        assert!(error.starts_with(&format!("error: --registry: there is no registry in {path}: ")), "{error}");
    }
    assert!(said(&["list", "--registry", "s3://bucket"], 2).contains("error: --registry: `s3://bucket`"));
    assert!(said(&["list", "--url", "http://127.0.0.1:9"], 1).contains("does the job run"));
}

#[test]
fn a_running_job_notices_a_move_on_its_registry_and_makes_moves_itself() {
    let clicks = Clicks::new();
    let first = clicks.start("home", &[]);
    eventually("the end", || first.says("all files are read"));
    let path = clicks.path("home/clicks/registry");
    let registry = ["--registry", path.to_str().unwrap()];
    eventually("all days have a version", || newest_champion(&registry) == 16);
    let url = first.url();
    let has_champion = |run: &Run, version: u64| run.get("/models").contains(&format!("\"champion\":{version},"));
    let newest = json(&["show", "x", "--url", &url])["version"].as_u64().unwrap();
    assert!(newest > 10 && has_champion(&first, newest), "a version a day: {newest}");
    printed(&[&["promote", "x", "3"], &registry[..]].concat());
    eventually("the job has noticed", || has_champion(&first, 3));
    eventually("its metric too", || first.metric("tidemill_model_version", "champion") == 3.0);
    let moved = printed(&["rollback", "x", "--url", &url, "--reason", "3 is old"]);
    assert!(moved.starts_with(&format!("champion of x is version {newest} from ")), "{moved}");
    let moved = printed(&["rollback", "x", "--url", &url]);
    assert!(moved.starts_with(&format!("champion of x is version {} from ", newest - 1)), "{moved}");
    assert!(has_champion(&first, newest - 1), "a move through a job holds at once");
    let (of_job, of_registry) =
        (json(&["history", "x", "--url", &url]), json(&[&["history", "x"], &registry[..]].concat()));
    assert_eq!(of_job, of_registry);
    assert!(said(&["promote", "x", "999", "--url", &url], 1).contains("the job answers: model x has no version 999"));
    first.stop();
    // A restart serves what the history says.
    let second = clicks.start("home", &[]);
    eventually("ready", || second.get("/health/ready").starts_with("HTTP/1.1 200"));
    assert!(has_champion(&second, newest - 1));
    second.stop();
    assert_eq!(json(&[&["history", "x"], &registry[..]].concat()), of_job);
}
