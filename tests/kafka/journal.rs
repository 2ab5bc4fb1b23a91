//! The journal of overtaken records, where it cannot be written.

use serde_json::json;
use tidemill::source::kafka::NewTopic;

use crate::broker::{Broker, until};
use crate::common::program::limited;
use crate::live::{DATAFLOW, clicks, journal_lines, start, start_as};

#[test]
fn a_journal_that_cannot_be_written_ends_the_run_and_a_restart_loses_nothing() {
    let broker = Broker::stopped();
    broker.start();
    let topic = NewTopic { name: "clicks", partitions: 2, settings: &[] };
    assert!(topic.create(&broker.cluster(&[])).unwrap());
    broker.write("clicks", 0, &clicks(5..15));
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "data_dir = {:?}\nclock = \"stream\"\nidle_after = \"300ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [kafka]\n\"bootstrap.servers\" = {:?}\n",
        folder.path().join("var"),
        broker.servers()
    );
    let run = start(folder.path(), DATAFLOW, &config);
    run.has_read(10.0);
    // The other partition is idle: the watermark has reached the clicks.
    until("closed", || run.metric("tidemill_source_records_total", "outcome=\"applied\"") >= 9.0);
    run.stop();

    // A journal of an earlier version of tidemill, with a truncated last line.
    let checkpoints = folder.path().join("var/live/checkpoints");
    let other = json!({"source": "another", "topic": "another", "partition": 0, "offset": 1, "time": 1}).to_string();
    std::fs::write(checkpoints.join("journal.jsonl"), format!("{other}\n{{\"source\":\"an")).unwrap();
    let run = start_as(limited(0), folder.path(), DATAFLOW, &config);
    run.has_no_lag();
    broker.write("clicks", 1, &clicks(0..2));
    let said = run.ends(1);
    let why = format!(
        "error: overtaken records cannot be added to the journal: the checkpoints cannot be used: \
         writing `{}/journal/00000001.jsonl` failed",
        checkpoints.display()
    );
    assert!(said.contains(&why) && said.contains("File too large"), "{said}");

    let run = start(folder.path(), DATAFLOW, &config);
    until("resuming", || run.says("resuming from checkpoint"));
    run.has_read(12.0);
    until("all of them", || run.get("/features/user/u").contains("\"amount_count_30d\":12"));
    assert_eq!(run.metric("tidemill_source_overtaken_total", ""), 2.0);
    run.stop();
    let lines = journal_lines(&checkpoints);
    let offset = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap()["offset"].as_u64().unwrap();
    assert_eq!(lines.iter().map(offset).collect::<Vec<_>>(), [0, 1]);
}
