//! Explanations of predictions: `"explain": true` and `:explain`, by version, label and split.

use serde_json::{Value, json};

use crate::common::shop::{COUNTED, Client, LARGE, LEVELS, SHOP, SORTS, Shop, endpoint};
use crate::protocols::{columns, orders};
use tidemill::registry::Registry;
use tidemill::serve::{Endpoint, start};

/// Another model of the same instances, and one whose predictions are not explained.
const OTHERS: &str = r#"
[model.other]
kind = { name = "gbdt", trees = 5 }
examples = "orders"
features = ["amount", "items"]
label = { value = "amount > 10" }
window = "1d"

[model.deep]
kind = "mlp"
examples = "orders"
features = ["amount", "items"]
label = { value = "amount > 10" }
window = "1d"

[model.many]
kind = "softmax"
examples = "orders"
features = ["amount", "amount / 2", "amount / 3", "amount / 4", "amount / 5", "amount / 6", "amount / 7", "amount / 8", "amount / 9",
            "amount / 10", "amount / 11", "amount / 12", "amount / 13", "amount / 14", "amount / 15", "amount / 16"]
label = { value = "items" }
window = "1d"
"#;

/// A dataflow with versions of seven models: `large` binary, `counted` a value, `levels` of classes, `sorts` clusters,
/// `other` trees, `deep` a network, `many` of classes and many inputs.
fn shop(folder: &std::path::Path) -> Shop {
    let mut shop = Shop::bare(&format!("{SHOP}{LARGE}{COUNTED}{LEVELS}{SORTS}{OTHERS}"));
    shop.registry = Some(Registry::scratch(&folder.display().to_string()).unwrap());
    shop.fill();
    (0..7).for_each(|model| drop(shop.publish(model, 3)));
    shop.readiness.started();
    shop
}

fn explained(client: &mut Client, model: &str, more: Value) -> Value {
    let mut body = json!({ "model": model, "instances": orders(), "explain": true });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = client.post("/predict", body.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Returns the base and all contributions, added up; `pick` finds a number in each.
fn sum<'a>(explanation: &'a Value, pick: impl Fn(&'a Value) -> &'a Value) -> f64 {
    let contributions = explanation["contributions"].as_object().unwrap().values();
    let numbers = [&explanation["base"]].into_iter().chain(contributions).map(|value| pick(value).as_f64().unwrap());
    numbers.sum()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

#[test]
fn an_explanation_adds_up_to_the_prediction_before_its_link() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let odds = |x: f64| 1.0 / (1.0 + libm::exp(-x.clamp(-15.0, 15.0)));

    let large = explained(&mut client, "large", json!({ "features": true }));
    let plain = client.post("/predict", json!({ "model": "large", "instances": orders() }).to_string()).json();
    assert_eq!(large["predictions"], plain["predictions"], "an explanation changes no bit");
    assert!(plain.get("explanations").is_none() && list(&large["explanations"]).len() == 3);
    for at in 0..3 {
        let explanation = &large["explanations"][at];
        assert_eq!(large["predictions"][at], odds(sum(explanation, |number| number)));
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&explanation["contributions"]), names(&large["features"][at]), "every input, by its name");
    }
    assert!(large["explanations"][0]["contributions"].get("amount / 10").is_some());

    let counted = explained(&mut client, "counted", json!({}));
    for (prediction, explanation) in list(&counted["predictions"]).iter().zip(list(&counted["explanations"])) {
        assert_eq!(*prediction, sum(explanation, |number| number), "a value is its own raw score");
    }

    let levels = explained(&mut client, "levels", json!({ "version": 2 }));
    for (prediction, explanation) in list(&levels["predictions"]).iter().zip(list(&levels["explanations"])) {
        let classes = ["high", "low", "mid"];
        let powers = classes.map(|class| libm::exp(sum(explanation, |numbers| &numbers[class]).clamp(-15.0, 15.0)));
        for (class, power) in classes.iter().zip(powers) {
            let share = power / powers.iter().sum::<f64>();
            assert!((prediction[class].as_f64().unwrap() - share).abs() < 1e-12, "{prediction} {explanation}");
        }
    }

    let other = explained(&mut client, "other", json!({}));
    for (prediction, explanation) in list(&other["predictions"]).iter().zip(list(&other["explanations"])) {
        assert_eq!(*prediction, odds(sum(explanation, |number| number)));
    }
    let none = json!({ "model": "large", "instances": [], "explain": true });
    assert_eq!(client.post("/predict", none.to_string()).json()["explanations"], json!([]));
    let off = json!({ "model": "large", "instances": orders(), "explain": false });
    assert_eq!(client.post("/predict", off.to_string()).json(), plain);
    server.drain();
}

#[test]
fn a_request_in_the_words_of_kserve_is_explained_by_version_and_by_label() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    for model in ["large", "counted", "levels", "other"] {
        for (path, version) in [("", 3), ("/versions/2", 2), ("/labels/champion", 3)] {
            let path = format!("/v1/models/{model}{path}:explain");
            let expected = explained(&mut client, model, json!({ "version": version }));
            let rows = client.post(&path, json!({ "instances": orders() }).to_string());
            let answer = json!({ "predictions": expected["predictions"], "explanations": expected["explanations"] });
            assert_eq!((rows.status, rows.json()), (200, answer), "{path}");
            let columns = client.post(&path, json!({ "inputs": columns() }).to_string());
            assert_eq!(columns.status, 200, "{path}: {columns:?}");
            assert_eq!(columns.json()["explanations"], expected["explanations"], "{path}");
            assert!(columns.json().get("outputs").is_some());
        }
    }
    // The oldest version is read from the registry.
    let oldest = client.post("/v1/models/large/versions/1:explain", json!({ "instances": orders() }).to_string());
    assert_eq!(oldest.json()["explanations"], explained(&mut client, "large", json!({ "version": 1 }))["explanations"]);
    let metrics = String::from_utf8(client.get("/metrics").body).unwrap();
    for route in ["{model}", "{model}/versions/{version}", "{model}/labels/{alias}"] {
        let label = format!("route=\"/v1/models/{route}:explain\"");
        assert!(metrics.lines().any(|line| line.starts_with("tidemill_http_requests_total") && line.contains(&label)));
    }
    server.drain();
}

#[test]
fn a_prediction_that_cannot_be_explained_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    let endpoint = Endpoint { max_body_bytes: 4 << 20, max_total_body_bytes: 16 << 20, ..endpoint() };
    let server = start(&endpoint, &shop.service()).unwrap();
    let mut client = Client::connect(server.addr());
    for model in ["deep", "sorts"] {
        let body = json!({ "model": model, "instances": orders(), "explain": true });
        for (path, body) in
            [("/predict".to_owned(), body), (format!("/v1/models/{model}:explain"), json!({ "instances": orders() }))]
        {
            let answer = client.post(&path, body.to_string());
            assert_eq!(answer.status, 400, "{answer:?}");
            let kind = if model == "deep" { "mlp" } else { "kmeans" };
            let expected = format!(
                "model {model} is of kind {kind}, whose predictions cannot be explained; expected one of logistic, linear,"
            );
            assert!(answer.error().starts_with(&expected), "{}", answer.error());
            assert!(answer.error().contains("gbdt"), "{}", answer.error());
        }
    }
    let wrong = json!({ "model": "large", "instances": [], "explain": 1 });
    assert!(client.post("/predict", wrong.to_string()).error().starts_with("explain: expected true or false"));
    let many = |explain: bool| {
        let instances: Vec<Value> = (0..28_000).map(|_| json!({ "amount": 1 })).collect();
        json!({ "model": "many", "instances": instances, "explain": explain }).to_string()
    };
    let refused = client.post("/predict", many(true));
    assert_eq!(refused.status, 413, "{:?}", refused.head);
    let expected = "instances: 28000 of them to be explained by model many; expected ";
    assert!(refused.error().starts_with(expected), "{}", refused.error());
    assert_eq!(client.post("/predict", many(false)).status, 200);
    let unknown = client.post("/v1/models/large/versions/9:explain", json!({ "instances": orders() }).to_string());
    assert_eq!(unknown.status, 404);
    assert_eq!(client.post("/v1/models/large/labels/none:explain", "{\"instances\":[]}").status, 404);
    assert_eq!(client.post("/v1/models/large:explain", "{\"instances\":[{\"amount\":\"x\"}]}").status, 400);
    server.drain();
}

#[test]
fn each_arm_of_a_split_explains_its_own_predictions() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop(folder.path());
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let instances: Vec<Value> = (0..60)
        .map(|n| json!({ "id": "o", "buyer": format!("u{n}"), "country": "DE", "amount": 20, "items": 2, "vip": true }))
        .collect();
    let ask = |client: &mut Client, more: Value| {
        let mut body = json!({ "model": "large", "instances": instances, "explain": true });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.post("/predict", body.to_string())
    };
    let body = json!({ "weights": { "champion": 1, "model:other": 1 } });
    assert_eq!(client.post("/models/large/split", body.to_string()).status, 200);
    let mixed = ask(&mut client, json!({})).json();
    let (champion, other) =
        (ask(&mut client, json!({ "version": 3 })).json(), ask(&mut client, json!({ "model": "other" })).json());
    let mut of_other = 0;
    for at in 0..60 {
        let is_other = mixed["arms"][at] == "model:other";
        of_other += usize::from(is_other);
        let by = if is_other { &other } else { &champion };
        assert_eq!(mixed["explanations"][at], by["explanations"][at]);
        assert_eq!(mixed["explanations"][at]["contributions"].as_object().unwrap().len() == 2, is_other);
    }
    assert!((10..50).contains(&of_other), "{of_other}");
    let rows = client.post("/v1/models/large:explain", json!({ "instances": instances }).to_string());
    assert_eq!(rows.json()["explanations"], mixed["explanations"]);
    // A shadow changes nothing, whether or not its model explains; an arm whose model does not is said.
    let body = json!({ "weights": { "champion": 1 }, "shadows": { "model:deep": 1 } });
    let made = client.post("/models/large/split", body.to_string());
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(ask(&mut client, json!({})).json()["explanations"], champion["explanations"]);
    let body = json!({ "weights": { "champion": 1, "model:deep": 1 } });
    assert_eq!(client.post("/models/large/split", body.to_string()).status, 200);
    let refused = ask(&mut client, json!({}));
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.error().starts_with("model deep is of kind mlp"), "{}", refused.error());
    server.drain();
}
