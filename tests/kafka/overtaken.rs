//! Overtaken records: a restart and a replay repeat the times at which a live run let them take effect.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use tidemill::source::kafka::NewTopic;

use super::broker::{Broker, Sent, until};
use super::live::{DATAFLOW, START, clicks, journal_lines, start};
use super::staying::more_partitions;
use crate::common::program::Run;

/// A live run over two partitions, eleven of whose records were overtaken, one by more than the longest window.
struct Overtaken {
    broker: Arc<Broker>,
    topic: &'static str,
    folder: TempDir,
    checkpoints: PathBuf,
    run: Option<Run>,
}

impl Overtaken {
    /// The run goes on from a checkpoint that knows nothing of the second partition. That is idle, so time goes on
    /// without it; then it has older records.
    fn start(topic: &'static str) -> Self {
        let broker = Broker::shared();
        let dataflow = DATAFLOW.replace("= \"clicks\"\nformat", &format!("= \"{topic}\"\nformat"));
        let settings = [];
        let wanted = NewTopic { name: topic, partitions: 1, settings: &settings };
        assert!(wanted.create(&broker.cluster(&[])).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("var");
        let config = format!(
            "data_dir = {home:?}\nclock = \"stream\"\nidle_after = \"300ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [offline]\nenabled = true\n[checkpoint]\ninterval = \"1h\"\n[kafka]\n\"bootstrap.servers\" = {:?}\n",
            broker.servers()
        );
        broker.write(topic, 0, &clicks(0..60));
        let run = start(folder.path(), &dataflow, &config);
        run.has_read(60.0);
        run.stop();
        more_partitions(&broker, topic, 2);
        broker.write(topic, 0, &clicks(60..70));
        let run = start(folder.path(), &dataflow, &config);
        run.has_read(70.0);
        until("time to pass the idle partition", || run.get("/features/user/u").contains("2020-01-01T00:01:08.700Z"));
        let old = START - 40 * 86_400_000;
        let old = Sent::value(format!(r#"{{"user":"old","amount":1,"at":{old}}}"#), old);
        broker.write(topic, 1, &[vec![old], clicks(5..15)].concat());
        run.has_read(81.0);
        let overtaken = || run.metric("tidemill_source_overtaken_total", "source=\"clicks\"");
        until("those that were overtaken", || overtaken() == 11.0);
        let checkpoints = home.join("live/checkpoints");
        until("their lines", || journal_lines(&checkpoints).len() == 11);
        Overtaken { broker, topic, folder, checkpoints, run: Some(run) }
    }

    fn tidemill(&self, verb: &str, flags: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        let path = |name| self.folder.path().join(name);
        command.arg(verb).arg(path("live.toml")).arg("--config").arg(path("config.toml")).arg("--quiet").args(flags);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{verb} {flags:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The digest of a replay.
    fn replay(&self, name: &str, flags: &[&str]) -> Value {
        let out = self.folder.path().join(name);
        self.tidemill("replay", &[&["--out", out.to_str().unwrap()], flags].concat());
        digest(&out)
    }
}

fn digest(folder: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("digest.json")).unwrap()).unwrap()
}

#[test]
fn a_restart_and_a_replay_with_the_journal_repeat_the_times_of_overtaken_records() {
    let mut overtaken = Overtaken::start("overtaken");
    // Killed: no checkpoint has them.
    drop(overtaken.run.take());
    overtaken.broker.write(overtaken.topic, 0, &clicks(70..75));
    overtaken.tidemill("run", &["--until-end"]);
    let live = digest(&overtaken.folder.path().join("var/live/offline"));
    assert_eq!(live["sources"]["clicks"]["read"], 86);
    let (folder, file) = (overtaken.checkpoints.clone(), overtaken.checkpoints.join("journal/00000001.jsonl"));
    assert_eq!(overtaken.replay("folder", &["--journal", folder.to_str().unwrap()]), live);
    assert_eq!(overtaken.replay("file", &["--journal", file.to_str().unwrap()]), live);
    assert_ne!(overtaken.replay("without", &[])["features"], live["features"]);
    let from = ["--journal", folder.to_str().unwrap(), "--from", "2020-01-01T00:01:00Z"];
    let cold = overtaken.replay("cold", &[&from[..], &["--cold"]].concat());
    assert_eq!(cold, overtaken.replay("not cold", &from), "an old record that took effect late is read, too");
}

#[test]
fn a_replay_from_a_checkpoint_keeps_the_times_of_records_that_its_run_had_read() {
    let mut overtaken = Overtaken::start("overtaken.before");
    // Stopped: they are read as of the checkpoint, and take effect at its very time.
    overtaken.run.take().expect("it runs").stop();
    overtaken.broker.write(overtaken.topic, 0, &clicks(70..75));
    let checkpoints = overtaken.checkpoints.clone();
    let checkpoints = checkpoints.to_str().unwrap();
    let found = overtaken.replay("rest", &["--checkpoint", checkpoints]);
    let from = found["from"].as_str().unwrap();
    assert_eq!(from, "2020-01-01T00:01:08.700Z");
    assert_eq!(found["sources"]["clicks"]["read"], 86);
    assert_eq!(found, overtaken.replay("whole", &["--from", from, "--journal", checkpoints]));
}
