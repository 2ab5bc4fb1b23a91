//! The Redis mirror of a run that restarts while the brokers are down.

use std::time::{Duration, Instant};

use tidemill::source::kafka::NewTopic;

use super::broker::{Broker, until};
use super::live::{DATAFLOW, clicks, start};
use crate::common::servers::Server;

#[test]
fn redis_never_shows_older_values_while_time_stands_still_or_the_brokers_are_down() {
    let (broker, server) = (Broker::stopped(), Server::redis());
    let mut redis = server.connection();
    broker.start();
    let topic = NewTopic { name: "clicks", partitions: 1, settings: &[] };
    assert!(topic.create(&broker.cluster(&[])).unwrap());
    // Of the clicks, ten close: those are what a checkpoint holds.
    let dataflow = DATAFLOW.replace("time = \"at\"", "time = \"at\"\nlateness = \"1h\"");
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "data_dir = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n[redis]\nurl = {:?}\n[checkpoint]\ninterval = \"100ms\"\n\
         [kafka]\n\"bootstrap.servers\" = {:?}\n",
        folder.path().join("var"),
        server.url(),
        broker.servers()
    );
    let mut count = move || -> Option<i64> {
        let asked = redis::cmd("HGET").arg("tidemill:live:user:u").arg("amount_count_30d").query(&mut redis);
        asked.expect("the server answers")
    };
    broker.write("clicks", 0, &clicks(-7200..-7190));
    broker.write("clicks", 0, &clicks(0..40));
    let run = start(folder.path(), &dataflow, &config);
    until("all of them", || count() == Some(50));
    run.stop();

    broker.kill();
    let run = start(folder.path(), &dataflow, &config);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_eq!(count(), Some(50), "a run that has found no partition yet writes nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
    broker.start();
    broker.write("clicks", 0, &clicks(40..45));
    until("what is new", || {
        let found = count();
        assert!(found >= Some(50), "{found:?}");
        found == Some(55)
    });
    run.stop();
}
