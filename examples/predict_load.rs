//! Predictions over HTTP beside a bare hyper reply of the same size, in one run: requests per second, CPU a request,
//! and their ratio. Then the latency at half of that rate, with and without a gateway at a twentieth, by a client
//! that does not wait for answers.
//!
//! `cargo run --release --example predict_load [seconds a round] [rounds] [connections] [dataflow file]`
//!
//! The dataflow has one model over flights, with 16 looked-up features of 6 groups and a joined table. Its store is
//! filled with random vectors, its model trained on random examples. Requests have one instance each, keep their
//! connection and are not pipelined. Client and server share the machine: where it has two cores, the server has one.
//! CPU a request is that of the serving thread, which tells the cost even where the client is what limits the rate.

#[path = "http_load/mod.rs"]
mod http_load;
#[path = "../tests/common/shop.rs"]
mod serving;

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use http_load::{Latencies, closed_loop, open_loop, thread_seconds};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serving::{Client, NOON, Shop, any, endpoint, post};
use tidemill::aggregate::Feature;
use tidemill::metrics::Metrics;
use tidemill::serve::{BackendUrl, BalancePolicy, Gateway, GatewayConfig, HealthChecks, Readiness, Server, start};
use tidemill::store::Upsert;
use tidemill::value::{Scalar, Type};
use tokio::runtime::Builder;

const FLIGHTS: &str = r#"
name = "flights"

[source.schedule]
topic = "schedule"
format = "json"
key = ["flight_id"]
time = "sched_ts"
columns = { flight_id = "string", carrier = "string", flight = "int", tail = "string?", origin = "string", dest = "string", distance = "float", sched_ts = "timestamp" }

[source.departures]
topic = "departures"
format = "json"
key = ["flight_id"]
time = "dep_ts"
columns = { flight_id = "string", carrier = "string", flight = "int", tail = "string?", origin = "string", dest = "string", delay = "float", dep_ts = "timestamp" }

[table.weather]
topic = "weather"
format = "json"
time = "obs_ts"
key = ["origin"]
columns = { origin = "string", temp = "float?", wind = "float?", visibility = "float?", precip = "float?", obs_ts = "timestamp" }

[view.leaving]
sql = """
SELECT s.*, w.temp, w.wind, w.visibility, w.precip,
       date_part('hour', s.sched_ts) AS hour, date_part('dow', s.sched_ts) AS weekday
FROM schedule s LEFT JOIN weather w ON w.origin = s.origin
"""

[features.airport]
from = "departures"
entity = "origin"
aggregate = [
  { of = "least(delay, 180)", as = "delay", op = ["mean", "stddev", "max"], windows = ["1h", "3h"] },
  { op = "count", where = "delay > 60", windows = ["3h"], as = "very_late" },
]

[features.desk]
from = "departures"
entity = ["origin", "carrier"]
aggregate = [{ of = "least(delay, 180)", as = "delay", op = ["mean", "count"], windows = ["1h", "3h"] }]

[features.route]
from = "departures"
entity = ["origin", "dest"]
aggregate = [{ of = "least(delay, 180)", as = "delay", op = "mean", windows = ["7d"] }]

[features.service]
from = "departures"
entity = ["carrier", "flight"]
aggregate = [{ of = "least(delay, 180)", as = "delay", op = ["mean", "count"], windows = ["14d"] }]

[features.plane]
from = "departures"
entity = "tail"
aggregate = [{ of = "delay", op = "last", windows = ["1d"] }]

[features.queue]
from = "schedule"
entity = "origin"
aggregate = [{ op = "count", windows = ["1h"] }]

[model.late]
kind = "logistic"
examples = "leaving"
features = ["airport.*", "desk.*", "route.*", "service.*", "plane.*", "queue.*", "distance", "hour", "weekday", "temp", "wind", "visibility", "precip", "origin", "carrier", "dest"]
label = { from = "departures", on = "flight_id", value = "delay >= 15", within = "24h" }
window = "1d"
optimizer = { name = "ftrl", alpha = 0.1 }
publish = { metric = "logloss", tolerance = 0.02 }
"#;

const CARRIERS: [&str; 4] = ["UA", "AA", "B6", "DL"];
const AIRPORTS: [&str; 4] = ["JFK", "EWR", "LGA", "IAH"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, otherwise: u64| arguments.get(at).map_or(otherwise, |text| text.parse().expect("a number"));
    let (time, rounds, connections) = (Duration::from_secs(number(0, 2)), number(1, 5), number(2, 16) as usize);
    let file = arguments.get(3).map(|path| std::fs::read_to_string(path).expect("a file that can be read"));

    let shop = Shop::bare(file.as_deref().unwrap_or(FLIGHTS));
    fill(&shop);
    shop.publish(0, 1);
    let server = start(&serving_endpoint(), &shop.service()).expect("a free port");
    let answer = Client::connect(server.addr()).post("/predict", instance(0));
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    println!("{}", String::from_utf8_lossy(&answer.body));
    let looked_up: usize = shop.plan.models[0].lookups.iter().map(|lookup| lookup.features.len()).sum();
    println!("{looked_up} looked-up features, {} inputs", shop.plan.models[0].assembly.names().len());
    let bare = serve_bare(answer.body.into());

    let load = Load { requests: requests(), connections, time };
    let rate = load.compare(bare, server.addr(), rounds);
    load.half(bare, server.addr(), rate / 2.0);
    server.drain();
}

/// Requests, and the connections and the time of a round.
struct Load {
    requests: Vec<Vec<u8>>,
    connections: usize,
    time: Duration,
}

impl Load {
    fn closed(&self, addr: SocketAddr, time: Duration) -> Latencies {
        closed_loop(addr, &self.requests, self.connections, time)
    }

    /// Prints rates and processor times beside those of the bare server. Returns the median rate of predictions.
    fn compare(&self, bare: SocketAddr, server: SocketAddr, rounds: u64) -> f64 {
        for addr in [bare, server] {
            self.closed(addr, Duration::from_millis(300));
        }
        let mut figures = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            let servers = [("bare", "bare", bare), ("predict", "serve-0", server)];
            for (figures, (name, thread, addr)) in figures.iter_mut().zip(servers) {
                let before = thread_seconds(thread);
                let latencies = self.closed(addr, self.time);
                let count = latencies.count() as f64;
                let (rate, cost) = (count / self.time.as_secs_f64(), (thread_seconds(thread) - before) * 1e6 / count);
                figures.push((rate, cost));
                let (p50, p99) = (latencies.quantile(0.5), latencies.quantile(0.99));
                println!(
                    "round {round} {name:8} {rate:9.0} requests/s  {cost:6.2} us CPU each  p50 {p50:.3} ms  p99 {p99:.3} ms"
                );
            }
        }
        let median = |which: usize, pick: fn(&(f64, f64)) -> f64| {
            let mut values: Vec<f64> = figures[which].iter().map(pick).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let (bare_rate, rate) = (median(0, |x| x.0), median(1, |x| x.0));
        let (bare_cost, cost) = (median(0, |x| x.1), median(1, |x| x.1));
        println!("median: predict {rate:.0}/s, bare {bare_rate:.0}/s, ratio {:.3}", rate / bare_rate);
        println!("median: predict {cost:.2} us, bare {bare_cost:.2} us of CPU, ratio {:.3}", bare_cost / cost);
        rate
    }

    /// Prints latencies at a fixed rate beside those of the bare server, and at a tenth of it with and without a gateway.
    fn half(&self, bare: SocketAddr, server: SocketAddr, rate: f64) {
        let (_checks, gateway) = front(server);
        for (name, addr, rate) in [
            ("bare", bare, rate),
            ("predict", server, rate),
            ("predict", server, rate / 10.0),
            ("predict by gateway", gateway.addr(), rate / 10.0),
        ] {
            let latencies = open_loop(addr, &self.requests, self.connections, rate, self.time * 2);
            let at = |share| latencies.quantile(share);
            println!(
                "open loop {name:18} {rate:6.0} requests/s  p50 {:.3} ms  p99 {:.3} ms  p99.9 {:.3} ms",
                at(0.5),
                at(0.99),
                at(0.999)
            );
        }
        gateway.drain();
    }
}

/// A gateway before one server.
fn front(server: SocketAddr) -> (HealthChecks, Server) {
    let config = GatewayConfig {
        servers: vec![BackendUrl::parse(&format!("http://{server}")).expect("an address")],
        policy: BalancePolicy::RoundRobin,
        entity: Vec::new(),
        timeout: Duration::from_secs(10),
    };
    let readiness = Arc::new(Readiness::default());
    let gateway = Gateway::new(config, &Metrics::new("gateway"), &readiness);
    let checks = HealthChecks::start(&gateway, Duration::from_millis(50)).expect("a thread");
    readiness.started();
    let server = start(&serving_endpoint(), &gateway).expect("a free port");
    while Client::connect(server.addr()).post("/predict", instance(0)).status != 200 {
        std::thread::sleep(Duration::from_millis(10));
    }
    (checks, server)
}

fn serving_endpoint() -> tidemill::serve::Endpoint {
    let mut endpoint = endpoint();
    endpoint.threads = 1;
    endpoint.request_timeout = Duration::from_secs(10);
    endpoint
}

/// Vectors for every entity that the requests name, and for many more.
fn fill(shop: &Shop) {
    let mut random = StdRng::seed_from_u64(1);
    for group in &shop.plan.groups {
        for at in 0..20_000 {
            let value = |(name, ty): (&String, &Type)| match (name.as_str(), ty) {
                ("carrier", _) if at < 16 => Scalar::String(CARRIERS[at % 4].into()),
                ("origin", _) if at < 16 => Scalar::String(AIRPORTS[at / 4].into()),
                ("dest", _) if at < 16 => Scalar::String(AIRPORTS[at % 4].into()),
                (_, Type::Int) => Scalar::Int(at as i64),
                (name, _) => Scalar::String(format!("{name}{at}").into()),
            };
            let entity: Vec<Scalar> = group.entity_names.iter().zip(group.codec.types()).map(value).collect();
            shop.upsert(
                &group.name,
                &entity,
                group.types.iter().filter_map(|ty| Some(any(ty.scalar()?, &mut random))).collect(),
            );
        }
    }
    for table in &shop.plan.tables {
        let table_rows = shop.online.table(&table.name).expect("the store has all tables");
        for airport in AIRPORTS {
            let mut row: Vec<Scalar> = table.schema.columns.iter().map(|column| any(column.ty, &mut random)).collect();
            let key = vec![Scalar::String(airport.into())];
            row[table.key[0]] = key[0].clone();
            table_rows.apply(Upsert {
                key: table_rows.codec().encode_one(&key),
                vector: Some(row.into_iter().map(Feature::Value).collect()),
            });
        }
    }
    shop.online.note(NOON);
    shop.online.advance(NOON);
}

fn instance(seed: u64) -> String {
    let mut random = StdRng::seed_from_u64(seed);
    let mut pick = |from: [&str; 4]| from[random.random_range(0..4)].to_owned();
    let (carrier, origin, dest) = (pick(CARRIERS), pick(AIRPORTS), pick(AIRPORTS));
    let flight = random.random_range(0..20_000);
    format!(
        r#"{{"instances":[{{"flight_id":"2013-01-01-{carrier}-{flight}","carrier":"{carrier}","flight":{flight},"tail":"tail{flight}","origin":"{origin}","dest":"{dest}","distance":1400.0}}]}}"#
    )
}

fn requests() -> Vec<Vec<u8>> {
    (0..256).map(|seed| post("/predict", instance(seed).as_bytes())).collect()
}

/// A server that reads each request's body and always answers the same.
fn serve_bare(reply: Bytes) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    listener.set_nonblocking(true).expect("a socket can be non-blocking");
    let serve = move || {
        Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a driver");
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                stream.set_nodelay(true).expect("an open socket");
                let reply = reply.clone();
                let answer = service_fn(move |request: Request<Incoming>| {
                    let reply = reply.clone();
                    async move {
                        let body = request.into_body().collect().await;
                        assert!(body.is_ok_and(|body| !body.to_bytes().is_empty()));
                        let mut response = Response::new(Full::new(reply));
                        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                        Ok::<_, Infallible>(response)
                    }
                });
                tokio::spawn(async move {
                    let _ =
                        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        })
    };
    std::thread::Builder::new().name("bare".to_owned()).spawn(serve).expect("a thread");
    addr
}
