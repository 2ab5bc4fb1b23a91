//! Back pressure through the whole program: a topic that could run ahead of one that is silent does not.

use crate::broker::{Broker, Sent, until};
use crate::common::program::Run;
use crate::live::{START, start};

/// Counts the clicks of a topic that is full and of one that has little to say.
fn dataflow([full, quiet]: [&str; 2]) -> String {
    let mut dataflow = "name = \"live\"\n".to_owned();
    for (name, topic) in [("full", full), ("quiet", quiet)] {
        dataflow += &format!(
            "[source.{name}]\ntopic = \"{topic}\"\nformat = \"json\"\nkey = [\"user\"]\ntime = \"at\"\n\
             columns = {{ user = \"string\", at = \"timestamp\" }}\n\
             [features.of_{name}]\nfrom = \"{name}\"\nentity = \"user\"\n\
             aggregate = [{{ op = \"count\", windows = [\"30d\"] }}]\n"
        );
    }
    dataflow
}

/// A click of one of a hundred users, so many ms after the start.
fn click(ms: i64) -> Sent {
    Sent::value(format!(r#"{{"user":"u{}","at":{}}}"#, ms % 100, START + ms), START + ms)
}

/// Records read at a time by `src/flow/op/source.rs`.
const READ: f64 = 8192.0;

/// Reads `records` a partition of one topic while the other is silent.
fn bounded(max_in_flight: Option<u64>, partitions: u32, records: i64) {
    let broker = Broker::shared();
    let (full, quiet) = (broker.topic(partitions, &[]), broker.topic(1, &[]));
    let fill = |range: std::ops::Range<i64>| {
        for partition in 0..partitions {
            for some in range.clone().collect::<Vec<_>>().chunks(50_000) {
                let some: Vec<Sent> = some.iter().map(|ms| click(*ms)).collect();
                broker.write(&full, i32::try_from(partition).unwrap(), &some);
            }
        }
    };
    fill(0..records / 2);
    let mut said = 5;
    broker.write(&quiet, 0, &(0..said).map(click).collect::<Vec<_>>());
    let folder = tempfile::tempdir().unwrap();
    let set = max_in_flight.map_or_else(String::new, |most| format!("max_in_flight = {most}\n"));
    let config = format!(
        "data_dir = {:?}\nclock = \"stream\"\nidle_after = \"1h\"\n{set}[http]\nlisten = \"127.0.0.1:0\"\n\
         [kafka]\n\"bootstrap.servers\" = {:?}\n",
        folder.path().join("var"),
        broker.servers()
    );
    let run = start(folder.path(), &dataflow([&full, &quiet]), &config);

    let most = max_in_flight.unwrap_or(131_072) as f64;
    let labels: Vec<String> =
        (0..partitions).map(|partition| format!("partition=\"{partition}\",source=\"full\"")).collect();
    let in_flight = |run: &Run, labels: &str| {
        let found = run.metric("tidemill_source_in_flight_records", labels);
        assert!(found < most + READ, "{found} in flight, {most} are allowed");
        found
    };
    let of = |outcome: &str, labels: &str| {
        run.metric("tidemill_source_records_total", &format!("outcome=\"{outcome}\",{labels}"))
    };
    for labels in &labels {
        until("as many in flight as are allowed", || in_flight(&run, labels) >= most - 10.0);
    }
    // Records from now on are not fetched; the lag includes them all the same.
    fill(records / 2..records);
    // The silent topic says a word now and then: each time all partitions have had their chance to read on.
    for _ in 0..4 {
        broker.write(&quiet, 0, &[click(said)]);
        said += 1;
        until("a word", || {
            labels.iter().for_each(|labels| _ = in_flight(&run, labels));
            of("read", "partition=\"0\",source=\"quiet\"") == said as f64
        });
    }
    for labels in &labels {
        until("the lag is what is not read", || {
            run.metric("tidemill_source_lag_records", labels) + of("read", labels) == records as f64
        });
        assert!(of("read", labels) < most + READ + said as f64, "{}", of("read", labels));
        until("the ledger's sum", || of("read", labels) == of("applied", labels) + in_flight(&run, labels));
    }

    broker.write(&quiet, 0, &[click(records)]);
    for labels in &labels {
        // Records of the very last time are not closed, and in the features all the same.
        until("all is applied", || {
            in_flight(&run, labels);
            of("applied", labels) == (records - 1) as f64
        });
        until("one is in flight", || in_flight(&run, labels) == 1.0);
        assert_eq!((of("read", labels), of("late", labels)), (records as f64, 0.0));
        until("no lag", || run.metric("tidemill_source_lag_records", labels) == 0.0);
    }
    let count = i64::from(partitions) * records / 100;
    until("the count", || run.get("/features/of_full/u99").contains(&format!("\"count_30d\":{count}")));
    run.stop();
}

/// Reads a topic of 30,000 records, a ms apart, beside one that has but this one, with few allowed in flight.
fn goes_on(lateness: &str, idle_after: &str, other: Option<Sent>) {
    let broker = Broker::shared();
    let (full, quiet) = (broker.topic(1, &[]), broker.topic(1, &[]));
    let records = 30_000;
    broker.write(&full, 0, &(0..records).map(click).collect::<Vec<_>>());
    broker.write(&quiet, 0, &other.into_iter().collect::<Vec<_>>());
    let lateness = format!("topic = \"{quiet}\"\nlateness = \"{lateness}\"");
    let dataflow = dataflow([&full, &quiet]).replace(&format!("topic = \"{quiet}\""), &lateness);
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "data_dir = {:?}\nclock = \"stream\"\nidle_after = \"{idle_after}\"\nmax_in_flight = 500\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[kafka]\n\"bootstrap.servers\" = {:?}\n",
        folder.path().join("var"),
        broker.servers()
    );
    let run = start(folder.path(), &dataflow, &config);
    until("all is read", || run.metric("tidemill_source_records_total", "outcome=\"read\"") >= records as f64);
    let count = format!("\"count_30d\":{}", records / 100);
    until("all is shown", || run.get("/features/of_full/u99").contains(&count));
    run.stop();
}

#[test]
fn an_idle_topic_does_not_stop_the_reading_of_another() {
    goes_on("0s", "2s", None);
}

#[test]
fn a_topic_with_a_long_lateness_does_not_stop_the_reading_of_another() {
    goes_on("1h", "1h", Some(click(29_999)));
}

#[test]
fn a_topic_is_read_no_further_ahead_of_a_silent_one_than_max_in_flight() {
    bounded(Some(500), 2, 30_000);
}

#[test]
fn a_topic_is_read_no_further_ahead_of_a_silent_one_than_the_default_max_in_flight() {
    bounded(None, 1, 400_000);
}

#[test]
fn large_messages_are_read_ahead_by_their_bytes_and_larger_ones_are_refused() {
    let broker = Broker::shared();
    let (full, quiet) = (broker.topic(1, &[]), broker.topic(1, &[]));
    let large = |ms: i64, bytes: usize| {
        let user = "x".repeat(bytes);
        Sent::value(format!(r#"{{"user":"{user}","at":{}}}"#, START + ms), START + ms)
    };
    for ms in 0..60 {
        broker.write(&full, 0, &[large(ms, if ms == 30 { 950_000 } else { 900_000 })]);
    }
    broker.write(&quiet, 0, &[click(0)]);
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "data_dir = {:?}\nclock = \"stream\"\nidle_after = \"1h\"\nmax_in_flight_bytes = 4000000\n\
         max_record_bytes = 910000\n[http]\nlisten = \"127.0.0.1:0\"\n[kafka]\n\"bootstrap.servers\" = {:?}\n",
        folder.path().join("var"),
        broker.servers()
    );
    let run = start(folder.path(), &dataflow([&full, &quiet]), &config);
    let records = |outcome: &str| {
        let metrics = run.get("/metrics");
        let of_full = metrics.lines().filter(|line| line.contains("source=\"full\"") && line.contains(outcome));
        of_full.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>()
    };
    until("a batch", || records("outcome=\"read\"") > 0.0);
    for _ in 0..50 {
        // A batch has 8 MiB of text and one record more.
        assert!(records("outcome=\"read\"") <= 20.0, "more is in flight than 4 MB and a batch");
    }
    broker.write(&quiet, 0, &[click(1_000)]);
    until("all", || records("outcome=\"read\"") == 60.0 && records("outcome=\"dead_letter\"") == 1.0);
    run.stop();
}
