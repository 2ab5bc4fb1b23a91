//! The journal of records that came below the frontier, where it cannot be written.

use std::io::Write;

use serde_json::json;
use tidemill::source::kafka::NewTopic;

use crate::broker::{Broker, until};
use crate::common::program::limited;
use crate::live::{DATAFLOW, clicks, start, start_as};

#[test]
fn a_journal_that_cannot_be_written_ends_the_run_and_the_next_one_loses_nothing() {
    let broker = Broker::stopped();
    broker.start();
    let topic = NewTopic { name: "clicks", partitions: 2, settings: &[] };
    assert!(broker.cluster(&[]).create_topic(topic).unwrap());
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
    // The other partition holds nobody back any more: time has come as far as the clicks have.
    until("closed", || run.metric("tidemill_source_records_total", "outcome=\"applied\"") >= 9.0);
    run.stop();

    let journal = folder.path().join("var/live/checkpoints/journal.jsonl");
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&journal).unwrap();
    let other = json!({"source": "another", "topic": "another", "partition": 0, "offset": 1, "time": 1}).to_string();
    (0..2000).for_each(|_| writeln!(file, "{other}").unwrap());
    // Its last line is cut short, as where there was no room for more.
    write!(file, "{{\"source\":\"an").unwrap();
    let run = start_as(limited(64), folder.path(), DATAFLOW, &config);
    run.has_no_lag();
    broker.write("clicks", 1, &clicks(0..2));
    let said = run.ends(1);
    let why = format!(
        "error: overtaken records cannot be added to the journal: journal `{}` cannot be written",
        journal.display()
    );
    assert!(said.contains(&why) && said.contains("File too large"), "{said}");

    let run = start(folder.path(), DATAFLOW, &config);
    until("going on", || run.says("resuming from checkpoint"));
    run.has_read(12.0);
    until("all of them", || run.get("/features/user/u").contains("\"amount_count_30d\":12"));
    assert_eq!(run.metric("tidemill_source_overtaken_total", ""), 2.0);
    run.stop();
    let lines = std::fs::read_to_string(&journal).unwrap();
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let taken_down = lines.iter().filter(|line| line["topic"] == "clicks");
    assert_eq!(taken_down.map(|line| line["offset"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1]);
}
