//! A real Prometheus scrapes a live run, and its series match what happened. `promtool` checks the metrics, and the config
//! and alert rules that are shipped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::servers::{Program, Server, eventually, free_ports, holds_in_time};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tidemill::serve::{FAMILIES, Role};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the body of a GET that is answered with 200.
fn get(address: SocketAddr, path: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    answer.starts_with(b"HTTP/1.0 200").then(|| answer.split_off(head + 4))
}

/// A run of the flights from the files that are shipped.
struct Live {
    address: SocketAddr,
    _program: Program,
    _folder: tempfile::TempDir,
}

impl Live {
    /// `speed` is the value of `play.speed`, and `further` are other config keys.
    fn start(speed: &str, further: &[String]) -> Live {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.current_dir(root()).args(["run", "dataflows/flights.toml", "--quiet"]);
        let sets = ["http.listen=127.0.0.1:0".to_owned(), format!("play.speed={speed}")];
        let home = format!("data_dir={}", folder.path().display());
        for set in sets.iter().chain([&home]).chain(further) {
            command.args(["--set", set]);
        }
        let mut program = Program::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let mut line = String::new();
        BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect("it says where it listens");
        Live { address: address.parse().unwrap(), _program: program, _folder: folder }
    }
}

/// A Prometheus server that scrapes one address.
struct Prometheus {
    address: SocketAddr,
    program: Program,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Prometheus {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        let alerts = root().join("config/prometheus/alerts.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\n\
             rule_files: [{alerts:?}]\n\
             scrape_configs: [{{ job_name: tidemill, static_configs: [{{ targets: [\"{target}\"] }}] }}]\n"
        );
        std::fs::write(&config, text).unwrap();
        let [port] = free_ports();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let program = Program::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let mut server = Prometheus { address, program, _folder: folder };
        eventually("prometheus is ready", || {
            assert!(!server.program.has_ended(), "prometheus ended");
            get(address, "/-/ready").is_some()
        });
        server
    }

    /// Waits until an expression has series and returns them. After a scrape that timed out there are none until the next.
    fn await_some(&self, expression: &str) -> Vec<(Value, f64)> {
        let mut found = Vec::new();
        eventually(expression, || {
            found = self.ask(expression);
            !found.is_empty()
        });
        found
    }

    /// Returns the present series of an expression: labels and value.
    fn ask(&self, expression: &str) -> Vec<(Value, f64)> {
        let query = utf8_percent_encode(expression, NON_ALPHANUMERIC);
        let body = get(self.address, &format!("/api/v1/query?query={query}"))
            .unwrap_or_else(|| panic!("{expression}: no answer"));
        let answer: Value = serde_json::from_slice(&body).unwrap();
        let series = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{expression}: {answer}")).iter();
        series.map(|one| (one["metric"].clone(), one["value"][1].as_str().unwrap().parse().unwrap())).collect()
    }

    /// Returns the value of the first series of an expression, if there is one.
    fn value(&self, expression: &str) -> Option<f64> {
        self.ask(expression).first().map(|(_, value)| *value)
    }
}

#[test]
fn the_series_of_prometheus_match_what_a_live_run_did() {
    let live = Live::start("max", &[]);
    let prometheus = Prometheus::start(live.address);
    eventually("a score of the champion", || {
        prometheus.value(r#"tidemill_model_score{model="late",metric="logloss",role="champion"}"#).is_some()
    });
    let ended =
        r#"sum(tidemill_source_in_flight_records) == 0 and sum(changes(tidemill_source_records_total[5s])) == 0"#;
    eventually("the end of the files", || prometheus.value(ended).is_some());

    // Every record that was read has an outcome or is in flight.
    let outcomes = "applied|filtered|duplicate|late|dead_letter";
    let read = prometheus.await_some(r#"tidemill_source_records_total{outcome="read"}"#);
    assert_eq!(read.len(), 3, "{read:?}");
    for (labels, read) in &read {
        let source = labels["source"].as_str().unwrap();
        let told = format!(
            r#"sum(tidemill_source_records_total{{source="{source}",outcome=~"{outcomes}"}}) + sum(tidemill_source_in_flight_records{{source="{source}"}})"#
        );
        assert!(*read > 1_000.0, "{source}: {read}");
        assert_eq!(prometheus.await_some(&told)[0].1, *read, "{source}");
    }

    for operator in ["source.schedule", "view.leaving", "features.airport", "model.late.learn"] {
        let idle = |metric: &str| {
            let count = &prometheus.await_some(&format!(r#"{metric}{{operator="{operator}"}}"#))[0].1;
            *count <= 0.0
        };
        assert!(!idle("tidemill_operator_busy_seconds_total"), "{operator}");
        let moved = !idle("tidemill_operator_records_in_total") || !idle("tidemill_operator_records_out_total");
        assert!(moved, "{operator}");
    }
    // The data start in January 2013.
    for (labels, watermark) in prometheus.await_some("tidemill_watermark_timestamp_seconds") {
        assert!((1.356e9..1.39e9).contains(&watermark), "{labels}: {watermark}");
    }
    let value = |expression: &str| prometheus.await_some(expression)[0].1;
    assert!(value(r#"tidemill_model_version{model="late",alias="champion"}"#) >= 1.0);
    assert!((0.0..1.0).contains(&value(r#"tidemill_model_score{metric="logloss",role="champion"}"#)));
    assert!(value(r#"tidemill_online_entities{group="airport"}"#) >= 1.0);
    assert_eq!(value("tidemill_ready"), 1.0);
    assert!(get(live.address, "/models").is_some());
    let asked = r#"tidemill_http_requests_total{route="/models",code="200"} == 1"#;
    eventually("the request", || prometheus.value(asked).is_some());
    // Months pass in seconds, in which the flights drift: that alert is right.
    let firing = prometheus.ask(r#"ALERTS{alertstate="firing",alertname!="TidemillModelDrift"}"#);
    assert!(firing.is_empty(), "{firing:?}");

    let metrics = get(live.address, "/metrics").expect("metrics");
    promtool(&["check", "metrics"], Path::new("."), &metrics);
}

/// The beginnings of metrics that a run on files does not have, since they are of topics of Kafka or of replicas.
const OF_OTHERS: [&str; 3] = ["tidemill_source_lag_records", "tidemill_feature_freshness_seconds", "tidemill_replica_"];

/// Returns the queries of the Grafana dashboard, with values in place of its variables.
fn queries_of_the_dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read(&root().join("config/grafana/tidemill.json"))).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let annotations = dashboard["annotations"]["list"].as_array().unwrap().iter();
    let queries = targets.chain(annotations).map(|target| target["expr"].as_str().unwrap());
    let filled = |query: &str| {
        let pairs = [("$instance", ".*"), ("$metric", "logloss"), ("$__rate_interval", "1m")];
        let query = pairs.iter().fold(query.to_owned(), |query, (variable, value)| query.replace(variable, value));
        assert!(!query.contains('$'), "{query}: a variable without a value");
        query
    };
    queries.map(filled).collect()
}

#[test]
fn every_query_of_the_grafana_dashboard_has_data() {
    let redis = Server::redis();
    // Versions are published for 80 seconds: Prometheus scrapes several of them, as it would those of a real stream.
    let sets = [format!("redis.url={}", redis.url()), "checkpoint.interval=2s".to_owned()];
    let live = Live::start("100000", &sets);
    let prometheus = Prometheus::start(live.address);
    let body =
        r#"{"instances":[{"carrier":"UA","dest":"IAH","distance":1400,"flight":1545,"origin":"EWR","tail":"N14228"}]}"#;
    let predict = || {
        let mut stream = TcpStream::connect(live.address).unwrap();
        let length = body.len();
        write!(stream, "POST /predict HTTP/1.0\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().next().is_some_and(|status| status.ends_with("200 OK"))
    };
    eventually("a champion", || prometheus.value(r#"tidemill_model_version{model="late",alias="champion"}"#).is_some());
    eventually("a prediction", predict);
    let queries = queries_of_the_dashboard();
    assert!(queries.len() > 20, "{}", queries.len());
    // A value that is no number, as a quantile of no requests, is no data either. A rate needs requests all the time.
    let has_data = |query: &str| predict() && prometheus.ask(query).iter().any(|(_, value)| value.is_finite());
    let (of_others, mut without_data): (Vec<String>, Vec<String>) =
        queries.into_iter().partition(|query| OF_OTHERS.iter().any(|metric| query.contains(metric)));
    // A query about the newest minute may have data for a while only, so no query waits for another.
    let all_have = holds_in_time(|| {
        without_data.retain(|query| !has_data(query));
        without_data.is_empty()
    });
    assert!(all_have, "no data within a minute: {without_data:?}");
    for query in of_others {
        assert!(!has_data(&query), "{query}: a run on files has no such metric");
    }
}

#[test]
fn alert_rules_use_existing_metrics() {
    let rules = ["config/prometheus/alerts.yml", "config/grafana/tidemill.json"];
    let rules = rules.map(|path| read(&root().join(path))).concat();
    for word in rules.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
        let Some(metric) = word.strip_prefix("tidemill_") else { continue };
        let base = metric.trim_end_matches("_bucket");
        let known = tidemill::metrics::NAMES.iter().any(|name| name.name.strip_prefix("tidemill_") == Some(base));
        assert!(known, "there is no metric {word}");
    }
}

#[test]
fn the_shipped_config_is_valid_and_every_alert_fires_when_it_should() {
    let folder = root().join("config/prometheus");
    promtool(&["check", "config", "prometheus.yml"], &folder, b"");
    promtool(&["test", "rules", "alerts_test.yml"], &folder, b"");
    let (rules, tests) = ["alerts.yml", "alerts_test.yml"].map(|name| read(&folder.join(name))).into();
    let operations = read(&root().join("docs/operations.md"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        for what in ["fires", "does not"] {
            assert!(tests.contains(&format!("- name: {alert} {what}\n")), "no test where {alert} {what}");
        }
        assert!(operations.contains(&format!("| `{alert}` | ")), "docs/operations.md: no row for {alert}");
    }
}

/// Returns a test of promtool in which one route alone has requests: `series` of it, and whether an alert is then expected.
fn alert_test(alert: &str, series: &[String], expected: &str) -> String {
    let series: String =
        series.iter().map(|name| format!("  - {{ series: '{name}', values: '0+100x30' }}\n")).collect();
    format!(
        "- interval: 1m\n  input_series:\n{series}  alert_rule_test:\n  - eval_time: 20m\n    alertname: {alert}\n    exp_alerts: {expected}\n"
    )
}

#[test]
fn probes_of_every_protocol_raise_no_alert_and_slow_predictions_of_every_protocol_do() {
    let mut tests = String::new();
    let mut routes: Vec<(&str, bool)> = Vec::new();
    for route in FAMILIES.iter().flat_map(|family| family.routes) {
        let is_probe = route.role == Role::Open || route.pattern.ends_with("/ready");
        let is_inference = route.role == Role::Predict && route.method == "POST" && route.pattern != "/recommend";
        if is_probe || is_inference {
            routes.push((route.pattern, is_inference));
        }
    }
    // TensorFlow Serving and KServe ask for the status of a model.
    routes.push(("/v1/models/{model}", false));
    for family in ["/health/ready", "/v2/health/ready", "/ping", "/v2/models/{model}/ready"] {
        assert!(routes.contains(&(family, false)), "{family}");
    }
    for (route, is_inference) in routes {
        let code =
            |code: u16| format!(r#"tidemill_http_requests_total{{instance="a:1",route="{route}",code="{code}"}}"#);
        let labels = "severity: critical, instance: \"a:1\"";
        let summary = "exp_annotations: { summary: \"50% of requests to a:1 fail\" }";
        let fires = format!("[{{ exp_labels: {{ {labels} }}, {summary} }}]");
        let errors = if is_inference { &fires } else { "[]" };
        tests += &alert_test("TidemillHttpErrors", &[code(200), code(503)], errors);
        let bucket = |le: &str| {
            format!(r#"tidemill_http_request_duration_seconds_bucket{{instance="a:1",route="{route}",le="{le}"}}"#)
        };
        let summary = "exp_annotations: { summary: \"the 99th percentile of prediction latency is 199ms\" }";
        let fires = format!("[{{ exp_labels: {{ severity: warning, instance: \"a:1\" }}, {summary} }}]");
        let slow = if is_inference { &fires } else { "[]" };
        let none = alert_test("TidemillSlowPredictions", &[bucket("0.2"), bucket("+Inf")], slow);
        let zero = format!("  - {{ series: '{}', values: '0x30' }}\n", bucket("0.1"));
        tests += &none.replacen("input_series:\n", &format!("input_series:\n{zero}"), 1);
    }
    let folder = tempfile::tempdir().unwrap();
    let rules = root().join("config/prometheus/alerts.yml");
    let file = format!("rule_files: [{rules:?}]\nevaluation_interval: 1m\ntests:\n{tests}");
    std::fs::write(folder.path().join("routes.yml"), file).unwrap();
    promtool(&["test", "rules", "routes.yml"], folder.path(), b"");
}

#[test]
fn counters_of_rare_events_are_exported_before_the_first_one() {
    let live = Live::start("max", &[]);
    let metrics = String::from_utf8(get(live.address, "/metrics").expect("metrics")).unwrap();
    for series in [
        r#"tidemill_model_rollbacks_total{model="late"}"#,
        r#"tidemill_model_drift_total{model="late"}"#,
        "tidemill_checkpoint_failures_total",
    ] {
        let value = metrics.lines().find_map(|line| line.strip_prefix(series));
        assert_eq!(value, Some(" 0"), "{series}");
    }
}

fn read(path: &PathBuf) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs promtool on an input; it must succeed.
fn promtool(arguments: &[&str], folder: &Path, input: &[u8]) {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("promtool: {error}; tests/setup installs it"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {arguments:?}:\n{}", String::from_utf8_lossy(&said));
}
