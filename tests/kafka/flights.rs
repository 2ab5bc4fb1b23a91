//! A month of real flights, and runs of the program on it.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The transport that a run reads its topics from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    Files,
    /// From a broker at this address.
    Kafka(String),
}

/// The flights of January 2013.
pub struct January {
    folder: TempDir,
    /// The dataflow file.
    dataflow: PathBuf,
    expected: OnceLock<String>,
}

const TOPICS: [(&str, &str); 3] = [("schedule", "sched_ts"), ("departures", "dep_ts"), ("weather", "obs_ts")];

impl January {
    pub fn new(bound: Bound) -> Self {
        January::with(bound, &shipped())
    }

    /// The same with another dataflow file.
    pub fn with(bound: Bound, dataflow: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = String::new();
        for (topic, time) in TOPICS {
            let packed = std::fs::File::open(root.join(format!("data/flights/{topic}.csv.gz"))).unwrap();
            let mut text = String::new();
            flate2::read::MultiGzDecoder::new(packed).read_to_string(&mut text).unwrap();
            let (header, rows) = text.split_once('\n').unwrap();
            let column = header.split(',').position(|name| name == time).unwrap();
            let mut cut = std::fs::File::create(folder.path().join(format!("{topic}.csv"))).unwrap();
            writeln!(cut, "{header}").unwrap();
            let january = |row: &&str| row.split(',').nth(column).is_some_and(|time| time < "2013-02-01");
            rows.lines().filter(january).for_each(|row| writeln!(cut, "{row}").unwrap());
            writeln!(files, "[topics.{topic}]\nfile = \"{topic}.csv\"\nnulls = [\"NA\"]").unwrap();
        }
        std::fs::write(folder.path().join("files.toml"), &files).unwrap();
        let rest = "[http]\nlisten = \"127.0.0.1:0\"\n[offline]\nenabled = true\n";
        let config = match bound {
            Bound::Files => format!("{files}{rest}"),
            Bound::Kafka(servers) => {
                format!("clock = \"stream\"\n[kafka]\n\"bootstrap.servers\" = \"{servers}\"\n{rest}")
            }
        };
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let path = folder.path().join("flights.toml");
        std::fs::write(&path, dataflow).unwrap();
        January { folder, dataflow: path, expected: OnceLock::new() }
    }

    /// Fills the topics.
    pub fn load(&self, partitions: u32) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.arg("load").arg(&self.dataflow).arg("--from").arg(self.folder.path().join("files.toml"));
        command.arg("--config").arg(self.config()).args(["--partitions", &partitions.to_string()]);
        let loaded = command.output().unwrap();
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    /// The dataflow file with something in it changed.
    pub fn changed(&self, from: &str, to: &str) -> PathBuf {
        let text = std::fs::read_to_string(&self.dataflow).unwrap();
        assert!(text.contains(from));
        let path = self.folder.path().join("changed.toml");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        path
    }

    /// Starts a run to the end of the inputs.
    pub fn run(&self, home: &Path, workers: usize, sets: &[&str]) -> Running {
        let workers = format!("workers={workers}");
        self.run_file(&self.dataflow, home, &[sets, &[workers.as_str()]].concat())
    }

    /// The same as [`January::run`], of another file.
    pub fn run_file(&self, file: &Path, home: &Path, sets: &[&str]) -> Running {
        self.start(file, home, sets, &[])
    }

    /// The same as [`January::run`], without a checkpoint.
    pub fn run_fresh(&self, home: &Path, sets: &[&str]) -> Running {
        self.start(&self.dataflow, home, sets, &["--fresh"])
    }

    fn start(&self, file: &Path, home: &Path, sets: &[&str], flags: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.arg("run").arg(file).arg("--config").arg(self.config()).args(["--until-end", "--quiet"]).args(flags);
        command.arg("--set").arg(format!("data_dir={}", home.display()));
        sets.iter().for_each(|set| _ = command.args(["--set", set]));
        let said = tempfile::NamedTempFile::new().unwrap();
        let both = said.reopen().unwrap();
        let child = command.stdout(both.try_clone().unwrap()).stderr(both).stdin(Stdio::null()).spawn();
        Running { child: child.unwrap(), said }
    }

    /// Replays into a folder; gives the exit code and what was said on stderr.
    pub fn try_replay(&self, out: &Path, flags: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.arg("replay").arg(&self.dataflow).arg("--config").arg(self.config()).arg("--out").arg(out).args(flags);
        let replayed = command.output().unwrap();
        (replayed.status.code(), String::from_utf8_lossy(&replayed.stderr).into_owned())
    }

    /// Replays into a folder; gives the digest and what was said on stderr.
    pub fn replay(&self, out: &Path, flags: &[&str]) -> (serde_json::Value, String) {
        let (code, said) = self.try_replay(out, flags);
        assert_eq!(code, Some(0), "{flags:?}: {said}");
        let text = std::fs::read_to_string(out.join("digest.json")).unwrap();
        (serde_json::from_str(&text).unwrap(), said)
    }

    /// The digest of an uninterrupted run of the files.
    pub fn expected(&self) -> &str {
        self.expected.get_or_init(|| {
            let home = tempfile::tempdir().unwrap();
            let files = TOPICS.map(|(topic, _)| {
                let path = self.folder.path().join(format!("{topic}.csv"));
                [format!("topics.{topic}.file={path:?}"), format!("topics.{topic}.nulls=[\"NA\"]")]
            });
            let files: Vec<&str> = files.iter().flatten().map(String::as_str).collect();
            self.run(home.path(), 1, &[&files[..], &["play.speed=max", "checkpoint.interval=off"]].concat()).end();
            digest(home.path())
        })
    }
}

/// The dataflow file that is shipped.
pub fn shipped() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("dataflows/flights.toml")).unwrap()
}

/// The digest that a run has left.
pub fn digest(home: &Path) -> String {
    std::fs::read_to_string(home.join("flights/offline/digest.json")).unwrap()
}

/// Longer than anything takes that a run does.
const LONG: Duration = Duration::from_secs(120);

/// A run of the program.
pub struct Running {
    child: Child,
    said: tempfile::NamedTempFile,
}

impl Running {
    /// Waits, unless the run ends before.
    pub fn wait_at_most(&mut self, time: Duration) {
        self.watch(time, || false);
    }

    /// Waits until something is the case, the run ends, or that time is over.
    pub fn watch(&mut self, time: Duration, mut seen: impl FnMut() -> bool) {
        let end = Instant::now() + time;
        while Instant::now() < end && !seen() && self.child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    pub fn kill(mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Asks the run to stop; it must do so with exit code 0. One that does not listen yet may not hear that it is asked.
    pub fn terminate(mut self) {
        let said = self.said.path().to_owned();
        self.watch(LONG, || std::fs::read_to_string(&said).is_ok_and(|said| said.contains("listening on")));
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        self.end();
    }

    /// Waits for the end, which must be a good one; gives what was said.
    pub fn end(self) -> String {
        let (code, said) = self.outcome();
        assert_eq!(code, Some(0), "{said}");
        said
    }

    /// Waits for the end; gives the exit code and what was said.
    pub fn outcome(mut self) -> (Option<i32>, String) {
        let end = Instant::now() + LONG;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > end => {
                    let _ = self.child.kill();
                    panic!("the run does not end: {}", std::fs::read_to_string(self.said.path()).unwrap());
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        (status.code(), std::fs::read_to_string(self.said.path()).unwrap())
    }
}
