//! The endpoint over real sockets: every route, every error, and input that is no valid request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::shop::{COUNTED, Client, LARGE, NOON, SHOP, Shop, endpoint, post, publication};
use serde_json::{Value, json};
use tidemill::registry::Registry;
use tidemill::serve::start;

fn order() -> Value {
    json!({ "id": "o1", "buyer": "Ann", "country": "DE", "payload": { "amount": 20.0 }, "items": 2, "vip": true })
}

fn ask(instances: Value) -> String {
    json!({ "instances": instances }).to_string()
}

#[test]
fn a_prediction_has_the_documented_shape() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let answer = client.post("/predict", json!({ "instances": [order(), order()], "features": true }).to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.head.contains("content-type: application/json"));
    let answer = answer.json();
    assert_eq!(answer["model"], "large");
    assert_eq!(answer["version"], 3);
    assert_eq!(answer["watermark"], "2024-01-01T11:59:59.000Z");
    let predictions = answer["predictions"].as_array().unwrap();
    assert!(predictions.len() == 2 && predictions[0] == predictions[1]);
    assert!((0.0..=1.0).contains(&predictions[0].as_f64().unwrap()));
    // The buyer is looked up as lower(buyer) in the table, and as it is in the group.
    let expected = json!({
        "spend.amount_mean_1h": null, "spend.amount_count_1h": 0, "spend.country_last_1h": null,
        "amount": 20.0, "age": 41, "tier": "gold", "level": "gold", "land": "DE", "hour": 12, "twice": 20.0,
        "vip": true, "amount / 10": 2.0
    });
    assert_eq!(answer["features"][1], expected);
    server.drain();
}

#[test]
fn a_value_of_an_instance_replaces_its_look_up() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut features = |change: Value| {
        let mut order = order();
        order.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = client.post("/predict", json!({ "instances": [order], "features": true }).to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["features"][0].clone()
    };
    let found = features(json!({ "buyer": "ann" }));
    assert_eq!([&found["spend.amount_mean_1h"], &found["spend.country_last_1h"]], [&json!(12.5), &json!("DE")]);
    let given = features(json!({ "buyer": "ann", "spend.amount_mean_1h": 3, "twice": 1.5, "amount / 10": null }));
    assert_eq!([&given["spend.amount_mean_1h"], &given["spend.amount_count_1h"]], [&json!(3.0), &json!(3)]);
    assert_eq!([&given["twice"], &given["amount / 10"], &given["amount"]], [&json!(1.5), &Value::Null, &json!(20.0)]);
    // A column that views pass on is one value: the level is computed from the instance's tier.
    let tier = features(json!({ "tier": null, "age": 7 }));
    assert_eq!([&tier["tier"], &tier["level"], &tier["age"]], [&Value::Null, &json!("none"), &json!(7)]);
    // A column that a view renames is another value.
    assert_eq!(features(json!({ "land": "FR" }))["land"], "FR");
    // A column of an inner view is used by the columns computed from it.
    assert_eq!(features(json!({ "price": 50 }))["twice"], 100.0);
    assert_eq!(features(json!({ "at": "2024-01-01T05:00:00Z" }))["hour"], 5);
    assert_eq!(features(json!({ "at": NOON }))["hour"], 12);
    let plain = json!({ "instances": [{ "id": "o", "buyer": "u", "amount": 1, "items": 0 }], "features": true });
    let plain = client.post("/predict", plain.to_string()).json();
    assert_eq!([&plain["features"][0]["amount"], &plain["features"][0]["twice"]], [&json!(1.0), &Value::Null]);
    server.drain();
}

#[test]
fn a_bad_instance_is_named_with_its_field() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut error = |instances: Value| {
        let answer = client.post("/predict", ask(instances));
        assert_eq!(answer.status, 400, "{answer:?}");
        answer.error()
    };
    let mut with = |name: &str, value: Value| {
        let mut order = order();
        order[name] = value;
        error(json!([self::order(), order]))
    };
    assert_eq!(with("buyer", json!(7)), "instances[1].buyer: expected string, found the number 7");
    assert_eq!(with("items", json!("two")), "instances[1].items: expected int, found the text \"two\"");
    assert_eq!(with("items", json!(1.5)), "instances[1].items: expected int, found the number 1.5");
    assert_eq!(with("items", Value::Null), "instances[1].items: expected int, found null");
    assert_eq!(with("vip", json!([1])), "instances[1].vip: expected bool, found a list");
    assert_eq!(with("at", json!("soon")), "instances[1].at: \"soon\" is not a time");
    assert!(with("at", json!("1800-01-01")).starts_with("instances[1].at: 1800-01-01T00:00:00.000Z is outside"));
    assert_eq!(with("cuntry", json!("DE")), "instances[1].cuntry: unknown field; did you mean country?");
    assert_eq!(with("zzz", json!("DE")), "instances[1].zzz: unknown field");
    let payload = json!({ "amount": 1, "amont": 1 });
    assert_eq!(with("payload", payload), "instances[1].payload.amont: unknown field; did you mean amount?");
    assert_eq!(with("amount", json!(3)), "instances[1].payload.amount: malformed: duplicate field");
    assert_eq!(
        with("spend.amount_count_1h", json!(0.5)),
        "instances[1].spend.amount_count_1h: expected int, found the number 0.5"
    );
    assert_eq!(error(json!([{ "id": "o", "items": 1, "amount": 2 }])), "instances[0].buyer: missing");
    assert!(error(json!([order(), 3])).starts_with("instances[1]: expected an object, found the number 3"));
    let mut raw = |body: &str| {
        let answer = client.post("/predict", body);
        assert_eq!(answer.status, 400, "{answer:?}");
        answer.error()
    };
    let far = raw(r#"{"instances":[{"id":"o","buyer":"u","items":1,"amount":1e999}]}"#);
    assert!(far.starts_with("instances[0]: amount: number out of range"), "{far}");
    assert!(raw(r#"{"instances":[{"id":"o","id":"o"}]}"#).contains("instances[0].id: malformed: duplicate field"));
    server.drain();
}

#[test]
fn a_bad_request_is_answered_with_what_is_wrong() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut answer = |body: &str| {
        let answer = client.post("/predict", body);
        (answer.status, answer.error())
    };
    let good = order();
    assert_eq!(answer("{}"), (400, "instances: missing".to_owned()));
    // A mistake outside of instances is not blamed on the one at which the request before failed.
    assert!(answer(r#"{"instances":[3]}"#).1.starts_with("instances[0]: expected an object, found the number 3"));
    assert_eq!(answer(""), (400, "the body is empty; expected an object with instances".to_owned()));
    assert!(answer("[]").1.starts_with("expected an object with instances, found a list"));
    assert!(answer(r#"{"instances": 3}"#).1.contains("expected a list of instances"));
    assert_eq!(answer(&format!(r#"{{"instances":[{good}]}} x"#)).0, 400);
    assert_eq!(answer(r#"{"instance": []}"#), (400, "unknown field instance; did you mean instances?".to_owned()));
    assert!(answer(r#"{"instances":[],"instances":[]}"#).1.starts_with("instances: duplicate field"));
    assert!(answer(r#"{"instances":[],"model":3}"#).1.starts_with("model: expected text, found the number 3"));
    assert!(
        answer(r#"{"instances":[],"version":-3}"#)
            .1
            .starts_with("version: expected a whole number of at least 0, found the number -3")
    );
    assert!(
        answer(r#"{"instances":[],"features":"yes"}"#)
            .1
            .starts_with("features: expected true or false, found the text \"yes\"")
    );
    assert_eq!(
        answer(r#"{"instances":[{"nonsense":1}],"model":"larg"}"#),
        (404, "unknown model larg; did you mean large?".to_owned())
    );
    assert_eq!(answer(r#"{"instances":[],"version":9}"#), (404, "model large has no version 9".to_owned()));
    assert_eq!(answer(r#"{"instances":[],"version":0}"#).0, 404);
    let empty = client.post("/predict", r#"{"instances":[],"model":null,"version":null}"#);
    assert_eq!((empty.status, &empty.json()["predictions"]), (200, &json!([])));
    server.drain();
}

#[test]
fn a_model_may_be_named_before_or_after_the_instances() {
    let shop = Shop::bare(&format!("{SHOP}{LARGE}{COUNTED}"));
    shop.fill();
    shop.publish(0, 1);
    shop.publish(1, 1);
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let order = order();
    for body in [
        format!(r#"{{"model":"counted","instances":[{order}],"features":true}}"#),
        format!(r#"{{"instances":[{order}],"features":true,"model":"counted"}}"#),
    ] {
        let answer = client.post("/predict", body).json();
        assert_eq!(answer["model"], "counted", "{answer}");
        assert_eq!(answer["features"][0]["place.items_sum_1d"], 6);
    }
    let unnamed = client.post("/predict", ask(json!([order])));
    assert_eq!((unnamed.status, unnamed.error().as_str()), (400, "model: missing; expected one of large, counted"));
    // A field of the other model's view is unknown to this one.
    let body = json!({ "instances": [{ "tier": "gold" }], "model": "counted" }).to_string();
    assert_eq!(client.post("/predict", body).error(), "instances[0].tier: unknown field");
    server.drain();
}

#[test]
fn any_kept_version_can_predict() {
    let folder = tempfile::tempdir().unwrap();
    let mut shop = Shop::bare(&format!("{SHOP}{LARGE}"));
    shop.registry = Some(Registry::open(folder.path().to_str().unwrap()).unwrap());
    shop.fill();
    let versions = shop.publish(0, 4);
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut predicted = Vec::new();
    for version in versions.iter().rev() {
        let body = json!({ "instances": [order()], "version": version.number }).to_string();
        let answer = client.post("/predict", body);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["version"], version.number);
        predicted.push(answer.json()["predictions"][0].to_string());
    }
    predicted.dedup();
    assert_eq!(predicted.len(), 4, "each version predicts something else");
    let unknown = client.post("/predict", json!({ "instances": [order()], "version": 9 }).to_string());
    assert_eq!(unknown.status, 404);
    let listed = client.get("/models/large/versions").json();
    assert_eq!(listed["versions"].as_array().unwrap().len(), 4, "those that only the registry holds, too");
    assert_eq!(listed["versions"][3]["version"], 4);
    assert_eq!(listed["versions"][3]["kind"], "logistic");
    let summary = json!({ "name": "large", "kind": "logistic", "champion": 4, "versions": [1, 2, 3, 4] });
    assert_eq!(client.get("/models").json(), json!({ "models": [summary] }));
    assert_eq!(client.get("/models/large").json(), summary);
    assert_eq!(client.get("/models/lage").status, 404);
    assert_eq!(client.get("/models/lage/versions").error(), "unknown model lage; did you mean large?");
    std::fs::remove_dir_all(folder.path().join("large/2")).unwrap();
    std::fs::write(folder.path().join("large/1/weights.safetensors"), b"damaged").unwrap();
    let status = |server: &tidemill::serve::Server| {
        let body = |version| json!({ "instances": [order()], "version": version }).to_string();
        let mut client = Client::connect(server.addr());
        [1, 2].map(|version| client.post("/predict", body(version)).status)
    };
    assert_eq!(status(&server), [200, 200], "both are still held from before");
    assert_eq!(status(&shop.serve()), [503, 404]);
    server.drain();
}

#[test]
fn an_entity_is_read_from_the_path() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let answer = client.get("/features/spend/ann").json();
    let expected = json!({
        "group": "spend", "entity": { "buyer": "ann" },
        "features": { "amount_mean_1h": 12.5, "amount_count_1h": 3, "country_last_1h": "DE" },
        "watermark": "2024-01-01T11:59:59.000Z"
    });
    assert_eq!(answer, expected);
    assert_eq!(client.get("/features/spend/a%2Fb%20c").json()["entity"]["buyer"], "a/b c");
    assert_eq!(client.get("/features/place/DE/2").json()["entity"], json!({ "country": "DE", "items": 2 }));
    let mut error = |path: &str| {
        let answer = client.get(path);
        (answer.status, answer.error())
    };
    assert_eq!(error("/features/spend/bob"), (404, "group spend has no entity bob".to_owned()));
    assert_eq!(error("/features/spend/"), (404, "group spend has no entity ".to_owned()));
    assert_eq!(error("/features/place/DE/3"), (404, "group place has no entity DE, 3".to_owned()));
    assert_eq!(error("/features/place/DE/two"), (400, "items: expected int, found \"two\"".to_owned()));
    assert_eq!(error("/features/spend/%ff").0, 400);
    for (path, shown) in [("/features/spend/%zz", "%zz"), ("/features/place/DE/%2", "%2"), ("/models/large%", "%")] {
        let expected = format!(
            "{shown:?} in the path is not valid percent-encoding; expected % and two hexadecimal digits, such as %25 for % itself"
        );
        assert_eq!(error(path), (400, expected), "{path}");
    }
    assert_eq!(error("/features/spent/ann"), (404, "unknown feature group spent; did you mean spend?".to_owned()));
    let count = "group place has the entity country, items, so it takes 2 in the path; found 1";
    assert_eq!(error("/features/place/DE"), (400, count.to_owned()));
    assert_eq!(error("/features/spend/ann/x").0, 400);
    server.drain();
}

#[test]
fn a_query_is_refused_where_it_would_change_nothing_and_ignored_by_probes() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let refused = |name: &str| (400, format!("unknown query parameter {name:?}; this route takes none"));
    for (path, name) in [
        ("/models/large?window=2h", "window"),
        ("/models?&page=2&size=3", "page"),
        ("/models/large?version=1", "version"),
        ("/models/large/versions?=1", ""),
        ("/dataflow?%ff=1", "\u{fffd}"),
    ] {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.error()), refused(name), "{path}");
    }
    let entities = r#"{"entities":[{"buyer":"ann"}]}"#;
    for (path, body) in
        [("/predict?model=large", ask(json!([order()]))), ("/features/spend?window=2h", entities.into())]
    {
        let answer = client.post(path, body);
        let name = path.split(['?', '=']).nth(1).unwrap();
        assert_eq!((answer.status, answer.error()), refused(name), "{path}");
    }
    for path in ["/health/live?probe=1", "/health/ready?verbose", "/metrics?name%5B%5D=tidemill_ready"] {
        assert_eq!(client.get(path).status, 200, "{path}");
    }
    for path in ["/features/spend/ann?", "/models?", "/models/large?&"] {
        assert_eq!(client.get(path).status, 200, "{path}");
    }
    assert_eq!(client.get("/predikt?x=1").error(), "unknown route /predikt");
    assert_eq!(client.get("/predict?x=1").status, 405);
    server.drain();
}

#[test]
fn an_endpoint_that_is_not_ready_reports_its_reasons() {
    let shop = Shop::bare(&format!("{SHOP}{LARGE}"));
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let ready = client.get("/health/ready");
    let reasons = json!({ "ready": false, "reasons": ["starting", "no version of model large yet"] });
    assert_eq!((ready.status, ready.json()), (503, reasons));
    assert_eq!(client.get("/health/live").status, 200);
    let early = client.post("/predict", ask(json!([order()])));
    assert_eq!((early.status, early.error().as_str()), (503, "no version of model large yet"));
    assert_eq!(client.post("/predict", json!({ "instances": [], "version": 1 }).to_string()).status, 503);
    shop.readiness.started();
    shop.readiness.block("kafka", "the broker is away");
    assert_eq!(client.get("/health/ready").json()["reasons"][0], "the broker is away");
    shop.readiness.clear("kafka");
    shop.publish(0, 1);
    let ready = client.get("/health/ready");
    assert_eq!((ready.status, ready.json()), (200, json!({ "ready": true, "reasons": [] })));
    let untimed = client.post("/predict", ask(json!([order()])));
    assert_eq!(untimed.error(), "instances[0].at: missing, and no record has been seen yet whose time to take");
    let mut timed = order();
    timed["at"] = json!("2024-01-01T05:00:00Z");
    let timed = client.post("/predict", ask(json!([timed]))).json();
    assert_eq!(timed["watermark"], Value::Null);
    shop.online.note(NOON);
    shop.online.advance(i64::MAX);
    let ended = client.post("/predict", ask(json!([order()]))).json();
    assert_eq!(ended["watermark"], "2024-01-01T12:00:00.001Z", "the inputs are used up");
    server.drain();
}

#[test]
fn routes_and_methods_are_checked_and_counted() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let unknown = client.get("/predikt");
    assert_eq!((unknown.status, unknown.error().as_str()), (404, "unknown route /predikt"));
    let wrong = client.get("/predict");
    assert_eq!(wrong.status, 405);
    assert!(wrong.head.contains("allow: post"), "{}", wrong.head);
    assert_eq!(wrong.error(), "this route takes POST only");
    let wrong = client.post("/models", "{}");
    assert!(wrong.status == 405 && wrong.head.contains("allow: get, head\r\n"), "{}", wrong.head);
    assert_eq!(wrong.error(), "this route takes GET and HEAD only");
    let body = ask(json!([order()]));
    let mut typed = |content_type: &str| {
        let head = format!(
            "POST /predict HTTP/1.1\r\nhost: localhost\r\n{content_type}content-length: {}\r\n\r\n",
            body.len()
        );
        client.send(head.as_bytes()).unwrap();
        client.send(body.as_bytes()).unwrap();
        client.receive().unwrap()
    };
    assert_eq!(typed("").status, 200);
    assert_eq!(typed("Content-Type: Application/JSON; charset=utf-8\r\n").status, 200);
    assert_eq!(typed("content-type: application/x-www-form-urlencoded\r\n").status, 200);
    let packed = typed("content-encoding: br\r\n");
    assert_eq!(packed.status, 415);
    assert!(packed.head.contains("accept-encoding: gzip, identity"), "{}", packed.head);
    assert_eq!(packed.error(), "content encoding \"br\"; expected gzip or identity");
    let operators = client.get("/dataflow").json();
    assert_eq!(operators, json!({ "dataflow": "shop", "operators": [] }));
    let metrics = client.get("/metrics");
    assert!(metrics.head.contains("text/plain; version=0.0.4"));
    let metrics = String::from_utf8(metrics.body).unwrap();
    for line in [
        "tidemill_http_requests_total{code=\"200\",route=\"/predict\"} 3",
        "tidemill_http_requests_total{code=\"415\",route=\"/predict\"} 1",
        "tidemill_http_requests_total{code=\"405\",route=\"/predict\"} 1",
        "tidemill_http_requests_total{code=\"404\",route=\"unknown\"} 1",
        "tidemill_http_request_duration_seconds_count{route=\"/predict\"} 5",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    server.drain();
}

#[test]
fn a_head_request_is_answered_as_get_without_its_body() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    for path in ["/models", "/models/large/versions", "/features/spend/ann", "/health/ready", "/features/spend/nobody"]
    {
        let head = client.head(path);
        let got = client.get(path);
        let lines = |head: &str| {
            let mut lines: Vec<String> =
                head.lines().filter(|line| !line.starts_with("date:")).map(Into::into).collect();
            lines.sort();
            lines
        };
        assert_eq!(lines(&head), lines(&got.head), "{path}");
        assert!(!got.body.is_empty());
    }
    assert!(client.head("/predict").starts_with("http/1.1 405"));
    assert_eq!(client.get("/health/live").status, 200);
    server.drain();
}

#[test]
fn a_body_that_is_too_large_is_answered_413() {
    let shop = Shop::open();
    let server = shop.serve();
    for announced in [true, false] {
        let mut client = Client::connect(server.addr());
        let body = vec![b' '; 300 << 10];
        if announced {
            client.send(&post("/predict", &body)).unwrap();
        } else {
            client.send(b"POST /predict HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
            for chunk in body.chunks(10_000) {
                client.send(format!("{:x}\r\n", chunk.len()).as_bytes()).unwrap();
                client.send(chunk).unwrap();
                client.send(b"\r\n").unwrap();
            }
            client.send(b"0\r\n\r\n").unwrap();
        }
        let answer = client.receive().unwrap();
        assert_eq!((answer.status, answer.error().as_str()), (413, "the body is larger than 65536 bytes"));
        assert!(client.receive().is_none(), "the connection is closed");
    }
    let mut client = Client::connect(server.addr());
    let head =
        "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\nexpect: 100-continue\r\n\r\n";
    client.send(head.as_bytes()).unwrap();
    assert_eq!(client.receive().unwrap().status, 413, "without reading it");
    let mut client = Client::connect(server.addr());
    let head = "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-encoding: br\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n";
    client.send(head.as_bytes()).unwrap();
    assert_eq!(client.receive().unwrap().status, 415, "it is not told to continue");
    let mut client = Client::connect(server.addr());
    let head = "POST /predict HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip, chunked\r\n\r\n";
    client.send(head.as_bytes()).unwrap();
    client.send(b"0\r\n\r\n").unwrap();
    let answer = client.receive().unwrap();
    let expected = "transfer encoding \"gzip, chunked\"; expected chunked";
    assert_eq!((answer.status, answer.error().as_str()), (400, expected));
    let mut client = Client::connect(server.addr());
    let _ = client.send(format!("GET /health/live HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100 << 10)).as_bytes());
    let answer = client.receive();
    assert!(answer.as_ref().is_none_or(|answer| answer.status == 431), "{answer:?}");
    server.drain();
}

#[test]
fn more_instances_than_a_request_may_have_are_answered_413() {
    let shop = Shop::open();
    let mut endpoint = endpoint();
    endpoint.max_body_bytes = 16 << 20;
    endpoint.max_total_body_bytes = 32 << 20;
    endpoint.request_timeout = Duration::from_secs(20);
    let server = start(&endpoint, &shop.service()).unwrap();
    let mut client = Client::connect(server.addr());
    let ask = |count: usize| ask(vec![json!({ "id": "o", "buyer": "b", "amount": 1, "items": 1 }); count].into());
    let many = client.post("/predict", ask(5_000));
    assert_eq!((many.status, many.json()["predictions"].as_array().unwrap().len()), (200, 5_000));
    let more = client.post("/predict", ask(100_000));
    assert_eq!(more.status, 413);
    assert!(more.error().ends_with("more instances than one request may have"));
    assert_eq!(client.post("/predict", ask(1)).status, 200);
    server.drain();
}

#[test]
fn a_slow_client_is_disconnected_and_delays_no_other() {
    let shop = Shop::open();
    let mut endpoint = endpoint();
    endpoint.request_timeout = Duration::from_millis(800);
    let server = start(&endpoint, &shop.service()).unwrap();
    let begun = Instant::now();
    let addr = server.addr();
    let slow: Vec<_> = ["", "POST /pre", "GET /health/live HTTP/1.1\r\nhost: localhost\r\n"]
        .into_iter()
        .map(|head| {
            std::thread::spawn(move || {
                let mut client = Client::connect(addr);
                client.send(head.as_bytes()).unwrap();
                (client.receive().is_none(), begun.elapsed())
            })
        })
        .collect();
    let trickling = std::thread::spawn(move || {
        let mut client = Client::connect(addr);
        for byte in "GET /health/live HTTP/1.1\r\nx: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy".bytes()
        {
            if client.send(&[byte]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        (client.receive().is_none(), begun.elapsed())
    });
    let mut late = Client::connect(addr);
    late.send(b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{\"instances\"").unwrap();
    let mut quick = Client::connect(addr);
    assert_eq!(quick.post("/predict", ask(json!([order()]))).status, 200);
    let answer = late.receive();
    assert!(answer.is_none_or(|answer| answer.status == 408), "told, or cut off");
    for client in slow {
        let (closed, after) = client.join().unwrap();
        assert!(closed && after >= Duration::from_millis(600), "{after:?}");
    }
    assert!(trickling.join().unwrap().0);
    server.drain();
}

#[test]
fn requests_in_one_packet_are_answered_in_order() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut packet = Vec::new();
    for round in 0..50 {
        let body = if round % 5 == 4 { "{".to_owned() } else { ask(json!([order()])) };
        packet.extend(post("/predict", body.as_bytes()));
        packet.extend(format!("GET /nowhere/{round} HTTP/1.1\r\nhost: localhost\r\n\r\n").bytes());
    }
    client.send(&packet).unwrap();
    for round in 0..50 {
        assert_eq!(client.receive().unwrap().status, if round % 5 == 4 { 400 } else { 200 });
        assert_eq!(client.receive().unwrap().error(), format!("unknown route /nowhere/{round}"));
    }
    // A body in pieces, and one with no length at all.
    let body = ask(json!([order()]));
    client.send(b"POST /predict HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    for piece in body.as_bytes().chunks(7) {
        client.send(format!("{:x}\r\n", piece.len()).as_bytes()).unwrap();
        client.send(piece).unwrap();
        client.send(b"\r\n").unwrap();
    }
    client.send(b"0\r\n\r\n").unwrap();
    assert_eq!(client.receive().unwrap().status, 200);
    client.send(b"POST /predict HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    assert_eq!(client.receive().unwrap().status, 400);
    server.drain();
}

#[test]
fn a_connection_beyond_the_limit_is_answered_429() {
    let shop = Shop::open();
    let mut endpoint = endpoint();
    endpoint.max_connections = 4;
    endpoint.request_timeout = Duration::from_secs(5);
    let server = start(&endpoint, &shop.service()).unwrap();
    let mut kept: Vec<Client> = (0..4).map(|_| Client::connect(server.addr())).collect();
    kept.iter_mut().for_each(|client| assert_eq!(client.get("/health/live").status, 200));
    let mut extra = Client::connect(server.addr());
    let answer = extra.post("/predict", ask(json!([order()])));
    assert_eq!((answer.status, answer.error().as_str()), (429, "too many connections; try again later"));
    assert!(extra.receive().is_none());
    drop(kept);
    let since = Instant::now();
    while Client::connect(server.addr()).get("/models").status != 200 {
        assert!(since.elapsed() < Duration::from_secs(10), "a closed connection makes room");
        std::thread::sleep(Duration::from_millis(10));
    }
    server.drain();
}

#[test]
fn requests_that_have_arrived_are_answered_before_the_server_stops() {
    let shop = Shop::open();
    let server = shop.serve();
    let addr = server.addr();
    let mut idle = Client::connect(addr);
    assert_eq!(idle.get("/health/live").status, 200);
    let mut busy = Client::connect(addr);
    let body = ask(json!([order()]));
    let head = format!(
        "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    busy.send(head.as_bytes()).unwrap();
    assert_eq!(busy.receive().unwrap().status, 100, "the request is at work");
    let draining = std::thread::spawn(move || server.drain());
    let since = Instant::now();
    while std::net::TcpStream::connect(addr).is_ok() {
        assert!(since.elapsed() < Duration::from_secs(10), "the server has stopped listening");
        std::thread::sleep(Duration::from_millis(1));
    }
    busy.send(body.as_bytes()).unwrap();
    assert_eq!(busy.receive().unwrap().status, 200);
    assert!(busy.receive().is_none() && idle.receive().is_none(), "connections are closed");
    draining.join().unwrap();
}

#[test]
fn a_port_in_use_is_an_error() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut endpoint = endpoint();
    endpoint.listen = server.addr().to_string();
    for threads in [1, 2] {
        endpoint.threads = threads;
        let error = start(&endpoint, &shop.service()).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {}", server.addr()));
    }
    endpoint.listen = "nonsense".into();
    assert!(start(&endpoint, &shop.service()).unwrap_err().to_string().contains("expected ADDRESS:PORT"));
    server.drain();
}

#[test]
fn versions_are_swapped_while_requests_go_on() {
    let shop = Arc::new(Shop::open());
    let server = shop.serve();
    let addr = server.addr();
    let versions = crate::common::shop::train(&shop.plan, 0, 8);
    let asking: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::connect(addr);
                let mut before = 0;
                while before < 8 {
                    let answer = client.post("/predict", ask(json!([order()])));
                    assert_eq!(answer.status, 200);
                    let version = answer.json()["version"].as_u64().unwrap();
                    assert!(version >= before, "versions only go on");
                    before = version;
                }
            })
        })
        .collect();
    for version in versions.iter().skip(3) {
        shop.live.install(&publication("large", version));
        std::thread::sleep(Duration::from_millis(20));
    }
    asking.into_iter().for_each(|thread| thread.join().unwrap());
    server.drain();
}
