//! A small dataflow with a trained model behind a real endpoint, and a client that speaks HTTP byte by byte.

#![allow(dead_code, reason = "an example uses a part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tidemill::aggregate::{Feature, FeatureColumn};
use tidemill::flow::Plan;
use tidemill::metrics::Metrics;
use tidemill::model::{Examples, InputShape, Labels, ModelKind, Task, Trainer, TrainerConfig, Version};
use tidemill::registry::{LiveModels, Publication, Registry};
use tidemill::serve::explainer::FeatureExplainer;
use tidemill::serve::{DashboardConfig, Endpoint, Readiness, Server, Service, ServiceConfig, start};
use tidemill::spec;
use tidemill::store::{Online, Upsert};
use tidemill::value::{Scalar, Type};

const DAY: i64 = 86_400_000;

/// 2024-01-01T12:00:00Z.
pub const NOON: i64 = 1_704_110_400_000;

/// Sources, a table, views on views and groups; models are added.
pub const SHOP: &str = r#"
name = "shop"

[source.orders]
topic = "orders"
format = "json"
key = ["id"]
time = "at"
[source.orders.columns]
id = "string"
buyer = "string"
country = "string?"
amount = { type = "float", path = "payload.amount" }
items = "int"
vip = "bool?"
at = "timestamp"

[table.users]
topic = "users"
format = "json"
time = "at"
key = ["buyer"]
columns = { buyer = "string", tier = "string?", age = "int?", at = "timestamp" }

[view.placed]
sql = """
SELECT o.*, u.tier, u.age, o.amount / o.items AS price
FROM orders o JOIN users u ON u.buyer = lower(o.buyer) WHERE o.amount > 0
"""

[view.priced]
sql = """
SELECT p.id, p.buyer, p.country AS land, p.amount, p.items, p.tier, p.age, p.price * 2 AS twice,
       coalesce(p.tier, 'none') AS level, date_part('hour', p.at) AS hour, p.vip
FROM placed p
"""

[features.spend]
from = "orders"
entity = "buyer"
aggregate = [
  { of = "amount", op = ["mean", "count"], windows = ["1h"] },
  { of = "country", op = "last", windows = ["1h"] },
]

[features.place]
from = "orders"
entity = ["country", "items"]
aggregate = [{ of = "items", op = ["sum", "max"], windows = ["1d"] }]
"#;

/// A model on a view of a view.
pub const LARGE: &str = r#"
[model.large]
kind = "logistic"
examples = "priced"
features = ["spend.*", "amount", "age", "tier", "level", "land", "hour", "twice", "vip", "amount / 10"]
label = { value = "amount > 10" }
window = "1d"
"#;

/// A model on the records of a source, with a look-up by two columns.
pub const COUNTED: &str = r#"
[model.counted]
kind = "linear"
examples = "orders"
features = ["place.*", "amount", "items"]
label = { value = "amount" }
window = "1d"
"#;

/// A model of three classes.
pub const LEVELS: &str = r#"
[model.levels]
kind = "softmax"
examples = "orders"
features = ["place.*", "amount", "items"]
label = { value = "case when amount > 20 then 'high' when amount > 5 then 'mid' else 'low' end" }
window = "1d"
"#;

/// A model without labels.
pub const SORTS: &str = r#"
[model.sorts]
kind = "kmeans"
examples = "orders"
features = ["amount", "items"]
window = "1d"
"#;

/// Versions of a model, one a window, from random inputs.
pub fn train(plan: &Plan, model: usize, windows: i64) -> Vec<Version> {
    let plan = &plan.models[model];
    let inputs = plan.assembly.inputs();
    let config = TrainerConfig {
        name: plan.name.clone(),
        inputs: inputs.clone(),
        options: plan.options.clone(),
        window_ms: DAY,
        offset_ms: 0,
        within_ms: 0,
        definition: plan.definition.clone(),
    };
    let mut trainer = Trainer::new(config).unwrap();
    let mut random = StdRng::seed_from_u64(7);
    let mut versions = Vec::new();
    for window in 0..windows {
        let rows = 200;
        let time: Vec<i64> = (0..rows).map(|row| window * DAY + row).collect();
        let columns = inputs.iter().map(|input| {
            let mut builder = FeatureColumn::new(spec::feature_type(input));
            for _ in 0..rows {
                let value = any(input.ty, &mut random);
                let feature = match input.form {
                    InputShape::Value => Feature::Value(value),
                    InputShape::List(_) => Feature::List([value].into()),
                    InputShape::Map => Feature::Map([("a".into(), value)].into()),
                };
                builder.append(&feature, 0);
            }
            builder.finish()
        });
        let examples = Examples {
            columns: columns.collect(),
            labels: match ModelKind::of(&plan.options.kind).unwrap().task {
                Task::Multiclass => {
                    let class = |_| Some(["high", "low", "mid"][random.random_range(0..3)]);
                    Labels::Classes((0..rows).map(class).collect())
                }
                Task::Clustering => Labels::Numbers(vec![f64::NAN; rows as usize]),
                _ => Labels::Numbers((0..rows).map(|_| f64::from(random.random_bool(0.4))).collect()),
            },
            known: time.clone(),
            hash: (0..rows as u64).collect(),
            weights: Vec::new(),
            segments: Vec::new(),
            keys: Vec::new(),
            users: Vec::new(),
            time,
        };
        trainer.learn(&examples);
        while !trainer.work(1000) {}
        versions.push(trainer.close((window + 1) * DAY).unwrap());
    }
    versions
}

/// A version as it is published.
pub fn publication(model: &str, version: &Version) -> Publication {
    Publication {
        model: model.to_owned(),
        version: version.clone(),
        offsets: Default::default(),
        definition: "d".into(),
        wall_time: 0,
    }
}

/// A value of a type, sometimes null.
pub fn any(ty: Type, random: &mut StdRng) -> Scalar {
    if random.random_bool(0.1) {
        return Scalar::Null;
    }
    match ty {
        Type::String => Scalar::String(
            ["a", "B", "é", "gold", "a rather long text, longer than 32 bytes"][random.random_range(0..5)].into(),
        ),
        Type::Int => Scalar::Int(random.random_range(0..4)),
        Type::Float => Scalar::Float(random.random_range(-5..50) as f64 / 4.0),
        Type::Bool => Scalar::Bool(random.random_bool(0.5)),
        Type::Timestamp => Scalar::Timestamp(NOON + random.random_range(0..DAY)),
    }
}

/// A dataflow with its stores, before it is served.
pub struct Shop {
    pub plan: Plan,
    pub online: Arc<Online>,
    pub live: Arc<LiveModels>,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    pub registry: Option<Registry>,
    pub dashboard: DashboardConfig,
    pub explainer: Option<FeatureExplainer>,
}

impl Shop {
    /// A dataflow whose models have no version yet, with an empty store.
    pub fn bare(spec: &str) -> Shop {
        let spec = spec::parse(spec, "dataflow.toml").unwrap_or_else(|errors| panic!("{errors}"));
        let plan = Plan::new(Arc::new(spec));
        let groups = plan.groups.iter().map(|group| (group.name.clone(), group.codec.types().to_vec()));
        let tables = plan.tables.iter().map(|table| (table.name.clone(), table.key_codec.types().to_vec()));
        Shop {
            online: Online::new(groups, tables),
            live: Arc::new(LiveModels::new(plan.models.iter().map(|model| model.name.clone()), 2)),
            metrics: Metrics::new(&plan.spec.name),
            readiness: Arc::default(),
            registry: None,
            dashboard: DashboardConfig::default(),
            explainer: None,
            plan,
        }
    }

    /// A dataflow of one model with three versions, the newest two of them live, and a few rows and vectors.
    pub fn open() -> Shop {
        let shop = Shop::bare(&format!("{SHOP}{LARGE}"));
        shop.fill();
        shop.publish(0, 3);
        shop.readiness.started();
        shop
    }

    pub fn fill(&self) {
        let text = |text: &str| Scalar::String(text.into());
        self.upsert("spend", &[text("ann")], vec![Scalar::Float(12.5), Scalar::Int(3), text("DE")]);
        self.upsert("spend", &[text("a/b c")], vec![Scalar::Float(1.0), Scalar::Int(1), Scalar::Null]);
        self.upsert("place", &[text("DE"), Scalar::Int(2)], vec![Scalar::Int(6), Scalar::Int(2)]);
        let users = self.online.table("users").unwrap();
        let row = vec![text("ann"), text("gold"), Scalar::Int(41), Scalar::Timestamp(NOON)];
        users.apply(Upsert {
            key: users.codec().encode_one(&[text("ann")]),
            vector: Some(row.into_iter().map(Feature::Value).collect()),
        });
        self.online.note(NOON);
        self.online.advance(NOON - 1000);
    }

    pub fn upsert(&self, group: &str, entity: &[Scalar], vector: Vec<Scalar>) {
        self.upsert_features(group, entity, vector.into_iter().map(Feature::Value).collect());
    }

    pub fn upsert_features(&self, group: &str, entity: &[Scalar], vector: Vec<Feature>) {
        let table = self.online.group(group).unwrap();
        table.apply(Upsert { key: table.codec().encode_one(entity), vector: Some(vector.into()) });
    }

    /// Trains versions of a model and makes them live, and publishes them if there is a registry.
    pub fn publish(&self, model: usize, windows: i64) -> Vec<Version> {
        let versions = train(&self.plan, model, windows);
        let name = &self.plan.models[model].name;
        for version in &versions {
            let publication = publication(name, version);
            if let Some(registry) = &self.registry {
                self.live.stored(&registry.publish(&publication).unwrap(), &[]);
            }
            self.live.install(&publication);
        }
        versions
    }

    pub fn service(&self) -> Arc<Service> {
        Service::new(ServiceConfig {
            spec: &self.plan.spec,
            programs: (0..self.plan.models.len()).map(|model| self.plan.program(model)).collect(),
            online: self.online.clone().into(),
            live: self.live.clone(),
            registry: self.registry.clone(),
            metrics: self.metrics.clone(),
            readiness: self.readiness.clone(),
            dashboard: self.dashboard.clone(),
            explainer: self.explainer.clone(),
            logged_share: 0.0,
        })
    }

    pub fn serve(&self) -> Server {
        start(&endpoint(), &self.service()).unwrap()
    }
}

/// Small limits on a free port.
pub fn endpoint() -> Endpoint {
    Endpoint {
        listen: "127.0.0.1:0".to_owned(),
        threads: 2,
        max_body_bytes: 64 << 10,
        max_total_body_bytes: 4 << 20,
        request_timeout: Duration::from_secs(10),
        max_connections: 64,
        max_connections_per_address: 64,
        allowed_hosts: Vec::new(),
        tokens: Vec::new(),
        tls: None,
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The text of an error.
    pub fn error(&self) -> String {
        let json = self.json();
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(1), "{json}");
        json["error"].as_str().unwrap_or_else(|| panic!("{json}")).to_owned()
    }
}

/// A persistent connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl From<TcpStream> for Client {
    fn from(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, buffer: Vec::new() }
    }
}

impl Client {
    pub fn connect(addr: SocketAddr) -> Client {
        Client::from(TcpStream::connect(addr).unwrap())
    }

    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Shuts the sending side down.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// Returns the next answer, `None` once the connection is closed.
    ///
    /// # Panics
    /// If nothing arrives for ten seconds.
    pub fn receive(&mut self) -> Option<Answer> {
        self.receive_to(false)
    }

    /// Returns the next answer if it arrives within a time.
    pub fn receive_within(&mut self, time: Duration) -> Option<Answer> {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let mut more = [0; 8192];
        let read = self.stream.read(&mut more).ok();
        self.stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        self.buffer.extend_from_slice(&more[..read?]);
        self.receive()
    }

    /// Returns the next answer, which has no body if it is that to a HEAD request; `None` once the connection is closed.
    ///
    /// # Panics
    /// If nothing arrives for ten seconds.
    pub fn receive_to(&mut self, is_head: bool) -> Option<Answer> {
        loop {
            if let Some(answer) = self.parse(is_head) {
                return Some(answer);
            }
            let mut more = [0; 8192];
            match self.stream.read(&mut more) {
                Ok(0) => return None,
                Ok(read) => self.buffer.extend_from_slice(&more[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer came"),
                Err(_) => return None,
            }
        }
    }

    fn parse(&mut self, is_head: bool) -> Option<Answer> {
        let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
        let length: usize = if is_head { 0 } else { length.unwrap_or(0) };
        if self.buffer.len() < end + length {
            return None;
        }
        let status = head.get(9..12)?.parse().ok()?;
        let body = self.buffer[end..end + length].to_vec();
        self.buffer.drain(..end + length);
        Some(Answer { status, head, body })
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).unwrap();
        self.receive().expect("an answer")
    }

    /// Returns the head of the answer to a HEAD request. A body after it would garble the next answer.
    pub fn head(&mut self, path: &str) -> String {
        self.send(format!("HEAD {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).unwrap();
        let mut more = [0; 8192];
        loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                return String::from_utf8_lossy(&self.buffer.drain(..end + 4).collect::<Vec<_>>()).to_lowercase();
            }
            let read = self.stream.read(&mut more).expect("an answer");
            assert!(read > 0, "an answer");
            self.buffer.extend_from_slice(&more[..read]);
        }
    }

    pub fn post(&mut self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.send(&post(path, body.as_ref())).unwrap();
        self.receive().expect("an answer")
    }
}

/// A request with a JSON body.
pub fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}
