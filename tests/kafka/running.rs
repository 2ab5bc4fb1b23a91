//! The program on Kafka: a run on topics equals a run on the files that they were loaded from.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output};

use crate::broker::{Broker, Sent};
use tempfile::TempDir;
use tidemill::source::FORMATS;

/// Records of each file that a run is tried on.
const RECORDS: usize = 6000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tidemill(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_tidemill")).args(arguments).current_dir(root()).output().unwrap();
    for text in [&output.stdout, &output.stderr] {
        print!("{}", String::from_utf8_lossy(text));
    }
    output
}

fn succeeds(arguments: &[&str]) -> String {
    let output = tidemill(arguments);
    assert!(output.status.success(), "{arguments:?}: {:?}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn fails(arguments: &[&str], code: i32) -> String {
    let output = tidemill(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The beginnings of the flights, as files and with a config that binds the topics to them.
struct Flights {
    folder: TempDir,
    /// The dataflow over topics of these names' own.
    dataflow: String,
    files: String,
}

impl Flights {
    /// The topics get this suffix, so that tests share a broker, and this format. CSV is separated by semicolons then, in the
    /// files as well.
    fn new(suffix: &str, format: &str) -> Flights {
        let folder = tempfile::tempdir().unwrap();
        let mut config = String::new();
        let mut dataflow = std::fs::read_to_string(root().join("dataflows/flights.toml")).unwrap();
        for (topic, records) in [("schedule", RECORDS), ("departures", RECORDS), ("weather", RECORDS / 4)] {
            let packed = std::fs::File::open(root().join(format!("data/flights/{topic}.csv.gz"))).unwrap();
            let lines = BufReader::new(flate2::read::MultiGzDecoder::new(packed)).lines();
            let path = folder.path().join(format!("{topic}.csv"));
            let mut file = std::fs::File::create(&path).unwrap();
            let separated = |line: String| if format == "csv" { line.replace(',', ";") } else { line };
            lines.take(records + 1).for_each(|line| writeln!(file, "{}", separated(line.unwrap())).unwrap());
            config += &format!("[topics.\"{topic}{suffix}\"]\nfile = {path:?}\nnulls = [\"NA\"]\n");
            let named = |name: &str| format!("= \"{name}\"\nformat");
            let found = dataflow.len();
            dataflow = dataflow.replace(&named(topic), &named(&format!("{topic}{suffix}")));
            assert!(dataflow.len() > found || suffix.is_empty(), "{topic}");
        }
        let separator = if format == "csv" { "\nseparator = \";\"" } else { "" };
        let dataflow = dataflow.replace("= \"json\"", &format!("= {format:?}{separator}"));
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_string_lossy().into_owned()
        };
        let (files, dataflow) = (write("files.toml", &config), write("flights.toml", &dataflow));
        Flights { folder, dataflow, files }
    }

    fn kafka(&self, broker: &Broker) -> String {
        let path = self.folder.path().join("kafka.toml");
        let text = format!("clock = \"stream\"\n[kafka]\n\"bootstrap.servers\" = {:?}\n", broker.servers());
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }

    /// The digest of a run to the end of its inputs.
    fn run(&self, config: &str, name: &str, workers: usize) -> serde_json::Value {
        let home = self.folder.path().join(name);
        let data_dir = format!("data_dir={}", home.display());
        let workers = workers.to_string();
        succeeds(&[
            "run",
            &self.dataflow,
            "--config",
            config,
            "--until-end",
            "--workers",
            &workers,
            "--set",
            &data_dir,
            "--set",
            "http.listen=127.0.0.1:0",
            "--set",
            "offline.enabled=true",
            "--set",
            "checkpoint.interval=off",
        ]);
        let text = std::fs::read_to_string(home.join("flights/offline/digest.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

#[test]
fn a_run_on_kafka_equals_a_run_on_files_in_every_format() {
    let broker = Broker::shared();
    let mut expected = None;
    let each_format = FORMATS.iter().map(|format| (format.name, "4"));
    for (format, partitions) in [("json", "1")].into_iter().chain(each_format) {
        let flights = Flights::new(&format!(".{format}{partitions}"), format);
        let config = flights.kafka(&broker);
        let expected = expected.get_or_insert_with(|| flights.run(&flights.files, "files", 1)).clone();
        assert!(expected["models"]["late"].as_array().is_some_and(|versions| !versions.is_empty()), "{expected}");
        let load = ["load", &flights.dataflow, "--from", &flights.files, "--config", &config, "--partitions"];
        let said = succeeds(&[load.as_slice(), &[partitions]].concat());
        assert!(
            said.contains(&format!("departures.{format}{partitions}: {RECORDS} records, of which 0 deletes")),
            "{said}"
        );
        for workers in [1, 2] {
            let found = flights.run(&config, &format!("kafka{workers}"), workers);
            assert_eq!(found, expected, "{format}, {partitions} partitions, {workers} workers");
        }
    }
}

#[test]
fn a_load_or_run_that_is_impossible_fails_at_the_start() {
    let broker = Broker::shared();
    let flights = Flights::new(".missing", "json");
    let config = flights.kafka(&broker);
    let load = ["load", &flights.dataflow, "--from", &flights.files, "--config", &config];
    let said = fails(&load, 2);
    let missing =
        format!("error: topic \"schedule.missing\" does not exist on bootstrap.servers = {:?}", broker.servers());
    assert!(said.contains(&format!("{missing}; --partitions N creates it")), "{said}");
    let run = ["run", &flights.dataflow, "--config", &config, "--set", "http.listen=127.0.0.1:0"];
    assert!(fails(&run, 2).contains(&missing));
    let owned = [run.as_slice(), &["--set", "kafka.auto.offset.reset=latest"]].concat();
    assert!(fails(&owned, 2).contains("error: [kafka] auto.offset.reset: cannot be set"));
    let unknown = [run.as_slice(), &["--set", "kafka.fetch.min.byte=1"]].concat();
    assert!(fails(&unknown, 2).contains("No such configuration property: \"fetch.min.byte\""));
    let none = [load[..4].to_vec(), vec!["--config", &flights.files]].concat();
    assert!(fails(&none, 2).contains("there is no Kafka to load into"));
}

#[test]
fn a_table_is_loaded_with_its_deletes_and_unreadable_rows_are_reported() {
    let broker = Broker::shared();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    };
    let dataflow = write(
        "prices.toml",
        r#"
name = "prices"

[source.asks]
topic = "asks"
format = "json"
time = "at"
columns = { item = "string", x = { type = "float?", path = "in.x" }, at = "timestamp" }

[table.prices]
topic = "prices"
format = "json"
key = ["item"]
time = "at"
columns = { item = "string", price = "float?", at = "timestamp" }

[features.item]
from = "asks"
entity = "item"
aggregate = [{ of = "x", op = ["count", "sum"], windows = ["1d"] }]
"#,
    );
    write("asks.csv", "item,x,at\na,0.1,2020-01-01T00:00:01Z\nb,,2020-01-01T00:00:00.123Z\nc,1,never\n");
    write(
        "prices.jsonl",
        "{\"item\":\"a\",\"price\":-0.0,\"at\":1577836800000}\n{\"item\":\"a\",\"at\":1577836800500,\"_deleted\":true}\n",
    );
    let files = write("files.toml", "[topics.asks]\nfile = \"asks.csv\"\n[topics.prices]\nfile = \"prices.jsonl\"\n");
    let servers = format!("kafka.bootstrap.servers={}", broker.servers());
    let empty = write("empty.toml", "");
    let load = ["load", &dataflow, "--from", &files, "--config", &empty, "--set", &servers, "--partitions", "1"];
    let output = tidemill(&load);
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("asks: 1 rows could not be read; the first: record 2: at: \"never\" is not a time"),
        "{said}"
    );
    let asks = broker.read("asks", 2);
    assert_eq!(asks[0].value.as_deref(), Some(r#"{"item":"a","in":{"x":0.1},"at":"2020-01-01T00:00:01.000Z"}"#));
    assert_eq!((asks[0].key.as_deref(), asks[0].time), (None, 1_577_836_801_000));
    assert_eq!(asks[1].value.as_deref(), Some(r#"{"item":"b","in":{"x":null},"at":"2020-01-01T00:00:00.123Z"}"#));
    let prices: Vec<Sent> = broker.read("prices", 2);
    assert_eq!(prices[0].value.as_deref(), Some(r#"{"item":"a","price":-0.0,"at":"2020-01-01T00:00:00.000Z"}"#));
    assert_eq!(prices[0].key.as_deref(), Some(r#"{"item":"a"}"#));
    assert_eq!((prices[1].key.as_deref(), prices[1].value.as_deref()), (Some(r#"{"item":"a"}"#), None));
    assert_eq!(prices[1].time, 1_577_836_800_500);

    // The row that could not be read is mended and loaded; as long as it is at fault, nothing is.
    let letter = |at: &str| {
        format!(
            r#"{{"source":"asks","topic":"asks","partition":0,"offset":2,"format":"csv","header":"item,x,at","value":"c,1,{at}"}}"#
        )
    };
    let letters = write("letters.jsonl", &letter("never"));
    let mend = ["load", &dataflow, "--dead-letters", &letters, "--config", &empty, "--set", &servers];
    assert!(fails(&mend, 1).contains("letters.jsonl:1: at: \"never\" is not a time"));
    write("letters.jsonl", &letter("2020-01-02"));
    assert_eq!(succeeds(&mend), "asks: 1 records, of which 0 deletes\n");
    let mended = &broker.read("asks", 3)[2];
    assert_eq!(mended.value.as_deref(), Some(r#"{"item":"c","in":{"x":1.0},"at":"2020-01-02T00:00:00.000Z"}"#));

    // The same in CSV: columns in their declared order, the key as a record of the key columns.
    let text = std::fs::read_to_string(&dataflow).unwrap().replace("\"json\"", "\"csv\"");
    let dataflow = write(
        "csv.toml",
        &text
            .replace("= \"asks\"\nformat", "= \"asks.csv\"\nformat")
            .replace("= \"prices\"\nformat", "= \"prices.csv\"\nformat"),
    );
    let files = std::fs::read_to_string(&files).unwrap();
    let files = write(
        "csv_files.toml",
        &files.replace("topics.asks", "topics.\"asks.csv\"").replace("topics.prices", "topics.\"prices.csv\""),
    );
    succeeds(&["load", &dataflow, "--from", &files, "--config", &empty, "--set", &servers, "--partitions", "1"]);
    let asks = broker.read("asks.csv", 2);
    assert_eq!(asks[0].value.as_deref(), Some("a,0.1,2020-01-01T00:00:01.000Z"));
    assert_eq!(asks[1].value.as_deref(), Some("b,,2020-01-01T00:00:00.123Z"));
    let prices = broker.read("prices.csv", 2);
    assert_eq!(prices[0].value.as_deref(), Some("a,-0.0,2020-01-01T00:00:00.000Z"));
    assert_eq!((prices[1].key.as_deref(), prices[1].value.as_deref()), (Some("a"), None));
}
