//! The gateway: what it passes on, whom it chooses, and what a client notices of servers that fail; and nginx in its place.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidemill::metrics::Metrics;
use tidemill::serve::{
    BackendUrl, BalancePolicy, Endpoint, Gateway, GatewayConfig, HealthChecks, Readiness, Role, Server, TlsFiles, start,
};

use crate::common::certificates::Authority;
use crate::common::clicks;
use crate::common::program::Run;
use crate::common::servers::{Program, eventually, free_ports};
use crate::common::shop::{Answer, Client, Shop, endpoint, post};
use crate::protocols::mutations::sound;
use crate::protocols::shop;

/// A gateway on a port of its own.
struct Front {
    server: Server,
    metrics: Arc<Metrics>,
    _checks: HealthChecks,
}

impl Front {
    fn open(servers: &[SocketAddr], policy: BalancePolicy) -> Front {
        Front::with(servers, policy, endpoint())
    }

    fn with(servers: &[SocketAddr], policy: BalancePolicy, endpoint: Endpoint) -> Front {
        let url = |server: &SocketAddr| BackendUrl::parse(&format!("http://{server}")).unwrap();
        let config = GatewayConfig {
            servers: servers.iter().map(url).collect(),
            policy,
            entity: vec!["buyer".to_owned()],
            timeout: Duration::from_millis(1500),
        };
        let (metrics, readiness) = (Metrics::new("gateway"), Arc::new(Readiness::default()));
        let gateway = Gateway::new(config, &metrics, &readiness);
        let checks = HealthChecks::start(&gateway, Duration::from_millis(50)).unwrap();
        readiness.started();
        Front { server: start(&endpoint, &gateway).unwrap(), metrics, _checks: checks }
    }

    fn client(&self) -> Client {
        Client::connect(self.server.addr())
    }

    /// The sum of a metric's samples whose labels contain this text.
    fn metric(&self, name: &str, label: &str) -> f64 {
        let text = String::from_utf8(self.metrics.exposition()).unwrap();
        let samples = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }
}

fn order() -> String {
    json!({ "instances": [{ "buyer": "ann", "amount": 20.0, "items": 2 }] }).to_string()
}

/// A server that is ready and, whatever else it is asked, tells the test the request and answers as it is told.
struct Puppet {
    addr: SocketAddr,
    requests: Receiver<String>,
}

impl Puppet {
    /// `act` answers a request other than the question whether it is ready, whose head and body it gets.
    fn start(act: impl Fn(&mut TcpStream, &str) + Send + 'static) -> Puppet {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (send, requests) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read_request(&mut stream) else { continue };
                if request.starts_with("GET /health/ready") {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
                    continue;
                }
                act(&mut stream, &request);
                let _ = send.send(request);
            }
        });
        Puppet { addr, requests }
    }
}

/// Reads a request with a `content-length`, or without a body.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut piece).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some(text.into_owned());
        }
    }
}

#[test]
fn an_answer_through_the_gateway_is_that_of_the_server() {
    let shop = shop();
    let server = shop.serve();
    let front = Front::open(&[server.addr()], BalancePolicy::RoundRobin);
    let (mut direct, mut through) = (Client::connect(server.addr()), front.client());
    let shown = |answer: Answer| {
        let of_connection = |line: &&str| !line.starts_with("date:") && !line.is_empty();
        let mut head: Vec<String> = answer.head.lines().filter(of_connection).map(str::to_owned).collect();
        head.sort();
        (answer.status, head, answer.body)
    };
    for request in sound() {
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: localhost\r\n{}content-length: {}\r\n\r\n",
            request.path,
            request.headers,
            request.body.len()
        );
        let bytes = [head.as_bytes(), &request.body].concat();
        let [ours, theirs] = [&mut direct, &mut through].map(|client| {
            client.send(&bytes).unwrap();
            shown(client.receive().unwrap())
        });
        assert_eq!(ours, theirs, "{}", request.path);
    }
    for path in
        ["/models", "/features/spend/ann", "/features/spend/a%2Fb%20c", "/models/none", "/", "/predict", "/none"]
    {
        assert_eq!(shown(direct.get(path)), shown(through.get(path)), "{path}");
        let length = |head: String| head.lines().find(|line| line.starts_with("content-length")).map(str::to_owned);
        assert_eq!(length(direct.head(path)), length(through.head(path)), "{path}");
    }
    // Sent in chunks.
    let chunked = "POST /predict HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    let model = r#"{"model":"large","instances":[{"buyer":"ann","amount":20.0,"items":2}]}"#;
    through.send(format!("{chunked}{:x}\r\n{model}\r\n0\r\n\r\n", model.len()).as_bytes()).unwrap();
    assert_eq!(through.receive().unwrap().status, 200);
    let large = through.post("/predict", vec![b' '; 100 << 10]);
    assert_eq!((large.status, large.error().as_str()), (413, "the body is larger than 65536 bytes"));
    assert!(front.metric("tidemill_gateway_requests_total", "code=\"200\"") > 10.0);
    assert_eq!(front.metric("tidemill_gateway_in_flight_requests", ""), 0.0);
    front.server.drain();
    server.drain();
}

#[test]
fn a_server_learns_who_asks_and_nothing_of_the_connection() {
    let puppet = Puppet::start(|stream, _| {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: x-own\r\nx-own: 1\r\nx-ours: 2\r\n\r\n{}";
        stream.write_all(head.as_bytes()).unwrap();
    });
    let front = Front::open(&[puppet.addr], BalancePolicy::RoundRobin);
    let mut client = front.client();
    let sent = "POST /predict?x HTTP/1.1\r\nhost: localhost:7\r\nconnection: keep-alive, x-mine\r\nx-mine: 1\r\n\
                te: trailers\r\nauthorization: Bearer t\r\nx-forwarded-for: 10.9.8.7\r\ncontent-length: 2\r\n\r\n{}";
    client.send(sent.replace("?x", "").as_bytes()).unwrap();
    let answer = client.receive().unwrap();
    assert!(answer.head.contains("x-ours: 2") && !answer.head.contains("x-own"), "{}", answer.head);
    let request = puppet.requests.recv().unwrap().to_lowercase();
    for part in [
        "post /predict http/1.1\r\n",
        &format!("host: {}\r\n", puppet.addr),
        "x-forwarded-host: localhost:7\r\n",
        "x-forwarded-for: 10.9.8.7, 127.0.0.1\r\n",
        "x-forwarded-proto: http\r\n",
        "via: 1.1 tidemill\r\n",
        "authorization: bearer t\r\n",
        "content-length: 2\r\n",
        "\r\n\r\n{}",
    ] {
        assert!(request.contains(part), "{part}: {request}");
    }
    assert!(!request.contains("x-mine") && !request.contains("te:"), "{request}");
    // A web page that has resolved its name to this machine, and a parameter that no server takes.
    client.send(b"GET /models HTTP/1.1\r\nhost: evil.example\r\n\r\n").unwrap();
    assert_eq!(client.receive().unwrap().status, 403);
    assert_eq!(front.client().get("/models?x=1").status, 400);
    assert!(puppet.requests.try_recv().is_err());
    front.server.drain();
}

#[test]
fn servers_are_chosen_in_turn_by_open_requests_or_by_entity() {
    let shops = [Shop::open(), Shop::open(), Shop::open()];
    let servers: Vec<Server> = shops.iter().map(Shop::serve).collect();
    let addresses: Vec<SocketAddr> = servers.iter().map(Server::addr).collect();
    let counts = |front: &Front| -> Vec<f64> {
        let label = |server: &SocketAddr| format!("server=\"http://{server}\"");
        addresses.iter().map(|server| front.metric("tidemill_gateway_requests_total", &label(server))).collect()
    };
    for policy in [BalancePolicy::RoundRobin, BalancePolicy::LeastBusy] {
        let front = Front::open(&addresses, policy);
        let mut client = front.client();
        (0..30).for_each(|_| assert_eq!(client.post("/predict", order()).status, 200));
        assert!(counts(&front).iter().all(|count| (8.0..=12.0).contains(count)), "{policy:?}: {:?}", counts(&front));
        front.server.drain();
    }
    let front = Front::open(&addresses, BalancePolicy::Hash);
    let mut client = front.client();
    for _ in 0..10 {
        assert_eq!(client.post("/predict", order()).status, 200);
        assert_eq!(client.get("/features/spend/ann").status, 200);
    }
    let mut of_ann = counts(&front);
    of_ann.sort_by(f64::total_cmp);
    assert_eq!(of_ann, [0.0, 0.0, 20.0]);
    for entity in 0..60 {
        client.get(&format!("/features/spend/buyer{entity}"));
    }
    assert!(counts(&front).iter().all(|count| *count >= 8.0), "{:?}", counts(&front));
    front.server.drain();
    servers.into_iter().for_each(Server::drain);
}

#[test]
fn a_request_that_a_server_breaks_off_is_sent_to_another_one_unless_it_changes_something() {
    let shop = Shop::open();
    let server = shop.serve();
    for part in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"par"] {
        let puppet = Puppet::start(move |stream, _| stream.write_all(part.as_bytes()).unwrap());
        let front = Front::open(&[puppet.addr, server.addr()], BalancePolicy::RoundRobin);
        let mut client = front.client();
        for _ in 0..6 {
            assert_eq!(client.post("/predict", order()).status, 200);
        }
        assert!(puppet.requests.try_recv().is_ok(), "the broken server was asked");
        assert!(front.metric("tidemill_gateway_retries_total", &puppet.addr.to_string()) >= 1.0);
        front.server.drain();
    }
    let puppet = Puppet::start(|_, _| {});
    let front = Front::open(&[puppet.addr, server.addr()], BalancePolicy::RoundRobin);
    let mut client = front.client();
    let mut failed = 0;
    eventually("the broken server is asked for a move", || {
        let body = "{\"version\":2}";
        let head = "POST /models/large/promote HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
        client.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        let answer = client.receive().unwrap();
        failed += usize::from(answer.status == 502);
        assert!([502, 503].contains(&answer.status), "there is no registry, or no answer: {answer:?}");
        failed == 1
    });
    assert_eq!(puppet.requests.iter().take(1).count(), 1);
    assert!(puppet.requests.try_recv().is_err(), "a move is sent once");
    assert_eq!(front.metric("tidemill_gateway_retries_total", ""), 0.0);
    front.server.drain();
    server.drain();
}

#[test]
fn without_a_server_or_in_time_there_is_an_error_that_says_so() {
    let [port] = free_ports();
    let nobody = SocketAddr::from(([127, 0, 0, 1], port));
    let front = Front::open(&[nobody], BalancePolicy::RoundRobin);
    let mut client = front.client();
    let answer = client.post("/predict", order());
    assert_eq!((answer.status, answer.error().as_str()), (503, "no server is ready; try again later"));
    assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
    assert_eq!(client.get("/health/live").status, 200);
    assert_eq!(client.get("/v2/health/live").status, 200);
    let ready = client.get("/health/ready");
    assert_eq!((ready.status, ready.json()["reasons"].clone()), (503, json!(["no server is ready"])));
    assert_eq!(front.metric("tidemill_gateway_server_up", ""), 0.0);
    // It comes.
    let shop = Shop::open();
    let late = start(&Endpoint { listen: nobody.to_string(), ..endpoint() }, &shop.service()).unwrap();
    eventually("the server is found", || client.get("/health/ready").status == 200);
    assert_eq!(client.post("/predict", order()).status, 200);
    assert_eq!(front.metric("tidemill_gateway_server_up", ""), 1.0);
    late.drain();
    front.server.drain();
    let slow = Puppet::start(|_, _| std::thread::sleep(Duration::from_millis(2500)));
    let front = Front::open(&[slow.addr], BalancePolicy::LeastBusy);
    let begun = Instant::now();
    let answer = front.client().post("/predict", order());
    assert_eq!((answer.status, answer.error().as_str()), (504, "the server that was asked did not answer in time"));
    assert!((1400..2400).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    front.server.drain();
}

#[test]
fn a_large_answer_is_passed_on_as_it_comes_and_one_that_breaks_off_is_not_whole() {
    const PIECE: usize = 1 << 20;
    let puppet = Puppet::start(|stream, request| {
        let promised = if request.contains("/models/broken") { 4 * PIECE } else { 3 * PIECE };
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {promised}\r\n\r\n").unwrap();
        for piece in 0..3u8 {
            let _ = stream.write_all(&vec![b'a' + piece; PIECE]);
        }
    });
    let front = Front::open(&[puppet.addr], BalancePolicy::RoundRobin);
    let answer = front.client().get("/models");
    assert_eq!((answer.status, answer.body.len()), (200, 3 * PIECE));
    assert!(answer.body[PIECE..2 * PIECE].iter().all(|byte| *byte == b'b'));
    let mut client = front.client();
    client.send(b"GET /models/broken HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    assert!(client.receive().is_none(), "the connection ends before the length that was promised");
    eventually("nothing is in flight", || front.metric("tidemill_gateway_in_flight_requests", "") == 0.0);
    front.server.drain();
}

#[test]
fn a_gateway_that_stops_answers_what_has_come() {
    let puppet = Puppet::start(|stream, _| {
        std::thread::sleep(Duration::from_millis(700));
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
    });
    let front = Front::open(&[puppet.addr], BalancePolicy::RoundRobin);
    let mut client = front.client();
    client.send(&post("/predict", order().as_bytes())).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let addr = front.server.addr();
    front.server.drain();
    assert_eq!(client.receive().unwrap().status, 200);
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn tokens_of_the_gateway_are_asked_for_before_a_server_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("predict");
    std::fs::write(&path, "asker\n").unwrap();
    let puppet =
        Puppet::start(|stream, _| stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap());
    let guarded = Endpoint { tokens: vec![(Role::Predict, path)], ..endpoint() };
    let front = Front::with(&[puppet.addr], BalancePolicy::RoundRobin, guarded);
    let mut client = front.client();
    assert_eq!(client.post("/predict", order()).status, 401);
    assert!(puppet.requests.try_recv().is_err());
    client
        .send(
            b"POST /predict HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer asker\r\ncontent-length: 2\r\n\r\n{}",
        )
        .unwrap();
    assert_eq!(client.receive().unwrap().status, 200);
    assert!(puppet.requests.recv().unwrap().to_lowercase().contains("authorization: bearer asker"));
    front.server.drain();
}

/// Writes a dataflow, its records, and the config of a gateway before servers on these ports.
fn write(folder: &Path, ports: &[u16]) {
    clicks::write(folder);
    std::fs::write(folder.join("config.toml"), clicks::TOPICS).unwrap();
    let servers: Vec<String> = ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
    let gateway =
        format!("[http]\nlisten = \"127.0.0.1:0\"\n[gateway]\nservers = {servers:?}\nhealth_interval = \"100ms\"\n");
    std::fs::write(folder.join("gateway.toml"), gateway).unwrap();
}

fn serve(folder: &Path, port: u16) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.args(["run", "clicks.toml", "--config", "config.toml", "--quiet", "--set"]);
    command.arg(format!("data_dir=var{port}")).args(["--set", &format!("http.listen=127.0.0.1:{port}")]);
    Program::start(command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null()))
}

/// Sends requests from several clients while each of two servers is killed and started again in turn, until there were
/// `least` requests. Every one must be answered with a prediction.
fn under_load(least: u64, clients: usize) {
    let folder = tempfile::tempdir().unwrap();
    let ports: [u16; 2] = free_ports();
    write(folder.path(), &ports);
    let mut servers = ports.map(|port| serve(folder.path(), port));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    let gateway = Run::start(command.args(["gateway", "--config", "gateway.toml"]).current_dir(folder.path()));
    let up = |port: u16| gateway.metric("tidemill_gateway_server_up", &format!(":{port}\"")) == 1.0;
    eventually("both servers are ready", || ports.iter().all(|port| up(*port)));
    let (answered, is_done) = (AtomicU64::new(0), AtomicBool::new(false));
    let failed: Mutex<Vec<String>> = Mutex::default();
    let (mut rounds, body) = (0, json!({ "instances": [{ "user": "u1" }] }).to_string());
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut client = Client::from(gateway.connect());
                while !is_done.load(SeqCst) {
                    client.send(&post("/predict", body.as_bytes())).unwrap();
                    match client.receive() {
                        Some(answer) if answer.status == 200 => {
                            let json: Value = answer.json();
                            assert_eq!(json["predictions"].as_array().map(Vec::len), Some(1));
                            answered.fetch_add(1, SeqCst);
                        }
                        other => {
                            failed.lock().unwrap().push(format!("{other:?}"));
                            client = Client::from(gateway.connect());
                        }
                    }
                }
            });
        }
        while rounds < 4 || answered.load(SeqCst) < least {
            let which = rounds % 2;
            // Killed at once, or told to stop, by turns.
            match rounds / 2 % 2 {
                0 => servers[which].0.kill().unwrap(),
                _ => assert!(Command::new("kill").arg(servers[which].0.id().to_string()).status().unwrap().success()),
            }
            servers[which].0.wait().unwrap();
            eventually("it is out", || !up(ports[which]));
            servers[which] = serve(folder.path(), ports[which]);
            eventually("it is in again", || up(ports[which]));
            rounds += 1;
        }
        is_done.store(true, SeqCst);
    });
    let failed = failed.into_inner().unwrap();
    println!("{} requests in {rounds} rounds, {} failed", answered.load(SeqCst), failed.len());
    assert_eq!(failed, Vec::<String>::new());
    gateway.stop();
}

#[test]
fn no_request_fails_while_servers_are_killed_and_started_again() {
    under_load(1000, 3);
}

#[test]
#[ignore = "takes minutes; cargo test --release --test serve gateway -- --ignored --nocapture"]
fn none_of_100_000_requests_fails_while_servers_are_killed_and_started_again() {
    under_load(100_000, 8);
}

#[test]
fn a_gateway_without_servers_or_with_wrong_ones_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("none.toml"), "[http]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let refused = |set: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.args(["gateway", "--config", "none.toml"]).current_dir(folder.path());
        set.iter().for_each(|change| _ = command.args(["--set", change]));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&[]).contains("gateway.servers has none"));
    for (servers, expected) in [
        ("[\"http://a:1\", \"http://user:hush@b:2\"]", "gateway.servers: entry 2 is not the URL of a server"),
        ("[\"https://a\"]", "entry 1 is not the URL of a server; expected http://HOST:PORT"),
        ("[\"http://a:80\", \"http://a\"]", "entry 2 is a server named before"),
    ] {
        let said = refused(&[&format!("gateway.servers={servers}")]);
        assert!(said.contains(expected) && !said.contains("hush"), "{said}");
    }
    let unnamed = refused(&["gateway.policy=hash", "gateway.servers=[\"http://a:80\"]"]);
    assert!(
        unnamed.starts_with("--set gateway.policy: error: gateway.policy is \"hash\" without gateway.entity"),
        "{unnamed}"
    );
    assert!(refused(&["gateway.policy=random"]).contains("--set gateway.policy: error: unknown word"));
}

/// Returns the block of nginx's configuration in the guide, with ports and files of this test.
fn nginx_of_the_guide(listen: u16, servers: [u16; 2], tls: &TlsFiles) -> String {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guides/scaling.md")).unwrap();
    let block = guide.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let [first, second] = servers.map(|port| format!("127.0.0.1:{port}"));
    let mut text = block.to_owned();
    for (from, to) in [
        ("127.0.0.1:8081", first),
        ("127.0.0.1:8082", second),
        ("listen 443 ssl", format!("listen 127.0.0.1:{listen} ssl")),
        ("server.pem", tls.cert.display().to_string()),
        ("server.key", tls.key.display().to_string()),
    ] {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text = text.replace(from, &to);
    }
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths: String = paths.iter().map(|path| format!("{path}_temp_path {path};\n")).collect();
    format!(
        "daemon off; master_process off; pid nginx.pid; error_log errors;\nevents {{}}\nhttp {{ access_log off;\n{paths}{text}}}\n"
    )
}

#[test]
fn nginx_as_the_guide_has_it_repeats_predictions_on_another_server() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let shops = [Shop::open(), Shop::open()];
    let servers = shops.each_ref().map(Shop::serve);
    let [listen] = free_ports();
    let config =
        nginx_of_the_guide(listen, servers.each_ref().map(|server| server.addr().port()), &authority.pair("n"));
    std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "errors"]).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(child) = command.spawn() else {
        eprintln!("nginx is not installed: the test of its configuration IS SKIPPED");
        return;
    };
    let mut nginx = Program(child);
    let ask = |path: &str, body: &str| -> String {
        let mut curl = Command::new("curl");
        curl.args(["-s", "--max-time", "10", "-w", " %{http_code}", "--cacert"]).arg(authority.certificate());
        curl.args(["--json", body]).arg(format!("https://localhost:{listen}{path}"));
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    };
    eventually("nginx answers", || {
        assert!(!nginx.has_ended(), "{}", std::fs::read_to_string(folder.path().join("errors")).unwrap());
        ask("/predict", &order()).ends_with(" 200")
    });
    let answer = ask("/models/large/promote", r#"{"version":2}"#);
    assert_eq!(answer, r#"{"error":"this server has no registry"} 503"#);
    let [first, second] = servers;
    first.drain();
    for _ in 0..20 {
        let answer = ask("/predict", &order());
        assert!(answer.contains("\"predictions\"") && answer.ends_with(" 200"), "{answer}");
    }
    second.drain();
}
