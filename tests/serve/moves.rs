//! Moves of aliases by HTTP, and who may make them.

use serde_json::{Value, json};

use crate::common::servers::eventually;
use crate::common::shop::{Answer, Client, LARGE, SHOP, Shop, endpoint};
use tidemill::registry::Registry;
use tidemill::serve::{Endpoint, Role, StartError, start};

/// A shop whose model has versions 1 to 3 in a registry; only the newest two are in memory.
fn shop(folder: &std::path::Path) -> Shop {
    let mut shop = Shop::bare(&format!("{SHOP}{LARGE}"));
    shop.registry = Some(Registry::scratch(&folder.display().to_string()).unwrap());
    shop.fill();
    shop.publish(0, 3);
    shop.readiness.started();
    shop
}

fn champion(client: &mut Client) -> Value {
    client.get("/models/large").json()["champion"].clone()
}

#[test]
fn a_promoted_version_answers_at_once_and_a_rollback_takes_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let answer =
        client.post("/models/large/promote", json!({ "version": 1, "reason": "2 is odd", "by": "ann" }).to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    let entry = answer.json();
    let expected = json!({
        "number": 4, "time": "2024-01-01T11:59:59.000Z", "wall_time": entry["wall_time"], "aliases": { "champion": 1 },
        "moved": "champion", "reason": "2 is odd", "by": "ann"
    });
    assert_eq!(entry, expected);
    assert_eq!(champion(&mut client), 1);
    let body = json!({ "instances": [{ "id": "o", "buyer": "u", "amount": 1, "items": 0 }] }).to_string();
    assert_eq!(client.post("/predict", &body).json()["version"], 1);
    // Of an alias nothing answers, so the champion stays.
    let canary = client.post("/models/large/promote", json!({ "version": 2, "alias": "canary" }).to_string()).json();
    assert_eq!((&canary["aliases"], &canary["by"]), (&json!({ "champion": 1, "canary": 2 }), &json!("http")));
    assert_eq!(champion(&mut client), 1);
    let by_label = client.post("/v1/models/large/labels/canary:predict", r#"{"instances":[]}"#);
    assert_eq!(by_label.status, 200, "an alias is a label: {by_label:?}");
    assert_eq!(client.post("/v1/models/large/labels/none:predict", r#"{"instances":[]}"#).status, 404);
    client.post("/models/large/promote", json!({ "version": 3 }).to_string());
    // The moves by hand are taken back first, the newest one before the one of Ann.
    let back = client.post("/models/large/rollback", "");
    assert_eq!((back.status, &back.json()["aliases"]["champion"]), (200, &json!(1)));
    assert_eq!(back.json()["reverts"], 6);
    for earlier in [3, 2, 1] {
        assert_eq!(client.post("/models/large/rollback", "{}").json()["aliases"]["champion"], earlier);
        assert_eq!(champion(&mut client), earlier);
    }
    let none = client.post("/models/large/rollback", "{}");
    assert_eq!((none.status, none.error().as_str()), (400, "model `large` has no earlier champion to go back to"));
    let history = client.get("/models/large/history").json();
    let moves: Vec<(u64, String)> = history["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["number"].as_u64().unwrap(), entry["by"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(
        moves[3..],
        [(4, "ann"), (5, "http"), (6, "http"), (7, "http"), (8, "http"), (9, "http"), (10, "http")]
            .map(|(n, by)| (n, by.to_owned()))
    );
    assert_eq!(history["history"][3], entry);
    server.drain();
}

#[test]
fn a_wrong_move_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut refused = |path: &str, body: Value| {
        let answer = client.post(path, body.to_string());
        (answer.status, answer.error())
    };
    let promote = "/models/large/promote";
    assert_eq!(refused(promote, json!({ "version": 9 })), (404, "model large has no version 9".to_owned()));
    assert_eq!(refused("/models/larg/promote", json!({ "version": 1 })).0, 404);
    assert_eq!(refused(promote, json!({ "version": 1, "alias": "a b" })).0, 400);
    assert_eq!(refused(promote, json!({ "version": 1, "by": "trainer" })).0, 400);
    assert!(refused(promote, json!({})).1.starts_with("version: missing"));
    assert_eq!(refused(promote, json!({ "version": 1, "alis": "x" })).1, "unknown field alis; did you mean alias?");
    assert_eq!(refused(promote, json!([1])), (400, "expected an object".to_owned()));
    assert_eq!(refused(promote, json!({ "version": 1, "alias": 3 })).1, "alias: expected text, found 3");
    assert!(
        refused(promote, json!({ "version": -1 }))
            .1
            .starts_with("version: expected a whole number of at least 0, found -1")
    );
    assert_eq!(refused("/models/large/rollback", json!({ "version": 1 })).0, 400);
    assert_eq!(client.get("/models/large/promote").status, 405);
    assert_eq!(client.get("/models/none/history").status, 404);
    assert_eq!(champion(&mut client), 3);
    assert_eq!(client.get("/models/large/history").json()["history"].as_array().unwrap().len(), 3);
    // Without a registry there is nothing to move.
    let bare = Shop::open();
    let server = bare.serve();
    let answer = Client::connect(server.addr()).post(promote, json!({ "version": 1 }).to_string());
    assert_eq!((answer.status, answer.error().as_str()), (503, "this server has no registry"));
}

#[test]
fn a_web_page_cannot_move_an_alias() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    let server = shop.serve();
    let body = r#"{"version":1}"#;
    // A page may send these to another host without asking it first.
    for content in ["content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n", ""] {
        let mut client = Client::connect(server.addr());
        let length = body.len();
        let head =
            format!("POST /models/large/promote HTTP/1.1\r\nhost: localhost\r\n{content}content-length: {length}");
        client.send(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
        let answer = client.receive().unwrap();
        assert_eq!(answer.status, 415, "{content}: {answer:?}");
        assert_eq!(champion(&mut client), 3);
    }
}

#[test]
fn scores_over_time_are_those_of_the_registry() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let points = shop.registry.as_ref().unwrap().scores("large").unwrap();
    let scores = client.get("/models/large/scores").json();
    assert_eq!((&scores["metric"], scores["points"].as_array().unwrap().len()), (&json!("logloss"), 3));
    assert_eq!(points.len(), 3);
    for (found, point) in scores["points"].as_array().unwrap().iter().zip(&points) {
        let of = |scores: &std::collections::BTreeMap<String, f64>| json!(scores.get("logloss"));
        let expected = json!({
            "window_end": found["window_end"], "champion": of(&point.champion), "predecessor": of(&point.predecessor),
            "newest": of(&point.newest), "no_skill": of(&point.no_skill)
        });
        assert_eq!(*found, expected);
    }
    assert_eq!(scores["points"][0]["champion"], Value::Null, "nothing is predicted before the first version");
    // A window belongs to the times up to its end.
    let end = |at: usize| scores["points"][at]["window_end"].as_str().unwrap().to_owned();
    let mut get = |query: &str| client.get(&format!("/models/large/scores?{query}"));
    let between = get(&format!("metric=auc&start={}&end={}", end(0), end(1))).json();
    assert_eq!((&between["metric"], between["points"].as_array().unwrap().len()), (&json!("auc"), 1));
    assert_eq!(between["points"][0]["window_end"], json!(end(1)));
    for (query, error) in [
        ("metric=ac", "unknown metric ac; did you mean auc?"),
        ("start=soon", "start: \"soon\" is not a time"),
        ("metric=auc&metric=f1", "query parameter metric is given twice"),
        ("from=2020", "unknown query parameter \"from\"; this route takes metric, start, end"),
        ("end=%ff", "the path or the query is not UTF-8 once decoded"),
    ] {
        let answer = get(query);
        assert_eq!((answer.status, answer.error().as_str()), (400, error), "{query}");
    }
    assert_eq!(client.get("/models/none/scores").status, 404);
    server.drain();
}

fn with_token(client: &mut Client, method: &str, path: &str, token: &str) -> Answer {
    let body = if method == "POST" { r#"{"version":1,"instances":[]}"# } else { "" };
    let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json");
    let token = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    let length = body.len();
    client.send(format!("{head}\r\n{token}content-length: {length}\r\n\r\n{body}").as_bytes()).unwrap();
    client.receive().unwrap()
}

#[test]
fn a_role_with_tokens_takes_no_request_without_one_and_files_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(&folder.path().join("registry"));
    let file = |role: Role, text: &str| {
        let path = folder.path().join(role.name());
        std::fs::write(&path, text).unwrap();
        (role, path)
    };
    let tokens = vec![file(Role::Read, "reader\n"), file(Role::Predict, "asker\n"), file(Role::Admin, "keeper\n")];
    let server = start(&Endpoint { tokens, ..endpoint() }, &shop.service()).unwrap();
    let mut client = Client::connect(server.addr());
    let routes = [
        ("GET", "/models", "reader"),
        ("GET", "/metrics", "reader"),
        ("GET", "/features/spend/ann", "reader"),
        ("POST", "/predict", "asker"),
        ("POST", "/models/large/promote", "keeper"),
    ];
    for (method, path, own) in routes {
        for token in ["", "nobody", "reader", "asker", "keeper"] {
            let answer = with_token(&mut client, method, path, token);
            // Of the body, promoting takes no instances.
            let allowed = if path.ends_with("promote") { 400 } else { 200 };
            let expected = if token == own {
                allowed
            } else if ["", "nobody"].contains(&token) {
                401
            } else {
                403
            };
            assert_eq!(answer.status, expected, "{method} {path} {token}: {answer:?}");
            assert_eq!(answer.head.contains("www-authenticate: bearer"), expected == 401, "{answer:?}");
            assert!(!String::from_utf8_lossy(&answer.body).contains(own), "{answer:?}");
        }
    }
    assert_eq!(with_token(&mut client, "GET", "/health/live", "").status, 200);
    assert_eq!(with_token(&mut client, "GET", "/health/ready", "nobody").status, 200);
    // A token is replaced while the server runs.
    std::fs::write(folder.path().join("read"), "another-reader\n").unwrap();
    eventually("the new token is in force", || {
        with_token(&mut client, "GET", "/models", "another-reader").status == 200
    });
    assert_eq!(with_token(&mut client, "GET", "/models", "reader").status, 401);
    // A file that has gone leaves its tokens in force.
    std::fs::remove_file(folder.path().join("read")).unwrap();
    assert_eq!(with_token(&mut client, "GET", "/models", "another-reader").status, 200);
    server.drain();
}

#[test]
fn an_address_that_others_reach_takes_tokens_for_moves() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(&folder.path().join("registry"));
    let open = Endpoint { listen: "0.0.0.0:0".to_owned(), ..endpoint() };
    assert!(matches!(start(&open, &shop.service()), Err(StartError::OpenAdmin(_))));
    let path = folder.path().join("admin");
    std::fs::write(&path, "keeper\n").unwrap();
    let server =
        start(&Endpoint { tokens: vec![(Role::Admin, path.clone())], ..open.clone() }, &shop.service()).unwrap();
    server.drain();
    // Tokens of another role do not protect moves, and a file without tokens is none.
    let read = Endpoint { tokens: vec![(Role::Read, path.clone())], ..open.clone() };
    assert!(matches!(start(&read, &shop.service()), Err(StartError::OpenAdmin(_))));
    std::fs::write(&path, "").unwrap();
    let empty = Endpoint { tokens: vec![(Role::Admin, path)], ..open };
    assert!(matches!(start(&empty, &shop.service()), Err(StartError::Tokens { role: "admin", .. })));
}
