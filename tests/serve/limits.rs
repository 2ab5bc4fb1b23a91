//! Limits of connections and bodies, the reserve for health and metrics, half-closed connections, hosts.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use tidemill::registry::Registry;
use tidemill::serve::{Endpoint, Server, start};

use crate::common::shop::{Answer, Client, LARGE, SHOP, Shop, endpoint, post};

fn body() -> String {
    json!({ "instances": [{ "buyer": "Ann", "amount": 20.0, "items": 2 }] }).to_string()
}

/// Long enough that no connection is closed for being slow while a test runs.
const PATIENT: Duration = Duration::from_secs(120);

/// Sends the beginning of a request and no more.
fn begin(number: usize, client: &mut Client) {
    let begun: &[u8] = [b"".as_slice(), b"POST /predict HTTP/1.1\r\nhost: local"][number % 2];
    client.send(begun).unwrap();
}

/// Slow clients, one for each place for connections, which it has since it was answered before.
fn fill(server: &Server, places: usize) -> Vec<Client> {
    let open = |number: usize| {
        let mut client = Client::connect(server.addr());
        assert_eq!(client.get("/models").status, 200);
        begin(number, &mut client);
        client
    };
    (0..places).map(open).collect()
}

/// Further slow clients.
fn slow(server: &Server, count: usize) -> Vec<Client> {
    let open = |number: usize| {
        let mut client = Client::connect(server.addr());
        begin(number, &mut client);
        client
    };
    (0..count).map(open).collect()
}

#[test]
fn health_and_metrics_are_answered_while_slow_clients_hold_every_connection() {
    let shop = Shop::open();
    for (most, of_one) in [(40, 100), (100, 40)] {
        let limits = Endpoint { max_connections: most, max_connections_per_address: of_one, ..endpoint() };
        let server = start(&Endpoint { request_timeout: PATIENT, ..limits }, &shop.service()).unwrap();
        // More than the limit and the reserve of both threads together.
        let held = (fill(&server, 40), slow(&server, 260));
        for path in ["/health/live", "/health/ready", "/metrics"] {
            for _ in 0..20 {
                let mut probe = Client::connect(server.addr());
                let answer = probe.get(path);
                assert_eq!(answer.status, 200, "{path}");
                assert!(answer.head.contains("connection: close"), "{}", answer.head);
                assert!(probe.receive().is_none(), "one answer for each connection of the reserve");
            }
        }
        let mut probe = Client::connect(server.addr());
        assert!(probe.head("/health/live").starts_with("http/1.1 200"));
        for path in ["/models", "/features/spend/ann", "/dataflow"] {
            let refused = Client::connect(server.addr()).get(path);
            assert_eq!((refused.status, refused.error().as_str()), (429, "too many connections; try again later"));
            assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
        }
        // A body that is still to come is read, so that the answer arrives.
        let refused = Client::connect(server.addr()).post("/predict", vec![b' '; 60 << 10]);
        assert_eq!(refused.status, 429);
        let mut waiting = Client::connect(server.addr());
        waiting.send(b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nab").unwrap();
        waiting.finish();
        assert!(waiting.receive().is_none_or(|answer| answer.status == 429));
        drop(held);
        while Client::connect(server.addr()).post("/predict", body()).status != 200 {
            std::thread::yield_now();
        }
        server.drain();
    }
}

#[test]
fn a_registry_that_hangs_holds_up_a_bounded_number_of_requests() {
    let folder = tempfile::tempdir().unwrap();
    let mut shop = Shop::bare(&format!("{SHOP}{LARGE}"));
    shop.registry = Some(Registry::scratch(&folder.path().display().to_string()).unwrap());
    shop.fill();
    shop.publish(0, 3);
    shop.readiness.started();
    let server =
        start(&Endpoint { max_connections: 200, max_connections_per_address: 200, ..endpoint() }, &shop.service())
            .unwrap();
    // Version 1 is no longer in memory, and no process writes to the pipe that takes the place of its file.
    let weights = folder.path().join("large/1/weights.safetensors");
    std::fs::remove_file(&weights).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&weights).status().unwrap().success());
    let first = json!({ "version": 1, "instances": [{ "buyer": "Ann", "amount": 20.0, "items": 2 }] }).to_string();
    let mut waiting: Vec<Client> = Vec::new();
    let refused = loop {
        let mut client = Client::connect(server.addr());
        client.send(&post("/predict", first.as_bytes())).unwrap();
        if let Some(answer) = client.receive_within(Duration::from_millis(30)) {
            break answer;
        }
        waiting.push(client);
        assert!(waiting.len() <= 64, "no more may wait");
    };
    assert_eq!((refused.status, waiting.len()), (429, 64));
    assert_eq!(refused.error(), "too many requests wait for the registry; try again later");
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    assert_eq!(Client::connect(server.addr()).post("/predict", body()).status, 200, "others are answered");
    // The next reader of the pipe finds its end at once.
    let released = std::thread::spawn(move || {
        while std::fs::OpenOptions::new().write(true).open(&weights).is_ok() && weights.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    for client in &mut waiting {
        assert_eq!(client.receive().unwrap().status, 503);
    }
    assert_eq!(Client::connect(server.addr()).post("/predict", body()).status, 200);
    server.drain();
    drop((folder, released));
}

#[test]
fn one_address_leaves_connections_for_others() {
    let shop = Shop::open();
    let limits = Endpoint { max_connections_per_address: 8, request_timeout: PATIENT, ..endpoint() };
    let server = start(&limits, &shop.service()).unwrap();
    let _held = (fill(&server, 8), slow(&server, 20));
    assert_eq!(Client::connect(server.addr()).post("/predict", body()).status, 429);
    // The system routes all of 127.0.0.0/8 to this machine.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.2:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&server.addr().into()).unwrap();
    let mut other = Client::from(TcpStream::from(socket));
    assert_eq!(other.post("/predict", body()).status, 200);
    server.drain();
}

#[test]
fn bodies_hold_no_more_than_their_total_and_small_ones_are_answered_meanwhile() {
    let shop = Shop::open();
    let limits = Endpoint {
        max_body_bytes: 64 << 10,
        max_total_body_bytes: 128 << 10,
        max_connections_per_address: 64,
        ..endpoint()
    };
    let server = start(&limits, &shop.service()).unwrap();
    let large = |last: &str| format!("{}{last}", " ".repeat((64 << 10) - 1 - last.len()));
    let begin = || {
        let mut client = Client::connect(server.addr());
        let head = format!("POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", (64 << 10) - 1);
        client.send(head.as_bytes()).unwrap();
        client.send(&large(&body()).as_bytes()[..60 << 10]).unwrap();
        client
    };
    let mut held: Vec<Client> = (0..8).map(|_| begin()).collect();
    // Each holds 44 KiB beyond its first 16, so that not all of them can be held; those that cannot are refused.
    let large = large(&body());
    let answers: Vec<Answer> = held
        .iter_mut()
        .map(|client| {
            client.send(&large.as_bytes()[60 << 10..]).unwrap();
            client.receive().unwrap()
        })
        .collect();
    let of = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert!(of(200) >= 1 && of(200) + of(429) == 8, "{answers:?}");
    let held: Vec<Client> = (0..8).map(|_| begin()).collect();
    assert_eq!(Client::connect(server.addr()).post("/predict", body()).status, 200, "a small body is not counted");
    drop(held);
    while Client::connect(server.addr()).post("/predict", large.as_bytes()).status != 200 {
        std::thread::yield_now();
    }
    server.drain();
}

#[test]
fn a_client_that_closes_its_sending_side_is_answered() {
    let shop = Shop::open();
    let server = shop.serve();
    let gets = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let closing = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let old = b"GET /health/live HTTP/1.0\r\n\r\n";
    let posted = post("/predict", body().as_bytes());
    let both = [posted.as_slice(), gets].concat();
    for (request, answers) in [(&gets[..], 1), (closing, 1), (old, 1), (&posted, 1), (&both, 2)] {
        for pieces in [1, 2, 7] {
            let mut client = Client::connect(server.addr());
            for piece in request.chunks(request.len().div_ceil(pieces)) {
                client.send(piece).unwrap();
            }
            client.finish();
            for _ in 0..answers {
                assert_eq!(client.receive().expect("an answer").status, 200);
            }
            assert!(client.receive().is_none(), "then the connection ends");
        }
    }
    // A body that ends too early is no request, and nothing waits for the rest.
    for part in [&posted[..posted.len() - 3], &posted[..20], b""] {
        let mut client = Client::connect(server.addr());
        client.send(part).unwrap();
        client.finish();
        assert!(client.receive().is_none_or(|answer| answer.status == 400));
    }
    server.drain();
}

#[test]
fn a_request_on_a_loopback_address_must_name_this_machine() {
    let shop = Shop::open();
    let limits = Endpoint { allowed_hosts: vec!["Predict.example:80".to_owned()], ..endpoint() };
    let server = start(&limits, &shop.service()).unwrap();
    let ask = |host: &str, target: &str| {
        let mut client = Client::connect(server.addr());
        client.send(format!("GET {target} HTTP/1.1\r\n{host}\r\n").as_bytes()).unwrap();
        client.receive().unwrap()
    };
    for host in ["localhost", "localhost:1", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST", "predict.example:9000"] {
        assert_eq!(ask(&format!("host: {host}\r\n"), "/models").status, 200, "{host}");
    }
    assert_eq!(ask("", "/models").status, 200, "a browser always names a host");
    assert_eq!(ask("host: localhost\r\n", "http://localhost/models").status, 200);
    for (host, target) in [
        ("host: evil.example\r\n", "/models"),
        ("host: evil.example:8080\r\n", "/health/live"),
        ("host: 192.0.2.1\r\n", "/metrics"),
        ("host: localhost\r\nhost: evil.example\r\n", "/models"),
        ("host: localhost\r\n", "http://evil.example/models"),
        ("host: evil.example\r\n", "/nowhere"),
    ] {
        let refused = ask(host, target);
        assert_eq!(refused.status, 403, "{host} {target}");
        assert!(refused.error().contains("http.allowed_hosts"), "{refused:?}");
    }
    server.drain();
}

#[test]
fn slow_clients_of_the_reserve_are_disconnected() {
    let shop = Shop::open();
    let limits = Endpoint { max_connections: 2, request_timeout: PATIENT, ..endpoint() };
    let server = start(&limits, &shop.service()).unwrap();
    let _held = fill(&server, 2);
    let mut waiting = slow(&server, 4);
    assert!(waiting.iter_mut().all(|client| client.receive().is_none()), "long before the request timeout");
    server.drain();
}
