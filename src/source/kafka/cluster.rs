//! The brokers as the config names them.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaConfRes;

use super::{Fault, Health};

/// Keys that say how tidemill reads and writes, and why each is not the user's to set.
const OWNED: [(&str, &str); 12] = [
    ("allow.auto.create.topics", "a topic that is missing is an error"),
    ("auto.offset.reset", "where reading starts is in the checkpoint"),
    ("enable.auto.commit", "offsets are committed for lag tools only"),
    ("enable.auto.offset.store", "offsets are committed for lag tools only"),
    ("enable.partition.eof", "ends of partitions must be seen"),
    ("group.instance.id", "partitions are assigned without a group"),
    ("group.protocol", "partitions are assigned without a group"),
    ("group.remote.assignor", "partitions are assigned without a group"),
    ("metadata.broker.list", "it is another name of bootstrap.servers"),
    ("partition.assignment.strategy", "partitions are assigned without a group"),
    ("partitioner", "keys must go where Java's producers send them"),
    ("transactional.id", "nothing is written in transactions"),
];

/// What a reader is set to unless the config says otherwise: to fetch on soon after its queue was full, to connect
/// again soon, and to hold at most 4 MiB of each partition.
const READER: [(&str, &str); 5] = [
    ("fetch.queue.backoff.ms", "10"),
    ("queued.max.messages.kbytes", "4096"),
    ("queued.min.messages", "50000"),
    ("reconnect.backoff.max.ms", "500"),
    ("reconnect.backoff.ms", "50"),
];

/// The same of a writer: what is sent again keeps its order, and is sent as long as it takes.
const WRITER: [(&str, &str); 6] = [
    ("compression.type", "zstd"),
    ("enable.idempotence", "true"),
    ("linger.ms", "20"),
    ("message.timeout.ms", "0"),
    ("reconnect.backoff.max.ms", "500"),
    ("reconnect.backoff.ms", "50"),
];

/// A cluster and how to talk to it.
#[derive(Debug)]
pub struct Cluster {
    dataflow: String,
    servers: String,
    settings: BTreeMap<String, String>,
    health: Arc<Health>,
}

impl Cluster {
    /// A cluster by librdkafka's own settings. Connects to nothing yet.
    ///
    /// # Errors
    /// If there are no `bootstrap.servers`, or a key is unknown, tidemill's own, or has a wrong value.
    pub fn new(settings: &BTreeMap<String, String>, dataflow: &str) -> Result<Arc<Self>, Fault> {
        let servers =
            settings.get("bootstrap.servers").filter(|servers| !servers.trim().is_empty()).ok_or_else(|| {
                Fault::Config("bootstrap.servers: missing; expected \"HOST:PORT\", or several".to_owned())
            })?;
        for (key, why) in OWNED {
            if settings.contains_key(key) {
                return Err(Fault::Config(format!("{key}: cannot be set: {why}")));
            }
        }
        let (dataflow, servers) = (dataflow.to_owned(), servers.clone());
        let health = Arc::new(Health::of(identity(settings)));
        let cluster = Cluster { dataflow, servers, settings: settings.clone(), health };
        for config in [cluster.reader(), cluster.writer()] {
            config.create_native_config().map_err(|error| cluster.fault(error))?;
        }
        Ok(Arc::new(cluster))
    }

    /// The dataflow that this process runs.
    pub fn dataflow(&self) -> &str {
        &self.dataflow
    }

    /// `bootstrap.servers`.
    pub fn servers(&self) -> &str {
        &self.servers
    }

    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    fn config(&self, defaults: &[(&str, &str)], own: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "tidemill");
        config.set("group.id", format!("tidemill.{}", self.dataflow));
        let settings = self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in defaults.iter().copied().chain(settings).chain(own.iter().copied()) {
            config.set(key, value);
        }
        config.set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    /// The settings of a reader.
    pub(super) fn reader(&self) -> ClientConfig {
        let own = [
            ("allow.auto.create.topics", "false"),
            ("auto.offset.reset", "error"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("enable.partition.eof", "true"),
        ];
        self.config(&READER, &own)
    }

    /// The settings of a writer.
    pub(super) fn writer(&self) -> ClientConfig {
        self.config(&WRITER, &[("partitioner", "murmur2_random")])
    }

    /// That the brokers refuse who asks, if that is the newest they said.
    pub fn denied(&self) -> Option<Fault> {
        self.health.denied().map(|what| Fault::Denied { servers: self.servers.clone(), what })
    }

    /// What an error of librdkafka comes to.
    pub(super) fn fault(&self, error: KafkaError) -> Fault {
        match &error {
            // What an unknown key was to have may be a secret.
            KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, what, key, _) => {
                Fault::Config(format!("{key}: {what}"))
            }
            KafkaError::ClientConfig(_, what, key, value) => Fault::Config(format!("{key} = {value:?}: {what}")),
            KafkaError::ClientCreation(what) => Fault::Config(what.clone()),
            _ => {
                let servers = self.servers.clone();
                match error.rdkafka_error_code() {
                    Some(code) if !is_passing(code) => Fault::Refused(format!("{servers}: {code}")),
                    Some(code) => self.denied().unwrap_or_else(|| Fault::Away {
                        servers,
                        what: self.health.trouble().unwrap_or(code.to_string()),
                    }),
                    None => Fault::Away { servers, what: error.to_string() },
                }
            }
        }
    }
}

/// Who the settings say that this process is, without anything secret.
fn identity(settings: &BTreeMap<String, String>) -> String {
    let mechanism = settings.get("sasl.mechanism").or_else(|| settings.get("sasl.mechanisms"));
    let mechanism = mechanism.map_or("GSSAPI", String::as_str);
    match settings.get("sasl.username") {
        Some(user) => format!("as sasl.username = {user:?} with sasl.mechanism = {mechanism:?}"),
        None => format!("with sasl.mechanism = {mechanism:?}"),
    }
}

/// Whether what failed may succeed when it is tried again.
pub(super) fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    !matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::InvalidTopic
            | Code::InvalidReplicationFactor
            | Code::InvalidPartitions
            | Code::PolicyViolation
            | Code::InvalidConfig
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnsupportedFeature
            | Code::MessageSizeTooLarge
            | Code::Fatal
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(settings: &[(&str, &str)]) -> String {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Cluster::new(&settings, "flights").unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let servers = ("bootstrap.servers", "127.0.0.1:9092");
        assert!(fault(&[]).starts_with("[kafka] bootstrap.servers: missing"));
        assert_eq!(
            fault(&[servers, ("auto.offset.reset", "latest")]),
            "[kafka] auto.offset.reset: cannot be set: where reading starts is in the checkpoint"
        );
        assert_eq!(
            fault(&[servers, ("fetch.wait.maxms", "1")]),
            "[kafka] fetch.wait.maxms: No such configuration property: \"fetch.wait.maxms\""
        );
        let secret = fault(&[servers, ("sasl.pasword", "secret")]);
        assert!(secret.contains("sasl.pasword") && !secret.contains("secret"), "{secret}");
        assert!(fault(&[servers, ("fetch.wait.max.ms", "soon")]).starts_with("[kafka] fetch.wait.max.ms = \"soon\": "));
    }

    #[test]
    fn the_user_has_the_last_word_over_defaults() {
        let servers = ("bootstrap.servers".to_owned(), "127.0.0.1:9092".to_owned());
        let settings = BTreeMap::from([servers, ("fetch.queue.backoff.ms".to_owned(), "99".to_owned())]);
        let reader = Cluster::new(&settings, "flights").unwrap().reader();
        assert_eq!(reader.get("fetch.queue.backoff.ms"), Some("99"));
        assert_eq!(reader.get("group.id"), Some("tidemill.flights"));
    }
}
