//! Time from producing a record until its features can be read, over HTTP and from Redis: a producer at a
//! steady rate, the whole program as `tidemill run` starts it, and a reader of each that waits for records of its own.
//!
//! `cargo run --release --example freshness_kafka -- SERVERS REDIS_URL [records/s] [entities] [seconds] [lateness]`
//!
//! Every 10 ms one of the records is the readers' own, of an entity that has no others. What is measured is the time
//! from handing it to the producer (librdkafka's own defaults) until `GET /features/user/probe`, or the hash in Redis,
//! counts it; both are asked about every half millisecond. Everything shares the machine, the brokers and Redis too.

#[path = "../benches/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use common::user_name;
use tidemill::run::{Cli, Failure};
use tidemill::source::kafka::{Cluster, NewTopic, Producer, ProducerRecord};

const PATIENCE: Duration = Duration::from_secs(60);
const PROBE_EVERY: Duration = Duration::from_millis(10);
const ASK_EVERY: Duration = Duration::from_micros(500);
const PARTITIONS: u32 = 4;

/// When each probe was produced, from the first.
type Produced = Arc<Mutex<Vec<Instant>>>;

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| {
        arguments.get(at).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")))
    };
    let [servers, redis_url, ..] = &arguments[..] else { panic!("expected SERVERS and REDIS_URL") };
    let (rate, entities, seconds) = (number(2, 10_000), number(3, 10_000), number(4, 20));
    let lateness = arguments.get(5).map_or("0s", String::as_str);

    let topic = format!("freshness-{}", now_ms());
    let settings = [("bootstrap.servers", servers.as_str()), ("linger.ms", "5")];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let cluster = Cluster::new(&BTreeMap::from(settings), "bench").expect("the settings are right");
    let new = NewTopic { name: &topic, partitions: PARTITIONS, settings: &[] };
    new.create(&cluster).expect("the broker answers");
    let address = start(servers, redis_url, &topic, lateness);

    let producer = Producer::new(&cluster).expect("a client");
    warm_up(&producer, &topic, address);
    let produced: Produced = Arc::default();
    let until = Instant::now() + Duration::from_secs(seconds);
    let over_http = watch(&produced, until, http_count(address));
    let from_redis = watch(&produced, until, redis_count(redis_url, &topic));
    produce(&producer, &topic, (rate, entities), &produced, until);
    println!("{rate} records/s of {entities} entities, {PARTITIONS} partitions, lateness {lateness}");
    for (name, took) in [("GET /features", over_http), ("Redis", from_redis)] {
        let mut took = took.join().expect("the reader ends");
        took.sort_unstable();
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        let probes = took.len();
        println!(
            "{name:14} p50 {:>6.1} ms   p99 {:>6.1} ms   most {:>6.1} ms   {probes} probes",
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    histogram(address);
    std::process::exit(0);
}

/// Starts `tidemill run` in this process; gives the address of its endpoint.
fn start(servers: &str, redis_url: &str, topic: &str, lateness: &str) -> std::net::SocketAddr {
    let folder = std::env::temp_dir().join(format!("tidemill-{topic}"));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (file, config) = (folder.join("payments.toml"), folder.join("config.toml"));
    let spec = format!(
        r#"
name = "{topic}"

[source.payments]
topic    = "{topic}"
format   = "json"
key      = ["user"]
time     = "at"
lateness = {lateness:?}
columns  = {{ user = "string", amount = "float", at = "timestamp" }}

[features.user]
from      = "payments"
entity    = "user"
aggregate = [{{ of = "amount", op = ["count", "mean", "stddev"], windows = ["1h", "1d"] }}]
"#
    );
    std::fs::write(&file, spec).expect("the folder can be written");
    let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    let text = format!(
        "data_dir = {folder:?}\n[kafka]\n\"bootstrap.servers\" = {servers:?}\n[redis]\nurl = {redis_url:?}\n[http]\nlisten = \"{address}\"\n"
    );
    std::fs::write(&config, text).expect("the folder can be written");
    let cli = Cli::parse_from([
        "tidemill".as_ref(),
        "run".as_ref(),
        file.as_os_str(),
        "-q".as_ref(),
        "--config".as_ref(),
        config.as_os_str(),
    ]);
    std::thread::spawn(move || match cli.run() {
        Ok(()) => {}
        Err(Failure::Usage(text)) => panic!("{text}"),
        Err(Failure::Runtime(error)) => panic!("{error:#}"),
    });
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < PATIENCE, "it does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    address
}

/// Connects all clients, which is not to be measured.
fn warm_up(producer: &Producer, topic: &str, address: std::net::SocketAddr) {
    let first = 1_000_000;
    for user in first..first + 100 {
        let (user, at) = (user_name(user), now_ms());
        let value = format!(r#"{{"user":"{user}","amount":1.5,"at":{at}}}"#);
        let (key, value) = (Some(user.as_bytes()), Some(value.as_bytes()));
        producer
            .send(ProducerRecord { topic, key, value, time: Some(at), headers: &[] }, PATIENCE)
            .expect("it is sent");
    }
    producer.flush(PATIENCE).expect("all are delivered");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let begun = Instant::now();
    for user in first..first + 100 {
        while !get(&mut stream, &format!("/features/user/{}", user_name(user))).contains("amount_count_1h") {
            assert!(begun.elapsed() < PATIENCE, "what was produced does not show");
            std::thread::sleep(ASK_EVERY);
        }
    }
}

/// Produces at a steady rate, a probe now and then, until the time is over.
fn produce(producer: &Producer, topic: &str, (rate, entities): (u64, u64), produced: &Produced, until: Instant) {
    let (begun, mut made, mut probes) = (Instant::now(), 0u64, 0u32);
    while Instant::now() < until {
        let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
        while made < due {
            made += 1;
            let is_probe = begun.elapsed() >= PROBE_EVERY * probes;
            let user = match is_probe {
                true => "probe".to_owned(),
                false => user_name((made.wrapping_mul(2_654_435_761) % entities) as u32),
            };
            let at = now_ms();
            let value = format!(r#"{{"user":"{user}","amount":1.5,"at":{at}}}"#);
            if is_probe {
                probes += 1;
                produced.lock().expect("no holder panics").push(Instant::now());
            }
            let (key, value) = (Some(user.as_bytes()), Some(value.as_bytes()));
            producer
                .send(ProducerRecord { topic, key, value, time: Some(at), headers: &[] }, PATIENCE)
                .expect("it is sent");
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    producer.flush(PATIENCE).expect("all are delivered");
}

/// Asks for the count of probes over and over; gives how long each took to be counted.
fn watch(
    produced: &Produced,
    until: Instant,
    mut count: impl FnMut() -> usize + Send + 'static,
) -> std::thread::JoinHandle<Vec<Duration>> {
    let produced = produced.clone();
    std::thread::spawn(move || {
        let mut took = Vec::new();
        // What is under way at the end is waited for.
        while Instant::now() < until + Duration::from_secs(1) {
            let counted = count();
            let now = Instant::now();
            let produced = produced.lock().expect("no holder panics");
            took.extend((took.len()..counted.min(produced.len())).map(|probe| now - produced[probe]));
            drop(produced);
            std::thread::sleep(ASK_EVERY);
        }
        took
    })
}

/// Asks the endpoint, over one connection.
fn http_count(address: std::net::SocketAddr) -> impl FnMut() -> usize + Send + use<> {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    move || {
        let answer = get(&mut stream, "/features/user/probe");
        let count = answer.split("\"amount_count_1h\":").nth(1).and_then(|rest| rest.split([',', '}']).next());
        count.and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

fn redis_count(url: &str, dataflow: &str) -> impl FnMut() -> usize + Send + use<> {
    let mut connection = redis::Client::open(url).and_then(|client| client.get_connection()).expect("Redis answers");
    let key = format!("tidemill:{dataflow}:user:probe");
    move || {
        let count: Option<usize> =
            redis::cmd("HGET").arg(&key).arg("amount_count_1h").query(&mut connection).expect("Redis answers");
        count.unwrap_or(0)
    }
}

/// The body of an answer, over a connection that stays.
fn get(stream: &mut TcpStream, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("it is sent");
    let (mut read, mut buffer) = (Vec::new(), [0; 65536]);
    loop {
        let got = stream.read(&mut buffer).expect("it answers");
        assert!(got > 0, "the endpoint hung up");
        read.extend_from_slice(&buffer[..got]);
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return body.to_owned();
        }
    }
}

/// Prints the histogram of freshness that the program exports.
fn histogram(address: std::net::SocketAddr) {
    let text = get(&mut TcpStream::connect(address).expect("it listens"), "/metrics");
    let bucket = |line: &str| {
        let rest = line.strip_prefix("tidemill_feature_freshness_seconds_bucket{")?;
        let le = rest.split("le=\"").nth(1)?.split('"').next()?;
        Some((le.to_owned(), rest.rsplit(' ').next()?.parse::<f64>().ok()?))
    };
    let buckets: Vec<(String, f64)> = text.lines().filter_map(bucket).collect();
    let all = buckets.last().map_or(0.0, |(_, count)| *count);
    let under = |share: f64| buckets.iter().find(|(_, count)| *count >= all * share).map_or("?", |(le, _)| le.as_str());
    println!("tidemill_feature_freshness_seconds: half under {} s, 99 % under {} s", under(0.5), under(0.99));
}
