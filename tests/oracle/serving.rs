//! The answers of the endpoint against the training halves of the same relations, and against arbitrary bytes.
//!
//! Each operator has a training half, which the graph runs on batches, and a serving half, which the endpoint runs on
//! instances. Here the training halves run on batches without a graph, and the endpoint must answer with the same bits.

use std::collections::HashMap;
use std::sync::Arc;

use crate::common::shop::{COUNTED, Client, LARGE, NOON, SHOP, Shop, any, post};
use crate::own::{History, PAID};
use arrow_array::{ArrayRef, BinaryArray, UInt32Array};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};
use tidemill::aggregate::{Deferred, Feature, FeatureType};
use tidemill::example::FeatureLookup;
use tidemill::expr::EvalStats;
use tidemill::flow::plan::ModelPlan;
use tidemill::relation::{RelationOp, ShiftedBatch, StreamId, TrainingGraph};
use tidemill::store::{Upsert, Vector};
use tidemill::value::{Batch, ColumnBuilder, Scalar, Schema, Type};

/// A source and models on a stream of two sources, each with another driving source.
const UNITED: &str = r#"
[source.returns]
topic = "returns"
format = "json"
key = ["id"]
time = "at"
columns = { id = "string", who = "string", value = "float", why = "string?", at = "timestamp" }

[view.moved]
sql = """
SELECT o.id, o.buyer, o.amount, o.country AS land, o.at FROM orders o WHERE o.amount > 1
UNION ALL
SELECT r.id, lower(r.who), -r.value, coalesce(r.why, u.tier), r.at FROM returns r LEFT JOIN users u ON u.buyer = r.who
"""

[model.ordered]
kind = "logistic"
examples = "moved"
instance = "orders"
features = ["spend.*", "amount", "land"]
label = { value = "amount > 10" }
window = "1d"

[model.returned]
kind = "logistic"
examples = "moved"
instance = "returns"
features = ["spend.*", "amount", "land", "amount * 2"]
label = { value = "amount > 10" }
window = "1d"
"#;

/// A model on a view whose records look up groups: one by an expression, one that counts the record itself, and, by way
/// of a view on that view, another one whose features the model looks up, too, in a group over it.
const CHAINED: &str = r#"
[view.scored]
sql = """
SELECT p.*, s.amount_mean_1h AS usual, p.amount / s.amount_mean_1h AS relative, s.country_last_1h AS before,
       d.all_1h, d.share, d.waited
FROM placed p LEFT JOIN paid d ON d.country = p.country LEFT JOIN spend s ON s.buyer = lower(p.buyer)
"""

[features.scores]
from = "scored"
entity = "tier"
aggregate = [{ of = "relative", op = ["max", "count"], windows = ["1h"] }]

[view.rescored]
sql = """
SELECT s.*, c.relative_max_1h AS highest, c.relative_count_1h + s.all_1h AS both
FROM scored s LEFT JOIN scores c ON c.tier = s.tier
"""

[features.rescores]
from = "rescored"
entity = "buyer"
aggregate = [{ of = "highest", op = ["last", "mean"], windows = ["1h"] }]

[model.rescored]
kind = "linear"
examples = "rescored"
features = ["rescores.*", "usual", "relative", "before", "all_1h", "share", "waited", "highest", "both", "amount"]
label = { value = "amount" }
window = "1d"
"#;

fn column<'a>(ty: Type, values: impl IntoIterator<Item = &'a Scalar>) -> ArrayRef {
    let mut builder = ColumnBuilder::new(ty);
    values.into_iter().for_each(|value| builder.append(value));
    builder.finish()
}

/// Records as a batch whose times are the numbers of the records.
pub fn batch(schema: &Schema, records: &[Vec<Scalar>]) -> Batch {
    let times: Vec<i64> = (0..records.len() as i64).collect();
    let columns = schema.columns.iter().enumerate();
    Batch {
        times: times.clone().into(),
        event_times: times.into(),
        sort_key: BinaryArray::new_null(records.len()),
        columns: columns.map(|(at, of)| column(of.ty, records.iter().map(|record| &record[at]))).collect(),
        ..Batch::default()
    }
}

/// The graph of training on one batch of one source, with tables as they are in the online store.
struct Eager<'a> {
    shop: &'a Shop,
    history: &'a History,
    records: Batch,
}

impl TrainingGraph for Eager<'_> {
    type Stream = Batch;

    fn source(&mut self, _source: usize) -> Batch {
        self.records.clone()
    }

    fn map(
        &mut self,
        input: Batch,
        _name: &str,
        mut step: impl FnMut(Batch, &mut EvalStats) -> Batch + 'static,
    ) -> Batch {
        step(input, &mut EvalStats::default())
    }

    fn look_up(
        &mut self,
        keyed: Batch,
        _name: &str,
        table: usize,
        key: Vec<usize>,
        join: impl Fn(&Batch, &[ArrayRef], &UInt32Array) -> Batch + 'static,
    ) -> Batch {
        let plan = &self.shop.plan.tables[table];
        let online = self.shop.online.table(&plan.name).unwrap();
        let mut rows: Vec<Vector> = Vec::new();
        let found = (0..keyed.len()).map(|record| {
            let key: Vec<Scalar> = key.iter().map(|at| Scalar::of(&keyed.columns[*at], record)).collect();
            rows.push(online.get(&plan.key_codec.encode_one(&key))?);
            Some(rows.len() as u32 - 1)
        });
        let found: UInt32Array = found.collect();
        let columns = plan.schema.columns.iter().enumerate();
        let values = |at: usize| rows.iter().map(|row| row[at].scalar(0)).collect::<Vec<_>>();
        let columns: Vec<ArrayRef> = columns.map(|(at, of)| column(of.ty, &values(at))).collect();
        join(&keyed, &columns, &found)
    }

    fn look_up_features(
        &mut self,
        input: Batch,
        _name: &str,
        lookup: &FeatureLookup,
        mut append_entity: impl FnMut(Batch, &mut EvalStats) -> Batch + 'static,
    ) -> Batch {
        let keyed = append_entity(input, &mut EvalStats::default());
        let answers = answers(self.shop, self.history, lookup, &keyed);
        let columns = keyed.columns.iter().cloned().chain(answers).collect();
        keyed.with_columns(columns)
    }

    fn shift(
        &mut self,
        input: Batch,
        _of: StreamId,
        _name: &str,
        step: impl Fn(&Batch, &mut EvalStats) -> ShiftedBatch + 'static,
    ) -> Batch {
        step(&input, &mut EvalStats::default()).batch
    }

    /// Only one input is on the way of an instance.
    fn concatenate(&mut self, inputs: Vec<Batch>, _name: &str) -> Batch {
        inputs.into_iter().max_by_key(Batch::len).unwrap()
    }
}

/// A column for each feature of a look-up by records.
fn answers(shop: &Shop, history: &History, lookup: &FeatureLookup, records: &Batch) -> Vec<ArrayRef> {
    let asking = shop.online.times().asking();
    let table = shop.online.group(&lookup.group).unwrap();
    let record = |row: usize| records.columns.iter().map(|column| Scalar::of(column, row)).collect::<Vec<_>>();
    let answer = |row: usize| {
        let record = record(row);
        let entity: Vec<Scalar> = lookup.entity.iter().map(|at| record[*at].clone()).collect();
        match table.get(&table.codec().encode_one(&entity)) {
            _ if lookup.group == "paid" => history.with(shop, &record),
            Some(vector) => vector.iter().map(|feature| feature.scalar(asking)).collect(),
            None => lookup.empty.iter().map(|feature| feature.scalar(asking)).collect(),
        }
    };
    let answers: Vec<Vec<Scalar>> = (0..records.len()).map(answer).collect();
    let taken = lookup.features.iter().zip(&lookup.types);
    taken.map(|(feature, ty)| column(*ty, answers.iter().map(|answers| &answers[*feature]))).collect()
}

/// The model's inputs of records of its driving source, by the training halves of the operators on their way. Returns
/// the numbers of the records that become examples, and a column for each input.
fn assemble(model: &ModelPlan, shop: &Shop, history: &History, records: &[Vec<Scalar>]) -> (Vec<usize>, Vec<ArrayRef>) {
    let relations = &shop.plan.spec.relations;
    let mut graph = Eager { shop, history, records: batch(relations.schema(model.instance[0]), records) };
    let mut streams: HashMap<StreamId, Batch> = HashMap::new();
    for stream in &model.instance {
        let node = relations.node(*stream);
        let input = |input: StreamId| {
            let elsewhere = || batch(relations.schema(input), &[]);
            streams.get(&input).cloned().unwrap_or_else(elsewhere)
        };
        let inputs = node.relation.inputs().into_iter().map(input).collect();
        let output = node.relation.render(&node.operator, inputs, &mut graph);
        streams.insert(*stream, output);
    }
    let examples = &streams[&model.examples];
    let (rows, mut columns) = (examples.len(), examples.columns.clone());
    for lookup in &model.lookups {
        columns.extend(answers(shop, history, lookup, examples));
    }
    let kept = examples.times.iter().map(|number| *number as usize).collect();
    (kept, model.assembly.assemble(&columns, rows, &mut EvalStats::default()))
}

/// A dataflow whose stores are full of random rows, nulls among them.
fn random_shop() -> (Shop, History) {
    let shop = Shop::bare(&format!("{SHOP}{LARGE}{COUNTED}{UNITED}{PAID}{CHAINED}"));
    let mut random = StdRng::seed_from_u64(3);
    for group in shop.plan.groups.iter().filter(|group| group.name != "paid") {
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
    let history = History::fill(&shop, &mut random);
    (shop, history)
}

#[test]
fn oracle_a_served_prediction_has_the_bits_of_the_training_path() {
    let (shop, history) = random_shop();
    let mut random = StdRng::seed_from_u64(5);
    let versions: Vec<_> = (0..shop.plan.models.len()).map(|model| shop.publish(model, 2)).collect();
    let server = shop.serve();
    let mut client = Client::connect(server.addr());
    let mut compared = vec![0; versions.len()];
    for round in 0..400 {
        let at = round % versions.len();
        let model = &shop.plan.models[at];
        let topic = &shop.plan.spec.sources[shop.plan.driving_source(at)].topic;
        let rows = random.random_range(1..8);
        let mut records = Vec::new();
        let mut instances = Vec::new();
        for _ in 0..rows {
            let (mut record, mut instance) = (Vec::new(), Map::new());
            for (at, column) in topic.schema.columns.iter().enumerate() {
                let mut value = any(column.ty, &mut random);
                while value.is_null() && !column.nullable {
                    value = any(column.ty, &mut random);
                }
                if Some(at) == topic.time.column() && random.random_bool(0.3) {
                    value = Scalar::Timestamp(NOON);
                } else if !(value.is_null() && random.random_bool(0.5)) {
                    instance.insert(column.name.clone(), value.to_json());
                }
                record.push(value);
            }
            records.push(record);
            instances.push(Value::Object(instance));
        }
        let body = json!({ "model": model.name, "instances": instances, "features": true });
        let answer = client.post("/predict", body.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        let text = String::from_utf8(answer.body.clone()).unwrap();
        let (_, predictions) = text.split_once("\"predictions\":[").unwrap();
        let (predictions, _) = predictions.split_once(']').unwrap();
        let found: Vec<u64> = predictions.split(',').map(|p| p.parse::<f64>().unwrap().to_bits()).collect();
        assert_eq!(found.len(), rows, "every instance has an answer, whether or not it could be an example");
        let answer = answer.json();
        let (kept, inputs) = assemble(model, &shop, &history, &records);
        let expected = versions[at].last().unwrap().predictor.predict(&inputs, kept.len());
        for (row, number) in kept.iter().enumerate() {
            for (name, input) in model.assembly.names().iter().zip(&inputs) {
                // By way of text, since reading a float's text may be off by its last bit.
                let expected: Value = serde_json::from_str(&Scalar::of(input, row).to_json().to_string()).unwrap();
                assert_eq!(answer["features"][number][name], expected, "{name} of {}", instances[*number]);
            }
            assert_eq!(found[*number], expected.values()[row].to_bits(), "{}", instances[*number]);
        }
        compared[at] += kept.len();
    }
    assert!(compared.iter().all(|count| *count > 40), "enough is compared for each model: {compared:?}");
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
    let (shop, _) = random_shop();
    shop.readiness.started();
    (0..shop.plan.models.len()).for_each(|model| drop(shop.publish(model, 1)));
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
    let (shop, _) = random_shop();
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
                        bytes.extend(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n");
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
