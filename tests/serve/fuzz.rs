//! Requests made of parts at random, for every reader of requests: each is answered well or as an error of the caller, in
//! JSON where it is an error, and the connection can be used on unless the answer ends it.
//!
//! The requests are made of what the readers look for: real routes, real bodies, and values that are nearly right. The
//! seed is fixed, so a failure is repeated; the message has the request.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tidemill::registry::Registry;
use tidemill::serve::{FAMILIES, Server, start};

use crate::common::shop::{Answer, COUNTED, Client, LARGE, LEVELS, SHOP, SORTS, Shop, endpoint};
use crate::protocols::mutations::{Sound, sound};
use crate::protocols::orders;

/// Requests of a test: they take some seconds.
const REQUESTS: u64 = 20_000;

/// Pieces of paths, queries and headers that mean something to some reader.
const WORDS: [&str; 31] = [
    "large",
    "levels",
    "sorts",
    "counted",
    "spend",
    "place",
    "ann",
    "DE",
    "2",
    "1",
    "0",
    "-1",
    "18446744073709551616",
    "champion",
    "9e99",
    "NaN",
    "%2F",
    "%00",
    "%ff",
    "%",
    "%zz",
    "..",
    "a:predict",
    "a:explain",
    ":",
    "é",
    "",
    "true",
    "2h",
    "7x1d",
    "2024-01-01T00:00:00Z",
];

/// A service with every kind of model, whose registry can be moved in.
fn served(folder: &std::path::Path) -> (Shop, Server) {
    let mut shop = Shop::bare(&format!("{SHOP}{LARGE}{COUNTED}{LEVELS}{SORTS}"));
    shop.registry = Some(Registry::scratch(&folder.display().to_string()).unwrap());
    shop.fill();
    (0..4).for_each(|model| drop(shop.publish(model, 2)));
    shop.readiness.started();
    let server = start(&endpoint(), &shop.service()).unwrap();
    (shop, server)
}

/// Bodies of every reader: those of the protocols, and of tidemill's own routes.
fn bodies() -> Vec<Sound> {
    let plain = |path, body: Value| Sound { path, headers: String::new(), body: body.to_string().into_bytes() };
    let csv = "buyer,country,amount,items,vip\nAnn,DE,20.0,2,true\n\"b\"\"ob\",,0.5,1,\n";
    let csv = Sound {
        path: "/invocations",
        headers: "content-type: text/csv\r\nx-amzn-sagemaker-target-model: large\r\n".to_owned(),
        body: csv.as_bytes().to_vec(),
    };
    let own = [
        plain(
            "/predict",
            json!({ "model": "large", "version": 2, "instances": orders(), "features": true, "explain": true }),
        ),
        plain(
            "/features/place",
            json!({ "entities": [{ "country": "DE", "items": 2 }, { "country": null, "items": 1 }] }),
        ),
        plain("/recommend", json!({ "model": "large", "user": { "buyer": "ann" }, "n": 3 })),
        plain("/models/large/promote", json!({ "version": 1, "alias": "canary", "reason": "r", "by": "b" })),
        plain("/models/large/rollback", json!({ "reason": "r" })),
        csv,
    ];
    sound().into_iter().chain(own).collect()
}

/// A value that is nearly right, or not at all.
fn odd_value(random: &mut StdRng) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1e308),
        json!(u64::MAX),
        json!(""),
        json!("\u{0}\u{ffff}"),
        json!("x".repeat(3000)),
        json!([]),
        json!({}),
        json!([[[[[1]]]]]),
        json!({ "": { "a": [null] } }),
        json!("2024-02-30T25:61:00Z"),
        orders(),
    ];
    values.choose(random).unwrap().clone()
}

/// Changes one value of a JSON text somewhere.
fn change(value: &mut Value, random: &mut StdRng) {
    if random.random_bool(0.3) {
        *value = odd_value(random);
        return;
    }
    match value {
        Value::Object(object) if !object.is_empty() => {
            let names: Vec<String> = object.keys().cloned().collect();
            let name = names.choose(random).unwrap();
            match random.random_range(0..4) {
                0 => drop(object.remove(name)),
                1 => drop(object.insert((*WORDS.choose(random).unwrap()).to_owned(), odd_value(random))),
                _ => change(&mut object[name.as_str()], random),
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let at = random.random_range(0..list.len());
            match random.random_range(0..4) {
                0 => drop(list.remove(at)),
                1 => list.insert(at, odd_value(random)),
                _ => change(&mut list[at], random),
            }
        }
        value => *value = odd_value(random),
    }
}

/// Returns a body that is like a sound one.
fn body(sound: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut body = sound.to_vec();
    if let Ok(mut value) = serde_json::from_slice::<Value>(sound) {
        (0..random.random_range(0..3)).for_each(|_| change(&mut value, random));
        body = value.to_string().into_bytes();
    }
    for _ in 0..random.random_range(0..3) {
        let at = random.random_range(0..body.len().max(1));
        match random.random_range(0..4) {
            0 if at < body.len() => body[at] = random.random(),
            1 if at < body.len() => drop(body.remove(at)),
            2 => body.truncate(at),
            _ => body.insert(at.min(body.len()), *b"{}[]\",:\\\n\r\x00\xff0e-".choose(random).unwrap()),
        }
    }
    body
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Returns the path of a route with words for its captures, or of no route.
fn path(pattern: &str, random: &mut StdRng) -> String {
    let mut path = String::new();
    for part in pattern.split_inclusive('}') {
        let Some((literal, _)) = part.split_once('{') else {
            path += part;
            continue;
        };
        path += literal;
        path += WORDS.choose(random).unwrap();
    }
    for _ in 0..random.random_range(0..3) {
        let name = ["window", "metric", "start", "end", "model", "buyer", "items", "x", "%ff"].choose(random).unwrap();
        path += if path.contains('?') { "&" } else { "?" };
        path += &format!("{name}={}", WORDS.choose(random).unwrap());
    }
    path.replace('é', "%C3%A9").replace(' ', "+")
}

/// Returns headers, of which the last may contradict the first.
fn headers(random: &mut StdRng) -> String {
    const SOME: [&str; 22] = [
        "authorization: Basic YTpi",
        "authorization: Basic ====",
        "authorization: Basic",
        "authorization: Bearer \u{7f}",
        "authorization: Bearer a\r\nauthorization: Bearer b",
        "content-type: text/csv",
        "content-type: application/json; charset=latin1",
        "content-type: application/x-www-form-urlencoded",
        "content-type: ;;;",
        "content-type: application/octet-stream",
        "content-encoding: br",
        "content-encoding: gzip, gzip",
        "inference-header-content-length: 0",
        "inference-header-content-length: 40",
        "inference-header-content-length: -1",
        "inference-header-content-length: 18446744073709551615",
        "inference-header-content-length: x",
        "x-amzn-sagemaker-target-model: nope",
        "x-amzn-sagemaker-target-model: \"large\"",
        "accept: nothing/*;q=9",
        "host: [::1",
        "expect: 100-continue",
    ];
    let count = [0, 0, 1, 2].choose(random).unwrap();
    (0..*count).map(|_| format!("{}\r\n", SOME.choose(random).unwrap())).collect()
}

/// A request in bytes, whose body has its length.
fn request(bodies: &[Sound], random: &mut StdRng) -> Vec<u8> {
    let sound = bodies.choose(random).unwrap();
    let routes: Vec<_> = FAMILIES.iter().flat_map(|family| family.routes).collect();
    let (mut method, mut target) = ("POST".to_owned(), sound.path.to_owned());
    if random.random_bool(0.5) {
        let route = routes.choose(random).unwrap();
        (method, target) = (route.method.to_string(), path(route.pattern, random));
    }
    if random.random_bool(0.1) {
        method = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"].choose(random).unwrap().to_string();
    }
    let mut sent = body(&sound.body, random);
    let mut more = if random.random_bool(0.7) { sound.headers.clone() } else { String::new() };
    if random.random_bool(0.2) {
        sent = if random.random_bool(0.7) { gzip(&sent) } else { sent };
        more += "content-encoding: gzip\r\n";
    }
    more += &headers(random);
    let head = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n{more}content-length: {}\r\n\r\n", sent.len());
    [head.as_bytes(), &sent].concat()
}

/// Checks that an answer is good, or an error in the shape of its family.
fn check(answer: &Answer, request: &[u8]) {
    let shown = || format!("{answer:?} to {:?}", String::from_utf8_lossy(request));
    let known = [200, 400, 401, 403, 404, 405, 413, 415, 417, 429];
    assert!(known.contains(&answer.status), "{}", shown());
    if answer.head.contains("content-type: application/json") && !answer.body.trim_ascii().is_empty() {
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", shown()));
        let texts =
            ["error", "message", "detail"].map(|name| value[name].as_str().is_some_and(|text| !text.is_empty()));
        // An error of Feast is JSON in a text.
        let is_error = texts.contains(&true) || value.as_str().is_some_and(|text| text.contains("feast.errors"));
        assert!(answer.status == 200 || is_error, "{}", shown());
    }
}

#[test]
fn any_request_is_answered_as_an_error_of_the_caller_or_well() {
    let folder = tempfile::tempdir().unwrap();
    let (_shop, server) = served(folder.path());
    let bodies = bodies();
    let mut client = Client::connect(server.addr());
    let mut good = 0;
    for seed in 0..REQUESTS {
        let sent = request(&bodies, &mut StdRng::seed_from_u64(seed));
        let is_head = sent.starts_with(b"HEAD ");
        client.send(&sent).unwrap();
        // To one that expects it, the server says first that it goes on.
        let answers = std::iter::from_fn(|| client.receive_to(is_head));
        let Some(answer) = answers.into_iter().find(|answer| answer.status != 100) else {
            panic!("seed {seed}: no answer to {:?}", String::from_utf8_lossy(&sent));
        };
        check(&answer, &sent);
        good += u64::from(answer.status == 200);
        if answer.head.contains("connection: close") {
            client = Client::connect(server.addr());
        }
        let after = client.get("/health/live");
        assert_eq!(after.status, 200, "seed {seed}: after {:?}: {after:?}", String::from_utf8_lossy(&sent));
    }
    // Otherwise the requests would not reach far.
    assert!((REQUESTS / 20..REQUESTS * 19 / 20).contains(&good), "{good} of {REQUESTS} are good");
    server.drain();
}

#[test]
fn bytes_that_are_no_request_end_the_connection_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (_shop, server) = served(folder.path());
    let bodies = bodies();
    for seed in 0..REQUESTS / 8 {
        let random = &mut StdRng::seed_from_u64(seed);
        let mut sent = request(&bodies, random);
        let head = sent.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..head);
            match random.random_range(0..3) {
                0 => sent[at] = random.random(),
                1 => drop(sent.remove(at)),
                _ => sent.insert(at, *b"\r\n\x00:  /%\x80".choose(random).unwrap()),
            }
        }
        let mut client = Client::connect(server.addr());
        let _ = client.send(&sent);
        client.finish();
        while let Some(answer) = client.receive() {
            assert!(answer.status < 500, "seed {seed}: {answer:?} to {:?}", String::from_utf8_lossy(&sent));
        }
    }
    assert_eq!(Client::connect(server.addr()).get("/health/live").status, 200);
    server.drain();
}

#[test]
fn every_route_with_a_body_is_among_those_that_are_tried() {
    let tried: Vec<&str> = bodies().iter().map(|sound| sound.path).collect();
    for route in FAMILIES.iter().flat_map(|family| family.routes).filter(|route| route.method == "POST") {
        let first = route.pattern.split(['{', ':']).next().unwrap();
        assert!(tried.iter().any(|path| path.starts_with(first)), "{}", route.pattern);
    }
}
