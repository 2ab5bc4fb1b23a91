//! Look-ups of feature vectors beside a feature server of Feast, over the grid of Feast's own benchmark: 50 to 250 features
//! for 1 to 100 entities in a request.
//!
//! `cargo run --release --example feast_grid -- PYTHON REDIS [seconds a cell] [connections]`
//!
//! `PYTHON` is an interpreter that has Feast, as `tests/setup` installs in `target/feast/bin/python`, and `REDIS` is the
//! host and port of an empty Redis, Feast's online store. Both servers have one thread, the same vectors, and answer the
//! same requests of `POST /get-online-features` from a closed loop of clients. Their first answers must be equal.

#[path = "../http_load/mod.rs"]
mod http_load;
#[path = "../../tests/common/shop.rs"]
mod serving;

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http_load::{Latencies, closed_loop};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};
use serving::{Client, NOON, Shop, any, endpoint, post};
use tidemill::serve::{Endpoint, start};
use tidemill::value::Scalar;

const GROUPS: usize = 25;
const FEATURES: usize = 10;
const ENTITIES: usize = 1000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [python, redis, ..] = arguments.as_slice() else { panic!("feast_grid PYTHON REDIS [seconds] [connections]") };
    let number =
        |at: usize, otherwise: u64| arguments.get(at).map_or(otherwise, |text| text.parse().expect("a number"));
    let (time, connections) = (Duration::from_secs(number(2, 3)), number(3, 4) as usize);

    let shop = Shop::bare(&dataflow());
    fill(&shop);
    let server = start(&serving_endpoint(), &shop.service()).expect("a free port");
    let feast = Feast::start(python, server.addr(), redis);
    println!(
        "features  entities | tidemill: requests/s  p50 ms  p99 ms | Feast: requests/s  p50 ms  p99 ms | rates  p99"
    );
    for features in [50, 100, 150, 200, 250] {
        for entities in [1, 10, 50, 100] {
            let requests = requests(features, entities);
            assert_eq!(answer(server.addr(), &requests[0]), answer(feast.addr, &requests[0]));
            let measure = |addr| closed_loop(addr, &requests, connections, time);
            let (ours, theirs) = (measure(server.addr()), measure(feast.addr));
            let row = |latencies: &Latencies| {
                let rate = latencies.count() as f64 / time.as_secs_f64();
                format!("{rate:22.0} {:7.2} {:7.2}", latencies.quantile(0.5), latencies.quantile(0.99))
            };
            println!(
                "{features:8} {entities:9} | {} | {} | {:5.0} {:4.0}",
                row(&ours),
                row(&theirs),
                ours.count() as f64 / theirs.count() as f64,
                theirs.quantile(0.99) / ours.quantile(0.99)
            );
        }
    }
    drop(feast);
    server.drain();
}

/// Feature groups of one entity, with `FEATURES` features each.
fn dataflow() -> String {
    let mut text = String::from(
        r#"name = "grid"
[source.events]
topic = "events"
format = "json"
time = "at"
columns = { user = "int", v = "float", at = "timestamp" }
"#,
    );
    for group in 0..GROUPS {
        write!(
            text,
            "[features.g{group}]\nfrom = \"events\"\nentity = \"user\"\naggregate = [{{ of = \"v\", \
             op = [\"count\", \"sum\", \"mean\", \"min\", \"max\"], windows = [\"1h\", \"1d\"] }}]\n"
        )
        .expect("strings grow");
    }
    text
}

fn fill(shop: &Shop) {
    let mut random = StdRng::seed_from_u64(1);
    for group in &shop.plan.groups {
        assert_eq!(group.types.len(), FEATURES);
        for user in 0..ENTITIES {
            let types = group.types.iter().filter_map(|ty| ty.scalar());
            let vector = types.map(|ty| any(ty, &mut random)).collect();
            shop.upsert(&group.name, &[Scalar::Int(user as i64)], vector);
        }
    }
    shop.online.note(NOON);
    shop.online.advance(NOON);
}

fn serving_endpoint() -> Endpoint {
    let mut endpoint = endpoint();
    endpoint.threads = 1;
    endpoint
}

/// Requests for the same features of random entities.
fn requests(features: usize, entities: usize) -> Vec<Vec<u8>> {
    let windows = ["1h", "1d"];
    let names = ["count", "sum", "mean", "min", "max"].map(|op| windows.map(|window| format!("v_{op}_{window}")));
    let names: Vec<String> = names.into_iter().flatten().collect();
    let features: Vec<String> =
        (0..features / FEATURES).flat_map(|group| names.iter().map(move |name| format!("g{group}:{name}"))).collect();
    let mut random = StdRng::seed_from_u64(2);
    let mut request = || {
        let users: Vec<usize> = (0..entities).map(|_| random.random_range(0..ENTITIES)).collect();
        let body = json!({ "features": features, "entities": { "user": users }, "full_feature_names": true });
        post("/get-online-features", body.to_string().as_bytes())
    };
    (0..64).map(|_| request()).collect()
}

/// The values of an answer, by the name of their feature.
fn answer(addr: SocketAddr, request: &[u8]) -> Map<String, Value> {
    let mut client = Client::connect(addr);
    client.send(request).expect("an open connection");
    let answer = client.receive().expect("an answer").json();
    let names = answer["metadata"]["feature_names"].as_array().expect("a list of names");
    let values = answer["results"].as_array().expect("a list of results");
    let pairs = names.iter().zip(values);
    pairs.map(|(name, result)| (name.as_str().expect("a name").to_owned(), result["values"].clone())).collect()
}

/// A feature server of Feast, which stops when it is dropped.
struct Feast {
    process: Child,
    addr: SocketAddr,
}

impl Feast {
    fn start(python: &str, endpoint: SocketAddr, redis: &str) -> Feast {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/feast_grid/server.py");
        let arguments = [script.to_owned(), endpoint.to_string(), redis.to_owned()];
        let counts = [GROUPS, ENTITIES].map(|count| count.to_string());
        let mut command = Command::new(python);
        command.args(arguments).args(counts).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("an interpreter");
        let mut line = String::new();
        let lines = process.stdout.take().expect("it is piped");
        BufReader::new(lines).read_line(&mut line).expect("text");
        Feast { process, addr: line.trim().parse().expect("the script prints an address") }
    }
}

impl Drop for Feast {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
