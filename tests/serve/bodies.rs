//! Request bodies over real sockets: any content type, gzip, and what is neither.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::common::shop::{Answer, Client, Shop};

fn body() -> String {
    json!({ "instances": [{ "buyer": "Ann", "amount": 20.0, "items": 2 }] }).to_string()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Posts a body under headers, each ended by a line break.
fn send(client: &mut Client, headers: &str, body: &[u8]) -> Answer {
    let head = format!("POST /predict HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {}\r\n\r\n", body.len());
    client.send(&[head.as_bytes(), body].concat()).unwrap();
    client.receive().expect("an answer")
}

#[test]
fn a_json_body_is_taken_under_any_content_type() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let expected = send(&mut client, "content-type: application/json\r\n", body().as_bytes()).json();
    for content_type in [
        "",
        "content-type: application/x-www-form-urlencoded\r\n",
        "content-type: text/plain;charset=UTF-8\r\n",
        "content-type: application/vnd.api+json\r\n",
        "content-type: \r\n",
        "content-type: é\r\n",
        "content-type: a\r\ncontent-type: b\r\n",
    ] {
        let answer = send(&mut client, content_type, body().as_bytes());
        assert_eq!((answer.status, answer.json()), (200, expected.clone()), "{content_type}");
    }
    let marked = format!("\u{feff}{}", body());
    assert_eq!(send(&mut client, "", marked.as_bytes()).json(), expected, "a byte order mark is skipped");
    let form = send(&mut client, "content-type: application/x-www-form-urlencoded\r\n", b"instances=3");
    assert_eq!(form.status, 400);
    server.drain();
}

#[test]
fn a_gzip_body_is_read_as_what_it_contains() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let expected = send(&mut client, "", body().as_bytes()).json();
    let packed = gzip(body().as_bytes());
    for coding in ["gzip", "GZIP", "x-gzip", "identity, gzip"] {
        let answer = send(&mut client, &format!("content-encoding: {coding}\r\n"), &packed);
        assert_eq!((answer.status, answer.json()), (200, expected.clone()), "{coding}");
    }
    let plain = send(&mut client, "content-encoding: identity\r\n", body().as_bytes());
    assert_eq!(plain.json(), expected);
    // In pieces of one byte each.
    client.send(b"POST /predict HTTP/1.1\r\nhost: localhost\r\n").unwrap();
    client.send(b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    for byte in &packed {
        client.send(&[b"1\r\n", [*byte].as_slice(), b"\r\n"].concat()).unwrap();
    }
    client.send(b"0\r\n\r\n").unwrap();
    assert_eq!(client.receive().unwrap().json(), expected);
    // A body that is not gzip, or is cut, is a client error, and the connection stays open.
    for wrong in [body().as_bytes(), &packed[..packed.len() - 1], &[packed.as_slice(), b"x"].concat(), b""] {
        let answer = send(&mut client, "content-encoding: gzip\r\n", wrong);
        assert!(answer.status == 400 && answer.error().starts_with("the body is not valid gzip"), "{answer:?}");
    }
    for coding in ["br", "deflate", "zstd", "compress", "gzip, gzip", "gzip, br"] {
        let answer = send(&mut client, &format!("content-encoding: {coding}\r\n"), &packed);
        assert_eq!(answer.status, 415, "{coding}");
    }
    assert_eq!(send(&mut client, "content-encoding: gzip\r\n", &packed).status, 200);
    server.drain();
}

#[test]
fn a_gzip_body_that_inflates_beyond_the_limit_is_answered_413() {
    let shop = Shop::open();
    let server = shop.serve();
    let spaces = |count: usize| [vec![b' '; count], body().into_bytes()].concat();
    let mut client = Client::connect(server.addr());
    let fits = spaces((64 << 10) - body().len());
    assert_eq!(send(&mut client, "content-encoding: gzip\r\n", &gzip(&fits)).status, 200);
    for length in [64 << 10, 1 << 20, 50 << 20] {
        let mut client = Client::connect(server.addr());
        let bomb = gzip(&spaces(length));
        assert!(bomb.len() < 64 << 10);
        let answer = send(&mut client, "content-encoding: gzip\r\n", &bomb);
        assert_eq!((answer.status, answer.error().as_str()), (413, "the body is larger than 65536 bytes"));
    }
    server.drain();
}

#[test]
fn a_route_for_get_ignores_a_body_and_its_headers() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    client
        .send(b"GET /models HTTP/1.1\r\nhost: localhost\r\ncontent-encoding: br\r\ncontent-length: 3\r\n\r\nabc")
        .unwrap();
    let answer = client.receive().unwrap();
    assert_eq!((answer.status, answer.json()["models"][0]["name"].clone()), (200, Value::from("large")));
    server.drain();
}
