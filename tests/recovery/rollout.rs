//! Splits in a running job: arms are scored, a ramp that falls behind goes back, and `kill -9` changes neither.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::program::Run;
use crate::common::servers::eventually;
use crate::registry::{publication, registry, versions};
use tidemill::registry::{AskedSplit, Registry, RegistryError, SplitByHand, When};

/// Two equal models of clicks whose label rises from day to day, so that an old version falls behind.
struct Rising {
    folder: TempDir,
}

impl Rising {
    fn new() -> Self {
        let model = |name: &str| {
            format!(
                "[model.{name}]\nkind = \"linear\"\nexamples = \"clicks\"\nfeatures = [\"user.*\"]\n\
                 label = {{ value = \"x\" }}\nwindow = \"1d\"\n"
            )
        };
        let dataflow = "name = \"rising\"\n\
            [source.clicks]\ntopic = \"clicks\"\nformat = \"json\"\ntime = \"at\"\n\
            columns = { user = \"string\", x = \"float\", at = \"timestamp\" }\n\
            [features.user]\nfrom = \"clicks\"\nentity = \"user\"\n\
            aggregate = [{ op = \"count\", windows = [\"1h\", \"1d\"] }]\n"
            .to_owned()
            + &model("x")
            + &model("y");
        let rows = (0..400).map(|n| format!("u{},{n},2020-01-{:02}T{:02}:00:00Z\n", n % 3, n / 24 + 1, n % 24));
        let csv = "user,x,at\n".to_owned() + &rows.collect::<String>();
        Self::of(&dataflow, &csv)
    }

    /// A folder with this dataflow, which is named `rising` and reads the topic `clicks`.
    fn of(dataflow: &str, csv: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = "[topics.clicks]\nfile = \"clicks.csv\"\n[http]\nlisten = \"127.0.0.1:0\"\n[checkpoint]\ninterval = \"1s\"\n";
        for (name, text) in [("clicks.csv", csv), ("rising.toml", dataflow), ("config.toml", config)] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Rising { folder }
    }

    fn home(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn registry(&self, home: &str) -> Registry {
        registry(&self.home(home).join("rising/registry"))
    }

    /// Starts a run that plays so many seconds of event time in a second.
    fn start(&self, home: &str, speed: &str) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.arg("run").arg(self.home("rising.toml")).arg("--config").arg(self.home("config.toml"));
        command.arg("--set").arg(format!("data_dir={}", self.home(home).display()));
        command.arg("--set").arg(format!("play.speed={speed}"));
        Run::start(&mut command)
    }

    /// Runs `tidemill models` on the registry of a home, and returns what it prints.
    fn models(&self, home: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.arg("models").args(arguments).env("USER", "ann");
        command.arg("--registry").arg(self.home(home).join("rising/registry"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn newest(&self, home: &str) -> u64 {
        self.registry(home).versions("y").unwrap().last().copied().unwrap_or(0)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy(&from, &to) } else { _ = fs::copy(&from, &to).unwrap() }
    }
}

/// Returns the splits and the scores of a registry without wall-clock times.
fn outcome(registry: &Registry) -> Value {
    let of = |model: &str| {
        let mut splits = json!(registry.splits(model).unwrap());
        splits.as_array_mut().unwrap().iter_mut().for_each(|entry| entry["wall_time"] = Value::Null);
        json!({ "splits": splits, "scores": registry.scores(model).unwrap() })
    };
    json!({ "x": of("x"), "y": of("y") })
}

#[test]
fn a_ramp_goes_back_by_itself_at_the_same_window_whatever_interrupts_the_run() {
    let rising = Rising::new();
    // A run that is stopped after five days, and split from a later time on.
    let first = rising.start("first", "43200");
    eventually("five versions", || rising.newest("first") >= 5);
    first.stop();
    assert!(rising.newest("first") < 10);
    let from = ["--from", "2020-01-11T06:00:00Z"];
    let made = rising.models(
        "first",
        &[
            &["split", "x", "champion=9", "old=1", "--arm", "old=1", "--ramp", "5%: 1d, 8%: 1d", "--reason", "to see"],
            &from[..],
        ]
        .concat(),
    );
    assert_eq!(
        made,
        "x is split from 2020-01-11T06:00:00.000Z on (split 1): champion 90 %, old (1) 10 %\n\
         ramp: 5 % for 1d, 8 % for 1d, then the weights\n"
    );
    let equal = ["split", "y", "champion=1", "same=1", "model:x=1", "--arm", "same=champion", "--ramp", "1d"];
    rising.models("first", &[&equal, &from[..]].concat());
    copy(&rising.home("first"), &rising.home("killed"));
    // One goes on to the end.
    let whole = rising.start("first", "max");
    eventually("the end", || whole.says("all files are read") && rising.newest("first") == 16);
    eventually("the ramp has gone back", || rising.registry("first").splits("x").unwrap().len() == 2);
    eventually("its metric", || whole.metric("tidemill_split_taken_back_total", "model=\"x\"") == 1.0);
    assert_eq!(whole.metric("tidemill_split_taken_back_total", "model=\"y\""), 0.0, "equal arms are not behind");
    assert!(whole.metric("tidemill_model_arm_score", "arm=\"same\"") > 0.0);
    assert_eq!(whole.metric("tidemill_model_arm_score", "arm=\"old\""), 0.0, "an arm that is no more has no score");
    let shown = whole.get("/models/x/split");
    assert!(shown.contains("\"current\":null"), "{shown}");
    whole.stop();
    // One is killed on the way, twice.
    let killed = rising.start("killed", "86400");
    eventually("the split is in force", || rising.newest("killed") >= 11);
    killed.signal("KILL");
    drop(killed);
    let killed = rising.start("killed", "172800");
    eventually("a window with arms", || rising.newest("killed") >= 13);
    killed.signal("KILL");
    drop(killed);
    let last = rising.start("killed", "max");
    eventually("the end", || last.says("all files are read") && rising.newest("killed") == 16);
    eventually("the ramp has gone back", || rising.registry("killed").splits("x").unwrap().len() == 2);
    last.stop();
    let (one, other) = (outcome(&rising.registry("first")), outcome(&rising.registry("killed")));
    assert_eq!(one, other);
    // The outcome of the ramp.
    let back = &one["x"]["splits"][1];
    assert_eq!((&back["by"], &back["reverts"], &back["split"]), (&json!("ramp"), &json!(1), &Value::Null));
    assert_eq!(back["time"], "2020-01-13T00:00:00.000Z", "the end of the first window that begins after the split");
    let reason = back["reason"].as_str().unwrap();
    assert!(reason.starts_with("arm old was taken back: rmse ") && reason.ends_with("; more than 0"), "{reason}");
    assert_eq!(
        rising.models("killed", &["history", "x", "--at", "2020-01-12"]),
        "11\nsplit: champion 95 % (version 11), old 5 % (version 1)\n"
    );
    assert_eq!(rising.models("killed", &["history", "x", "--at", "2020-01-14"]), "13\n");
    assert!(rising.models("killed", &["split", "x"]).starts_with("no split: the champion answers\nsplit  time"));
    assert!(
        rising.models("killed", &["show", "y"]).ends_with("split: champion 33.33 %, model:x 33.33 %, same 33.33 %\n")
    );
    // Equal arms have equal bits: two of one model, and another model of the same definition on the same stream.
    let points = |model: &str| one[model]["scores"].as_array().unwrap().clone();
    let mut compared = 0;
    for (x, y) in points("x").iter().zip(points("y")) {
        assert_eq!(x["champion"], y["champion"]);
        for arm in y["arms"].as_array().into_iter().flatten() {
            assert_eq!(arm["scores"], y["champion"]);
            compared += 1;
        }
    }
    assert!(compared >= 6, "{compared}");
}

/// A model that ranks the clicks of each user, and publishes by how well it does: users who liked `a` like `b` from the
/// ninth day on.
fn ranking() -> Rising {
    let dataflow = "name = \"rising\"\n\
        [source.clicks]\ntopic = \"clicks\"\nformat = \"json\"\ntime = \"at\"\n\
        columns = { user = \"string\", kind = \"string\", x = \"float\", at = \"timestamp\" }\n\
        [model.y]\nkind = \"linear\"\nexamples = \"clicks\"\nfeatures = [\"kind\"]\nstart = \"fresh\"\n\
        label = { value = \"x\" }\nwindow = \"1d\"\nranking = { by = \"user\" }\n\
        publish = { metric = \"ndcg@10\", tolerance = 0.05, holdout = 0.3, windows = 1, unanswered = \"publish\" }\n";
    let row = |n: usize| {
        let (day, quarter) = (n / 96, n % 96);
        let kind = if (n / 12).is_multiple_of(2) { "a" } else { "b" };
        let likes = if day < 8 { "a" } else { "b" };
        let (x, hour, minute) = (u8::from(kind == likes), quarter / 4, quarter % 4 * 15);
        format!("u{},{kind},{x},2020-01-{:02}T{hour:02}:{minute:02}:00Z\n", n % 12, day + 1)
    };
    Rising::of(dataflow, &("user,kind,x,at\n".to_owned() + &(0..1600).map(row).collect::<String>()))
}

#[test]
fn a_ramp_goes_back_by_itself_when_its_arm_ranks_worse_than_the_champion() {
    let ranking = ranking();
    let first = ranking.start("home", "43200");
    eventually("three versions", || ranking.newest("home") >= 3);
    first.stop();
    assert!(ranking.newest("home") < 7);
    let split = ["split", "y", "champion=9", "old=1", "--arm", "old=1", "--ramp", "5%: 20d"];
    ranking.models("home", &[&split[..], &["--from", "2020-01-07T06:00:00Z"]].concat());
    let second = ranking.start("home", "max");
    eventually("the end", || second.says("all files are read") && ranking.newest("home") == 16);
    eventually("the ramp has gone back", || ranking.registry("home").splits("y").unwrap().len() == 2);
    second.stop();
    let back = ranking.registry("home").splits("y").unwrap().remove(1);
    let reason = &back.reason;
    assert!(
        reason.starts_with("arm old was taken back: ndcg@10 0.") && reason.ends_with("; more than 0.05"),
        "{reason}"
    );
    assert_eq!(json!(back)["time"], "2020-01-11T00:00:00.000Z", "the version of the ninth day is the first that knows");
    // Until the change both ranked alike.
    let points = ranking.registry("home").scores("y").unwrap();
    let scored: Vec<(f64, f64)> = points
        .iter()
        .filter_map(|point| Some((*point.arms.iter().find(|arm| arm.name == "old")?.scores.get("ndcg@10")?, point)))
        .map(|(arm, point)| (arm, point.champion["ndcg@10"]))
        .collect();
    assert!(scored.len() >= 3 && scored[0] == (1.0, 1.0), "{scored:?}");
    assert!(scored.iter().any(|(arm, champion)| *arm < 0.6 && *champion == 1.0), "{scored:?}");
}

fn by_ann(event: i64) -> SplitByHand<'static> {
    SplitByHand { when: When { event, wall: 0 }, reason: "to compare", by: "ann" }
}

fn asked(json: &str) -> tidemill::registry::Split {
    serde_json::from_str::<AskedSplit>(json).unwrap().split().unwrap()
}

#[test]
fn splits_are_kept_in_order_and_what_they_name_is_not_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path());
    versions(4).iter().for_each(|version| drop(registry.publish(&publication(version)).unwrap()));
    assert!(registry.splits("late").unwrap().is_empty());
    let first = registry.split("late", Some(&asked(r#"{"weights": {"champion": 3, "1": 1}}"#)), &by_ann(5)).unwrap();
    assert_eq!(registry.retain("late", 1).unwrap(), [2], "1 is an arm, 3 the champion before");
    let second = registry
        .split("late", Some(&asked(r#"{"weights": {"champion": 1}, "shadows": {"1": 1}}"#)), &by_ann(7))
        .unwrap();
    assert_eq!(registry.retain("late", 1).unwrap(), [0; 0], "1 is a shadow");
    let third = registry.split("late", None, &by_ann(9)).unwrap();
    assert_eq!(registry.splits("late").unwrap(), [first, second, third]);
    assert_eq!(registry.retain("late", 1).unwrap(), [1], "nothing names it any more");
    let gone = registry.split("late", Some(&asked(r#"{"weights": {"1": 1}}"#)), &by_ann(9));
    assert!(matches!(gone, Err(RegistryError::NoVersion { version: 1, .. })), "{gone:?}");
    // A damaged entry is skipped, and its number is not taken again.
    fs::write(folder.path().join("late/splits/3.json"), "{").unwrap();
    let fourth = registry.split("late", None, &by_ann(9)).unwrap();
    assert_eq!(fourth.number, 4);
    let numbers: Vec<u64> = registry.splits("late").unwrap().iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, [1, 2, 4]);
}
