//! `POST /features/{group}`: the vectors of many entities.

use serde_json::{Value, json};

use crate::common::shop::{Client, Shop};

#[test]
fn each_entity_has_a_result_of_its_own_in_the_order_asked() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let entities = json!([{ "buyer": "ann" }, { "buyer": "bob" }, { "buyer": "a/b c" }, { "buyer": "ann" }]);
    let answer = client.post("/features/spend", json!({ "entities": entities }).to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    let ann = json!({
        "status": "found", "entity": { "buyer": "ann" },
        "features": { "amount_mean_1h": 12.5, "amount_count_1h": 3, "country_last_1h": "DE" },
    });
    let expected = json!({
        "results": [
            ann,
            { "status": "not_found", "entity": { "buyer": "bob" }, "features": null },
            {
                "status": "found", "entity": { "buyer": "a/b c" },
                "features": { "amount_mean_1h": 1.0, "amount_count_1h": 1, "country_last_1h": null },
            },
            ann,
        ],
        "watermark": "2024-01-01T11:59:59.000Z",
    });
    assert_eq!(answer.json(), expected);
    // Each found vector is that of the route for one entity.
    let one = client.get("/features/place/DE/2").json();
    let many = client.post("/features/place", r#"{"entities":[{"items":2,"country":"DE"}]}"#).json();
    assert_eq!((&many["results"][0]["features"], &many["watermark"]), (&one["features"], &one["watermark"]));
    assert_eq!(many["results"][0]["entity"], one["entity"]);
    // A null is of no entity, whatever the others are.
    let body = r#"{"entities":[{"country":null,"items":2},{"items":2,"country":"DE"},{"country":"DE","items":null}]}"#;
    let mixed = client.post("/features/place", body);
    assert_eq!(mixed.status, 200, "{mixed:?}");
    let not_found = |entity: Value| json!({ "status": "not_found", "entity": entity, "features": null });
    let expected = json!([
        not_found(json!({ "country": null, "items": 2 })),
        many["results"][0],
        not_found(json!({ "country": "DE", "items": null })),
    ]);
    assert_eq!(mixed.json()["results"], expected);
    let none = client.post("/features/place", r#"{"entities":[]}"#).json();
    assert_eq!(none["results"], json!([]));
    server.drain();
}

#[test]
fn a_wrong_body_is_refused_with_its_entity_and_column() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut error = |path: &str, body: &str| {
        let answer = client.post(path, body);
        (answer.status, answer.error())
    };
    let bad = |text: &str| (400, text.to_owned());
    for (body, text) in [
        ("[]", "expected an object with entities"),
        ("{}", "entities: missing"),
        (r#"{"entities":{}}"#, "entities: expected a list of objects"),
        (r#"{"entities":[],"windows":"2h"}"#, "unknown field windows; did you mean window?"),
        (r#"{"entitys":[]}"#, "unknown field entitys; did you mean entities?"),
        (r#"{"entities":[],"window":7200}"#, "window: expected a duration, such as \"2h\""),
        (r#"{"entities":[],"window":"1h","window":null}"#, "window: duplicate field"),
        (
            r#"{"entities":[],"window":"2h"}"#,
            "window: \"2h\" cannot be answered by group place; it keeps no panes for requests, which request_windows = true \
             makes it do",
        ),
        (r#"{"entities":[],"entities":[]}"#, "entities: duplicate field"),
    ] {
        assert_eq!(error("/features/place", body), bad(text), "{body}");
    }
    assert_eq!(error("/features/place", " "), bad("the body is empty; expected an object with entities"));
    assert_eq!(error("/features/place", "{").0, 400);
    assert_eq!(error("/features/plaec", "{}"), (404, "unknown feature group plaec; did you mean place?".to_owned()));
    assert_eq!(error("/features/place/DE/2", "{}"), (405, "this route takes GET and HEAD only".to_owned()));
    let many: Vec<Value> = (0..1001).map(|items| json!({ "country": "DE", "items": items })).collect();
    let body = json!({ "entities": many }).to_string();
    assert_eq!(error("/features/place", &body), (413, "entities: 1001 of them; expected 1000 at most".to_owned()));
    let listed = client.get("/features/place");
    assert!(listed.status == 405 && listed.head.to_lowercase().contains("allow: post\r"), "{listed:?}");
    server.drain();
}

#[test]
fn an_entity_that_is_wrong_fails_alone() {
    let shop = Shop::open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    for (body, text) in [
        (r#"{"entities":[{"country":"DE","items":2},5]}"#, "entities[1]: expected an object"),
        (r#"{"entities":[{"country":"DE"}]}"#, "entities[0].items: missing"),
        (r#"{"entities":[{"country":"DE","items":"2"}]}"#, "entities[0].items: expected int, found \"2\""),
        (r#"{"entities":[{"country":null,"items":"2"}]}"#, "entities[0].items: expected int, found \"2\""),
        (r#"{"entities":[null]}"#, "entities[0]: expected an object"),
        (
            r#"{"entities":[{"country":"DE","items":2},{"items":2,"country":"DE","items":2}]}"#,
            "entities[1].items: duplicate field",
        ),
        (r#"{"entities":[{"country":"DE","items":null,"items":2}]}"#, "entities[0].items: duplicate field"),
        (
            r#"{"entities":[{"country":"DE","items":{"a":1,"a":2}}]}"#,
            "entities[0].items: expected int, found {\"a\":2}",
        ),
        (
            r#"{"entities":[{"country":"DE","item":2}]}"#,
            "entities[0].item: no column of the entity; expected country, items; did you mean items?",
        ),
    ] {
        // The wrong entity is the last; another before it and one behind it are answered.
        let body = body.replace("]}", r#",{"country":"DE","items":2}]}"#);
        let answer = client.post("/features/place", &body);
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
        let results = answer.json()["results"].clone();
        let (good, others) = results.as_array().unwrap().split_last().unwrap();
        assert_eq!((&good["status"], good.get("error")), (&json!("found"), None), "{body}");
        let wrong = others.last().unwrap();
        assert_eq!(
            (&wrong["status"], &wrong["features"], &wrong["error"]),
            (&json!("not_found"), &Value::Null, &json!(text))
        );
        assert!(others[..others.len() - 1].iter().all(|other| other == good), "{body}");
    }
    let unknown = client.post("/features/place", r#"{"entities":[{"country":"DE","item":2}]}"#).json();
    assert_eq!(unknown["results"][0]["entity"], json!({ "country": "DE", "item": 2 }), "as it was given");
    server.drain();
}
