//! `tidemill features explain` of ops of one line that count different records: those of pairs leave out records without a
//! second value, those that sum leave out values that cannot be summed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use tidemill::time::parse_time;

const DATAFLOW: &str = r#"
name = "points"
[source.points]
topic = "points"
format = "json"
time = "at"
columns = { user = "string", x = "float?", n = "float?", at = "timestamp" }
[features.user]
from = "points"
entity = "user"
aggregate = [
  { of = "x", with = "n", op = ["sum", "covariance", "correlation", "skew", "last", "ewma('1h')"], windows = [
    "last 2", "last 5", { session = "1m" }, { session = "90s", max = "4m" }, { tumbling = "10m" }, "30m", "lifetime",
  ] },
]
"#;

const START: i64 = 1_704_067_200_000;

/// A value from which on a float cannot be summed.
const HUGE: f64 = 2e18;

/// A record of a user; its offset is its position among all.
struct Point {
    user: usize,
    x: Option<f64>,
    n: Option<f64>,
    at: i64,
}

impl Point {
    /// Returns whether an op counts it.
    fn is_counted(&self, op: &str) -> bool {
        let is_summable = |value: Option<f64>| value.is_some_and(|value| value < HUGE);
        match op {
            "covariance" | "correlation" => is_summable(self.x) && is_summable(self.n),
            "skew" | "ewma1h" => is_summable(self.x),
            "sum" | "last" => self.x.is_some(),
            other => panic!("{other}"),
        }
    }
}

/// A folder with the dataflow, a file of points and what a replay of it has written.
fn replayed(points: &[Point]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let number = |value: Option<f64>| value.map_or("null".to_owned(), |value| format!("{value:e}"));
    let mut text = String::new();
    for Point { user, x, n, at } in points {
        writeln!(text, r#"{{"user":"u{user}","x":{},"n":{},"at":{at}}}"#, number(*x), number(*n)).unwrap();
    }
    let config = "data_dir = \"var\"\n[topics.points]\nfile = \"points.jsonl\"\nmax_ahead = \"100d\"\n";
    for (name, text) in [("points.jsonl", text.as_str()), ("config.toml", config), ("points.toml", DATAFLOW)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let output = run(&folder, &["replay", "points.toml", "--out", "out"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

fn run(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.args(arguments).args(["--config", "config.toml"]).current_dir(folder.path()).output().unwrap()
}

/// The windows of an explanation of a user, each feature of which is as it was written before a time.
fn explained(folder: &TempDir, user: usize, before: i64) -> (i64, Vec<Value>) {
    let (user, before) = (format!("u{user}"), before.to_string());
    let arguments = ["features", "explain", "user", &user, "--dataflow", "points.toml"];
    let output = run(folder, &[&arguments[..], &["--replay", "out", "--as-of", &before, "--json"]].concat());
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{printed}", String::from_utf8_lossy(&output.stderr));
    let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
    (parse_time(explained["as_of"].as_str().unwrap()).unwrap(), explained["windows"].as_array().unwrap().clone())
}

fn offsets(window: &Value) -> Vec<usize> {
    let records = window["records"].as_array().unwrap();
    records.iter().map(|record| record["offset"].as_u64().unwrap() as usize).collect()
}

/// The window of an explanation that has a feature.
fn with_feature<'a>(windows: &'a [Value], feature: &str) -> &'a Value {
    windows.iter().find(|window| window["features"].get(feature).is_some()).expect(feature)
}

#[test]
fn a_covariance_is_of_the_records_with_both_values_and_a_sum_of_all() {
    let point = |x: f64, n: Option<f64>, seconds: i64| Point { user: 1, x: Some(x), n, at: START + seconds * 1_000 };
    let points = [point(1.0, Some(1.0), 0), point(2.0, Some(3.0), 10), point(9.0, None, 20), point(7.0, None, 70)];
    let folder = replayed(&points);
    let (_, windows) = explained(&folder, 1, START + 3_600_000);
    for (feature, value, records) in [
        ("x_covariance_last2", 1.0, &[0, 1][..]),
        ("x_correlation_last2", 1.0, &[0, 1]),
        ("x_sum_last2", 16.0, &[2, 3]),
        ("x_covariance_lifetime", 1.0, &[0, 1]),
        ("x_sum_lifetime", 19.0, &[0, 1, 2, 3]),
    ] {
        let window = with_feature(&windows, feature);
        assert_eq!(window["features"][feature]["value"], value, "{feature}");
        assert_eq!(offsets(window), records, "{feature}");
    }
}

#[test]
fn oracle_of_the_records_that_each_op_of_a_line_counts() {
    let mut state = 23u64;
    let mut next = |below: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as i64 % below
    };
    let mut at = START;
    let mut points = Vec::new();
    for _ in 0..300 {
        at += 1 + next(60_000);
        let mut value = |nulls: i64| match next(12) {
            draw if draw < nulls => None,
            11 => Some(HUGE),
            _ => Some(next(100) as f64 / 4.0),
        };
        let (x, n) = (value(3), value(4));
        points.push(Point { user: next(2) as usize, x, n, at });
    }
    let folder = replayed(&points);
    let mut apart = 0;
    for (user, minutes) in [(0, 20), (1, 55), (0, 100), (1, 131), (0, 200)] {
        let (as_of, windows) = explained(&folder, user, START + minutes * 60_000);
        let (mut features, mut described) = (0, BTreeSet::new());
        for window in &windows {
            described.insert(window["window"].as_str().unwrap());
            for name in window["features"].as_object().unwrap().keys() {
                features += 1;
                let (op, suffix) = name.strip_prefix("x_").unwrap().split_once('_').unwrap();
                let counted = points.iter().enumerate().filter(|(_, of)| of.user == user && of.at < as_of);
                let counted: Vec<usize> = counted.filter(|(_, of)| of.is_counted(op)).map(|(at, _)| at).collect();
                let expected = match suffix {
                    "last2" => &counted[counted.len().saturating_sub(2)..],
                    "last5" => &counted[counted.len().saturating_sub(5)..],
                    "lifetime" => &counted,
                    _ => continue,
                };
                assert_eq!(offsets(window), expected, "{name} of u{user} as of {as_of}");
            }
        }
        assert_eq!((features, described.len()), (42, 7), "{windows:?}");
        apart += windows.len() - described.len();
    }
    assert!(apart > 20, "ops of {apart} windows count other records than others");
}
