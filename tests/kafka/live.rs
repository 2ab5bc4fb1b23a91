//! A live run on Kafka.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::broker::{Sent, until};
use crate::common::program::Run;

/// Counts clicks by user.
pub const DATAFLOW: &str = r#"
name = "live"

[source.clicks]
topic = "clicks"
format = "json"
key = ["user"]
time = "at"
columns = { user = "string", amount = "float?", at = "timestamp" }

[features.user]
from = "clicks"
entity = "user"
aggregate = [{ of = "amount", op = ["count", "sum"], windows = ["30d"] }]
"#;

/// 2020-01-01.
pub const START: i64 = 1_577_836_800_000;

/// Clicks a second apart, of one user.
pub fn clicks(numbers: std::ops::Range<i64>) -> Vec<Sent> {
    let click = |n: i64| {
        let at = START + n * 1000;
        Sent::value(format!(r#"{{"user":"u","amount":1,"at":{at}}}"#), at)
    };
    numbers.map(click).collect()
}

/// Starts a dataflow by a config, both put into a folder, and waits until it listens.
pub fn start(folder: &Path, dataflow: &str, config: &str) -> Run {
    start_as(Command::new(env!("CARGO_BIN_EXE_tidemill")), folder, dataflow, config)
}

/// The same by this command, to which the arguments are added.
pub fn start_as(mut command: Command, folder: &Path, dataflow: &str, config: &str) -> Run {
    let path = |name: &str, text: &str| -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    command.arg("run").arg(path("live.toml", dataflow)).arg("--config").arg(path("config.toml", config));
    Run::start(&mut command)
}

impl Run {
    /// Waits until so many records have been read.
    pub fn has_read(&self, records: f64) {
        until(&format!("{records} records"), || {
            self.metric("tidemill_source_records_total", "outcome=\"read\"") == records
        });
    }

    /// Waits until it says that there is nothing more to read; that is known of a partition once it has been read.
    pub fn has_no_lag(&self) {
        until("no lag", || {
            let metrics = self.get("/metrics");
            let mut lags = metrics.lines().filter(|line| line.starts_with("tidemill_source_lag_records{")).peekable();
            lags.peek().is_some() && lags.all(|lag| lag.ends_with(" 0"))
        });
    }
}

/// Returns the lines of the journal beside checkpoints, in order.
pub fn journal_lines(checkpoints: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(checkpoints.join("journal")) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    files.into_iter().flat_map(|path| read(path).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}
