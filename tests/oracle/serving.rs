//! Predictions of the endpoint against those of the graph's operators over the same rows; and malformed requests.
//!
//! The rows are looked up and projected here a third time, in whole columns, so that neither side is its own oracle.

use std::sync::Arc;

use crate::common::shop::{COUNTED, Client, LARGE, NOON, SHOP, Shop, any, post};
use arrow_array::ArrayRef;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};
use tidemill::aggregate::{Deferred, Feature, FeatureType};
use tidemill::example::ServingPlan;
use tidemill::expr::EvalStats;
use tidemill::store::{Upsert, Vector};
use tidemill::value::{ColumnBuilder, KeyCodec, Scalar, Schema, Type};

fn column(ty: Type, values: &[Scalar]) -> ArrayRef {
    let mut builder = ColumnBuilder::new(ty);
    values.iter().for_each(|value| builder.append(value));
    builder.finish()
}

/// Looks a batch up, key by key.
fn look_up(
    types: &[Type],
    keys: &[ArrayRef],
    rows: usize,
    get: impl Fn(&[Scalar]) -> Option<Vector>,
) -> Vec<Option<Vector>> {
    assert_eq!(types.len(), keys.len());
    (0..rows).map(|row| get(&keys.iter().map(|key| Scalar::of(key, row)).collect::<Vec<_>>())).collect()
}

/// The model's inputs as the graph assembles them: whole columns through joins, projections, look-ups and [`FeatureAssembler`].
///
/// [`FeatureAssembler`]: tidemill::example::FeatureAssembler
fn assemble(plan: &ServingPlan, shop: &Shop, records: &[Vec<Scalar>]) -> Vec<ArrayRef> {
    let (rows, mut stats) = (records.len(), EvalStats::default());
    let asking = shop.online.asking_time();
    let of = |at: usize, schema: &Schema| {
        column(schema.columns[at].ty, &records.iter().map(|record| record[at].clone()).collect::<Vec<_>>())
    };
    let mut columns: Vec<ArrayRef> = (0..plan.stream.len()).map(|at| of(at, &plan.stream)).collect();
    for view in &plan.views {
        for join in &view.joins {
            let keys: Vec<ArrayRef> = join.on.iter().map(|on| on.eval(&columns, rows, &mut stats)).collect();
            let table = shop.online.table(&join.table).unwrap();
            let encode = KeyCodec::new(&join.key);
            let found = look_up(&join.key, &keys, rows, |key| table.get(&encode.encode_one(key)));
            for (at, joined) in join.schema.columns.iter().enumerate() {
                let value = |row: &Option<Vector>| row.as_ref().map_or(Scalar::Null, |row| row[at].scalar(asking));
                columns.push(column(joined.ty, &found.iter().map(value).collect::<Vec<_>>()));
            }
        }
        columns = view.items.iter().map(|item| item.eval(&columns, rows, &mut stats)).collect();
    }
    let stream = columns.clone();
    for lookup in &plan.lookups {
        let keys: Vec<ArrayRef> = lookup.entity.iter().map(|at| stream[*at].clone()).collect();
        let table = shop.online.group(&lookup.group).unwrap();
        let found = look_up(&lookup.key, &keys, rows, |key| table.get(&table.codec().encode_one(key)));
        for (feature, ty) in lookup.features.iter().zip(&lookup.types) {
            let value = |row: &Option<Vector>| match row {
                Some(row) => row[*feature].scalar(asking),
                None => lookup.empty[*feature].clone(),
            };
            columns.push(column(*ty, &found.iter().map(value).collect::<Vec<_>>()));
        }
    }
    plan.assembly.assemble(&columns, rows, &mut stats)
}

/// A dataflow whose stores are full of random rows, nulls among them.
fn random_shop() -> Shop {
    let shop = Shop::bare(&format!("{SHOP}{LARGE}{COUNTED}"));
    let mut random = StdRng::seed_from_u64(3);
    for group in &shop.plan.groups {
        for _ in 0..15 {
            let entity: Vec<Scalar> = group.codec.types().iter().map(|ty| any(*ty, &mut random)).collect();
            let feature = |ty: &FeatureType| match ty.scalar().expect("models look up scalars") {
                Type::Float if random.random_bool(0.3) => {
                    Feature::AsOf(Deferred::SecondsSince(NOON - random.random_range(-10..1_000)))
                }
                ty => Feature::Value(any(ty, &mut random)),
            };
            shop.upsert_features(&group.name, &entity, group.types.iter().map(feature).collect());
        }
    }
    let users = shop.online.table("users").unwrap();
    for user in ["a", "b", "é"] {
        let mut row: Vec<Scalar> =
            shop.plan.tables[0].schema.columns.iter().map(|column| any(column.ty, &mut random)).collect();
        row[0] = Scalar::String(user.into());
        users.apply(Upsert {
            key: users.codec().encode_one(&row[..1]),
            vector: Some(row.into_iter().map(Feature::Value).collect()),
        });
    }
    shop.online.note(NOON);
    shop
}

#[test]
fn oracle_a_served_prediction_has_the_bits_of_the_training_path() {
    let shop = random_shop();
    let mut random = StdRng::seed_from_u64(5);
    let versions = [shop.publish(0, 2), shop.publish(1, 2)];
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    for round in 0..200 {
        let model = round % 2;
        let plan = shop.plan.serving(model);
        let rows = random.random_range(1..8);
        let mut records = Vec::new();
        let mut instances = Vec::new();
        for _ in 0..rows {
            let (mut record, mut instance) = (Vec::new(), Map::new());
            for (at, column) in plan.stream.columns.iter().enumerate() {
                let mut value = any(column.ty, &mut random);
                while value.is_null() && !column.nullable {
                    value = any(column.ty, &mut random);
                }
                if at == plan.time && random.random_bool(0.3) {
                    value = Scalar::Timestamp(NOON);
                } else if !(value.is_null() && random.random_bool(0.5)) {
                    instance.insert(column.name.clone(), value.to_json());
                }
                record.push(value);
            }
            records.push(record);
            instances.push(Value::Object(instance));
        }
        let body = json!({ "model": plan.model, "instances": instances, "features": true });
        let answer = client.post("/predict", body.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        let text = String::from_utf8(answer.body.clone()).unwrap();
        let (_, predictions) = text.split_once("\"predictions\":[").unwrap();
        let (predictions, _) = predictions.split_once(']').unwrap();
        let found: Vec<u64> = predictions.split(',').map(|p| p.parse::<f64>().unwrap().to_bits()).collect();
        let answer = answer.json();
        let inputs = assemble(&plan, &shop, &records);
        for (row, features) in answer["features"].as_array().unwrap().iter().enumerate() {
            for (name, input) in plan.assembly.names().iter().zip(&inputs) {
                // Compared as text, since reading a float's text may be off by its last bit.
                let expected: Value = serde_json::from_str(&Scalar::of(input, row).to_json().to_string()).unwrap();
                assert_eq!(features[name], expected, "{name} of {}", instances[row]);
            }
        }
        let expected = versions[model].last().unwrap().predictor.predict(&inputs, rows);
        assert_eq!(found, expected.values().iter().map(|p| p.to_bits()).collect::<Vec<_>>());
    }
    server.drain();
}

/// Damages a request.
fn mutate(bytes: &mut Vec<u8>, random: &mut StdRng) {
    const PIECES: [&[u8]; 16] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"null",
        b"1e999",
        b"-0",
        b"\\u0000",
        b"\xff",
        b"\r\n",
        b"%",
        b"/",
        b"99999999999999999999",
    ];
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=bytes.len());
        let to = random.random_range(at..=bytes.len().min(at + 12));
        match random.random_range(0..5) {
            0 => drop(bytes.drain(at..to)),
            1 => bytes.splice(at..at, PIECES[random.random_range(0..PIECES.len())].iter().copied()).for_each(drop),
            2 => {
                let copy = bytes[at..to].to_vec();
                bytes.splice(at..at, copy).for_each(drop);
            }
            3 if at < bytes.len() => bytes[at] = random.random(),
            _ => bytes.splice(at..to, PIECES[random.random_range(0..PIECES.len())].iter().copied()).for_each(drop),
        }
    }
}

fn seeds() -> Vec<String> {
    let order = r#"{"id":"o1","buyer":"ann","country":"DE","payload":{"amount":20.5},"items":2,"vip":true,"at":"2024-01-01T10:00:00Z"}"#;
    vec![
        format!(r#"{{"model":"large","instances":[{order}],"features":true}}"#),
        format!(r#"{{"instances":[{order},{order},{order}],"version":1,"model":"counted"}}"#),
        format!(
            r#"{{"model":"large","instances":[{{"id":"é\n\u00e9","buyer":"","amount":-1e-300,"items":-3,"at":0,"spend.amount_mean_1h":null,"tier":"x"}}]}}"#
        ),
        r#"{"model":"counted","instances":[[[[[[]]]]]]}"#.to_owned(),
    ]
}

#[test]
fn any_json_is_answered() {
    let shop = random_shop();
    shop.readiness.started();
    shop.publish(0, 1);
    shop.publish(1, 1);
    let server = shop.serve();
    let mut random = StdRng::seed_from_u64(11);
    let mut client = Client::connect(server.addr());
    let seeds = seeds();
    let mut statuses = std::collections::BTreeMap::<u16, u32>::new();
    for round in 0..4000 {
        let mut body = seeds[round % seeds.len()].clone().into_bytes();
        mutate(&mut body, &mut random);
        let answer = client.post("/predict", &body);
        *statuses.entry(answer.status).or_default() += 1;
        if answer.status != 200 {
            assert!([400, 404].contains(&answer.status), "{answer:?}");
            assert!(!answer.error().is_empty());
        } else {
            answer.json();
        }
    }
    assert!(
        statuses.len() == 3 && statuses.values().all(|count| *count > 10),
        "each kind of answer is reached: {statuses:?}"
    );
    for round in 0..1000 {
        let mut path = ["/features/spend/ann", "/features/place/DE/2", "/models/large/versions", "/health/ready"]
            [round % 4]
            .as_bytes()
            .to_vec();
        mutate(&mut path, &mut random);
        let path: String = path.iter().filter(|byte| byte.is_ascii_graphic()).map(|byte| char::from(*byte)).collect();
        let answer = client.get(&format!("/{path}"));
        assert!([200, 400, 404].contains(&answer.status), "{path}: {answer:?}");
        if answer.head.contains("connection: close") {
            client = Client::connect(server.addr());
        }
    }
    server.drain();
}

#[test]
fn a_connection_ends_whatever_bytes_arrive() {
    let shop = random_shop();
    shop.publish(0, 1);
    let server = shop.serve();
    let addr = server.addr();
    let seeds: Arc<[String]> = seeds().into();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let seeds = seeds.clone();
            std::thread::spawn(move || {
                let mut random = StdRng::seed_from_u64(thread);
                for round in 0..250 {
                    let mut bytes: Vec<u8> = if round % 4 == 0 {
                        (0..random.random_range(0..200)).map(|_| random.random()).collect()
                    } else {
                        let mut bytes = post("/predict", seeds[round % seeds.len()].as_bytes());
                        bytes.extend(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
                        bytes
                    };
                    mutate(&mut bytes, &mut random);
                    let mut client = Client::connect(addr);
                    if client.send(&bytes).is_ok() {
                        client.finish();
                        while client.receive().is_some() {}
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let mut client = Client::connect(addr);
    assert_eq!(client.get("/health/live").status, 200, "and the endpoint goes on");
    server.drain();
}
