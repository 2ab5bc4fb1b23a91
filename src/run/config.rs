//! The config: where a dataflow runs. Every key has a default; an unknown key is an error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::Failure;
use crate::source::{FileBinding, Pace};
use crate::time::parse_duration;

/// A config file with its overrides applied.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Home of registry, dead letters and offline files, unless they say otherwise.
    pub data_dir: PathBuf,
    /// Threads of the graph.
    pub workers: usize,
    /// Records of a partition that may be read ahead of what is closed.
    pub max_in_flight: u64,
    /// How long a partition has nothing to read before it stops holding the others back.
    #[serde(deserialize_with = "duration")]
    pub idle_after: Duration,
    pub clock: Clock,
    /// How far a record's event time may be ahead of its message's own.
    #[serde(deserialize_with = "duration")]
    pub max_ahead: Duration,
    pub topics: BTreeMap<String, TopicConfig>,
    pub play: PlayConfig,
    /// librdkafka's own keys, as they are.
    #[serde(deserialize_with = "texts")]
    pub kafka: BTreeMap<String, String>,
    pub dead_letters: DeadLettersConfig,
    pub redis: RedisConfig,
    pub http: HttpConfig,
    pub registry: RegistryConfig,
    pub checkpoint: CheckpointConfig,
    pub offline: OfflineConfig,
    /// The folder that relative paths of topics start from: the config file's.
    #[serde(skip)]
    pub base: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data_dir: "var".into(),
            workers: 1,
            max_in_flight: 1 << 17,
            idle_after: Duration::from_secs(5),
            clock: Clock::Wall,
            max_ahead: Duration::from_secs(86_400),
            topics: BTreeMap::new(),
            play: PlayConfig::default(),
            kafka: BTreeMap::new(),
            dead_letters: DeadLettersConfig::default(),
            redis: RedisConfig::default(),
            http: HttpConfig::default(),
            registry: RegistryConfig::default(),
            checkpoint: CheckpointConfig::default(),
            offline: OfflineConfig::default(),
            base: PathBuf::new(),
        }
    }
}

/// The files that stand for a topic.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicConfig {
    #[serde(deserialize_with = "one_or_many")]
    pub file: Vec<String>,
    #[serde(default = "default_nulls")]
    pub nulls: Vec<String>,
}

impl TopicConfig {
    pub fn binding(&self) -> FileBinding {
        FileBinding { files: self.file.clone(), nulls: self.nulls.clone() }
    }
}

fn default_nulls() -> Vec<String> {
    vec![String::new()]
}

/// How fast files are played.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlayConfig {
    #[serde(deserialize_with = "pace")]
    pub speed: Pace,
}

impl Default for PlayConfig {
    fn default() -> Self {
        PlayConfig { speed: Pace::Max }
    }
}

/// The endpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    pub listen: String,
    /// Threads that answer requests.
    pub threads: usize,
    /// The largest request body that is read.
    pub max_body_bytes: usize,
    /// How long a client may take to send a request.
    #[serde(deserialize_with = "duration")]
    pub request_timeout: Duration,
    pub max_connections: usize,
}

impl HttpConfig {
    /// As the endpoint takes it.
    pub fn endpoint(&self) -> crate::serve::Endpoint {
        crate::serve::Endpoint {
            listen: self.listen.clone(),
            threads: self.threads,
            max_body_bytes: self.max_body_bytes,
            request_timeout: self.request_timeout,
            max_connections: self.max_connections,
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            listen: "127.0.0.1:8080".to_owned(),
            threads: 1,
            max_body_bytes: 1 << 20,
            request_timeout: Duration::from_secs(10),
            max_connections: 1024,
        }
    }
}

/// What moves event time on where nothing comes. Files are always by the stream.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    Wall,
    Stream,
}

/// Where dead letters of Kafka topics go.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeadLettersConfig {
    /// Their topic; `tidemill.{dataflow}.dead_letters` unless given.
    pub topic: Option<String>,
}

/// The online store outside the process.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisConfig {
    /// Without it there is none.
    pub url: Option<String>,
}

/// What a run goes on from after it was stopped or killed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointConfig {
    pub url: Option<String>,
    /// From one to the next; `off` for none.
    #[serde(deserialize_with = "duration_or_off")]
    pub interval: Option<Duration>,
    /// How many are kept.
    pub keep: usize,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        CheckpointConfig { url: None, interval: Some(Duration::from_secs(30)), keep: 3 }
    }
}

/// Where versions are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistryConfig {
    pub url: Option<String>,
    /// Old versions kept; those that an alias points to always are.
    pub keep: usize,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        RegistryConfig { url: None, keep: 50 }
    }
}

/// Examples and feature changes of a live run as Parquet.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OfflineConfig {
    pub enabled: bool,
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a path, or a list of paths")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(path) => vec![path],
        OneOrMany::Many(paths) => paths,
    })
}

fn pace<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pace, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a positive number of event seconds per second, or \"max\"")]
    enum Speed {
        Times(f64),
        Text(String),
    }
    match Speed::deserialize(deserializer)? {
        Speed::Times(times) if times > 0.0 && times.is_finite() => Ok(Pace::Times(times)),
        Speed::Text(text) if text == "max" => Ok(Pace::Max),
        _ => Err(de::Error::custom("expected a positive number of event seconds per second, or \"max\"")),
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let ms = parse_duration(&text).ok_or_else(|| de::Error::custom("expected a duration such as \"10s\""))?;
    Ok(Duration::from_millis(ms as u64))
}

fn duration_or_off<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let ms = (text != "off").then(|| parse_duration(&text).filter(|ms| *ms > 0));
    match ms {
        None => Ok(None),
        Some(Some(ms)) => Ok(Some(Duration::from_millis(ms as u64))),
        Some(None) => Err(de::Error::custom("expected a duration such as \"30s\", or \"off\"")),
    }
}

/// A table of scalars, each as its text.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let table = BTreeMap::<String, toml::Value>::deserialize(deserializer)?;
    let text = |(key, value): (String, toml::Value)| match value {
        toml::Value::String(text) => Ok((key, text)),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => Ok((key, value.to_string())),
        _ => Err(de::Error::custom(format!("{key}: expected text, a number or a bool; quote keys that have dots"))),
    };
    table.into_iter().map(text).collect()
}

impl Config {
    /// Reads a config file and applies overrides `key.path=value` in order.
    ///
    /// # Errors
    /// If the file cannot be read or something in it, or in an override, is wrong.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Config, Failure> {
        let label = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Wrong(format!("{label}: error: cannot be read: {error}")))?;
        let located = |error: toml::de::Error| {
            let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
            Failure::Wrong(format!("{label}:{line}:{column}: error: {}", error.message()))
        };
        // The file by itself first, so that a mistake in it has its place.
        toml::from_str::<Config>(&text).map_err(located)?;
        let mut table: toml::Table = toml::from_str(&text).map_err(located)?;
        for change in overrides {
            apply(&mut table, change)?;
        }
        let mut config: Config = table
            .try_into()
            .map_err(|error: toml::de::Error| Failure::Wrong(format!("--set: error: {}", error.message())))?;
        config.base = path.parent().map(Path::to_owned).unwrap_or_default();
        if config.workers == 0 || config.http.threads == 0 {
            return Err(Failure::Wrong(format!("{label}: error: workers and http.threads must be at least 1")));
        }
        Ok(config)
    }

    /// The folder of a dataflow's own files.
    pub fn home(&self, dataflow: &str) -> PathBuf {
        self.data_dir.join(dataflow)
    }
}

/// Line and column, from 1, of a place in a text.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Sets one key. The value is TOML or, if it does not parse, plain text; all after `kafka.` is one key.
fn apply(table: &mut toml::Table, change: &str) -> Result<(), Failure> {
    let wrong = |why: &str| Failure::Wrong(format!("--set {change}: error: {why}"));
    let (path, value) = change.split_once('=').ok_or_else(|| wrong("expected key.path=value"))?;
    let value = match toml::from_str::<toml::Table>(&format!("value = {value}")) {
        Ok(mut parsed) => parsed.remove("value").unwrap_or_else(|| toml::Value::String(value.to_owned())),
        Err(_) => toml::Value::String(value.to_owned()),
    };
    let names: Vec<&str> = match path.split_once('.') {
        Some(("kafka", key)) => vec!["kafka", key],
        _ => path.split('.').collect(),
    };
    let (last, parents) = names.split_last().expect("splitting gives at least one part");
    if names.iter().any(|name| name.is_empty()) {
        return Err(wrong("a part of the key is empty"));
    }
    let mut place = table;
    for name in parents {
        let inner = place.entry(*name).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        place = inner.as_table_mut().ok_or_else(|| wrong(&format!("{name} is not a table")))?;
    }
    place.insert((*last).to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, overrides: &[&str]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        Config::load(&path, &overrides).map_err(|failure| match failure {
            Failure::Wrong(text) => text.replace(&path.display().to_string(), "config.toml"),
            Failure::Failed(error) => panic!("{error}"),
        })
    }

    #[test]
    fn an_override_is_toml_or_else_text() {
        let config =
            load("", &["workers=3", "http.listen=127.0.0.1:0", "play.speed=max", "topics.a.file=x.csv"]).unwrap();
        assert_eq!((config.workers, config.http.listen.as_str(), config.play.speed), (3, "127.0.0.1:0", Pace::Max));
        assert_eq!(config.topics["a"].file, ["x.csv"]);
    }

    #[test]
    fn a_mistake_has_its_place() {
        let error = load("workers = 2\n[http]\nlisten = \"a\"\nthreds = 2\n", &[]).unwrap_err();
        assert!(error.starts_with("config.toml:4:1: error: unknown field `threds`"), "{error}");
        assert!(load("", &["worker=2"]).unwrap_err().starts_with("--set: error: unknown field `worker`"));
        assert!(load("", &["workers"]).unwrap_err().contains("expected key.path=value"));
    }
}
