//! The tables of a config.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::values;
use crate::serve::{BackendUrl, BalancePolicy, Endpoint, Role, TlsFiles};
use crate::source::{FileBinding, PlaybackSpeed};

/// `[topics.TOPIC]`: the files that replace a topic.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicConfig {
    #[serde(deserialize_with = "values::one_or_many")]
    pub file: Vec<String>,
    #[serde(default = "default_nulls")]
    pub nulls: Vec<String>,
    #[serde(with = "values::duration", default = "default_max_ahead")]
    pub max_ahead: Duration,
}

impl TopicConfig {
    pub fn binding(&self) -> FileBinding {
        FileBinding { files: self.file.clone(), nulls: self.nulls.clone() }
    }
}

fn default_nulls() -> Vec<String> {
    vec![String::new()]
}

fn default_max_ahead() -> Duration {
    Duration::from_secs(3600)
}

/// `[play]`: the speed at which files are played.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlayConfig {
    #[serde(with = "values::pace")]
    pub speed: PlaybackSpeed,
}

impl Default for PlayConfig {
    fn default() -> Self {
        PlayConfig { speed: PlaybackSpeed::Unlimited }
    }
}

/// `[http]`: the endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    pub listen: String,
    pub threads: usize,
    pub max_body_bytes: usize,
    pub max_total_body_bytes: usize,
    #[serde(with = "values::duration")]
    pub request_timeout: Duration,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub allowed_hosts: Vec<String>,
    pub tokens: TokensConfig,
    pub tls: TlsConfig,
}

/// `[http] tls`: the certificate of the endpoint and its key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl TlsConfig {
    /// Returns the key of the config that is missing beside the other one.
    pub fn missing(&self) -> Option<&'static str> {
        match (&self.cert, &self.key) {
            (Some(_), None) => Some("key"),
            (None, Some(_)) => Some("cert"),
            _ => None,
        }
    }

    /// Returns the files, if the endpoint has a certificate. Paths are relative to `base`.
    pub fn files(&self, base: &Path) -> Option<TlsFiles> {
        let (cert, key) = (self.cert.as_ref()?, self.key.as_ref()?);
        Some(TlsFiles { cert: base.join(cert), key: base.join(key) })
    }
}

/// `[http] tokens`: by role, `file:PATH` of a file with a token a line.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokensConfig {
    pub read: Option<String>,
    pub predict: Option<String>,
    pub admin: Option<String>,
}

/// Shows no value: someone may have written a token.
impl std::fmt::Debug for TokensConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokensConfig").finish_non_exhaustive()
    }
}

impl TokensConfig {
    /// Returns the setting of a role.
    pub fn of(&self, role: Role) -> Option<&str> {
        match role {
            Role::Open => None,
            Role::Read => self.read.as_deref(),
            Role::Predict => self.predict.as_deref(),
            Role::Admin => self.admin.as_deref(),
        }
    }

    /// Returns the roles whose setting is no `file:PATH`.
    pub fn mistakes(&self) -> impl Iterator<Item = Role> {
        let is_file = |text: &str| text.strip_prefix(FILE).is_some_and(|path| !path.is_empty());
        Role::ALL.into_iter().filter(move |role| self.of(*role).is_some_and(|text| !is_file(text)))
    }

    /// Returns the files of the roles that have one. Paths are relative to `base`.
    pub fn files(&self, base: &Path) -> Vec<(Role, PathBuf)> {
        let path = |role: Role| Some((role, base.join(self.of(role)?.strip_prefix(FILE)?)));
        Role::ALL.into_iter().filter_map(path).collect()
    }
}

/// The beginning of the location of a file.
const FILE: &str = "file:";

impl HttpConfig {
    /// Returns a key by which no request could be answered, and why.
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let is_wrong = |host: &&String| {
            *host != "*"
                && (host.is_empty() || host.contains(|letter: char| "/*\"".contains(letter) || letter.is_whitespace()))
        };
        if let Some(host) = self.allowed_hosts.iter().find(is_wrong) {
            let wrong = format!("http.allowed_hosts has {host:?}; expected the name of a host, or \"*\" for all");
            return Some(("allowed_hosts", wrong));
        }
        let (total, least) = (self.max_total_body_bytes, self.max_body_bytes.saturating_mul(2));
        (total < least).then(|| {
            let wrong = format!(
                "http.max_total_body_bytes is {total}; expected at least {least}, twice http.max_body_bytes, since a body \
                 in gzip is held as sent and decompressed"
            );
            ("max_total_body_bytes", wrong)
        })
    }

    /// Returns the settings of the endpoint. Paths are relative to `base`.
    pub fn endpoint(&self, base: &Path) -> Endpoint {
        Endpoint {
            listen: self.listen.clone(),
            threads: self.threads,
            max_body_bytes: self.max_body_bytes,
            max_total_body_bytes: self.max_total_body_bytes,
            request_timeout: self.request_timeout,
            max_connections: self.max_connections,
            max_connections_per_address: self.max_connections_per_address,
            allowed_hosts: self.allowed_hosts.clone(),
            tokens: self.tokens.files(base),
            tls: self.tls.files(base),
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            listen: "127.0.0.1:8080".to_owned(),
            threads: 1,
            max_body_bytes: 1 << 20,
            max_total_body_bytes: 64 << 20,
            request_timeout: Duration::from_secs(10),
            max_connections: 1024,
            max_connections_per_address: 512,
            allowed_hosts: Vec::new(),
            tokens: TokensConfig::default(),
            tls: TlsConfig::default(),
        }
    }
}

/// `[grpc]`: the port of gRPC, beside that of HTTP and under its rules.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrpcSection {
    pub listen: Option<String>,
}

impl GrpcSection {
    /// Returns why gRPC cannot be answered, if it is asked for, by a program with the feature `grpc` or without it.
    pub fn mistake(&self, has_feature: bool) -> Option<&'static str> {
        (self.listen.is_some() && !has_feature).then_some(
            "grpc.listen is given, but this program was built without gRPC; expected one that was built with \
             `cargo build --release --features grpc`",
        )
    }
}

/// `[dead_letters]`: the topic for dead letters of Kafka's topics.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeadLettersConfig {
    pub topic: Option<String>,
}

/// `[redis]`: the mirror of the online store.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisConfig {
    /// The address of the server; `None` for no mirror.
    pub url: Option<String>,
    /// True to write what replicas need, too.
    pub replicas: bool,
}

impl Default for RedisConfig {
    fn default() -> Self {
        RedisConfig { url: None, replicas: true }
    }
}

/// `[registry]`: the registry of model versions.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistryConfig {
    pub url: Option<String>,
    pub keep: usize,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        RegistryConfig { url: None, keep: 50 }
    }
}

/// `[checkpoint]`: the checkpoints that a run resumes from.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointConfig {
    pub url: Option<String>,
    #[serde(with = "values::duration_or_off")]
    pub interval: Option<Duration>,
    pub keep: usize,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        CheckpointConfig { url: None, interval: Some(Duration::from_secs(30)), keep: 3 }
    }
}

/// `[offline]`: examples and feature changes of a live run as Parquet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OfflineConfig {
    pub enabled: bool,
}

/// `[log]`: the log file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// The file; `None` for stderr only.
    pub file: Option<PathBuf>,
    pub format: LogFormat,
    pub max_bytes: u64,
    pub keep: usize,
    /// The share of the entities whose predictions are logged.
    pub predictions: f64,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { file: None, format: LogFormat::Json, max_bytes: 10_000_000, keep: 5, predictions: 0.0 }
    }
}

/// The format of the log file.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Json,
    Text,
}

/// `[gateway]`: the servers that a gateway stands before.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewaySection {
    pub servers: Vec<String>,
    pub policy: BalancePolicy,
    pub entity: Vec<String>,
    #[serde(with = "values::duration")]
    pub health_interval: Duration,
}

impl Default for GatewaySection {
    fn default() -> Self {
        GatewaySection {
            servers: Vec::new(),
            policy: BalancePolicy::default(),
            entity: Vec::new(),
            health_interval: Duration::from_secs(1),
        }
    }
}

impl GatewaySection {
    /// Returns the servers, or the position of the first that is no URL.
    ///
    /// # Errors
    /// If one is no URL.
    pub fn backends(&self) -> Result<Vec<BackendUrl>, usize> {
        let url = |(at, url): (usize, &String)| BackendUrl::parse(url).ok_or(at);
        self.servers.iter().enumerate().map(url).collect()
    }

    /// Returns what is wrong: the key and why. The values are left out, as one may have a password.
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let wrong = self.backends().err().map(|at| {
            (
                "servers",
                format!("gateway.servers: entry {} is not the URL of a server; expected http://HOST:PORT", at + 1),
            )
        });
        let twice = || {
            let mut known = Vec::new();
            let is_known = |url: BackendUrl| {
                known.contains(&url) || {
                    known.push(url);
                    false
                }
            };
            let at = self.backends().ok()?.into_iter().position(is_known)?;
            Some(("servers", format!("gateway.servers: entry {} is a server named before", at + 1)))
        };
        let spread = || {
            let is_wrong = self.policy == BalancePolicy::Hash && self.entity.is_empty();
            let why = "gateway.policy is \"hash\" without gateway.entity, so that it would go by the whole request, and an \
                       entity would not stay with a server; expected gateway.entity = [\"COLUMN\"], its columns";
            is_wrong.then(|| ("policy", why.to_owned()))
        };
        wrong.or_else(twice).or_else(spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_grpc_is_refused_by_a_program_that_was_built_without_it() {
        let section = |listen: Option<&str>| GrpcSection { listen: listen.map(str::to_owned) };
        let wrong = section(Some("127.0.0.1:8081")).mistake(false).expect("it is refused");
        assert!(wrong.contains("--features grpc"), "{wrong}");
        assert_eq!(section(Some("127.0.0.1:8081")).mistake(true), None);
        assert_eq!(section(None).mistake(false), None);
    }
}
