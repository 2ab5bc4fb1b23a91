//! What each key of the config is for.
//!
//! Which keys there are and their defaults are those of [`Config`], by way of serde; only the words are written here.
//! A key without words, or words without a key, fail this module's test.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Config, TopicConfig};

/// A key of the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its path; `TOPIC` stands for a topic's name.
    pub path: &'static str,
    /// What is written there.
    pub kind: &'static str,
    /// As it would be written; none where nothing is assumed.
    pub default: Option<String>,
    pub help: &'static str,
}

const WORDS: &[(&str, &str, &str)] = &[
    ("data_dir", "path", "Home of what a run writes: `{data_dir}/{dataflow}/`. From the working directory"),
    ("workers", "int", "Threads of the graph, at least 1. No result depends on it"),
    (
        "max_in_flight",
        "int",
        "Records of a partition that may be read ahead of the slowest, besides what lateness keeps open. Bounds memory; no result depends on it",
    ),
    (
        "idle_after",
        "duration",
        "How long a Kafka partition has nothing to read before it stops holding the others back",
    ),
    (
        "clock",
        "text",
        "What moves event time on where nothing comes, on Kafka: `\"wall\"`, or `\"stream\"` for historical topics. \
         Files and replays are always by the stream",
    ),
    (
        "max_ahead",
        "duration",
        "How far a record's event time may be ahead of its message's own; beyond it is a dead letter",
    ),
    (
        "topics.TOPIC.file",
        "path or list",
        "The files that stand for this topic, in order; globs are sorted. From the config file's folder",
    ),
    ("topics.TOPIC.nulls", "list", "Texts of a CSV that mean null"),
    (
        "play.speed",
        "number",
        "Event seconds per second at which `run` plays files; `\"max\"` for as fast as they can be read. A replay is \
         always at `\"max\"`",
    ),
    ("http.listen", "text", "Address and port of the endpoint; port 0 takes a free one"),
    ("http.threads", "int", "Threads that answer requests, at least 1"),
    ("http.max_body_bytes", "int", "The largest request body that is read; a larger one gets 413"),
    (
        "http.request_timeout",
        "duration",
        "How long a client may take to send a request or to read its answer, and idle between two",
    ),
    ("http.max_connections", "int", "Open connections; one more gets 429"),
    ("kafka", "table", "librdkafka's own keys, as they are, for topics that no file stands for"),
    (
        "dead_letters.topic",
        "text",
        "Where dead letters of Kafka's topics go; `tidemill.{dataflow}.dead_letters` if not given",
    ),
    (
        "redis.url",
        "URL",
        "A Redis server that gets every feature vector: `redis://[:PASSWORD@]HOST:PORT[/DB]` or `redis+unix:///PATH`",
    ),
    ("registry.url", "path or `file://` URL", "Where versions are kept; `{data_dir}/{dataflow}/registry` if not given"),
    ("registry.keep", "int", "Old versions kept of each model; those that an alias points to always are"),
    (
        "checkpoint.url",
        "path or `file://` URL",
        "Where checkpoints are kept; `{data_dir}/{dataflow}/checkpoints` if not given",
    ),
    ("checkpoint.interval", "duration", "From one checkpoint to the next; `\"off\"` for none"),
    ("checkpoint.keep", "int", "Checkpoints kept"),
    ("offline.enabled", "bool", "Whether `run` writes examples and feature changes as Parquet"),
];

/// Every key, with its default.
pub fn keys() -> Vec<Key> {
    let mut defaults = defaults();
    let key = |&(path, kind, help): &_| Key { path, kind, default: defaults.remove(path).flatten(), help };
    WORDS.iter().map(key).collect()
}

/// The keys for the terminal, each with its default and what it is for.
pub fn help() -> String {
    let mut text = "Config keys, in the file of --config or by --set:\n".to_owned();
    for Key { path, kind, default, help } in keys() {
        let written = default.map_or_else(|| format!("({kind})"), |default| format!("= {default}"));
        text += &format!("  {path} {written}\n          {help}\n");
    }
    text
}

/// Every key that [`Config`] has, with its default as TOML has it.
fn defaults() -> BTreeMap<String, Option<String>> {
    let topic: TopicConfig = toml::from_str("file = []").expect("a topic needs no more");
    let config = Config { topics: BTreeMap::from([("TOPIC".to_owned(), topic)]), ..Config::default() };
    let mut found = BTreeMap::new();
    collect("", &serde_json::to_value(config).expect("a config is plain values"), &mut found);
    found
}

fn collect(path: &str, value: &Value, found: &mut BTreeMap<String, Option<String>>) {
    let default = match value {
        Value::Object(table) if !table.is_empty() => {
            let below = |name: &String| if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            return table.iter().for_each(|(name, value)| collect(&below(name), value, found));
        }
        Value::Object(_) | Value::Null => None,
        Value::Array(list) if list.is_empty() => None,
        // Of plain values, JSON is TOML.
        value => Some(value.to_string()),
    };
    found.insert(path.to_owned(), default);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_put_in_words_and_no_other() {
        let known: Vec<String> = defaults().into_keys().collect();
        let mut worded: Vec<&str> = WORDS.iter().map(|(path, ..)| *path).collect();
        worded.sort_unstable();
        assert_eq!(worded, known);
    }

    #[test]
    fn a_default_is_what_would_be_written() {
        let default = |path: &str| keys().into_iter().find(|key| key.path == path).unwrap().default;
        assert_eq!(default("max_ahead").as_deref(), Some("\"1d\""));
        assert_eq!(default("checkpoint.interval").as_deref(), Some("\"30s\""));
        assert_eq!(default("play.speed").as_deref(), Some("\"max\""));
        assert_eq!(default("topics.TOPIC.nulls").as_deref(), Some("[\"\"]"));
        assert_eq!(default("offline.enabled").as_deref(), Some("false"));
        assert_eq!((default("kafka"), default("redis.url"), default("topics.TOPIC.file")), (None, None, None));
    }
}
