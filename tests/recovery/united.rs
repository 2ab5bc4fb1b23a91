//! A stream of several sources, from file to file: a live run, one that is interrupted and a replay give the same hashes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::common::program::Run;
use crate::common::servers::eventually;

const DATAFLOW: &str = r#"
name = "united"

[source.asks]
topic = "asks"
format = "json"
key = ["id"]
time = "at"
lateness = "90s"
columns = { id = "string", shop = "string", x = "float", at = "timestamp" }

[source.sales]
topic = "sales"
format = "json"
key = ["id"]
time = "at"
columns = { id = "string", shop = "string", x = "float", at = "timestamp" }

[view.both]
sql = """
SELECT id, shop, x, at FROM sales WHERE x > 2
UNION ALL
SELECT id, shop, x * 2 AS x, at FROM asks
UNION ALL
SELECT id, shop, -x AS x, at FROM sales
"""

[features.shop]
from = "both"
entity = "shop"
aggregate = [{ of = "x", op = ["count", "sum", "first", "last"], windows = ["1h", "1d"] }]

[model.x]
kind = "linear"
examples = "both"
instance = "asks"
features = ["shop.*", "x"]
label = { from = "sales", on = "id", value = "x", within = "1h" }
window = "6h"
"#;

struct United {
    folder: TempDir,
}

impl United {
    /// Two files whose records tie in time; those of one are out of order.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rows = |every: i64, swap: i64| {
            let row = |n: i64| {
                let minute = n * every + if n % 5 == 0 { swap } else { 0 };
                let (day, hour, minute) = (minute / 1440 + 1, minute / 60 % 24, minute % 60);
                let at = format!("2020-01-{day:02}T{hour:02}:{minute:02}:00Z");
                format!("k{},s{},{},{at}\n", n * every % 37, n % 4, n % 9)
            };
            "id,shop,x,at\n".to_owned() + &(0..4000 / every).map(row).collect::<String>()
        };
        let config = "[topics.asks]\nfile = \"asks.csv\"\n[topics.sales]\nfile = \"sales.csv\"\n\
            [http]\nlisten = \"127.0.0.1:0\"\n[offline]\nenabled = true\n";
        let files = [("asks.csv", rows(2, 3)), ("sales.csv", rows(3, 0))];
        let texts = [("united.toml", DATAFLOW.to_owned()), ("config.toml", config.to_owned())];
        for (name, text) in files.into_iter().chain(texts) {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        United { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, verb: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.arg(verb).arg(self.path("united.toml")).arg("--config").arg(self.path("config.toml")).args(more);
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, home: &str, workers: &str, more: &[&str]) -> Command {
        let mut command = self.command("run", &["--workers", workers]);
        command.arg("--set").arg(format!("data_dir={}", self.path(home).display())).args(more);
        command
    }
}

fn succeeds(mut command: Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

fn digest(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("digest.json")).unwrap()
}

#[test]
fn a_live_run_of_a_union_an_interrupted_one_and_a_replay_have_the_same_hashes() {
    let united = United::new();
    let out = united.path("replayed");
    succeeds(united.command("replay", &["--quiet", "--out", out.to_str().unwrap()]));
    let expected = digest(&out);
    let offline = |home: &str| united.path(home).join("united/offline");
    for workers in ["1", "3"] {
        let home = format!("undisturbed {workers}");
        succeeds(united.run(&home, workers, &["--until-end"]));
        assert_eq!(digest(&offline(&home)), expected, "{workers} workers");
    }
    // Stopped in the middle, killed later, and ended on another number of workers.
    let sets = ["--set", "play.speed=40000", "--set", "checkpoint.interval=100ms"];
    let applied = |run: &Run| run.metric("tidemill_source_records_total", "outcome=\"applied\"");
    let first = Run::start(&mut united.run("interrupted", "2", &sets));
    eventually("records are applied", || applied(&first) >= 200.0);
    first.stop();
    let second = Run::start(&mut united.run("interrupted", "1", &sets));
    let before = applied(&second);
    eventually("more records are applied", || applied(&second) >= before + 200.0);
    drop(second);
    let said = succeeds(united.run("interrupted", "3", &["--until-end"]));
    assert!(said.contains("resuming from checkpoint"), "{said}");
    assert_eq!(digest(&offline("interrupted")), expected);
}
