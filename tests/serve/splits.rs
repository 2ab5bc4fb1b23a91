//! Splits: which arm answers which entity, what the answer says of it, and shadows beside.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::common::shop::{Answer, Client, LARGE, LEVELS, SHOP, Shop};
use tidemill::registry::{MoveByHand, Registry, When, arm_seed, choose};
use tidemill::value::{KeyCodec, Scalar, Type};

/// Another model of the same instances.
const OTHER: &str = r#"
[model.other]
kind = "logistic"
examples = "orders"
features = ["amount", "items"]
label = { value = "amount > 10" }
window = "1d"
"#;

/// Versions 1 to 3 of a model and of another in a registry.
fn shop(folder: &std::path::Path) -> Shop {
    let mut shop = Shop::bare(&format!("{SHOP}{LARGE}{OTHER}{LEVELS}"));
    shop.registry = Some(Registry::scratch(&folder.display().to_string()).unwrap());
    shop.fill();
    (0..3).for_each(|model| drop(shop.publish(model, 3)));
    shop.readiness.started();
    shop
}

fn instance(buyer: &str) -> Value {
    json!({ "id": "o", "buyer": buyer, "country": "DE", "amount": 20, "items": 2, "vip": true })
}

fn predict(client: &mut Client, buyers: &[String], more: Value) -> Value {
    let mut body =
        json!({ "model": "large", "instances": buyers.iter().map(|buyer| instance(buyer)).collect::<Vec<_>>() });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = client.post("/predict", body.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn set(client: &mut Client, body: &Value) -> Answer {
    client.post("/models/large/split", body.to_string())
}

fn buyers(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("u{n}")).collect()
}

/// Returns the sum of the samples of a metric whose labels contain all of these.
fn metric(client: &mut Client, name: &str, labels: &[&str]) -> f64 {
    let text = String::from_utf8(client.get("/metrics").body).unwrap();
    let samples = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    let samples = samples.filter(|line| labels.iter().all(|label| line.contains(label)));
    samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[test]
fn each_entity_is_answered_by_its_arm_and_stays_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let buyers = buyers(400);
    let without = predict(&mut client, &buyers, json!({}));
    assert!(without["arms"].is_null() && without["version"] == 3, "{without}");
    // Version 1 is not among the newest, which are in memory.
    let body = json!({ "weights": { "champion": 80, "old": 20 }, "arms": { "old": "1" }, "reason": "to compare", "by": "ann" });
    let made = set(&mut client, &body);
    assert_eq!(made.status, 200, "{made:?}");
    let made = made.json();
    assert_eq!(
        (&made["number"], &made["by"], &made["shares"]),
        (&json!(1), &json!("ann"), &json!({ "champion": 0.8, "old": 0.2 }))
    );
    assert_eq!(made["time"], "2024-01-01T11:59:59.000Z");
    let with = predict(&mut client, &buyers, json!({}));
    let arms: Vec<&str> = with["arms"].as_array().unwrap().iter().map(|arm| arm.as_str().unwrap()).collect();
    let old = predict(&mut client, &buyers, json!({ "version": 1 }));
    assert!(old["arms"].is_null(), "a version that is named answers alone");
    let codec = KeyCodec::new(&[Type::String]);
    for (at, (buyer, arm)) in buyers.iter().zip(&arms).enumerate() {
        // The entity is that of the first group that the model looks up.
        let entity =
            tidemill::value::Key::hash_of(codec.encode_one(&[Scalar::String(buyer.as_str().into())]).as_bytes());
        let expected = choose([(arm_seed("champion"), 0.8), (arm_seed("old"), 0.2)], entity).unwrap();
        assert_eq!(*arm, ["champion", "old"][expected]);
        let (by, version) = if *arm == "old" { (&old, 1) } else { (&without, 3) };
        assert_eq!(with["predictions"][at], by["predictions"][at]);
        assert_eq!(with["versions"][at], version);
    }
    let share = arms.iter().filter(|arm| **arm == "old").count() as f64 / 400.0;
    assert!((share - 0.2).abs() < 0.07, "{share}");
    assert_eq!(with["version"], with["versions"][0]);
    // One at a time, and with other columns, each has the same arm.
    for (buyer, arm) in buyers.iter().zip(&arms).take(20) {
        let alone = predict(&mut client, std::slice::from_ref(buyer), json!({ "features": true }));
        assert_eq!(alone["arms"], json!([arm]));
    }
    // From 20 to 40 %, entities only leave the champion.
    set(&mut client, &json!({ "weights": { "champion": 60, "old": 40 }, "arms": { "old": "1" } }));
    let more = predict(&mut client, &buyers, json!({}));
    let moved = arms.iter().zip(more["arms"].as_array().unwrap()).filter(|(before, after)| {
        assert!(**before != "old" || **after == "old", "no entity leaves the arm that grows");
        **before != after.as_str().unwrap()
    });
    let moved = moved.count() as f64 / 400.0;
    assert!((moved - 0.2).abs() < 0.07, "{moved}");
    let counted = ["champion", "old"]
        .map(|arm| metric(&mut client, "tidemill_predictions_total", &["large", &format!("arm=\"{arm}\"")]));
    assert_eq!(counted.iter().sum::<f64>(), 400.0 * 3.0 + 20.0, "{counted:?}");
    // Cleared, the champion answers.
    assert_eq!(set(&mut client, &json!({ "clear": true })).json()["split"], Value::Null);
    assert_eq!(predict(&mut client, &buyers, json!({})), without);
    let shown = client.get("/models/large/split").json();
    assert_eq!((&shown["current"], shown["splits"].as_array().unwrap().len()), (&Value::Null, 3));
    server.drain();
}

#[test]
fn every_protocol_answers_by_the_same_arms() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    set(&mut client, &json!({ "weights": { "champion": 1, "2": 1 }, "entity": ["id"] }));
    let ids: Vec<String> = (0..12).map(|n| format!("o{n}")).collect();
    let instances: Vec<Value> =
        ids.iter().map(|id| json!({ "id": id, "buyer": "u", "amount": 20, "items": 2 })).collect();
    let expected = client.post("/predict", json!({ "model": "large", "instances": instances }).to_string()).json();
    let arms =
        expected["arms"].as_array().unwrap().iter().map(|arm| arm.as_str().unwrap()).collect::<Vec<_>>().join(",");
    assert!(arms.contains("champion") && arms.contains('2'), "the entity is the order: {arms}");
    let header = format!("tidemill-arms: {arms}");
    let rows = client.post("/v1/models/large:predict", json!({ "instances": instances }).to_string());
    assert!(rows.head.contains(&header), "{}", rows.head);
    assert_eq!(rows.json()["predictions"], expected["predictions"]);
    let frame = json!({ "dataframe_records": instances, "params": { "model": "large" } });
    let frame = client.post("/invocations", frame.to_string());
    assert!(frame.status == 200 && frame.head.contains(&header), "{frame:?}");
    assert_eq!(frame.json()["predictions"], expected["predictions"]);
    let text = |name: &str, values: Vec<Value>, datatype: &str| json!({ "name": name, "shape": [12], "datatype": datatype, "data": values });
    let inputs = [
        text("id", ids.iter().map(|id| json!(id)).collect(), "BYTES"),
        text("buyer", vec![json!("u"); 12], "BYTES"),
        text("amount", vec![json!(20.0); 12], "FP64"),
        text("items", vec![json!(2); 12], "INT64"),
    ];
    let tensors = client.post("/v2/models/large/infer", json!({ "inputs": inputs }).to_string()).json();
    assert_eq!(
        (&tensors["parameters"]["arms"], &tensors["outputs"][0]["data"]),
        (&json!(arms), &expected["predictions"])
    );
    // A label or a version that is named is no split.
    let named = client.post("/v1/models/large/labels/champion:predict", json!({ "instances": instances }).to_string());
    assert!(!named.head.contains("tidemill-arms"), "{}", named.head);
    server.drain();
}

#[test]
fn equal_arms_give_equal_bits_and_another_model_can_be_an_arm() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let buyers = buyers(60);
    let champion = predict(&mut client, &buyers, json!({}));
    set(&mut client, &json!({ "weights": { "a": 1, "b": 1 }, "arms": { "a": "champion", "b": "3" } }));
    let both = predict(&mut client, &buyers, json!({}));
    assert_eq!(both["predictions"], champion["predictions"], "A/A");
    let arms: BTreeMap<&str, usize> =
        both["arms"].as_array().unwrap().iter().fold(BTreeMap::new(), |mut counts, arm| {
            *counts.entry(arm.as_str().unwrap()).or_default() += 1;
            counts
        });
    assert!(arms["a"] > 10 && arms["b"] > 10, "{arms:?}");
    // Another model reads the same instances by its own program.
    let made = set(&mut client, &json!({ "weights": { "champion": 1, "model:other": 1 } }));
    assert_eq!(made.status, 200, "{made:?}");
    let mixed = predict(&mut client, &buyers, json!({}));
    let body = json!({ "model": "other", "instances": buyers.iter().map(|buyer| instance(buyer)).collect::<Vec<_>>() });
    let other = client.post("/predict", body.to_string()).json();
    let mut of_other = 0;
    for at in 0..buyers.len() {
        let by = if mixed["arms"][at] == "model:other" { &other } else { &champion };
        of_other += usize::from(mixed["arms"][at] == "model:other");
        assert_eq!(mixed["predictions"][at], by["predictions"][at]);
    }
    assert!((10..50).contains(&of_other), "{of_other}");
    server.drain();
}

#[test]
fn a_shadow_predicts_beside_the_answer_and_changes_nothing_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let buyers = buyers(50);
    let champion = predict(&mut client, &buyers, json!({}));
    let (first, other) = (predict(&mut client, &buyers, json!({ "version": 1 })), {
        let body =
            json!({ "model": "other", "instances": buyers.iter().map(|buyer| instance(buyer)).collect::<Vec<_>>() });
        client.post("/predict", body.to_string()).json()
    });
    let body = json!({ "weights": { "champion": 1 }, "shadows": { "1": 1.0, "model:other": 1.0, "2": 0.3 } });
    assert_eq!(set(&mut client, &body).status, 200);
    let answer = predict(&mut client, &buyers, json!({}));
    assert_eq!((&answer["predictions"], &answer["arms"][0]), (&champion["predictions"], &json!("champion")));
    for (arm, by) in [("1", &first), ("model:other", &other)] {
        let label = format!("arm=\"{arm}\"");
        let of = |client: &mut Client, name: &str| metric(client, name, &["model=\"large\"", &label]);
        let (predicted, skipped) =
            (of(&mut client, "tidemill_shadow_predictions_total"), of(&mut client, "tidemill_shadow_skipped_total"));
        assert_eq!((predicted, skipped), (50.0, 0.0), "{arm}");
        let difference: f64 = (0..50)
            .map(|at| (by["predictions"][at].as_f64().unwrap() - champion["predictions"][at].as_f64().unwrap()).abs())
            .sum();
        let found = of(&mut client, "tidemill_shadow_difference_total");
        assert!((found - difference).abs() < 1e-9 && difference > 0.0, "{arm}: {found} {difference}");
    }
    let sampled = metric(&mut client, "tidemill_shadow_predictions_total", &["arm=\"2\""]);
    assert!((5.0..26.0).contains(&sampled), "a share of the entities: {sampled}");
    server.drain();
}

#[test]
fn arms_follow_their_alias_and_one_that_cannot_be_served_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    let registry = shop.registry.clone().unwrap();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    client.post("/models/large/promote", json!({ "version": 1, "alias": "canary" }).to_string());
    set(&mut client, &json!({ "weights": { "canary": 1 } }));
    assert_eq!(predict(&mut client, &buyers(1), json!({}))["version"], 1);
    client.post("/models/large/promote", json!({ "version": 2, "alias": "canary" }).to_string());
    assert_eq!(predict(&mut client, &buyers(1), json!({}))["version"], 2);
    // A version that an arm names is kept, and may become champion.
    set(&mut client, &json!({ "weights": { "champion": 1, "1": 1 } }));
    assert_eq!(registry.retain("large", 1).unwrap(), [0; 0], "1 is an arm, 2 an alias, 3 the champion");
    client.post("/models/large/promote", json!({ "version": 1 }).to_string());
    let versions = predict(&mut client, &buyers(8), json!({}))["versions"].clone();
    assert_eq!(versions, json!(vec![1; 8]));
    client.post("/models/large/promote", json!({ "version": 3 }).to_string());
    // Deleted behind our back before the split is read: its entities are answered by the others.
    let when = When { event: 0, wall: 0 };
    registry.promote("large", 3, &MoveByHand { alias: "gone", when, reason: "", by: "ann", reverts: None }).unwrap();
    set(&mut client, &json!({ "clear": true }));
    server.drain();
    std::fs::write(
        folder.path().join("large/splits/4.json"),
        r#"{"number": 4, "time": "2020-01-01T00:00:00.000Z", "wall_time": "2020-01-01T00:00:00.000Z", "reason": "", "by": "x",
            "split": {"arms": [{"name": "champion", "target": "champion", "share": 0.5}, {"name": "9", "target": "9", "share": 0.5}]}}"#,
    )
    .unwrap();
    assert!(shop.live.refresh_splits(&registry, "large").unwrap());
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let answer = predict(&mut client, &buyers(20), json!({}));
    assert_eq!(answer["versions"], json!(vec![3; 20]));
    server.drain();
}

#[test]
fn versions_of_other_classes_are_answered_together() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let made = client.post("/models/levels/split", json!({ "weights": { "champion": 1, "1": 1 } }).to_string());
    assert_eq!(made.status, 200, "{made:?}");
    let instances: Vec<Value> = (0..30).map(|n| json!({ "country": "DE", "items": n, "amount": 3 })).collect();
    let ask = |more: &str| {
        json!({ "model": "levels", "instances": instances, "version": serde_json::from_str::<Value>(more).unwrap() })
            .to_string()
    };
    let mixed = client.post("/predict", ask("null")).json();
    let versions = [client.post("/predict", ask("1")).json(), client.post("/predict", ask("3")).json()];
    for at in 0..30 {
        let by = usize::from(mixed["versions"][at] == 3);
        assert_eq!(mixed["predictions"][at], versions[by]["predictions"][at]);
    }
    server.drain();
}

#[test]
fn a_wrong_split_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    for (body, status, error) in [
        (json!({}), 400, "weights: expected at least one arm"),
        (json!({ "weights": { "champion": 1, "9": 1 } }), 404, "model large has no version 9"),
        (json!({ "weights": { "canary": 1 } }), 400, "arm canary: model large has no alias canary; it has champion"),
        (json!({ "weights": { "champion": 1, "model:othr": 1 } }), 404, "unknown model othr; did you mean other?"),
        (json!({ "weights": { "model:levels": 1 } }), 400, "model:levels: its predictions are of another kind"),
        (json!({ "weights": { "model:large": 1 } }), 400, "arm model:large: it is the model itself"),
        (
            json!({ "weights": { "champion": 1 }, "entity": ["byer"] }),
            400,
            "entity: instances have no column byer; did you mean buyer?",
        ),
        (json!({ "weights": { "champion": 1 }, "ramp": "1h" }), 400, "ramp: expected an arm other than champion"),
        (json!({ "weights": { "champion": 1 }, "by": "ramp" }), 400, "`ramp` is not a valid author"),
        (json!({ "weights": { "champion": "x" } }), 400, "expected a number, found the text"),
        (json!({ "weights": { "champion": 1e308 } }), 400, "weights.champion: expected a number that is not negative"),
        (json!({ "clear": true }), 400, "model `large` has no split that could be cleared"),
        (json!({ "weight": {} }), 400, "unknown field `weight`"),
        (json!({ "clear": true, "weights": {} }), 400, "weights: a split that is cleared has none"),
    ] {
        let answer = set(&mut client, &body);
        assert!(answer.status == status && answer.error().starts_with(error), "{body}: {answer:?}");
    }
    assert_eq!(client.get("/models/large/split").json()["splits"], json!([]));
    assert_eq!(client.post("/models/larg/split", "{}").status, 404);
    let bare = Shop::open();
    let server = bare.serve();
    let answer = Client::connect(server.addr()).get("/models/large/split");
    assert_eq!((answer.status, answer.error().as_str()), (503, "this server has no registry"));
}

#[test]
fn a_ramp_grows_with_the_watermark() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let buyers = buyers(500);
    let body = json!({ "weights": { "champion": 1, "2": 1 }, "ramp": "5%: 1h, 20%: 2h" });
    assert_eq!(set(&mut client, &body).json()["shares"], json!({ "2": 0.05, "champion": 0.95 }));
    let mut share = |hours: i64| {
        shop.online.advance(tidemill::time::EventTime::from(crate::common::shop::NOON - 1000 + hours * 3_600_000));
        let arms = predict(&mut client, &buyers, json!({}))["arms"].clone();
        arms.as_array().unwrap().iter().filter(|arm| **arm == "2").count() as f64 / 500.0
    };
    for (hours, expected) in [(0, 0.05), (1, 0.2), (2, 0.2), (3, 0.5)] {
        let found = share(hours);
        assert!((found - expected).abs() < 0.05, "{hours}: {found}");
    }
    let page = String::from_utf8(client.get("/dashboard/models/large").body).unwrap();
    for shown in ["Split 1", "the ramp is over", "50 %", "split over 2 arms"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    server.drain();
}
