//! The columns that an instance must contain, and the effect of its time.

use serde_json::{Value, json};
use tidemill::aggregate::{Deferred, Feature};
use tidemill::value::Scalar;

use crate::common::shop::{Client, LARGE, NOON, SHOP, Shop};

/// Models beside [`LARGE`]: inputs by way of a union, of constants, and of a key that is computed from the time.
const OTHERS: &str = r#"
[source.returns]
topic = "returns"
format = "json"
key = ["id"]
time = "at"
columns = { id = "string", who = "string", value = "float", fraud = "bool", note = "string", at = "timestamp" }

[table.days]
topic = "days"
format = "json"
time = "at"
key = ["day"]
columns = { day = "timestamp", rate = "float?", at = "timestamp" }

[view.moved]
sql = """
SELECT o.id, o.buyer, o.amount, o.vip AS bad, o.at FROM orders o
UNION ALL
SELECT r.id, lower(r.who), -r.value, r.fraud, r.at FROM returns r
"""

[view.dated]
sql = "SELECT r.*, d.rate FROM returns r LEFT JOIN days d ON d.day = date_trunc('day', r.at)"

[features.recency]
from = "orders"
entity = "buyer"
aggregate = [{ op = "time_since_last", windows = ["1h"] }]

[features.habits]
from = "orders"
entity = "buyer"
aggregate = [
  { of = "amount", op = "last_k(2)", windows = ["1d"] },
  { of = "country", op = ["last_distinct(3)", "histogram(3)"], windows = ["1d"] },
]

[model.nested]
kind = "linear"
examples = "orders"
features = ["habits.*"]
label = { value = "amount" }
window = "1d"

[model.returned]
kind = "logistic"
examples = "moved"
instance = "returns"
features = ["spend.amount_count_1h", "amount"]
label = { value = "bad" }
window = "1d"

[model.fixed]
kind = "logistic"
examples = "returns"
features = ["1 + 1"]
label = { value = "fraud" }
window = "1d"

[model.dated]
kind = "linear"
examples = "dated"
features = ["rate", "date_part('hour', at)"]
label = { value = "value" }
window = "1d"

[model.recent]
kind = "linear"
examples = "priced"
features = ["recency.*", "spend.*", "age", "hour"]
label = { value = "amount" }
window = "1d"
"#;

fn open() -> Shop {
    let shop = Shop::bare(&format!("{SHOP}{LARGE}{OTHERS}"));
    shop.fill();
    (0..shop.plan.models.len()).for_each(|model| drop(shop.publish(model, 1)));
    shop
}

/// The columns from which a model's inputs are made, by name.
fn needed(shop: &Shop, model: &str) -> Vec<String> {
    let at = shop.plan.models.iter().position(|plan| plan.name == model).unwrap();
    let schema = &shop.plan.spec.sources[shop.plan.driving_source(at)].topic.schema;
    shop.plan.program(at).needed_columns().map(|column| schema.columns[column].name.clone()).collect()
}

#[test]
fn only_columns_that_inputs_are_made_from_must_be_there() {
    let shop = open();
    assert_eq!(needed(&shop, "large"), ["buyer", "country", "amount", "items", "vip"]);
    assert_eq!(needed(&shop, "returned"), ["who", "value"]);
    assert_eq!(needed(&shop, "fixed"), [""; 0]);
    assert_eq!(needed(&shop, "dated"), [""; 0], "the key of the look-up is made from the time");
    assert_eq!(needed(&shop, "recent"), ["buyer"], "a column of the table is looked up by it, too");
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut ask = |model: &str, instance: Value| {
        let answer = client.post("/predict", json!({ "model": model, "instances": [instance] }).to_string());
        if answer.status == 200 { Ok(()) } else { Err((answer.status, answer.error())) }
    };
    let missing = |field: &str| Err((400, format!("instances[0].{field}: missing")));
    // An inner object may be null, where none of its columns is needed.
    assert_eq!(ask("recent", json!({ "buyer": "ann", "payload": null })), Ok(()));
    assert_eq!(ask("large", json!({ "buyer": "ann", "items": 2, "payload": null })), missing("amount"));
    // The needed columns suffice, and each of them is required unless it is nullable.
    for (model, whole) in [
        ("large", json!({ "buyer": "ann", "amount": 1, "items": 2 })),
        ("returned", json!({ "who": "ann", "value": 1 })),
        ("fixed", json!({})),
        ("dated", json!({})),
        ("recent", json!({ "buyer": "ann" })),
    ] {
        assert_eq!(ask(model, whole.clone()), Ok(()), "{model}");
        for name in whole.as_object().unwrap().keys() {
            let mut part = whole.clone();
            part.as_object_mut().unwrap().remove(name);
            assert_eq!(ask(model, part), missing(name), "{model} without {name}");
        }
    }
    // The others may be there, or be null, but must be what they are declared as.
    let rest = json!({ "who": "a", "value": 1, "fraud": true, "note": "x", "id": "i", "at": 0 });
    assert_eq!(ask("returned", rest), Ok(()));
    assert_eq!(ask("returned", json!({ "who": "a", "value": 1, "fraud": null, "note": null })), Ok(()));
    let null = ask("returned", json!({ "who": "a", "value": null }));
    assert_eq!(null, Err((400, "instances[0].value: expected float, found null".to_owned())));
    let wrong = ask("returned", json!({ "who": "a", "value": 1, "fraud": 7 }));
    assert_eq!(wrong, Err((400, "instances[0].fraud: expected bool, found the number 7".to_owned())));
    server.drain();
}

#[test]
fn an_instance_may_leave_out_columns_of_overridden_values() {
    let shop = open();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut ask = |model: &str, instance: Value| {
        let body = json!({ "model": model, "instances": [instance], "features": true });
        let answer = client.post("/predict", body.to_string());
        if answer.status == 200 { Ok(answer.json()["features"][0].clone()) } else { Err(answer.error()) }
    };
    // `amount` and `items` are read only by way of `twice` and `amount / 10`, and as the input `amount`.
    let given = json!({ "buyer": "ann", "price": 3.0, "amount": 1 });
    assert_eq!(ask("large", given).unwrap()["twice"], 6.0, "no items are needed for a given price");
    let given = json!({ "who": "ann", "amount": 7.0 });
    assert_eq!(ask("returned", given), Ok(json!({ "spend.amount_count_1h": 3, "amount": 7.0 })));
    let given = json!({ "amount": 7.0, "spend.amount_count_1h": 9 });
    assert_eq!(ask("returned", given), Ok(json!({ "spend.amount_count_1h": 9, "amount": 7.0 })));
    assert_eq!(ask("returned", json!({ "spend.amount_count_1h": 9 })), Err("instances[0].value: missing".to_owned()));
    assert_eq!(ask("returned", json!({ "amount": 9 })), Err("instances[0].who: missing".to_owned()));
    server.drain();
}

#[test]
fn a_time_is_asked_for_only_where_an_input_depends_on_it() {
    let shop = Shop::bare(&format!("{SHOP}{LARGE}{OTHERS}"));
    (0..shop.plan.models.len()).for_each(|model| drop(shop.publish(model, 1)));
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut ask = |model: &str, instance: Value| {
        let answer = client.post("/predict", json!({ "model": model, "instances": [instance] }).to_string());
        if answer.status == 200 { String::new() } else { answer.error() }
    };
    let no_time = "instances[0].at: missing, and no record has been seen yet whose time to take";
    assert_eq!(ask("returned", json!({ "who": "ann", "value": 1 })), "");
    assert_eq!(ask("dated", json!({})), no_time);
    assert_eq!(ask("dated", json!({ "rate": 1, "date_part('hour', at)": 3 })), "");
    assert_eq!(ask("large", json!({ "buyer": "ann", "amount": 1, "items": 2 })), no_time);
    assert_eq!(ask("large", json!({ "buyer": "ann", "amount": 1, "items": 2, "hour": 3 })), "");
    server.drain();
}

#[test]
fn lists_and_maps_are_shown_and_can_be_overridden() {
    let shop = open();
    let text = |text: &str| Scalar::String(text.into());
    let list = |items: &[Scalar]| Feature::List(items.into());
    let counts = Feature::Map([("DE".into(), Scalar::Int(2)), ("FR".into(), Scalar::Int(1))].into());
    let vector = vec![list(&[Scalar::Float(1.5), Scalar::Float(2.0)]), list(&[text("FR"), text("DE")]), counts];
    shop.upsert_features("habits", &[text("ann")], vector);
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut ask = |instance: Value| {
        let body = json!({ "model": "nested", "instances": [instance], "features": true });
        let answer = client.post("/predict", body.to_string());
        match answer.status {
            200 => Ok((answer.json()["features"][0].clone(), answer.json()["predictions"][0].clone())),
            status => Err((status, answer.error())),
        }
    };
    let [last, distinct, histogram] =
        ["habits.amount_last2_1d", "habits.country_lastdistinct3_1d", "habits.country_histogram3_1d"];
    let whole = json!({ last: [1.5, 2.0], distinct: ["FR", "DE"], histogram: { "DE": 2, "FR": 1 } });
    let (features, known) = ask(json!({ "buyer": "ann" })).unwrap();
    assert_eq!(features, whole);
    // An entity without records, or one that is not named, is its overrides.
    let nothing = json!({ last: null, distinct: null, histogram: null });
    assert_eq!(ask(json!({ "buyer": "bob" })).unwrap().0, nothing);
    assert_eq!(ask(whole.clone()), Ok((whole.clone(), known.clone())), "no entity is needed for given features");
    let given = json!({ "buyer": "ann", last: [null, 7] });
    let (features, other) = ask(given).unwrap();
    assert_eq!(features, json!({ last: [null, 7.0], distinct: ["FR", "DE"], histogram: { "DE": 2, "FR": 1 } }));
    assert_ne!(other, known);
    let empty = ask(json!({ last: [], distinct: [], histogram: {} })).unwrap();
    assert_eq!(empty.1, ask(nothing.clone()).unwrap().1);
    assert_eq!(empty.0[histogram], Value::Null);
    for (name, value, why) in [
        (last, json!([1, 2, 3]), "malformed: a list of 3 items, expected at most 2"),
        (last, json!([1, "x"]), "malformed: [1]: expected float, found the text \"x\""),
        (last, json!(7), "malformed: 7 is not a list of float values"),
        (distinct, json!([["a"]]), "malformed: [0]: expected string, found a list"),
        (histogram, json!({ "DE": 1.5 }), "malformed: DE: expected int, found the number 1.5"),
        (histogram, json!([]), "malformed: [] is not an object of int values"),
    ] {
        assert_eq!(ask(json!({ "buyer": "ann", name: value })), Err((400, format!("instances[0].{name}: {why}"))));
    }
    server.drain();
}

#[test]
fn look_ups_are_of_the_newest_state_whatever_the_time_of_an_instance() {
    let shop = open();
    let last = Feature::AsOf(Deferred::SecondsSince(NOON - 90_000));
    shop.upsert_features("recency", &[Scalar::String("ann".into())], vec![last]);
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut ask = |at: Value| {
        let mut instance = json!({ "buyer": "ann" });
        if !at.is_null() {
            instance["at"] = at;
        }
        let body = json!({ "model": "recent", "instances": [instance], "features": true });
        let answer = client.post("/predict", body.to_string()).json();
        (answer["features"][0].clone(), answer["watermark"].clone())
    };
    let expected = |hour: i64| {
        json!({
            "recency.time_since_last_1h": 90.0, "spend.amount_mean_1h": 12.5, "spend.amount_count_1h": 3,
            "spend.country_last_1h": "DE", "age": 41, "hour": hour
        })
    };
    for (at, hour) in [
        (Value::Null, 12),
        (json!(NOON), 12),
        (json!("2024-01-01T05:30:00Z"), 5),
        (json!("2013-07-01T23:00:00Z"), 23),
        (json!("2199-01-01T07:00:00Z"), 7),
    ] {
        assert_eq!(ask(at.clone()), (expected(hour), json!("2024-01-01T11:59:59.000Z")), "{at}");
    }
    server.drain();
}
