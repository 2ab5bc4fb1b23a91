//! Features in windows that requests ask for, and derived features, over real sockets.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray};
use serde_json::{Value, json};
use tidemill::aggregate::{Expired, Feature, GroupState, InputColumns, LineInput, Update};
use tidemill::value::{Key, Scalar};

use crate::common::shop::{Client, NOON, SHOP, Shop};

const PAID: &str = r#"
[features.paid]
from = "orders"
entity = "buyer"
request_windows = true
aggregate = [
  { of = "amount", op = ["sum", "last", "time_since_last"], windows = ["1h", "3h", "lifetime"] },
  { op = "rate", as = "orders", windows = ["1h"] },
  { of = "amount", as = "largest", op = "max", windows = ["lifetime"] },
  { of = "amount", as = "by_land", op = "count", by = "country", windows = ["3h"] },
  { expr = "amount_sum_1h / amount_sum_3h", as = "share" },
  { expr = "amount_time_since_last_1h / 60", as = "minutes" },
]

[model.quick]
kind = "linear"
examples = "orders"
features = ["paid.share", "paid.minutes * 2", "amount"]
label = { value = "amount" }
window = "1d"
"#;

const MINUTE: i64 = 60_000;

/// A shop in which "ann" has bought for 1, 2, 4, … at some minutes before noon, the watermark being noon.
fn shop(minutes: &[i64]) -> Shop {
    shop_of(PAID, minutes)
}

/// The same with a group and a model in place of [`PAID`].
fn shop_of(paid: &str, minutes: &[i64]) -> Shop {
    let shop = Shop::bare(&format!("{SHOP}{paid}"));
    let plan = shop.plan.groups.iter().find(|group| group.name == "paid").unwrap();
    let amounts: ArrayRef = Arc::new((0..minutes.len()).map(|at| Some((1 << at) as f64)).collect::<Float64Array>());
    let lands: ArrayRef =
        Arc::new(minutes.iter().map(|at| Some(["DE", "FR"][*at as usize % 2])).collect::<StringArray>());
    let inputs: Vec<LineInput> = plan
        .layout
        .lines
        .iter()
        .zip(&plan.lines)
        .map(|(line, columns)| {
            let columns = InputColumns {
                of: columns.of.map(|_| &amounts),
                digits: line.digits,
                with: None,
                with_digits: 0,
                by: columns.by.map(|_| &lands),
                filter: None,
                needs: line.needs(),
            };
            LineInput::new(&columns, &mut 0)
        })
        .collect();
    let entity = [Scalar::String("ann".into())];
    let key = plan.codec.encode_one(&entity);
    let mut state = GroupState::new(&plan.layout);
    let slot = state.slot(key.as_bytes(), Key::hash_of(key.as_bytes()));
    let update = |(row, minutes): (usize, &i64)| {
        let time = NOON - minutes * MINUTE;
        Update { slot, batch: 0, row: row as u32, time, event_time: time }
    };
    let updates: Vec<Update> = minutes.iter().enumerate().map(update).collect();
    state.insert(&updates, &[&inputs], &mut Vec::new());
    state.advance(NOON, &mut Expired::default());
    let mut vector = vec![Feature::NULL; state.published_width()];
    state.published_into(Some(slot), None, &mut vector);
    shop.upsert_features("paid", &entity, vector);
    shop.online.note(NOON);
    shop.online.advance(NOON);
    shop
}

#[test]
fn a_window_on_request_is_answered_under_its_own_names() {
    let shop = shop(&[170, 121, 120, 90, 20]);
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let declared = client.get("/features/paid/ann").json();
    assert_eq!(declared["features"]["amount_sum_3h"], 31.0);
    assert_eq!(declared["features"].as_object().unwrap().len(), 14, "no panes are shown: {declared}");
    let answer = client.get("/features/paid/ann?window=2h");
    assert_eq!(answer.status, 200, "{answer:?}");
    let features = json!({
        "amount_sum_2h": 28.0, "amount_last_2h": 16.0, "amount_time_since_last_2h": 1200.0,
        "by_land_count_2h_by_country": { "DE": 3 },
    });
    let expected = json!({ "group": "paid", "entity": { "buyer": "ann" }, "features": features, "watermark": "2024-01-01T12:00:00.000Z" });
    assert_eq!(answer.json(), expected);
    // The window of a declared length has the values of the declared one.
    let hour = client.get("/features/paid/ann?window=60m").json();
    assert_eq!(hour["features"]["amount_sum_60m"], declared["features"]["amount_sum_1h"]);
    assert_eq!(hour["features"]["orders_60m"], declared["features"]["orders_1h"]);
    let many = json!({ "entities": [{ "buyer": "ann" }, { "buyer": "bob" }], "window": "2h" }).to_string();
    let many = client.post("/features/paid", many).json();
    assert_eq!(many["results"][0]["features"], expected["features"]);
    assert_eq!((&many["results"][1]["status"], &many["results"][1]["features"]), (&json!("not_found"), &Value::Null));
    // A window without records has the empty answers.
    let minute = client.get("/features/paid/ann?window=1m").json();
    let empty = json!({
        "amount_sum_1m": null, "amount_last_1m": null, "amount_time_since_last_1m": null, "orders_1m": 0.0,
    });
    assert_eq!(minute["features"], empty);
    server.drain();
}

#[test]
fn panes_for_requests_change_neither_features_nor_predictions() {
    let answers = |paid: &str| {
        let more = "\"paid.amount_sum_3h\", \"paid.largest_max_lifetime\", \"paid.share\"";
        let shop = shop_of(&paid.replace("\"paid.share\"", more), &[170, 90, 20]);
        shop.publish(0, 1);
        let server = shop.serve();
        let mut client = Client::connect(server.addr());
        let orders = ["ann", "bob"].map(|buyer| json!({ "id": "o", "buyer": buyer, "amount": 1.0, "items": 1 }));
        let predicted = client.post("/predict", json!({ "instances": orders, "features": true }).to_string()).json();
        let features = client.get("/features/paid/ann").json();
        server.drain();
        (predicted, features)
    };
    let kept = answers(PAID);
    assert_eq!(kept.0["features"][0]["paid.amount_sum_3h"], 7.0, "{}", kept.0);
    assert_eq!(answers(&PAID.replace("request_windows = true\n", "")), kept);
}

#[test]
fn a_window_that_cannot_be_answered_is_refused_with_those_that_can() {
    let shop = shop(&[10]);
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let possible = "expected a multiple of 1m up to 1h, or a multiple of 5m up to 3h";
    for window in ["4h", "90s", "61m", "lifetime", "last%205", "", "0s", "-1h", "99999999d", "1e3h"] {
        let answer = client.get(&format!("/features/paid/ann?window={window}"));
        let found = window.replace("%20", " ");
        let expected = format!("window: {found:?} cannot be answered by group paid; {possible}");
        assert_eq!((answer.status, answer.error()), (400, expected));
    }
    let answer = client.get("/features/paid/ann?window=1h&window=2h");
    assert_eq!((answer.status, answer.error()), (400, "query parameter window is given twice".to_owned()));
    let answer = client.get("/features/paid/ann?windw=1h");
    let expected = "unknown query parameter \"windw\"; this route takes window".to_owned();
    assert_eq!((answer.status, answer.error()), (400, expected));
    assert_eq!(client.get("/features/paid/bob?window=1h").status, 404);
    let expected = "window: \"1h\" cannot be answered by group spend; it keeps no panes for requests, which request_windows = \
                    true makes it do";
    assert_eq!(client.get("/features/spend/ann?window=1h").error(), expected);
    server.drain();
}

#[test]
fn a_derived_feature_is_computed_for_every_reader() {
    let shop = shop(&[170, 160, 20, 10]);
    shop.publish(0, 1);
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let features = client.get("/features/paid/ann").json()["features"].clone();
    assert_eq!((&features["share"], &features["minutes"]), (&json!(0.8), &json!(10.0)));
    let page = String::from_utf8(client.get("/dashboard/features/paid?buyer=ann").body).unwrap();
    for (name, value) in features.as_object().unwrap() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let row = format!("<code>{name}</code></th><td class=\"wrap\">{}</td>", text.replace('"', "&quot;"));
        assert!(page.contains(&row), "{row} is not in {page}");
    }
    let many = client.post("/features/paid", r#"{"entities":[{"buyer":"ann"}]}"#).json();
    assert_eq!(many["results"][0]["features"], features);
    let feast = json!({ "features": ["paid:minutes", "paid:share"], "entities": { "buyer": ["ann", "bob"] } });
    let feast = client.post("/get-online-features", feast.to_string()).json();
    assert_eq!(
        [&feast["results"][1]["values"], &feast["results"][2]["values"]],
        [&json!([10.0, null]), &json!([0.8, null])]
    );
    // A prediction reads them by the same expressions, of what the instance sets too.
    let order = json!({ "id": "o", "buyer": "ann", "amount": 1.0, "items": 1 });
    let mut inputs = |name: &str, value: Value| {
        let mut order = order.clone();
        order[name] = value;
        let answer = client.post("/predict", json!({ "instances": [order], "features": true }).to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["features"][0].clone()
    };
    let found = inputs("amount", json!(1.0));
    assert_eq!((&found["paid.share"], &found["paid.minutes * 2"]), (&json!(0.8), &json!(20.0)));
    assert_eq!(inputs("paid.share", json!(7))["paid.share"], 7.0);
    assert_eq!(inputs("paid.amount_sum_3h", json!(16))["paid.share"], 0.75);
    assert_eq!(inputs("paid.minutes", json!(4))["paid.minutes * 2"], 8.0);
    // Without records, and without a result.
    let unknown = inputs("buyer", json!("bob"));
    assert_eq!((&unknown["paid.share"], &unknown["paid.minutes * 2"]), (&Value::Null, &Value::Null));
    assert_eq!(inputs("paid.amount_sum_3h", json!(0))["paid.share"], Value::Null);
    server.drain();
}
