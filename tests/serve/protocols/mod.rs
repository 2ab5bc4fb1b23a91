//! The protocols of other servers: each answers as `/predict` does, in its own words.
//!
//! | file | covers |
//! |---|---|
//! | `clients` | the public Python clients, unchanged |
//! | `feast` | `/get-online-features` |
//! | `grpc` | the Open Inference Protocol and health checks over gRPC |
//! | `mlflow` | `/ping` and `/invocations` |
//! | `mutations` | bodies that are cut or damaged anywhere |
//! | `open_inference` | `/v2`, with tensors in JSON and binary |
//! | `tensorflow` | `/v1/models`, by rows and columns |

pub mod clients;
mod feast;
#[cfg(feature = "grpc")]
mod grpc;
mod mlflow;
pub mod mutations;
mod open_inference;
mod tensorflow;

use serde_json::{Value, json};

use crate::common::shop::{COUNTED, Client, LARGE, LEVELS, SHOP, SORTS, Shop};

/// A dataflow with a model of each form of prediction: `large` binary, `counted` a value, `levels` of classes, `sorts`
/// clusters.
pub fn shop() -> Shop {
    let shop = Shop::bare(&format!("{SHOP}{LARGE}{COUNTED}{LEVELS}{SORTS}"));
    shop.fill();
    (0..4).for_each(|model| drop(shop.publish(model, 2)));
    shop.readiness.started();
    shop
}

/// Three orders, the second without the columns that may be absent.
pub fn orders() -> Value {
    json!([
        { "buyer": "Ann", "country": "DE", "amount": 20.0, "items": 2, "vip": true },
        { "buyer": "bob", "country": null, "amount": 0.5, "items": 1, "vip": null },
        { "buyer": "a/b c", "country": "é", "amount": -3.25, "items": 0, "vip": false },
    ])
}

/// The orders by column.
pub fn columns() -> Value {
    let orders = orders();
    let column = |name: &str| orders.as_array().unwrap().iter().map(|order| order[name].clone()).collect::<Value>();
    let names = ["buyer", "country", "amount", "items", "vip"];
    Value::Object(names.into_iter().map(|name| (name.to_owned(), column(name))).collect())
}

/// The predictions of `/predict` for the orders.
pub fn predicted(client: &mut Client, model: &str, version: Option<u64>) -> Value {
    let answer =
        client.post("/predict", json!({ "model": model, "version": version, "instances": orders() }).to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["predictions"].clone()
}
