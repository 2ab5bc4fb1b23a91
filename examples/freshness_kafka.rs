//! Time from producing a record until its features can be read, over HTTP and from Redis: a producer at a
//! steady rate, the whole program as `tidemill run` starts it, and a reader of each that waits for records of its own.
//!
//! `cargo run --release --example freshness_kafka -- SERVERS REDIS_URL [records/s] [entities] [seconds] [lateness]
//! [predictions/s] [windows]`
//!
//! Every 10 ms one of the records is the readers' own, of an entity that has no others. What is measured is the time
//! from handing it to the producer (librdkafka's own defaults) until `GET /features/user/probe`, or the hash in Redis,
//! counts it; both are asked about every half millisecond. Everything shares the machine, the brokers and Redis too.
//!
//! With predictions, a model is retrained every 5 s on a second topic of 100 records/s, and `POST /predict` is sent at that
//! rate for random entities over four connections. With windows (`30s,2m`) that fill within the run, the resident memory
//! of the process, which is printed every 10 s, shows whether it levels off. Probes are counted in the last window, so
//! freshness is measured for as long as that is.

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
/// Records per second of the topic that the model is trained on.
const QUOTES_PER_S: u64 = 100;
/// Connections over which predictions are asked for.
const CLIENTS: u64 = 4;

/// The times at which the probes were produced, from the first.
type Produced = Arc<Mutex<Vec<Instant>>>;

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

fn main() {
    common::allocator::return_free_memory();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| {
        arguments.get(at).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")))
    };
    let [servers, redis_url, ..] = &arguments[..] else { panic!("expected SERVERS and REDIS_URL") };
    let (rate, entities, seconds) = (number(2, 10_000), number(3, 10_000), number(4, 20));
    let lateness = arguments.get(5).map_or("0s", String::as_str);
    let predictions = number(6, 0);
    let windows: Vec<&str> = arguments.get(7).map_or("1h,1d", String::as_str).split(',').collect();

    let topic = format!("freshness-{}", now_ms());
    let settings = [("bootstrap.servers", servers.as_str()), ("linger.ms", "5")];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let cluster = Cluster::new(&BTreeMap::from(settings), "bench").expect("the settings are right");
    let quotes = format!("{topic}-quotes");
    for name in [&topic, &quotes] {
        let new = NewTopic { name, partitions: PARTITIONS, settings: &[] };
        new.create(&cluster).expect("the broker answers");
    }
    let address = start(servers, redis_url, &topic, lateness, &windows);

    let producer = Producer::new(&cluster).expect("a client");
    warm_up(&producer, &topic, address);
    let produced: Produced = Arc::default();
    let until = Instant::now() + Duration::from_secs(seconds);
    let over_http = watch(&produced, until, http_count(address, windows[windows.len() - 1]));
    let from_redis = watch(&produced, until, redis_count(redis_url, &topic, windows[windows.len() - 1]));
    let clients: Vec<_> = (0..if predictions > 0 { CLIENTS } else { 0 })
        .map(|client| std::thread::spawn(move || predict(address, predictions / CLIENTS, entities, client, until)))
        .collect();
    std::thread::spawn(move || print_memory(until));
    produce(&producer, &topic, (rate, entities), &produced, until);
    println!("{rate} records/s of {entities} entities, {PARTITIONS} partitions, lateness {lateness}");
    let mut predicted: Vec<Duration> = clients.into_iter().flat_map(|client| client.join().expect("it ends")).collect();
    if !predicted.is_empty() {
        predicted.sort_unstable();
        let at = |share: f64| predicted[((predicted.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        println!("POST /predict  p50 {:>6.1} ms   p99 {:>6.1} ms   {} answers", at(0.5), at(0.99), predicted.len());
    }
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
fn start(servers: &str, redis_url: &str, topic: &str, lateness: &str, windows: &[&str]) -> std::net::SocketAddr {
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
aggregate = [{{ of = "amount", op = ["count", "mean", "stddev"], windows = {windows:?} }}]

[source.quotes]
topic    = "{topic}-quotes"
format   = "json"
time     = "at"
columns  = {{ user = "string", taken = "bool", at = "timestamp" }}

[model.taken]
kind      = "logistic"
examples  = "quotes"
features  = ["user.*"]
label     = {{ value = "taken" }}
window    = "5s"
optimizer = {{ name = "ftrl", alpha = 0.1 }}
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
        while !get(&mut stream, &format!("/features/user/{}", user_name(user))).contains("amount_count_") {
            assert!(begun.elapsed() < PATIENCE, "what was produced does not show");
            std::thread::sleep(ASK_EVERY);
        }
    }
}

/// Produces at a steady rate, a probe now and then, until the time is over.
fn produce(producer: &Producer, topic: &str, (rate, entities): (u64, u64), produced: &Produced, until: Instant) {
    let (begun, mut made, mut probes, mut quotes) = (Instant::now(), 0u64, 0u32, 0u64);
    let quotes_topic = format!("{topic}-quotes");
    while Instant::now() < until {
        while quotes < (begun.elapsed().as_secs_f64() * QUOTES_PER_S as f64) as u64 {
            quotes += 1;
            let (user, at) = (user_name((quotes.wrapping_mul(2_654_435_761) % entities) as u32), now_ms());
            let value = format!(r#"{{"user":"{user}","taken":{},"at":{at}}}"#, quotes.is_multiple_of(3));
            let (key, value) = (Some(user.as_bytes()), Some(value.as_bytes()));
            producer
                .send(ProducerRecord { topic: &quotes_topic, key, value, time: Some(at), headers: &[] }, PATIENCE)
                .expect("it is sent");
        }
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
        // Waits for the requests that are under way at the end.
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

/// Sends predictions at a steady rate, each at its due time whatever the ones before took; returns the times from when
/// each was due until it was answered.
fn predict(address: std::net::SocketAddr, rate: u64, entities: u64, client: u64, until: Instant) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let (begun, mut took) = (Instant::now(), Vec::new());
    for number in 0u64.. {
        let due = begun + Duration::from_secs_f64(number as f64 / rate as f64);
        if due >= until {
            break;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let user = user_name(((number * CLIENTS + client).wrapping_mul(40_503) % entities) as u32);
        let body = format!(r#"{{"instances":[{{"user":"{user}"}}]}}"#);
        let length = body.len();
        write!(stream, "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}")
            .expect("it is sent");
        // Before the first version there is no prediction.
        if answer(&mut stream).contains("\"predictions\"") {
            took.push(due.elapsed());
        }
    }
    took
}

/// Prints the resident memory of this process every 10 s.
fn print_memory(until: Instant) {
    let begun = Instant::now();
    while Instant::now() < until {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).map_or("?", str::trim);
        println!("after {:>4} s: {resident} resident", begun.elapsed().as_secs());
        std::thread::sleep(Duration::from_secs(10));
    }
}

/// Asks the endpoint, over one connection.
fn http_count(address: std::net::SocketAddr, window: &str) -> impl FnMut() -> usize + Send + use<> {
    let field = format!("\"amount_count_{window}\":");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    move || {
        let answer = get(&mut stream, "/features/user/probe");
        let count = answer.split(field.as_str()).nth(1).and_then(|rest| rest.split([',', '}']).next());
        count.and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

fn redis_count(url: &str, dataflow: &str, window: &str) -> impl FnMut() -> usize + Send + use<> {
    let field = format!("amount_count_{window}");
    let mut connection = redis::Client::open(url).and_then(|client| client.get_connection()).expect("Redis answers");
    let key = format!("tidemill:{dataflow}:user:probe");
    move || {
        let count: Option<usize> =
            redis::cmd("HGET").arg(&key).arg(&field).query(&mut connection).expect("Redis answers");
        count.unwrap_or(0)
    }
}

/// The body of an answer, over a connection that stays.
fn get(stream: &mut TcpStream, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("it is sent");
    answer(stream)
}

/// The body of the next answer of a connection.
fn answer(stream: &mut TcpStream) -> String {
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
