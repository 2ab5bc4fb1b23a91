//! Examples of a replay against answers of the endpoint over the same state: features and predictions have the same bits.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::engine::rows;
use crate::common::nested::{NESTED_INPUTS, nested_flights};
use tidemill::checkpoint::CheckpointCoordinator;
use tidemill::flow::Plan;
use tidemill::flow::build::JobEvent;
use tidemill::flow::op::learn::LearningReport;
use tidemill::metrics::Metrics;
use tidemill::registry::{LiveModels, Offsets, Publication};
use tidemill::run::config::Config;
use tidemill::run::job::{self, Control, JobOptions, OfflineLayout, PreparedJob};
use tidemill::serve::{self, DashboardConfig, Endpoint, Readiness, Service, ServiceConfig};
use tidemill::source::PlaybackSpeed;
use tidemill::time::parse_time;
use tidemill::value::Scalar;

const EXAMPLES: usize = 1000;

fn config(extra: &[&str]) -> Config {
    let overrides: Vec<String> = extra.iter().map(|text| (*text).to_owned()).collect();
    Config::load(Path::new("config/embedded.toml"), &overrides).expect("the shipped config is right")
}

fn plan(path: &Path) -> Arc<Plan> {
    Arc::new(Plan::new(Arc::new(tidemill::spec::load(path).expect("the file is right"))))
}

/// Sends one request and returns status and body.
fn post(addr: SocketAddr, body: &str) -> (u16, serde_json::Value) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = "POST /predict HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json";
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap())
}

#[test]
fn a_served_prediction_and_its_features_are_those_of_the_training_example() {
    compare(&plan(Path::new("dataflows/flights.toml")), "2013-01-20", EXAMPLES);
}

#[test]
fn served_lists_and_maps_are_those_of_the_training_example() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flights.toml");
    std::fs::write(&path, nested_flights()).unwrap();
    let plan = plan(&path);
    assert!(NESTED_INPUTS.iter().all(|(name, _)| plan.models[0].assembly.names().iter().any(|known| known == name)));
    compare(&plan, "2013-01-06", 300);
}

/// Compares examples of a replay up to a day with answers as of their times.
fn compare(plan: &Arc<Plan>, until: &str, wanted_examples: usize) {
    let folder = tempfile::tempdir().unwrap();
    let until = parse_time(until);

    // A replay, whose examples are the expectation.
    let wanted = JobOptions {
        live: Arc::default(),
        bounded: true,
        pace: PlaybackSpeed::Unlimited,
        from: None,
        until,
        online: None,
        since: None,
        journal: Vec::new(),
        offline: Some((folder.path(), OfflineLayout::SingleFile)),
        keep_unlabelled: false,
    };
    let PreparedJob { job: replay, events: _events, inputs: _replayed } =
        job::prepare(plan, &config(&[]), CheckpointCoordinator::fresh(), wanted).unwrap_or_else(|_| panic!("inputs"));
    let control = Arc::new(Control::default());
    control.until_end.store(true, std::sync::atomic::Ordering::SeqCst);
    job::start(&replay, 2, &Metrics::new("replay"), &control).join().unwrap().unwrap();
    for file in &replay.offline.as_ref().unwrap().examples {
        file.lock().unwrap().take().unwrap().finish().unwrap();
    }
    let examples = rows(&folder.path().join("examples/late.parquet"));
    let columns: Vec<String> = std::iter::once("_time".to_owned())
        .chain(plan.models[0].kept_columns().iter().map(|column| column.name().clone()))
        .collect();
    let step = examples.len() / wanted_examples;
    assert!(step > 0, "the replay has {} examples", examples.len());

    // A live job that is stepped to each example's time.
    let online = job::online_store(plan);
    let wanted = JobOptions {
        live: Arc::default(),
        bounded: true,
        pace: PlaybackSpeed::Manual,
        from: None,
        until,
        online: Some(online.clone()),
        since: None,
        journal: Vec::new(),
        offline: None,
        keep_unlabelled: false,
    };
    let PreparedJob { job: stepped, events, inputs: _inputs } =
        job::prepare(plan, &config(&[]), CheckpointCoordinator::fresh(), wanted).unwrap_or_else(|_| panic!("inputs"));
    let live = Arc::new(LiveModels::new(["late".to_owned()], 4));
    let metrics = Metrics::new("stepped");
    let service = Service::new(ServiceConfig {
        spec: &plan.spec,
        programs: vec![plan.program(0)],
        online: online.clone().into(),
        live: live.clone(),
        registry: None,
        metrics: metrics.clone(),
        readiness: Arc::new(Readiness::default()),
        dashboard: DashboardConfig::default(),
        explainer: None,
        logged_share: 0.0,
    });
    let endpoint = Endpoint {
        listen: "127.0.0.1:0".to_owned(),
        threads: 1,
        max_body_bytes: 1 << 20,
        max_total_body_bytes: 4 << 20,
        request_timeout: Duration::from_secs(10),
        max_connections: 16,
        max_connections_per_address: 16,
        allowed_hosts: Vec::new(),
        tokens: Vec::new(),
        tls: None,
    };
    let server = serve::start(&endpoint, &service).unwrap();
    let control = Arc::new(Control::default());
    let graph = job::start(&stepped, 1, &metrics, &control);

    let mut compared = 0;
    for example in examples.iter().step_by(step) {
        let row: BTreeMap<&str, &Scalar> = columns.iter().map(String::as_str).zip(example).collect();
        let Scalar::Timestamp(time) = *row["_time"] else { panic!("_time is a timestamp") };
        stepped.clock.step_to(time);
        let started = Instant::now();
        while online.watermark() < time {
            assert!(started.elapsed() < Duration::from_secs(30), "stuck at {} before {time}", online.watermark());
            std::thread::yield_now();
        }
        assert_eq!(online.watermark(), time, "the state is as of the example's time");
        for event in events.try_iter() {
            if let JobEvent::Learning(_, LearningReport::Version { version, .. }) = event {
                live.install(&Publication {
                    model: "late".into(),
                    version: *version,
                    offsets: Offsets::default(),
                    definition: String::new(),
                    wall_time: 0,
                });
            }
        }
        let schema = &plan.spec.sources[0].topic.schema;
        let instance: serde_json::Map<String, serde_json::Value> =
            schema.names().map(|name| (name.to_owned(), row[name].to_json())).collect();
        let body = serde_json::json!({ "instances": [instance], "features": true }).to_string();
        let (status, answer) = post(server.addr(), &body);
        if row["_version"].is_null() {
            assert_eq!(status, 503, "before the first version: {answer}");
            continue;
        }
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["version"], row["_version"].to_json());
        let served = answer["features"][0].as_object().unwrap();
        assert_eq!(served.len(), plan.models[0].assembly.names().len());
        for (name, value) in served {
            let trained = match row[name.as_str()] {
                Scalar::String(text) if value.is_array() || value.is_object() => serde_json::from_str(text).unwrap(),
                scalar => scalar.to_json(),
            };
            let same = match (value.as_f64(), trained.as_f64()) {
                (Some(a), Some(b)) => a.to_bits() == b.to_bits(),
                _ => *value == trained,
            };
            assert!(same, "{name} at {time}: served {value}, trained {trained}");
        }
        let Scalar::Float(score) = *row["_score"] else { panic!("a scored example has a score") };
        assert_eq!(answer["predictions"][0].as_f64().unwrap().to_bits(), score.to_bits(), "at {time}");
        compared += 1;
    }
    assert!(compared >= wanted_examples * 7 / 10, "{compared} examples were compared");
    control.stop();
    graph.join().unwrap().unwrap();
    server.drain();
}
