//! Bodies that are cut or damaged anywhere: each is answered with 200 or an error of the caller, and the connection goes on.

use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::mlflow::split;
use super::open_inference::{binary, inputs, texts};
use super::{columns, orders, shop};
use crate::common::shop::{Answer, Client, Shop};

/// A request that is answered with 200.
pub struct Sound {
    pub path: &'static str,
    pub headers: String,
    pub body: Vec<u8>,
}

/// A request of every reader of bodies.
pub fn sound() -> Vec<Sound> {
    let plain = |path, body: Value| Sound { path, headers: String::new(), body: body.to_string().into_bytes() };
    let tensors = [texts(&["Ann", "bob"]), [1i64, 2].iter().flat_map(|value| value.to_le_bytes()).collect()];
    let tensor = |name: &str, datatype: &str, at: usize| {
        let size = tensors[at].len();
        json!({ "name": name, "datatype": datatype, "shape": [2], "parameters": { "binary_data_size": size } })
    };
    let request = json!({
        "parameters": { "binary_data_output": true },
        "inputs": [
            tensor("buyer", "BYTES", 0), tensor("items", "INT64", 1),
            { "name": "amount", "datatype": "FP64", "shape": [2, 1], "data": [[1.5], [2]] },
        ],
    });
    let (length, body) = binary(&request, &tensors);
    vec![
        plain("/v2/models/levels/infer", json!({ "id": "1", "inputs": inputs(), "outputs": [{ "name": "classes" }] })),
        Sound {
            path: "/v2/models/large/infer",
            headers: format!("inference-header-content-length: {length}\r\n"),
            body,
        },
        plain("/v1/models/large:predict", json!({ "signature_name": "", "instances": orders() })),
        plain("/v1/models/levels/labels/champion:predict", json!({ "inputs": columns() })),
        plain("/v1/models/levels/versions/1:explain", json!({ "inputs": columns() })),
        plain("/invocations", json!({ "dataframe_records": orders(), "params": { "model": "sorts", "version": 1 } })),
        plain("/invocations", json!({ "dataframe_split": split(), "params": { "model": "large" } })),
        plain(
            "/get-online-features",
            json!({ "features": ["place:items_sum_1d"], "entities": { "items": [2, 3], "country": ["DE", null] } }),
        ),
        plain("/v2/repository/index", json!({ "ready": true })),
    ]
}

fn send(client: &mut Client, request: &Sound, body: &[u8]) -> Answer {
    let Sound { path, headers, .. } = request;
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {}\r\n\r\n", body.len());
    client.send(&[head.as_bytes(), body].concat()).unwrap();
    client.receive().expect("an answer")
}

#[test]
fn a_body_that_is_cut_anywhere_is_refused() {
    let shop = shop();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    for request in sound() {
        let whole = send(&mut client, &request, &request.body);
        assert_eq!(whole.status, 200, "{}: {:?}", request.path, String::from_utf8_lossy(&whole.body));
        // An empty body of the index is a request as well.
        for end in usize::from(request.path.ends_with("index"))..request.body.len() {
            let cut = send(&mut client, &request, &request.body[..end]);
            assert_eq!(cut.status, 400, "{} cut at {end}: {:?}", request.path, String::from_utf8_lossy(&cut.body));
        }
    }
    server.drain();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_body_that_is_damaged_anywhere_is_answered(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 1..5),
    ) {
        static SERVED: OnceLock<(Shop, tidemill::serve::Server)> = OnceLock::new();
        let (_, server) = SERVED.get_or_init(|| {
            let shop = shop();
            let server = shop.serve();
            (shop, server)
        });
        let all = sound();
        let request = which.get(&all);
        let mut body = request.body.clone();
        for (at, kind, byte) in changes {
            let at = at.index(body.len().max(1));
            match kind {
                _ if body.is_empty() => body.push(byte),
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                2 => drop(body.remove(at)),
                // A number of another size.
                _ => body[at] = if body[at].is_ascii_digit() { b'0' + byte % 10 } else { body[at] },
            }
        }
        let mut client = Client::connect(server.addr());
        let answer = send(&mut client, request, &body);
        prop_assert!([200, 400, 404].contains(&answer.status), "{:?}", answer);
        let after = send(&mut client, request, &request.body);
        prop_assert_eq!(after.status, 200, "the connection goes on");
    }
}
