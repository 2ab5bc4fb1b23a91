//! Replicas: the bytes of the run's answers, whatever becomes of the run, of Redis or of the dataflow file.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tidemill::time::parse_time;

use crate::common::clicks;
use crate::common::program::Run;
#[cfg(feature = "grpc")]
use crate::common::servers::free_ports;
use crate::common::servers::{Server, eventually};
use crate::common::shop::{Answer, Client};
use crate::market;
#[cfg(feature = "grpc")]
use crate::protocols;

/// A run of a dataflow, and what its replicas are started with.
struct Mill<'a> {
    folder: &'a Path,
    file: &'a str,
    config: &'a str,
    redis: &'a Server,
}

impl Mill<'_> {
    fn command(&self, verb: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.args([verb, self.file, "--config", self.config]).current_dir(self.folder);
        command.arg("--set").arg(format!("redis.url={}", self.redis.url()));
        more.iter().for_each(|change| _ = command.args(["--set", change]));
        command
    }

    fn run(&self, more: &[&str]) -> Run {
        Run::start(&mut self.command("run", more))
    }

    fn replica(&self, more: &[&str]) -> Run {
        Run::start(&mut self.command("serve", more))
    }
}

fn client(run: &Run) -> Client {
    Client::from(run.connect())
}

fn market(folder: &Path) -> (&'static str, &'static str) {
    market::write(folder);
    ("market.toml", "market.config.toml")
}

fn is_ready(run: &Run) -> bool {
    run.get("/health/ready").starts_with("HTTP/1.1 200")
}

/// A request, as it is sent.
struct Asked {
    path: String,
    /// `None` for GET.
    body: Option<String>,
}

fn get(path: impl Into<String>) -> Asked {
    Asked { path: path.into(), body: None }
}

fn send(path: impl Into<String>, body: &Value) -> Asked {
    Asked { path: path.into(), body: Some(body.to_string()) }
}

fn ask(client: &mut Client, asked: &Asked) -> Answer {
    match &asked.body {
        None => client.get(&asked.path),
        Some(body) => client.post(&asked.path, body),
    }
}

/// Everything of an answer but the date.
fn shown(answer: Answer) -> String {
    let head: Vec<&str> = answer.head.lines().filter(|line| !line.starts_with("date:")).collect();
    format!("{}\n{}", head.join("\n"), String::from_utf8_lossy(&answer.body))
}

/// Waits until a run has used up its inputs and has written everything, and a replica has read it. Then both must answer
/// each request with the same bytes, of which some are found and some are not.
fn assert_same(run: &Run, replica: &Run, requests: &[Asked]) {
    let (mut one, mut other) = (client(run), client(replica));
    eventually("the run has used up its inputs", || {
        let before = shown(ask(&mut one, &requests[0]));
        std::thread::sleep(Duration::from_millis(300));
        is_ready(run) && before == shown(ask(&mut one, &requests[0]))
    });
    eventually("the replica is ready", || is_ready(replica));
    for first in [&requests[0], &get("/models")] {
        eventually("the replica has come so far", || shown(ask(&mut one, first)) == shown(ask(&mut other, first)));
    }
    for request in requests {
        let (expected, found) = (shown(ask(&mut one, request)), shown(ask(&mut other, request)));
        assert_eq!(found, expected, "{} {:?}", request.path, request.body);
    }
}

/// The requests that every dataflow with one model can be asked, with instances for it.
fn of_model(name: &str, instances: &[Value]) -> Vec<Asked> {
    let mut all = vec![
        send("/predict", &json!({ "instances": instances, "features": true })),
        get("/models"),
        get(format!("/models/{name}")),
        get(format!("/models/{name}/versions")),
        get(format!("/models/{name}/history")),
        get(format!("/models/{name}/scores")),
        get(format!("/models/{name}/split")),
        get("/models/none"),
        get("/ping"),
        get("/health/live"),
        get("/health/ready"),
        get("/v2"),
        get(format!("/v2/models/{name}")),
        get(format!("/v2/models/{name}/ready")),
        get(format!("/v1/models/{name}")),
        send("/v2/repository/index", &json!({})),
        send(format!("/v1/models/{name}:predict"), &json!({ "instances": instances })),
        send("/invocations", &json!({ "dataframe_records": instances })),
        send("/predict", &json!({ "instances": instances, "version": 1 })),
        send("/predict", &json!({ "instances": instances, "version": 99 })),
        send("/predict", &json!({ "instances": [] })),
        send("/predict", &json!({ "instances": [{ "nothing": 1 }] })),
        send("/predict", &json!({ "instance": 1 })),
        send("/none", &json!({})),
    ];
    all.extend(
        instances.iter().map(|instance| send("/predict", &json!({ "instances": [instance], "features": true }))),
    );
    all
}

fn market_requests() -> Vec<Asked> {
    let mut all = of_model("large", &market::instances());
    for n in 0..26 {
        all.push(get(format!("/features/buyer/u{n}")));
        all.extend(["1m", "2h", "90m", "7h"].map(|window| get(format!("/features/buyer/u{n}?window={window}"))));
    }
    all.extend((0..8).map(|n| get(format!("/features/seller/s{n}"))));
    all.extend(
        ["DE", "FR", "%C3%A9", "none"]
            .iter()
            .flat_map(|land| (0..5).map(move |n| get(format!("/features/place/{land}/{n}")))),
    );
    let buyers: Vec<Value> =
        (0..60).map(|n| json!({ "buyer": format!("u{n}") })).chain([json!({ "buyer": null })]).collect();
    all.push(send("/features/buyer", &json!({ "entities": buyers })));
    all.push(send("/features/buyer", &json!({ "entities": buyers, "window": "3h" })));
    let feast = json!({ "features": ["buyer:trend", "buyer:amount_ewma1h_6h", "seller:sold_1d"], "entities": { "buyer": ["u1", "u99"], "shop": ["s1", null] } });
    all.push(send("/get-online-features", &feast));
    all.push(get("/features/buyer/u1/u2"));
    all.push(get("/features/buyers/u1"));
    // The page of an entity has links to explanations at the run alone.
    all.push(get("/dashboard/features/buyer"));
    all
}

#[test]
fn a_replica_answers_each_request_with_the_bytes_of_the_run() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Server::redis());
    let (file, config) = market(folder.path());
    let mill = Mill { folder: folder.path(), file, config, redis: &redis };
    let run = mill.run(&[]);
    let replica = mill.replica(&[]);
    assert_same(&run, &replica, &market_requests());
    // The answers are no errors, and what is compared is there.
    let features = client(&replica).get("/features/buyer/u3").json()["features"].clone();
    assert!(features["amount_ewma1h_6h"].is_f64() && features["amount_sum_1d_by_shop"].is_object(), "{features}");
    let answer =
        client(&replica).post("/predict", json!({ "instances": market::instances(), "features": true }).to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    let inputs = answer.json()["features"][0].clone();
    assert!(inputs["rating"].is_f64() && inputs["buyer.shop_last3_1d"].is_array(), "{inputs}");
    // It goes on without the run, and says the same.
    let before: Vec<String> = market_requests().iter().map(|asked| shown(ask(&mut client(&replica), asked))).collect();
    drop(run);
    let after: Vec<String> = market_requests().iter().map(|asked| shown(ask(&mut client(&replica), asked))).collect();
    assert_eq!(before, after);
    assert!(is_ready(&replica));
    replica.stop();
}

#[test]
fn a_replica_exports_how_far_it_is_behind() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Server::redis());
    let (file, config) = market(folder.path());
    let mill = Mill { folder: folder.path(), file, config, redis: &redis };
    let run = mill.run(&[]);
    eventually("the end", || run.says("all files are read"));
    let replica = mill.replica(&[]);
    let value = |name: &str| -> Option<f64> {
        let metrics = replica.get("/metrics");
        metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    };
    let watermark = || {
        let answer = client(&run).get("/features/buyer/u1");
        let text = (answer.status == 200).then(|| answer.json()["watermark"].as_str().map(str::to_owned)).flatten();
        text.and_then(|text| parse_time(&text)).map(|time| time as f64 / 1e3)
    };
    eventually("the replica is as far as the run", || {
        let known = value("tidemill_replica_watermark_timestamp_seconds");
        let has = |what: &str| value(&format!("tidemill_replica_{what}_timestamp_seconds")).is_some();
        let has_both = has("run_written") && has("registry_read");
        known.is_some() && known == watermark() && has_both && value("tidemill_replica_lag_seconds") == Some(0.0)
    });
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let written = || value("tidemill_replica_run_written_timestamp_seconds").unwrap();
    let read = || value("tidemill_replica_registry_read_timestamp_seconds").unwrap();
    // The run has used up its inputs, and says so again and again.
    let (before, before_read) = (written(), read());
    assert!((now() - before).abs() < 120.0 && (now() - before_read).abs() < 120.0, "{before} {before_read}");
    eventually("the run and the registry are heard of again", || written() > before && read() > before_read);
    run.stop();
    // What a run that does not keep up would have said.
    let newest: i64 = redis::cmd("HGET")
        .arg(&["tidemill:market:_replica", "newest"])
        .query(&mut redis.connection())
        .expect("the run has written it");
    let ahead = (newest + 90_500).to_string();
    let set: i64 =
        redis::cmd("HSET").arg(&["tidemill:market:_replica", "read", &ahead]).query(&mut redis.connection()).unwrap();
    assert_eq!(set, 0, "it was there");
    eventually("the lag", || value("tidemill_replica_lag_seconds") == Some(90.5));
    let last = written();
    eventually("the registry is read without a run", || read() > last + 2.0);
    assert_eq!(written(), last);
    // A run has none of these.
    let run = mill.run(&[]);
    assert!(!run.get("/metrics").contains("tidemill_replica_"));
    run.stop();
    replica.stop();
}

#[cfg(feature = "grpc")]
#[test]
fn a_replica_answers_calls_of_grpc_with_the_bits_of_the_run() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Server::redis());
    let (file, config) = market(folder.path());
    let mill = Mill { folder: folder.path(), file, config, redis: &redis };
    let [of_run, of_replica] = free_ports().map(|port| format!("127.0.0.1:{port}"));
    let run = mill.run(&[&format!("grpc.listen={of_run}")]);
    let replica = mill.replica(&[&format!("grpc.listen={of_replica}")]);
    assert_same(&run, &replica, &of_model("large", &market::instances()));
    // A tensor has no null.
    let instances: Vec<Value> = market::instances().into_iter().take(40).collect();
    let http = run.url().replace("http://", "");
    let arguments = [http, of_run, of_replica.clone(), Value::from(instances).to_string()];
    protocols::clients::run("clients", "grpc_replica.py", &arguments);
    // It goes on without the run, and ends with the replica.
    run.stop();
    assert!(std::net::TcpStream::connect(&of_replica).is_ok());
    replica.stop();
    assert!(std::net::TcpStream::connect(&of_replica).is_err());
}

/// The first rows of a file of the examples.
fn first_rows(path: &str, rows: usize) -> Vec<String> {
    let file = fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(path)).unwrap();
    BufReader::new(GzDecoder::new(file)).lines().take(rows + 1).map(Result::unwrap).collect()
}

/// Copies a dataflow and the first rows of its topics, and returns the config of a run.
fn example(folder: &Path, name: &str, topics: &[&str], rows: usize) -> String {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("dataflows/{name}.toml"));
    fs::copy(shipped, folder.join(format!("{name}.toml"))).unwrap();
    let mut config =
        "[play]\nspeed = \"max\"\n[http]\nlisten = \"127.0.0.1:0\"\n[checkpoint]\ninterval = \"off\"\n".to_owned();
    for topic in topics {
        fs::write(folder.join(format!("{topic}.csv")), first_rows(&format!("{name}/{topic}.csv.gz"), rows).join("\n"))
            .unwrap();
        config += &format!("[topics.{topic}]\nfile = \"{topic}.csv\"\nnulls = [\"\", \"NA\"]\n");
    }
    fs::write(folder.join("config.toml"), &config).unwrap();
    "config.toml".to_owned()
}

/// Rows of a topic as instances, every so many of them, without the columns that are left out.
fn as_instances(folder: &Path, topic: &str, every: usize, left_out: &[&str], numbers: &[&str]) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(format!("{topic}.csv"))).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let instance = |line: &str| -> Value {
        let cells = names.iter().zip(line.split(',')).filter(|(name, _)| !left_out.contains(name));
        let value = |name: &str, cell: &str| match cell {
            "" | "NA" => Value::Null,
            cell if numbers.contains(&name) => serde_json::from_str(cell).unwrap(),
            cell => json!(cell),
        };
        Value::Object(cells.map(|(name, cell)| ((*name).to_owned(), value(name, cell))).collect())
    };
    lines.step_by(every).map(instance).collect()
}

#[test]
fn a_replica_of_the_flights_answers_as_the_run_does() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Server::redis());
    let config = example(folder.path(), "flights", &["schedule", "departures", "weather"], 2_500);
    let mill = Mill { folder: folder.path(), file: "flights.toml", config: &config, redis: &redis };
    let run = mill.run(&[]);
    let replica = mill.replica(&[]);
    let flights = as_instances(folder.path(), "schedule", 40, &["flight_id"], &["flight", "distance"]);
    let mut requests = of_model("late", &flights);
    requests.extend(["EWR", "JFK", "LGA", "XXX"].map(|origin| get(format!("/features/airport/{origin}"))));
    requests.extend(["EWR/UA", "JFK/DL", "JFK/XX"].map(|desk| get(format!("/features/desk/{desk}"))));
    requests.push(get("/features/service/UA/1545/EWR"));
    assert_same(&run, &replica, &requests);
    replica.stop();
    run.stop();
}

#[test]
fn a_replica_of_the_frauds_counts_the_payment_itself_as_the_run_does() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Server::redis());
    let config = example(folder.path(), "fraud", &["transactions", "feedback"], 4_000);
    let mill = Mill { folder: folder.path(), file: "fraud.toml", config: &config, redis: &redis };
    let run = mill.run(&[]);
    let replica = mill.replica(&[]);
    let payments = as_instances(folder.path(), "transactions", 60, &["transaction", "fraud"], &["amount"]);
    let mut requests = of_model("fraud", &payments);
    requests.extend((0..30).map(|n| get(format!("/features/customer/{n}"))));
    requests.extend((0..30).map(|n| get(format!("/features/terminal/{n}"))));
    assert_same(&run, &replica, &requests);
    replica.stop();
    run.stop();
}

#[test]
fn a_replica_recommends_what_the_run_does() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Server::redis());
    let config = example(folder.path(), "recommender", &["ratings", "films", "users"], 2_500);
    let mill = Mill { folder: folder.path(), file: "recommender.toml", config: &config, redis: &redis };
    let run = mill.run(&[]);
    let replica = mill.replica(&[]);
    let users = ["u140", "u001", "u024", "u999"];
    let mut requests: Vec<Asked> = users
        .iter()
        .flat_map(|user| {
            let some = json!([{ "film": "f007" }, { "film": "f038" }, { "film": "f059" }, { "film": "new" }]);
            [
                json!({ "user": { "user": user }, "n": 25 }),
                json!({ "user": { "user": user }, "exclude_seen": false, "n": 500 }),
                json!({ "user": { "user": user }, "candidates": some, "exclude_seen": false }),
                json!({ "user": { "usr": user } }),
            ]
        })
        .map(|body| send("/recommend", &body))
        .collect();
    requests.extend(users.iter().map(|user| get(format!("/features/history/{user}"))));
    requests.push(get("/features/taste/u140/comedy"));
    assert_same(&run, &replica, &requests);
    let items = client(&replica).post("/recommend", r#"{"user":{"user":"u140"}}"#).json();
    assert_eq!(items["items"].as_array().map(Vec::len), Some(10), "{items}");
    replica.stop();
    run.stop();
}

#[test]
fn versions_and_moves_of_the_run_reach_its_replicas_and_moves_of_a_replica_the_run() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Server::redis());
    clicks::write(folder.path());
    let text = format!("{}[play]\nspeed = 7200\n[http]\nlisten = \"127.0.0.1:0\"\n", clicks::TOPICS);
    fs::write(folder.path().join("config.toml"), text).unwrap();
    let mill = Mill { folder: folder.path(), file: "clicks.toml", config: "config.toml", redis: &redis };
    let run = mill.run(&[]);
    let (first, second) = (mill.replica(&[]), mill.replica(&[]));
    let champion = |run: &Run| client(run).get("/models/paid").json()["champion"].as_u64();
    let versions = |run: &Run| client(run).get("/models/paid").json()["versions"].as_array().map(Vec::len).unwrap();
    eventually("a version", || champion(&first).is_some());
    let before = versions(&first);
    eventually("more versions", || versions(&first) > before && champion(&first) == champion(&run));
    eventually("all versions", || versions(&run) == 9 && versions(&first) == 9 && versions(&second) == 9);
    // By way of a replica, as all share the registry.
    let moved = client(&first).post("/models/paid/promote", r#"{"version":1,"reason":"to compare"}"#);
    assert_eq!(moved.status, 200, "{moved:?}");
    eventually("the move", || [&first, &second, &run].iter().all(|run| champion(run) == Some(1)));
    let split = json!({ "weights": { "champion": 50, "old": 50 }, "arms": { "old": "2" } });
    let split = client(&run).post("/models/paid/split", split.to_string());
    assert_eq!(split.status, 200, "{split:?}");
    let instances: Vec<Value> = (0..9).map(|n| json!({ "user": format!("u{n}") })).collect();
    let predict = send("/predict", &json!({ "instances": instances, "features": true }));
    eventually("the split", || {
        let expected = shown(ask(&mut client(&run), &predict));
        expected.contains("\"arms\"")
            && [&first, &second].iter().all(|replica| shown(ask(&mut client(replica), &predict)) == expected)
    });
    // A version that is damaged is skipped, with a warning, and served once it is whole.
    let weights = folder.path().join("var/clicks/registry/paid/1/weights.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, b"damaged").unwrap();
    let third = mill.replica(&[]);
    assert!(
        third.get("/health/ready").contains("version 9 of the registry is served"),
        "{}",
        third.get("/health/ready")
    );
    assert_eq!(champion(&third), Some(9));
    fs::write(&weights, whole).unwrap();
    eventually("the champion", || champion(&third) == Some(1) && !third.get("/health/ready").contains("warnings"));
    for run in [first, second, third, run] {
        run.stop();
    }
}

#[test]
fn a_run_that_starts_over_takes_its_replicas_along() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Server::redis());
    clicks::write(folder.path());
    let text = format!("{}[play]\nspeed = \"max\"\n[http]\nlisten = \"127.0.0.1:0\"\n", clicks::TOPICS);
    fs::write(folder.path().join("config.toml"), text).unwrap();
    let mill = Mill { folder: folder.path(), file: "clicks.toml", config: "config.toml", redis: &redis };
    let predict = send("/predict", &json!({ "instances": [{ "user": "u1" }, { "user": "u9" }] }));
    let run = mill.run(&[]);
    let replica = mill.replica(&[]);
    assert_same(&run, &replica, &of_model("paid", &[json!({ "user": "u1" })]));
    let before = shown(ask(&mut client(&replica), &predict));
    run.stop();
    // Other records make other versions of the same numbers.
    let records = fs::read_to_string(folder.path().join("clicks.csv")).unwrap();
    fs::write(
        folder.path().join("clicks.csv"),
        records.replace("true", "maybe").replace("false", "true").replace("maybe", "false"),
    )
    .unwrap();
    let run = Run::start(mill.command("run", &["max_dead_letters=1.0"]).arg("--fresh"));
    eventually("the replica follows", || {
        let found = shown(ask(&mut client(&replica), &predict));
        is_ready(&run) && found == shown(ask(&mut client(&run), &predict)) && found != before
    });
    assert_same(&run, &replica, &of_model("paid", &[json!({ "user": "u1" })]));
    replica.stop();
    run.stop();
}

#[test]
fn without_redis_requests_are_refused_with_the_reason_until_it_is_back_with_everything() {
    let (folder, mut redis) = (tempfile::tempdir().unwrap(), Server::redis());
    let (file, config) = market(folder.path());
    let (run, replica) = {
        let mill = Mill { folder: folder.path(), file, config, redis: &redis };
        let run = mill.run(&[]);
        eventually("the end", || run.says("all files are read"));
        let replica = mill.replica(&[]);
        eventually("the replica is ready", || is_ready(&replica));
        (run, replica)
    };
    let asked = [get("/features/buyer/u3"), send("/predict", &json!({ "instances": market::instances() }))];
    eventually("the replica has come so far", || {
        asked.iter().all(|asked| shown(ask(&mut client(&run), asked)) == shown(ask(&mut client(&replica), asked)))
    });
    let expected: Vec<String> = asked.iter().map(|asked| shown(ask(&mut client(&replica), asked))).collect();
    redis.kill();
    eventually("it is not ready", || replica.get("/health/ready").contains("Redis cannot be read"));
    for asked in &asked {
        let answer = ask(&mut client(&replica), asked);
        assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
        assert!(answer.status == 503 && answer.error().starts_with("Redis cannot be read"), "{answer:?}");
    }
    assert_eq!(client(&replica).get("/models").status, 200, "models are those of the registry");
    // It comes back empty: nothing is answered before the run has written everything again.
    redis.start();
    let mut seen = 0;
    eventually("the answers", || {
        let answers: Vec<Answer> = asked.iter().map(|asked| ask(&mut client(&replica), asked)).collect();
        if answers.iter().any(|answer| answer.status == 503) {
            return false;
        }
        seen += 1;
        let answers: Vec<String> = answers.into_iter().map(shown).collect();
        assert_eq!(answers, expected);
        seen > 20
    });
    // It is emptied while everybody is connected.
    let mut connection = redis.connection();
    for _ in 0..3 {
        redis::cmd("FLUSHALL").exec(&mut connection).unwrap();
        eventually("the answers", || {
            let answer = ask(&mut client(&replica), &asked[0]);
            assert!(answer.status == 503 || shown(answer.clone()) == expected[0], "{answer:?}");
            answer.status == 200
        });
    }
    // A server that hangs.
    let id: String = redis::cmd("INFO").arg("server").query(&mut connection).unwrap();
    let id = id.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap().trim().to_owned();
    let signal = |name: &str| assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    signal("STOP");
    let answer = ask(&mut client(&replica), &asked[0]);
    assert_eq!(answer.status, 503, "{answer:?}");
    signal("CONT");
    eventually("the answer", || shown(ask(&mut client(&replica), &asked[0])) == expected[0]);
    replica.stop();
    run.stop();
}

#[test]
fn a_replica_of_another_dataflow_file_refuses_what_the_run_has_written() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Server::redis());
    let (file, config) = market(folder.path());
    let spec = fs::read_to_string(folder.path().join(file)).unwrap();
    fs::write(folder.path().join("other.toml"), spec.replace("\"amount\", \"hour\"", "\"amount + 1\", \"hour\""))
        .unwrap();
    fs::write(folder.path().join("same.toml"), format!("# Another comment.\n{spec}")).unwrap();
    let mill = |file| Mill { folder: folder.path(), file, config, redis: &redis };
    // Without the run nothing is there.
    fs::create_dir_all(folder.path().join("var/market/registry")).unwrap();
    let replica = mill(file).replica(&[]);
    eventually("nothing is there", || replica.get("/health/ready").contains("nothing of market for replicas"));
    let run = mill(file).run(&["registry.url=registry"]);
    let (same, other) = (mill("same.toml").replica(&["registry.url=registry"]), mill("other.toml").replica(&[]));
    eventually("the replicas are ready", || is_ready(&same) && replica.get("/health/ready").contains("no version"));
    eventually("the other is not", || other.get("/health/ready").contains("for another dataflow file"));
    let answer = client(&other).get("/features/buyer/u3");
    assert!(answer.status == 503 && answer.error().contains("another dataflow file"), "{answer:?}");
    // A run that writes nothing for replicas leaves nothing that would age.
    run.stop();
    assert!(is_ready(&same));
    let run = mill(file).run(&["registry.url=registry", "redis.replicas=false"]);
    eventually("the replica is refused", || same.get("/health/ready").contains("[redis] replicas = true"));
    run.stop();
    [replica, same, other].into_iter().for_each(|replica| drop(replica.stop()));
}

#[test]
fn a_gateway_before_a_run_and_two_replicas_answers_all_while_one_is_killed() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Server::redis());
    let (file, config) = market(folder.path());
    let mill = Mill { folder: folder.path(), file, config, redis: &redis };
    let run = mill.run(&[]);
    eventually("the end", || run.says("all files are read"));
    let mut replicas = vec![mill.replica(&[]), mill.replica(&[])];
    let servers: Vec<String> = [&run].into_iter().chain(&replicas).map(|run| format!("{:?}", run.url())).collect();
    let asked = send("/predict", &json!({ "instances": market::instances(), "features": true }));
    eventually("all answer alike", || {
        let of = |run: &Run| shown(ask(&mut client(run), &asked));
        let expected = of(&run);
        expected.contains("\"predictions\"") && replicas.iter().all(|replica| of(replica) == expected)
    });
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    gateway.args(["gateway", "--config", config]).current_dir(folder.path());
    gateway.arg("--set").arg(format!("gateway.servers=[{}]", servers.join(", ")));
    let gateway = Run::start(&mut gateway);
    let expected = ask(&mut client(&gateway), &asked).json();
    for n in 0..200 {
        if n == 60 {
            drop(replicas.remove(0));
        }
        let answer = ask(&mut client(&gateway), &asked);
        assert_eq!((answer.status, answer.json()), (200, expected.clone()), "request {n}");
    }
    gateway.stop();
    replicas.into_iter().for_each(|replica| drop(replica.stop()));
    run.stop();
}

#[test]
fn a_replica_without_redis_or_registry_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let (file, config) = market(folder.path());
    let refused = |file: &str, set: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.args(["serve", file, "--config", config]).current_dir(folder.path());
        set.iter().for_each(|change| _ = command.args(["--set", change]));
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(file, &[]).contains("[redis] url: missing"));
    let said = refused(file, &["redis.url=redis://127.0.0.1:1"]);
    assert!(said.contains("there is no registry at") && said.contains("var/market/registry"), "{said}");
    assert!(refused("none.toml", &["redis.url=redis://127.0.0.1:1"]).contains("none.toml"));
    assert!(!folder.path().join("var").exists(), "nothing is made");
}
