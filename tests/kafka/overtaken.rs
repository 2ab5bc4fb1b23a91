//! Records that come after time has passed them: what a live run makes of them, a restart and a replay with its journal
//! repeat.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tidemill::source::kafka::NewTopic;

use super::broker::{Broker, until};
use super::live::{DATAFLOW, clicks, start};
use super::staying::more_partitions;

fn digest(folder: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("digest.json")).unwrap()).unwrap()
}

#[test]
fn a_restart_and_a_replay_with_the_journal_repeat_what_a_run_made_of_overtaken_records() {
    let broker = Broker::shared();
    let dataflow =
        DATAFLOW.replace("= \"clicks\"\nformat", "= \"overtaken\"\nformat").replace("\"live\"", "\"overtaken\"");
    let settings = [];
    let topic = NewTopic { name: "overtaken", partitions: 1, settings: &settings };
    assert!(broker.cluster(&[]).create_topic(topic).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("var");
    let config = format!(
        "data_dir = {home:?}\nclock = \"stream\"\nidle_after = \"300ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [offline]\nenabled = true\n[checkpoint]\ninterval = \"1h\"\n[kafka]\n\"bootstrap.servers\" = {:?}\n",
        broker.servers()
    );
    broker.write("overtaken", 0, &clicks(0..60));
    let run = start(folder.path(), &dataflow, &config);
    run.has_read(60.0);
    run.stop();

    // A partition that the checkpoint knows nothing of is idle, so time goes on without it; then it has older records.
    more_partitions(&broker, "overtaken", 2);
    broker.write("overtaken", 0, &clicks(60..70));
    let run = start(folder.path(), &dataflow, &config);
    run.has_read(70.0);
    until("time to pass the idle partition", || run.get("/features/user/u").contains("2020-01-01T00:01:08.700Z"));
    broker.write("overtaken", 1, &clicks(5..15));
    run.has_read(80.0);
    let overtaken = || run.metric("tidemill_source_overtaken_total", "source=\"clicks\"");
    until("ten that were overtaken", || overtaken() == 10.0);
    let checkpoints = home.join("overtaken/checkpoints");
    let journal = checkpoints.join("journal.jsonl");
    until("ten lines", || std::fs::read_to_string(&journal).is_ok_and(|text| text.lines().count() == 10));
    // Killed: no checkpoint has them.
    drop(run);
    broker.write("overtaken", 0, &clicks(70..75));

    let (dataflow, config) = (folder.path().join("live.toml"), folder.path().join("config.toml"));
    let tidemill = |verb: &str, flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.arg(verb).arg(&dataflow).arg("--config").arg(&config).arg("--quiet").args(flags);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
    };
    tidemill("run", &["--until-end"]);
    let live = digest(&home.join("overtaken/offline"));
    assert_eq!(live["sources"]["clicks"]["read"], 85);
    let replay = |name: &str, journal: Option<&PathBuf>| {
        let out = folder.path().join(name);
        let journal = journal.map(|path| ["--journal", path.to_str().unwrap()]);
        let out_flag = ["--out", out.to_str().unwrap()];
        tidemill("replay", &[&out_flag[..], journal.as_ref().map_or(&[], |flag| &flag[..])].concat());
        digest(&out)
    };
    assert_eq!(replay("file", Some(&journal)), live);
    assert_eq!(replay("folder", Some(&checkpoints)), live);
    assert_ne!(replay("without", None)["features"], live["features"]);
}
