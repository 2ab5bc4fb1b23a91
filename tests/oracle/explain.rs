//! `tidemill features`: the records that a feature is of, against a list made from all records, and its value against
//! what a job serves and a replay has written.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tidemill::time::format_time;

use crate::common::program::Run;

const DATAFLOW: &str = r#"
name = "shops"
[source.sales]
topic = "sales"
format = "json"
key = "id"
time = "at"
lateness = "1m"
columns = { id = "string", item = "int", price = "float", at = "timestamp" }
[source.refunds]
topic = "refunds"
format = "json"
key = "id"
time = "at"
where = "value > 0"
columns = { id = "string", shop = "string", value = "float", at = "timestamp" }
[table.items]
topic = "items"
format = "json"
key = "item"
time = "at"
columns = { item = "int", shop = "string?", at = "timestamp" }
[view.sold]
sql = "SELECT s.id, s.price, i.shop, s.at FROM sales s JOIN items i ON i.item = s.item WHERE s.price < 90"
[view.moved]
sql = """
SELECT id, price AS amount, shop, at FROM sold
UNION ALL
SELECT r.id, -r.value, r.shop, r.at FROM refunds r
"""
[features.shop]
from = "moved"
entity = "shop"
aggregate = [
  { of = "amount", op = ["sum", "mean", "last_k(3)", "max", "stddev"], windows = ["1h", "1d"], where = "amount > -50" },
  { op = ["count", "time_since_last"], windows = ["1h", "lifetime"] },
  { expr = "amount_sum_1h / amount_sum_1d + time_since_last_lifetime", as = "trend" },
]
[features.turns]
from = "moved"
entity = "shop"
aggregate = [
  { of = "amount", op = ["sum", "count", "last", "max"], windows = [
    { tumbling = "2h" }, { cumulative = "6h", offset = "-1h" }, { session = "40m", max = "3h" }, "last 7",
  ] },
  { of = "amount", op = ["sum", "max"], windows = [{ series = 4, step = "3h" }] },
  { of = "amount", op = ["sum", "last", "time_since_last"], lag = "2h", windows = [
    "3h", { tumbling = "1h" }, { cumulative = "1d" }, { session = "30m" }, "last 3",
  ] },
]
[features.sale]
from = "sales"
entity = ["item", "id"]
aggregate = [{ of = "price", op = "last", windows = ["1h"] }]
"#;

const HOUR: i64 = 3_600_000;
const START: i64 = 1_704_067_200_000;

/// A record of the group's stream.
#[derive(Clone, Debug)]
struct Moved {
    source: &'static str,
    offset: usize,
    time: i64,
    effective: i64,
    shop: String,
    amount: i64,
}

/// A folder with the dataflow, its files and a config, and the records of the group's stream.
struct Shops {
    folder: TempDir,
    moved: Vec<Moved>,
    newest: i64,
}

impl Shops {
    /// Random records of two days, some of them late.
    fn new(seed: u64) -> Shops {
        let mut state = seed;
        let mut next = |below: i64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as i64 % below
        };
        let folder = tempfile::tempdir().unwrap();
        let (mut moved, mut newest) = (Vec::new(), i64::MIN);

        // Each item is at a shop, moves to others, and is away at times.
        let mut items = String::new();
        let mut rows: Vec<(i64, i64, Option<String>)> = Vec::new();
        let mut at = START - 10;
        for step in 0..120 {
            let item = if step < 6 { step } else { next(6) };
            at += if step < 6 { 1 } else { next(HOUR) };
            let shop = (step < 6 || next(5) > 0).then(|| format!("s {}", next(4)));
            let text = shop.as_ref().map_or("null".to_owned(), |shop| format!("{shop:?}"));
            writeln!(items, r#"{{"item":{item},"shop":{text},"at":{at},"_deleted":{}}}"#, shop.is_none()).unwrap();
            rows.push((at, item, shop));
        }
        newest = newest.max(at);

        let (mut sales, mut most, mut at) = (String::new(), i64::MIN, START);
        for offset in 0..400 {
            at += if next(4) == 0 { next(HOUR) } else { next(20_000) };
            let time = at - next(3) * next(90_000);
            let (item, price) = (next(7), next(100));
            writeln!(sales, r#"{{"id":"{}","item":{item},"price":{price},"at":{time}}}"#, next(50)).unwrap();
            let watermark = most.saturating_sub(60_000);
            let effective = time.max(watermark);
            most = most.max(time);
            newest = newest.max(effective);
            let row = rows.iter().rfind(|(since, of, _)| *of == item && *since < effective);
            if let (Some((_, _, Some(shop))), true) = (row, price < 90) {
                moved.push(Moved { source: "sales", offset, time, effective, shop: shop.clone(), amount: price });
            }
        }
        let (mut refunds, mut at) = (String::new(), START + HOUR);
        for offset in 0..80 {
            at += next(HOUR);
            let (shop, value) = (format!("s {}", next(4)), next(70));
            writeln!(refunds, r#"{{"id":"{offset}","shop":{shop:?},"value":{value},"at":{at}}}"#).unwrap();
            newest = newest.max(at);
            if value > 0 {
                moved.push(Moved { source: "refunds", offset, time: at, effective: at, shop, amount: -value });
            }
        }

        let mut config = "data_dir = \"var\"\n".to_owned();
        for (topic, text) in [("sales", sales), ("refunds", refunds), ("items", items)] {
            fs::write(folder.path().join(format!("{topic}.jsonl")), text).unwrap();
            config += &format!("[topics.{topic}]\nfile = \"{topic}.jsonl\"\nmax_ahead = \"100d\"\n");
        }
        fs::write(folder.path().join("config.toml"), config).unwrap();
        fs::write(folder.path().join("shops.toml"), DATAFLOW).unwrap();
        Shops { folder, moved, newest }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.args(arguments).args(["--config", "config.toml"]).current_dir(self.folder.path());
        command
    }

    fn explain(&self, entity: &[&str], flags: &[&str]) -> Output {
        let mut arguments = vec!["features", "explain"];
        arguments.extend(entity);
        arguments.extend(["--dataflow", "shops.toml"]);
        arguments.extend(flags);
        self.command(&arguments).output().unwrap()
    }

    /// The explanation as JSON; every feature that was served is equal.
    fn explained(&self, entity: &[&str], flags: &[&str]) -> Value {
        let output = self.explain(entity, &[flags, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{entity:?} {flags:?}: {said}\n{}", String::from_utf8_lossy(&output.stdout));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The records of a shop in a window as of a time, by source and offset, among those that `arrived`.
    fn members(
        &self,
        shop: &str,
        window: Option<[i64; 2]>,
        as_of: i64,
        kept: impl Fn(&Moved) -> bool,
    ) -> Vec<(String, u64)> {
        let since = window.map_or(i64::MIN, |[size, hop]| (as_of - size).div_euclid(hop) * hop);
        let is_in = |of: &&Moved| of.shop == shop && of.time >= since && kept(of);
        let mut members: Vec<_> =
            self.moved.iter().filter(is_in).map(|of| (of.source.to_owned(), of.offset as u64)).collect();
        members.sort();
        members
    }

    /// Compares the records of an explanation, and the sums and counts of them, with those of a moment: windows begin as
    /// of `edge`, and records that take effect before `end` have arrived.
    fn check(&self, explained: &Value, shop: &str, edge: i64, end: i64) {
        let windows = explained["windows"].as_array().unwrap();
        assert_eq!(windows.len(), 4, "{explained}");
        let expected: [(&str, Option<[i64; 2]>, &str, bool); 4] = [
            ("the last 1h", Some([HOUR, 60_000]), "amount_sum_1h", true),
            ("the last 1d", Some([24 * HOUR, HOUR]), "amount_sum_1d", true),
            ("the last 1h", Some([HOUR, 60_000]), "count_1h", false),
            ("", None, "count_lifetime", false),
        ];
        for (found, (named, window, feature, summed)) in windows.iter().zip(expected) {
            assert!(found["window"].as_str().unwrap().starts_with(named), "{found}");
            let kept = |of: &Moved| of.effective < end && (!summed || of.amount > -50);
            let members = self.members(shop, window, edge, kept);
            let records = found["records"].as_array().unwrap();
            let mut listed: Vec<(String, u64)> = records
                .iter()
                .map(|of| (of["source"].as_str().unwrap().to_owned(), of["offset"].as_u64().unwrap()))
                .collect();
            listed.sort();
            assert_eq!(listed, members, "{shop} {feature} as of {}", format_time(edge));
            let of_member = |(source, offset): &(String, u64)| {
                self.moved.iter().find(|of| of.source == source && of.offset as u64 == *offset).unwrap()
            };
            for record in records {
                let key = (record["source"].as_str().unwrap().to_owned(), record["offset"].as_u64().unwrap());
                let of = of_member(&key);
                assert_eq!(record["time"], format_time(of.time));
                assert_eq!(record["effective"], format_time(of.effective));
                assert_eq!(record["partition"], 0);
                if summed {
                    assert_eq!(record["value"].as_f64(), Some(of.amount as f64));
                }
            }
            let value = &found["features"][feature]["value"];
            match summed {
                true if members.is_empty() => assert!(value.is_null()),
                true => {
                    let sum: i64 = members.iter().map(|key| of_member(key).amount).sum();
                    assert_eq!(value.as_f64(), Some(sum as f64), "{found}");
                }
                false => assert_eq!(value.as_u64(), Some(members.len() as u64)),
            }
        }
    }
}

fn shops() -> [&'static str; 4] {
    ["s 0", "s 1", "s 2", "s 3"]
}

#[test]
fn oracle_of_the_records_of_features_as_of_any_time() {
    let shops_of = Shops::new(7);
    for (shop, hours) in shops().into_iter().zip([3, 11, 26, 60]) {
        let as_of = START + hours * HOUR + 1_234;
        let explained = shops_of.explained(&["shop", shop], &["--as-of", &as_of.to_string()]);
        assert_eq!(explained["as_of"], format_time(as_of));
        shops_of.check(&explained, shop, as_of, as_of);
    }
    let latest = shops_of.explained(&["shop", "s 0"], &["--as-of", "latest"]);
    shops_of.check(&latest, "s 0", shops_of.newest + 1, shops_of.newest + 1);
    let newest = format_time(shops_of.newest);
    for (shop, as_of, named) in
        [("nowhere", newest.as_str(), newest.as_str()), ("s 0", "earliest", "1900-01-01T00:00:00.000Z")]
    {
        let output = shops_of.explain(&["shop", shop], &["--as-of", as_of]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{said}");
        assert!(
            said.contains(&format!("shop has no entity {shop} as of {named}: it has no record before then")),
            "{said}"
        );
    }
    let late = shops_of.moved.iter().filter(|of| of.effective > of.time).count();
    assert!(late > 5, "{late} records are late");
}

#[test]
fn a_feature_is_recomputed_to_what_a_replay_has_written() {
    let shops_of = Shops::new(11);
    let replayed = shops_of.command(&["replay", "shops.toml", "--out", "out", "--workers", "2"]).output().unwrap();
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    for shop in shops() {
        for before in [None, Some(START + 20 * HOUR), Some(START + 40 * HOUR)] {
            let text = before.map(|before| before.to_string());
            let mut flags = vec!["--replay", "out"];
            text.iter().for_each(|text| flags.extend(["--as-of", text]));
            let explained = shops_of.explained(&["shop", shop], &flags);
            let newest = shops_of.moved.iter().filter(|of| of.shop == shop);
            let newest = newest.map(|of| of.effective).filter(|time| before.is_none_or(|before| *time < before)).max();
            shops_of.check(&explained, shop, newest.unwrap() + 1, newest.unwrap() + 1);
            let features =
                explained["windows"].as_array().unwrap().iter().flat_map(|of| of["features"].as_object().unwrap());
            let features: BTreeMap<&String, &Value> = features.collect();
            assert!(features.len() == 14 && features.values().all(|of| of["equal"] == true), "{features:?}");
            assert_eq!(explained["derived"]["trend"]["equal"], true, "{explained}");
        }
    }
    // A value that is not that of the records is told.
    let text = fs::read_to_string(shops_of.folder.path().join("sales.jsonl")).unwrap();
    let changed = text.replace("\"price\":7,", "\"price\":8,").replace("\"price\":17,", "\"price\":8,");
    fs::write(shops_of.folder.path().join("sales.jsonl"), changed).unwrap();
    let outputs = shops().map(|shop| shops_of.explain(&["shop", shop], &["--replay", "out"]));
    let differing = outputs.iter().find(|output| !output.status.success()).expect("a shop has such a sale");
    assert_eq!(differing.status.code(), Some(1));
    let (said, printed) = (String::from_utf8_lossy(&differing.stderr), String::from_utf8_lossy(&differing.stdout));
    assert!(said.contains("differ from what is written"), "{said}");
    assert!(printed.contains(", but ") && printed.contains(" written"), "{printed}");
}

/// Returns the features of an explanation that are not equal to what was served.
fn unequal(explained: &Value, all: usize) -> Vec<String> {
    let windows = explained["windows"].as_array().unwrap();
    let features: Vec<_> = windows.iter().flat_map(|of| of["features"].as_object().unwrap()).collect();
    assert_eq!(features.len(), all, "{explained}");
    features.iter().filter(|(_, of)| of["equal"] != true).map(|(name, of)| format!("{name}: {of}")).collect()
}

#[test]
fn features_in_every_kind_of_window_are_recomputed_to_what_was_written_and_is_served() {
    let shops_of = Shops::new(17);
    let replayed = shops_of.command(&["replay", "shops.toml", "--out", "out"]).output().unwrap();
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    let mut found = 0;
    for shop in shops() {
        for before in [9, 20, 33].map(|hours| (START + hours * HOUR).to_string()) {
            let explained = shops_of.explained(&["turns", shop], &["--replay", "out", "--as-of", &before]);
            assert_eq!(unequal(&explained, 33), [] as [String; 0], "{shop} before {before}");
            let windows = explained["windows"].as_array().unwrap().iter();
            found += windows.filter(|of| !of["records"].as_array().unwrap().is_empty()).count();
        }
    }
    assert!(found > 60, "{found} windows have records");
    let (job, url) = serving(&shops_of, shops_of.newest + 1);
    for shop in shops() {
        let explained = shops_of.explained(&["turns", shop], &["--url", &url]);
        assert_eq!(unequal(&explained, 33), [] as [String; 0], "{shop} as served");
    }
    job.stop();
}

/// Starts a job, and waits until it serves a vector as of this watermark.
fn serving(shops_of: &Shops, watermark: i64) -> (Run, String) {
    let mut command = shops_of.command(&["run", "shops.toml", "--set", "http.listen=127.0.0.1:0"]);
    let job = Run::start(&mut command);
    let url = format!("http://{}", job.connect().peer_addr().unwrap());
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = job.get("/features/shop/s%200");
        if answer.starts_with("HTTP/1.1 200") && answer.contains(&format_time(watermark)) {
            return (job, url);
        }
        assert!(Instant::now() < patience, "{answer}");
        std::thread::yield_now();
    }
}

#[test]
fn a_feature_is_recomputed_to_what_a_job_serves() {
    let shops_of = Shops::new(13);
    let (job, url) = serving(&shops_of, shops_of.newest + 1);
    for shop in shops() {
        let explained = shops_of.explained(&["shop", shop], &["--url", &url]);
        shops_of.check(&explained, shop, shops_of.newest + 1, shops_of.newest + 1);
        let output = shops_of.command(&["features", "get", "shop", shop, "--url", &url, "--json"]).output().unwrap();
        let got: Value = serde_json::from_slice(&output.stdout).unwrap();
        let trend = &explained["derived"]["trend"];
        assert_eq!((&trend["equal"], &trend["served"]), (&Value::Bool(true), &got["features"]["trend"]), "{shop}");
        let of = |name: &str| got["features"][name].as_f64();
        let ratio = of("amount_sum_1h").zip(of("amount_sum_1d")).map(|(hour, day)| hour / day);
        let expected = ratio.filter(|ratio| ratio.is_finite()).zip(of("time_since_last_lifetime"));
        let expected = expected.map(|(ratio, seconds)| ratio + seconds);
        // Reading a float's text may be off by its last bit.
        let is_near = |(one, other): (f64, f64)| (one - other).abs() <= 1e-12 * one.abs();
        assert_eq!(trend["value"].is_null(), expected.is_none(), "{shop}");
        assert!(trend["value"].as_f64().zip(expected).is_none_or(is_near), "{shop}: {trend}");
        for window in explained["windows"].as_array().unwrap() {
            for (name, of) in window["features"].as_object().unwrap() {
                assert_eq!((&of["equal"], &of["served"]), (&Value::Bool(true), &got["features"][name]), "{name}");
            }
        }
    }
    let output = shops_of.command(&["features", "get", "shop", "s 1", "--url", &url]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.lines().any(|line| line.starts_with("amount_last3_1h  ")), "{printed}");
    let last = printed.lines().last().unwrap();
    assert!(last.starts_with("watermark ") && last.ends_with(&format_time(shops_of.newest + 1)), "{printed}");
    let one = shops_of.explain(&["shop", "s 1"], &["--url", &url, "--feature", "count_1h"]);
    let printed = String::from_utf8(one.stdout).unwrap();
    assert!(
        printed.starts_with(&format!("shop s 1 as of {}\n\nrecords, the last 1h: ", format_time(shops_of.newest + 1)))
    );
    assert!(printed.contains("\n  count_1h = ") && !printed.contains("time_since_last"), "{printed}");
    job.stop();
}

#[test]
fn a_job_explains_its_features_itself_as_the_command_does_from_the_topics() {
    let shops_of = Shops::new(23);
    let (job, url) = serving(&shops_of, shops_of.newest + 1);
    let asked = |arguments: &[&str], flags: &[&str]| {
        let output = shops_of.command(&[&["features", "explain"], arguments, flags].concat()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?} {flags:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let (by_job, by_command) = (["--url", url.as_str()], ["--dataflow", "shops.toml"]);
    let compared = [by_command, by_job].concat();
    for group in ["shop", "turns"] {
        for (shop, hours) in shops().into_iter().zip([3, 11, 26, 60]) {
            for json in [&["--json"][..], &[]] {
                let of = [&[group, shop], json].concat();
                assert_eq!(asked(&of, &by_job), asked(&of, &compared), "{of:?}");
                let as_of = (START + hours * HOUR + 1_234).to_string();
                let of = [&of[..], &["--as-of", &as_of]].concat();
                assert_eq!(asked(&of, &by_job), asked(&of, &by_command), "{of:?}");
            }
        }
    }
    let of = ["shop", "s 0", "--feature", "count_1h", "--feature", "trend", "--json"];
    let one = asked(&of, &by_job);
    assert_eq!(one, asked(&of, &compared));
    let one: Value = serde_json::from_str(&one).unwrap();
    assert!(one["derived"]["trend"]["equal"] == true && !one["windows"].as_array().unwrap().is_empty(), "{one}");

    // Of too many records, the newest are listed, and the value is of all.
    let answer = |path: &str| {
        let answer = job.get(path);
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (answer[9..12].to_owned(), serde_json::from_str::<Value>(body).unwrap())
    };
    let path = "/explain/shop/s%200?feature=count_lifetime";
    let ((_, all), (_, few)) = (answer(path), answer(&format!("{path}&most=3")));
    let (all, few) = (&all["windows"][0], &few["windows"][0]);
    let records = all["records"].as_array().unwrap();
    assert_eq!(few["records"].as_array().unwrap(), &records[records.len() - 3..]);
    assert_eq!((all.get("not_listed"), &few["not_listed"]), (None, &Value::from(records.len() - 3)));
    assert_eq!(
        (&few["features"], few["features"]["count_lifetime"]["equal"].as_bool()),
        (&all["features"], Some(true))
    );

    // A time before all records, and a source that is gone.
    let (status, body) = answer("/explain/shop/s%200?as_of=2024-01-01");
    assert!(status == "404" && body["error"].as_str().unwrap().starts_with("shop has no entity s 0 as of"), "{body}");
    fs::rename(shops_of.folder.path().join("items.jsonl"), shops_of.folder.path().join("gone")).unwrap();
    let (status, body) = answer("/explain/shop/s%200");
    assert!(status == "503" && body["error"].as_str().unwrap().contains("[topics.items]"), "{body}");
    let output = shops_of.command(&["features", "explain", "shop", "s 0", "--url", &url]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("the job answers: the sources cannot be read"), "{said}");
    let unknown = ["features", "explain", "shop", "s 0", "--feature", "cuont", "--url", &url];
    let said = String::from_utf8_lossy(&shops_of.command(&unknown).output().unwrap().stderr).into_owned();
    assert!(said.contains("group shop has no feature cuont"), "{said}");
    job.stop();
}

#[test]
fn a_feature_that_cannot_be_explained_is_refused_with_the_expected_form() {
    let shops_of = Shops::new(19);
    let said = |entity: &[&str], flags: &[&str]| {
        let output = shops_of.explain(entity, flags);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let at = ["--as-of", "2024-01-02"];
    for (entity, flags, code, text) in [
        (&["shpo", "a"][..], &at[..], 2, "error: the dataflow has no feature group \"shpo\"; did you mean shop?"),
        (&["sale", "1"], &at, 2, "error: group sale has the entity item, id; found 1 values"),
        (&["sale", "x", "1"], &at, 2, "error: item: expected int, found \"x\""),
        (
            &["shop", "a"],
            &["--as-of", "2024-01-02", "--feature", "count_2h"],
            2,
            "error: --feature: shop has no feature \"count_2h\"; did you mean count_1h?",
        ),
        (
            &["shop", "a"],
            &["--url", "ftp://x"],
            2,
            "error: --url: \"ftp://x\" is not a valid URL; expected http://HOST:PORT",
        ),
        (
            &["shop", "a"],
            &["--url", "http://127.0.0.1:1"],
            1,
            "error: http://127.0.0.1:1/features/shop/a cannot be read; does the job run, and is --url right?",
        ),
        (
            &["shop", "a"],
            &["--as-of", "2024-01-02", "--url", "http://127.0.0.1:1"],
            2,
            "error: with --dataflow and --as-of no job is asked; expected no --url, --token-file or --ca-file",
        ),
        (&["shop", "a"], &["--replay", "nowhere"], 1, "error: nowhere/features/shop.parquet: cannot be read"),
    ] {
        let (found, stderr) = said(entity, flags);
        assert!(found == code && stderr.starts_with(text), "{entity:?} {flags:?}: {found} {stderr}");
    }
}

#[test]
fn a_group_whose_records_look_another_up_is_refused() {
    let shops_of = Shops::new(19);
    let more = r#"
[view.compared]
sql = "SELECT s.id, s.shop, s.price / g.amount_mean_1h AS relative FROM sold s LEFT JOIN shop g ON g.shop = s.shop"
[features.rated]
from = "compared"
entity = "shop"
aggregate = [{ of = "relative", op = "max", windows = ["1d"] }]
"#;
    fs::write(shops_of.folder.path().join("shops.toml"), format!("{DATAFLOW}{more}")).unwrap();
    let output = shops_of.explain(&["rated", "a"], &["--as-of", "2024-01-02"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.starts_with("error: rated is of 'compared', whose records have features of shop as of their times"),
        "{said}"
    );
    // The group that is looked up can be explained as ever.
    assert!(shops_of.explain(&["shop", "s 0"], &["--as-of", "latest"]).status.success());
}
