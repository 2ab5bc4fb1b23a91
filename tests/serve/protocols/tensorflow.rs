//! TensorFlow Serving and KServe v1: rows and columns, versions and labels, states.

use serde_json::{Value, json};

use super::{columns, orders, predicted, shop};
use crate::common::shop::{Client, LARGE, SHOP, Shop};

#[test]
fn rows_and_columns_are_predicted_for_as_instances_are() {
    let shop = shop();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    for model in ["large", "counted", "levels", "sorts"] {
        for (path, version) in [("", None), ("/versions/1", Some(1)), ("/labels/champion", None)] {
            let path = format!("/v1/models/{model}{path}:predict");
            let expected = predicted(&mut client, model, version);
            for body in [
                json!({ "instances": orders() }),
                json!({ "signature_name": "serving_default", "instances": orders(), "inputs": null }),
            ] {
                let answer = client.post(&path, body.to_string());
                assert_eq!((answer.status, answer.json()), (200, json!({ "predictions": expected })), "{path}");
            }
            let outputs = match model {
                "levels" => ["high", "low", "mid"]
                    .into_iter()
                    .map(|class| {
                        let column = expected.as_array().unwrap().iter().map(|prediction| prediction[class].clone());
                        (class.to_owned(), column.collect::<Value>())
                    })
                    .collect::<serde_json::Map<String, Value>>()
                    .into(),
                _ => expected,
            };
            let mut nested = columns();
            nested["amount"] = json!([[20.0], [0.5], [-3.25]]);
            for inputs in [columns(), nested] {
                let answer = client.post(&path, json!({ "inputs": inputs }).to_string());
                assert_eq!((answer.status, answer.json()), (200, json!({ "outputs": outputs })), "{path}");
            }
        }
    }
    server.drain();
}

#[test]
fn a_wrong_request_is_refused_with_the_reason() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut error = |body: Value| {
        let answer = client.post("/v1/models/large:predict", body.to_string());
        assert_eq!(answer.status, 400, "{answer:?}");
        answer.error()
    };
    assert_eq!(error(json!({})), "instances: missing, or inputs in the form of columns");
    assert_eq!(error(json!({ "instances": [], "inputs": {} })), "both instances and inputs; expected one of them");
    assert!(error(json!({ "instance": [] })).starts_with("unknown field `instance`, expected one of"));
    let signature = error(json!({ "signature_name": "classify", "instances": [] }));
    assert_eq!(signature, "signature_name: expected serving_default, found \"classify\"");
    assert!(error(json!({ "instances": [[1, 2]] })).starts_with("instances[0]: expected an object"));
    assert!(error(json!({ "instances": 3 })).contains("expected a list of instances"));
    let list = "inputs: expected an object with a list of values for each column";
    assert_eq!(error(json!({ "inputs": [1, 2] })), list);
    assert_eq!(
        error(json!({ "inputs": { "amount": 3 } })),
        "inputs.amount: expected a list with a value for each instance"
    );
    let lengths = error(json!({ "inputs": { "buyer": ["a", "b"], "items": [1] } }));
    assert_eq!(lengths, "inputs.items: 1 values, and buyer has 2");
    let mut wrong = columns();
    wrong["items"][1] = json!("two");
    assert_eq!(error(json!({ "inputs": wrong })), "instances[1].items: expected int, found the text \"two\"");
    let mut unknown = columns();
    unknown["itms"] = unknown["items"].clone();
    assert_eq!(error(json!({ "inputs": unknown })), "instances[0].itms: unknown field; did you mean items?");
    let raw = |client: &mut Client, body: &str| client.post("/v1/models/large:predict", body).error();
    let twice = raw(&mut client, r#"{"inputs": {"buyer": ["a"], "buyer": ["b"]}}"#);
    assert_eq!(twice, "instances[0].buyer: malformed: duplicate field");
    assert!(raw(&mut client, r#"{"inputs": {"amount": [NaN]}}"#).starts_with("expected value"));
    let mut status = |path: &str| {
        let answer = client.post(path, json!({ "instances": orders() }).to_string());
        (answer.status, answer.error())
    };
    assert_eq!(status("/v1/models/larg:predict"), (404, "unknown model larg; did you mean large?".to_owned()));
    assert_eq!(status("/v1/models/large/versions/9:predict").0, 404);
    assert_eq!(status("/v1/models/large/versions/x:predict").0, 400);
    let alias = "model large has no alias canary; expected champion".to_owned();
    assert_eq!(status("/v1/models/large/labels/canary:predict"), (404, alias));
    for path in ["/v1/models/:predict", "/v1/models/large:nope", "/v1/models/large/versions/1:nope"] {
        assert_eq!(status(path), (404, format!("unknown route {path}")));
    }
    assert_eq!(status("/v1/models/large").0, 405);
    server.drain();
}

#[test]
fn states_tell_which_versions_can_be_asked_for() {
    let shop = Shop::bare(&format!("{SHOP}{LARGE}"));
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let waiting = client.get("/v1/models/large");
    let none = json!({ "name": "large", "ready": false, "model_version_status": [] });
    assert_eq!((waiting.status, waiting.json()), (503, none));
    assert_eq!(client.get("/v1/models/large/labels/champion").status, 503);
    shop.publish(0, 2);
    let state = |version: &str| json!({ "version": version, "state": "AVAILABLE", "status": { "error_code": "OK", "error_message": "" } });
    let both = json!({ "name": "large", "ready": true, "model_version_status": [state("1"), state("2")] });
    assert_eq!(client.get("/v1/models/large").json(), both);
    let one = |version: &str| json!({ "model_version_status": [state(version)] });
    assert_eq!(client.get("/v1/models/large/versions/1").json(), one("1"));
    assert_eq!(client.get("/v1/models/large/labels/champion").json(), one("2"));
    assert_eq!(client.get("/v1/models").json(), json!({ "models": ["large"] }));
    let mut error = |path: &str| {
        let answer = client.get(path);
        (answer.status, answer.error())
    };
    assert_eq!(error("/v1/models/large/versions/3"), (404, "model large has no version 3".to_owned()));
    assert_eq!(error("/v1/models/large/labels/best").0, 404);
    assert_eq!(error("/v1/models/lage"), (404, "unknown model lage; did you mean large?".to_owned()));
    server.drain();
}
