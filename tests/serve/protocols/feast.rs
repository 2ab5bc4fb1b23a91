//! Feast's feature server: features of many entities, by column.

use serde_json::{Value, json};

use super::shop;
use crate::common::shop::Client;

const EPOCH: &str = "1970-01-01T00:00:00Z";
const WATERMARK: &str = "2024-01-01T11:59:59.000Z";

/// The result of a column of keys.
fn key(values: Value) -> Value {
    let count = values.as_array().unwrap().len();
    json!({ "values": values, "statuses": vec!["PRESENT"; count], "event_timestamps": vec![EPOCH; count] })
}

/// The result of a feature; null is that of an entity that is not found.
fn feature(values: Value, found: &[bool]) -> Value {
    let of = |yes: &'static str, no: &'static str| -> Value {
        found.iter().map(|found| if *found { yes } else { no }).collect()
    };
    json!({ "values": values, "statuses": of("PRESENT", "NOT_FOUND"), "event_timestamps": of(WATERMARK, EPOCH) })
}

#[test]
fn each_column_of_an_answer_has_a_value_for_each_entity() {
    let shop = shop();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut ask = |body: Value| {
        let answer = client.post("/get-online-features", body.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let buyers = json!(["ann", "bob", "a/b c", null]);
    let found = [true, false, true, false];
    let answer = ask(json!({
        "features": ["spend:amount_mean_1h", "spend:country_last_1h"], "entities": { "buyer": buyers },
    }));
    let expected = json!({
        "metadata": { "feature_names": ["buyer", "amount_mean_1h", "country_last_1h"] },
        "results": [
            key(buyers.clone()),
            feature(json!([12.5, null, 1.0, null]), &found),
            feature(json!(["DE", null, null, null]), &found),
        ],
    });
    assert_eq!(answer, expected);
    // Keys of two groups, with full names.
    let answer = ask(json!({
        "features": ["place:items_sum_1d", "spend:amount_count_1h"], "full_feature_names": true,
        "entities": { "items": [2, 3], "buyer": ["ann", "ann"], "country": ["DE", "DE"] },
    }));
    let names = ["buyer", "country", "items", "place__items_sum_1d", "spend__amount_count_1h"];
    assert_eq!(answer["metadata"]["feature_names"], json!(names));
    assert_eq!(answer["results"][2], key(json!([2, 3])));
    assert_eq!(answer["results"][3], feature(json!([6, null]), &[true, false]));
    assert_eq!(answer["results"][4], feature(json!([3, 3]), &[true, true]));
    // A model is a service of the features that it looks up.
    let answer = ask(json!({ "feature_service": "counted", "entities": { "country": ["DE"], "items": [2] } }));
    assert_eq!(answer["metadata"]["feature_names"], json!(["country", "items", "items_sum_1d", "items_max_1d"]));
    assert_eq!(answer["results"][3], feature(json!([2]), &[true]));
    let none = ask(json!({ "features": ["spend:amount_mean_1h"], "entities": { "buyer": [] } }));
    assert_eq!(none["results"][1], json!({ "values": [], "statuses": [], "event_timestamps": [] }));
    server.drain();
}

#[test]
fn errors_are_exceptions_of_feast() {
    let shop = shop();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut error = |body: Value| {
        let answer = client.post("/get-online-features", body.to_string());
        let exception: Value = serde_json::from_str(answer.json().as_str().expect("a JSON string")).unwrap();
        assert_eq!(exception["module"], "feast.errors");
        let text = |field: &str| exception[field].as_str().unwrap().to_owned();
        (answer.status, text("class"), text("message"))
    };
    let bad = |text: &str| (400, "FeastError".to_owned(), text.to_owned());
    let buyer = json!({ "buyer": ["ann"] });
    let spent = error(json!({ "features": ["spent:amount_mean_1h"], "entities": buyer }));
    let unknown = "unknown feature group spent; did you mean spend?".to_owned();
    assert_eq!(spent, (404, "FeatureViewNotFoundException".to_owned(), unknown));
    let service = error(json!({ "feature_service": "small", "entities": buyer }));
    assert_eq!((service.0, service.1.as_str()), (404, "FeatureServiceNotFoundException"));
    let feature = error(json!({ "features": ["spend:amount_mean_2h"], "entities": buyer }));
    let unknown = "group spend has no feature amount_mean_2h; did you mean amount_mean_1h?".to_owned();
    assert_eq!(feature, (404, "FeastError".to_owned(), unknown));
    for (body, text) in [
        (json!({ "features": ["amount"], "entities": buyer }), "features[0]: expected VIEW:FEATURE, found \"amount\""),
        (json!({ "entities": buyer }), "features: expected names VIEW:FEATURE, or a feature_service"),
        (
            json!({ "features": ["spend:amount_mean_1h"], "feature_service": "large", "entities": buyer }),
            "both features and feature_service; expected one of them",
        ),
        (json!({ "features": ["spend:amount_mean_1h"], "entities": { "country": ["DE"] } }), "entities.buyer: missing"),
        (json!({ "features": ["spend:amount_mean_1h"], "entities": {} }), "entities.buyer: missing"),
        (
            json!({ "features": ["spend:amount_mean_1h"], "entities": { "buyer": ["a", 3] } }),
            "entities.buyer[1]: expected string, found 3",
        ),
        (
            json!({ "features": ["place:items_sum_1d"], "entities": { "country": ["DE"], "items": [1, 2] } }),
            "entities.items: 2 values, and country has 1",
        ),
        (
            json!({ "features": ["spend:amount_mean_1h", "spend:amount_mean_1h"], "entities": buyer }),
            "features: two columns would be named amount_mean_1h; ask for each once, with full_feature_names",
        ),
        (
            json!({ "features": ["spend:amount_mean_1h"], "entities": buyer, "include_feature_view_version_metadata": true }),
            "include_feature_view_version_metadata: expected false, for feature groups have no versions",
        ),
    ] {
        assert_eq!(error(body), bad(text));
    }
    assert!(error(json!({ "features": [] })).2.starts_with("entities: missing"));
    assert!(error(json!({ "feature": [], "entities": buyer })).2.starts_with("unknown field `feature`"));
    let many: Vec<String> = (0..1001).map(|buyer| buyer.to_string()).collect();
    let many = error(json!({ "features": ["spend:amount_mean_1h"], "entities": { "buyer": many } }));
    assert_eq!((many.0, many.2.as_str()), (413, "entities: 1001 of them; expected 1000 at most"));
    let twice = r#"{"features":["spend:amount_mean_1h"],"entities":{"buyer":["a"],"buyer":["b"]}}"#;
    assert!(
        String::from_utf8_lossy(&client.post("/get-online-features", twice).body).contains("entities.buyer: duplicate")
    );
    server.drain();
}
