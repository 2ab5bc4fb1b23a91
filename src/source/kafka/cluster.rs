//! Brokers and the settings to talk to them, from the config's `[kafka]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};

use super::{Health, KafkaError};
use crate::secret;

/// Keys that tidemill sets itself, and the reason for each.
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

/// Defaults of a reader: it resumes fetching soon after its queue was full, reconnects soon, and holds at most 4 MiB of
/// each partition.
const READER: [(&str, &str); 5] = [
    ("fetch.queue.backoff.ms", "10"),
    ("queued.max.messages.kbytes", "4096"),
    ("queued.min.messages", "50000"),
    ("reconnect.backoff.max.ms", "500"),
    ("reconnect.backoff.ms", "50"),
];

/// Defaults of a writer: retries keep the order of messages and go on for as long as it takes.
const WRITER: [(&str, &str); 6] = [
    ("compression.type", "zstd"),
    ("enable.idempotence", "true"),
    ("linger.ms", "20"),
    ("message.timeout.ms", "0"),
    ("reconnect.backoff.max.ms", "500"),
    ("reconnect.backoff.ms", "50"),
];

/// A cluster: its brokers, the settings of clients, and the health of their connections.
pub struct Cluster {
    dataflow: String,
    servers: String,
    settings: BTreeMap<String, String>,
    health: Arc<Health>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the values of settings.
        let keys: Vec<&String> = self.settings.keys().collect();
        f.debug_struct("Cluster").field("servers", &self.servers).field("settings", &keys).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Checks librdkafka's settings. Connects to nothing yet.
    ///
    /// # Errors
    /// If `bootstrap.servers` is missing, or a key is unknown, is set by tidemill itself, or has a wrong value.
    pub fn new(settings: &BTreeMap<String, String>, dataflow: &str) -> Result<Arc<Self>, KafkaError> {
        let servers = settings
            .get("bootstrap.servers")
            .filter(|servers| !servers.trim().is_empty())
            .ok_or_else(|| wrong("bootstrap.servers", "missing; expected \"HOST:PORT\", or several"))?;
        // The client's own messages may quote a value, at once or when it connects.
        settings.iter().filter(|(key, _)| secret::is_secret_name(key)).for_each(|(_, value)| secret::keep(value));
        settings.values().for_each(|value| secret::keep_url(value));
        for (key, why) in OWNED {
            if settings.contains_key(key) {
                return Err(wrong(key, &format!("cannot be set: {why}")));
            }
        }
        let (dataflow, servers) = (dataflow.to_owned(), secret::masked(servers).into_owned());
        let health = Arc::new(Health::new(principal(settings)));
        let cluster = Cluster { dataflow, servers, settings: settings.clone(), health };
        for config in [cluster.reader(), cluster.writer()] {
            config.create_native_config().map_err(|error| cluster.error(error))?;
        }
        Ok(Arc::new(cluster))
    }

    /// Returns the name of the dataflow that this process runs.
    pub fn dataflow(&self) -> &str {
        &self.dataflow
    }

    /// Returns `bootstrap.servers`.
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

    /// Returns the settings of a reader.
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

    /// Returns the size of the largest message that a writer sends, in bytes.
    pub(super) fn largest_message(&self) -> usize {
        self.settings.get("message.max.bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(1_000_000)
    }

    /// Returns the settings of a writer.
    pub(super) fn writer(&self) -> ClientConfig {
        self.config(&WRITER, &[("partitioner", "murmur2_random")])
    }

    /// Returns the setting that a message of the client names, the longest if it names several.
    fn key_in(&self, what: &str) -> Option<String> {
        self.settings.keys().filter(|key| what.contains(key.as_str())).max_by_key(|key| key.len()).cloned()
    }

    /// Returns an error if the brokers have rejected our credentials and have not answered since.
    pub fn unauthorized(&self) -> Option<KafkaError> {
        self.health.unauthorized().map(|what| KafkaError::Unauthorized { servers: self.servers.clone(), what })
    }

    /// Converts an error of librdkafka. A timeout is explained by the last error of the connection.
    pub(super) fn error(&self, error: ClientError) -> KafkaError {
        match &error {
            ClientError::ClientConfig(_, what, key, value) => wrong(key, &without_value(what, value)),
            ClientError::ClientCreation(what) => {
                KafkaError::Config { key: self.key_in(what), what: secret::masked(what).into_owned() }
            }
            _ => {
                let servers = self.servers.clone();
                match error.rdkafka_error_code() {
                    Some(code) if !is_passing(code) => KafkaError::Rejected(format!("{servers}: {code}")),
                    Some(code) => self.unauthorized().unwrap_or_else(|| KafkaError::Unavailable {
                        servers,
                        what: self.health.last_error().unwrap_or(code.to_string()),
                    }),
                    None => KafkaError::Unavailable { servers, what: error.to_string() },
                }
            }
        }
    }
}

fn wrong(key: &str, what: &str) -> KafkaError {
    KafkaError::Config { key: Some(key.to_owned()), what: secret::masked(what).into_owned() }
}

/// Returns a message of the client without the value that it quotes. Short numbers stay: they are bounds as well.
fn without_value(what: &str, value: &str) -> String {
    let is_plain = value.len() < 4 || value.parse::<f64>().is_ok() || matches!(value, "true" | "false");
    match is_plain {
        true => what.replace(&format!("\"{value}\""), "…"),
        false => what.replace(value, "…"),
    }
}

/// Returns the principal and mechanism of the credentials, without anything secret.
fn principal(settings: &BTreeMap<String, String>) -> String {
    let mechanism = settings.get("sasl.mechanism").or_else(|| settings.get("sasl.mechanisms"));
    let mechanism = mechanism.map_or("GSSAPI", String::as_str);
    match settings.get("sasl.username") {
        Some(user) => format!("sasl.username = {user:?} with sasl.mechanism = {mechanism:?}"),
        None => format!("sasl.mechanism = {mechanism:?}"),
    }
}

/// Returns whether a retry may succeed.
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

    fn error(settings: &[(&str, &str)]) -> String {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Cluster::new(&settings, "flights").unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let servers = ("bootstrap.servers", "127.0.0.1:9092");
        assert!(error(&[]).starts_with("[kafka] bootstrap.servers: missing"));
        assert_eq!(
            error(&[servers, ("auto.offset.reset", "latest")]),
            "[kafka] auto.offset.reset: cannot be set: where reading starts is in the checkpoint"
        );
        assert_eq!(
            error(&[servers, ("fetch.wait.maxms", "1")]),
            "[kafka] fetch.wait.maxms: No such configuration property: \"fetch.wait.maxms\""
        );
        let secret = error(&[servers, ("sasl.pasword", "secret")]);
        assert!(secret.contains("sasl.pasword") && !secret.contains("secret"), "{secret}");
        let value = error(&[servers, ("fetch.wait.max.ms", "soon")]);
        assert!(value.starts_with("[kafka] fetch.wait.max.ms: ") && !value.contains("soon"), "{value}");
        let bound = error(&[servers, ("fetch.wait.max.ms", "99999999")]);
        assert!(bound.contains("0..300000"), "{bound}");
    }

    #[test]
    fn no_value_of_a_setting_is_in_an_error() {
        let marker = "hunter-2-hunter";
        // Settings with values of every type, those of builds with other features, and misspelt ones.
        for key in [
            "sasl.password",
            "ssl.key.password",
            "ssl.keystore.password",
            "ssl.key.pem",
            "ssl.certificate.pem",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.config",
            "sasl.mechanism",
            "sasl.mechanisms",
            "security.protocol",
            "enable.ssl.certificate.verification",
            "fetch.wait.max.ms",
            "compression.type",
            "sasl.pasword",
            "ssl.key.passwd",
            "password",
            "debug",
            "auto.offset.reset",
            "plugin.library.paths",
            "broker.address.family",
        ] {
            let settings = [("bootstrap.servers", "127.0.0.1:9092"), (key, marker)];
            let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            let found = match Cluster::new(&settings, "flights") {
                Ok(cluster) => format!("{cluster:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!found.contains(marker), "{found}");
        }
    }

    #[test]
    fn a_setting_of_the_user_overrides_the_default() {
        let servers = ("bootstrap.servers".to_owned(), "127.0.0.1:9092".to_owned());
        let settings = BTreeMap::from([servers, ("fetch.queue.backoff.ms".to_owned(), "99".to_owned())]);
        let reader = Cluster::new(&settings, "flights").unwrap().reader();
        assert_eq!(reader.get("fetch.queue.backoff.ms"), Some("99"));
        assert_eq!(reader.get("group.id"), Some("tidemill.flights"));
    }
}
