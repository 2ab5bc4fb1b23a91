//! Two owners of one folder: the second is refused, by the name of the first, and deletes nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::common::program::Run;

/// A dataflow over one file, and the folders of its runs.
pub struct Clicks {
    folder: TempDir,
}

impl Clicks {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dataflow = "name = \"clicks\"\n\
            [source.clicks]\ntopic = \"clicks\"\nformat = \"json\"\ntime = \"at\"\n\
            columns = { user = \"string\", x = \"float\", at = \"timestamp\" }\n\
            [features.user]\nfrom = \"clicks\"\nentity = \"user\"\n\
            aggregate = [{ of = \"x\", op = \"sum\", windows = [\"1h\"] }]\n\
            [model.x]\nkind = \"linear\"\nexamples = \"clicks\"\nfeatures = [\"user.*\"]\n\
            label = { value = \"x\" }\nwindow = \"1d\"\n";
        let rows = (0..400).map(|n| format!("u{},{n},2020-01-{:02}T{:02}:00:00Z\n", n % 3, n / 24 + 1, n % 24));
        let csv = "user,x,at\n".to_owned() + &rows.collect::<String>();
        let config = "[topics.clicks]\nfile = \"clicks.csv\"\n[http]\nlisten = \"127.0.0.1:0\"\n";
        for (name, text) in [("clicks.csv", csv.as_str()), ("clicks.toml", dataflow), ("config.toml", config)] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Clicks { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, verb: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.arg(verb).arg(self.path("clicks.toml")).arg("--config").arg(self.path("config.toml")).args(more);
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, home: &str, sets: &[String]) -> Command {
        let mut command = self.command("run", &[]);
        command.arg("--set").arg(format!("data_dir={}", self.path(home).display()));
        sets.iter().for_each(|set| _ = command.args(["--set", set]));
        command
    }

    /// Starts a run and waits until it listens.
    pub fn start(&self, home: &str, sets: &[String]) -> Run {
        Run::start(&mut self.run(home, sets))
    }

    /// Returns a command that replays into a folder.
    pub fn replay(&self, out: &Path) -> Command {
        self.command("replay", &["--out", out.to_str().unwrap()])
    }
}

/// Returns what a program that is refused says.
fn refused(mut command: Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

fn succeeds(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Returns the files of a folder with their contents.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn files_of_a_run_are_refused_to_every_other_run_and_replay() {
    let clicks = Clicks::new();
    let shared = |key: &str| format!("{key}.url={}", clicks.path(key).display());
    let sets = [shared("registry"), shared("checkpoint"), "offline.enabled=true".to_owned()];
    let first = clicks.start("first", &sets);
    let home = clicks.path("first/clicks");
    let before = std::fs::read(home.join("tidemill.lock")).unwrap();
    for (command, folder) in [
        (clicks.run("first", &[]), home.clone()),
        (clicks.run("second", &sets[..1]), clicks.path("registry")),
        (clicks.run("second", &sets[1..2]), clicks.path("checkpoint")),
    ] {
        let said = refused(command);
        let expected = format!("error: {} is locked by another run: of clicks, process ", folder.display());
        assert!(said.contains(&expected) && said.contains(" on ") && said.contains(", since 20"), "{said}");
    }
    for out in [home.clone(), home.join("offline"), clicks.folder.path().to_owned()] {
        let said = refused(clicks.replay(&out));
        assert!(said.contains("belongs to a run; expected another folder"), "{said}");
    }
    assert_eq!(std::fs::read(home.join("tidemill.lock")).unwrap(), before);

    // The lock of a run that is killed is taken over, and its folder is still not that of a replay.
    drop(first);
    let left = contents(&home);
    assert!(refused(clicks.replay(&home)).contains("belongs to a run"));
    assert!(refused(clicks.replay(&home.join("offline"))).contains("belongs to a run"));
    assert_eq!(contents(&home), left, "nothing is touched");
    clicks.start("first", &sets).stop();
    let locks =
        |folder: &Path| contents(folder).into_iter().filter(|(path, _)| path.ends_with("tidemill.lock")).count();
    assert_eq!((locks(&home), locks(&clicks.path("registry")), locks(&clicks.path("checkpoint"))), (1, 1, 1));
    assert!(refused(clicks.replay(&home.join("offline"))).contains("belongs to a run"), "also after its end");
}

#[test]
fn a_replay_writes_over_its_own_folder_and_over_no_run() {
    let clicks = Clicks::new();
    let out = clicks.path("out");
    succeeds(clicks.replay(&out));
    succeeds(clicks.replay(&out));
    assert!(!out.join("tidemill.lock").exists() && !out.join("registry/tidemill.lock").exists());
    let sums = std::fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    let listed: Vec<&str> = sums.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    assert_eq!(listed, ["features/user.parquet", "examples/x.parquet", "digest.json"]);

    // A later replay that is compared with it notices a changed byte before anything is written.
    let verify = |out: &Path| {
        let mut command = clicks.replay(out);
        command.arg("--verify").arg(clicks.path("out"));
        command
    };
    succeeds(verify(&clicks.path("again")));
    for file in ["features/user.parquet", "examples/x.parquet"] {
        let path = out.join(file);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        let output = verify(&clicks.path("once more")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("error: {}: is damaged: its sha256 is", path.display())), "{said}");
        assert!(!clicks.path("once more").exists());
        std::fs::write(&path, whole).unwrap();
    }
}
