//! The description of each config key.
//!
//! The keys and their defaults are those of [`Config`], found through serde; only the descriptions are written here. A key
//! without a description, or a description without a key, fails this module's test.

use std::collections::BTreeMap;

use serde_json::Value;

use super::bounds::bounds_of;
use super::{Config, TopicConfig};

/// A key of the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigKey {
    /// The path of the key; `TOPIC` stands for a topic's name.
    pub path: &'static str,
    /// The type of the value, in words, with its bounds.
    pub kind: String,
    /// The default value in TOML; `None` if there is none.
    pub default: Option<String>,
    /// The meaning of the key, in one or two sentences.
    pub help: &'static str,
}

const WORDS: &[(&str, &str, &str)] = &[
    (
        "data_dir",
        "path",
        "Directory for the files of a run, which are in `{data_dir}/{dataflow}/`. Relative to the working directory",
    ),
    ("workers", "int", "Worker threads of the graph. Does not affect results"),
    (
        "max_in_flight",
        "int",
        "Records that one partition may be read ahead of the slowest, not counting those that its lateness keeps open. Bounds memory; does not affect results",
    ),
    (
        "max_in_flight_bytes",
        "int",
        "The same bound in bytes of decoded records. Reached before `max_in_flight` where records are large",
    ),
    (
        "max_record_bytes",
        "int",
        "Largest record, in bytes of the message, line or CSV record, or of the texts of a Parquet row; at most 268435456. A larger one is a dead letter, with its first 4096 bytes only",
    ),
    (
        "max_dead_letters",
        "number",
        "Share of dead letters among the first 10,000 records of a source above which a run or a replay ends with exit status 1. A source that ends before is judged by the records it had; below 100, only if all of them are dead letters. 1 for no limit",
    ),
    (
        "idle_after",
        "duration",
        "Time without new records after which a Kafka partition no longer holds back the watermark",
    ),
    (
        "clock",
        "text",
        "What advances event time while Kafka has no new records: `\"wall\"` for the wall clock, `\"stream\"` for the \
         newest record, as historical topics need. Files and replays always use `\"stream\"`",
    ),
    (
        "max_ahead",
        "duration",
        "How far the event time of a record may be ahead of the timestamp of its Kafka message. A record beyond that is a dead letter. For files, see `topics.TOPIC.max_ahead`",
    ),
    (
        "shutdown_timeout",
        "duration",
        "Time within which a run ends after SIGINT or SIGTERM, whatever it waits for. Half of it is for the last \
         checkpoint. A run that takes longer is ended with exit code 4, and resumes from the checkpoint before",
    ),
    (
        "topics.TOPIC.file",
        "path or list",
        "Files to read in place of the topic, in this order; the matches of a glob are sorted. Relative to the config file",
    ),
    ("topics.TOPIC.nulls", "list", "CSV fields that mean null"),
    (
        "topics.TOPIC.max_ahead",
        "duration",
        "How far the event time of a record of a file may be ahead of the records before and after it. A record beyond that is a dead letter; see [wrong clocks](concepts.md#wrong-clocks)",
    ),
    (
        "play.speed",
        "number",
        "Seconds of event time per second at which `run` plays files, or `\"max\"` for as fast as possible. A replay \
         always uses `\"max\"`",
    ),
    ("http.listen", "text", "Address and port of the endpoint. Port 0 selects a free port"),
    ("http.threads", "int", "Threads that answer requests"),
    ("http.max_body_bytes", "int", "Largest request body, as sent and decompressed; a larger one is answered with 413"),
    (
        "http.max_total_body_bytes",
        "int",
        "Most bytes of request bodies held at a time, not counting the first 16 KiB of each; a request beyond that is \
         answered with 429. At least twice `http.max_body_bytes`",
    ),
    (
        "http.request_timeout",
        "duration",
        "How long a client may take to send a request or read the response, and how long a connection may be idle",
    ),
    (
        "http.max_connections",
        "int",
        "Largest number of open connections. On a further one, health and metrics are answered, any other request with 429",
    ),
    (
        "http.max_connections_per_address",
        "int",
        "Largest number of open connections of one client: an IPv4 address, or an IPv6 network of 64 bits. A further one \
         is treated likewise",
    ),
    (
        "http.allowed_hosts",
        "list",
        "Names that a request on a loopback address may have as its `Host`, with any port, beside `localhost`, the \
         name of the machine and loopback addresses; `\"*\"` allows all. Protects against web pages that resolve their name to this machine",
    ),
    (
        "http.tokens.read",
        "`file:PATH`",
        "File with a token a line, relative to the config file. Features, models and metrics are answered only with one of them. Without it, anyone who reaches the endpoint may read",
    ),
    ("http.tokens.predict", "`file:PATH`", "The same for predictions"),
    (
        "http.tokens.admin",
        "`file:PATH`",
        "The same for moving aliases. Required unless `http.listen` is a loopback address",
    ),
    (
        "http.tls.cert",
        "path",
        "Certificate of the endpoint in PEM, followed by those that lead to its authority, relative to the config file. With \
         it, only HTTPS is answered. Read again when it changes; see [TLS](#tls)",
    ),
    (
        "http.tls.key",
        "path",
        "Private key of the certificate in PEM, without a password, relative to the config file. Read again when it changes",
    ),
    (
        "grpc.listen",
        "text",
        "Address and port on which gRPC is answered beside HTTP, under the same limits, tokens and certificate; by default it is not. Only in a program that was built with the feature `grpc`; see [gRPC](#grpc)",
    ),
    ("kafka", "table", "librdkafka settings, by their own names, for all topics without a file"),
    (
        "dead_letters.topic",
        "text",
        "Topic for the dead letters of Kafka topics; by default `tidemill.{dataflow}.dead_letters`",
    ),
    (
        "redis.url",
        "URL",
        "Redis server that all feature vectors are written to: `redis://HOST:PORT[/DB]`, with `:PASSWORD@` before `HOST` if there is one, or `redis+unix:///PATH`",
    ),
    (
        "redis.replicas",
        "bool",
        "True to write the state that replicas (`tidemill serve`) answer from to Redis, beside the features. It takes about half as much memory there as the features do",
    ),
    (
        "registry.url",
        "path or `file://` URL",
        "Location of the model registry; by default `{data_dir}/{dataflow}/registry`",
    ),
    ("registry.keep", "int", "Old versions of each model to keep. Versions that an alias points to are always kept"),
    (
        "checkpoint.url",
        "path or `file://` URL",
        "Location of the checkpoints; by default `{data_dir}/{dataflow}/checkpoints`",
    ),
    ("checkpoint.interval", "duration", "Time between checkpoints; `\"off\"` disables them"),
    ("checkpoint.keep", "int", "Number of checkpoints to keep"),
    ("offline.enabled", "bool", "Whether `run` writes examples and feature changes to Parquet files"),
    (
        "log.file",
        "path",
        "File that `run` and `replay` log to, beside stderr: everything that they print there, and a line for each training window. Relative to the working directory; see [log file](#log-file)",
    ),
    ("log.format", "text", "Format of the log file: `\"json\"`, an object per line, or `\"text\"`"),
    ("log.max_bytes", "int", "Size of the log file beyond which it is renamed to `FILE.1` and a new one is begun"),
    ("log.keep", "int", "Number of older log files to keep beside it"),
    (
        "log.predictions",
        "number",
        "Share of the entities whose predictions are logged to the file, by hash: 0 for none, 1 for all. See [log file](#log-file)",
    ),
    ("gateway.servers", "list", "URLs `http://HOST:PORT` of the servers that `tidemill gateway` passes requests on to"),
    (
        "gateway.policy",
        "text",
        "How it chooses a server: `\"round_robin\"` in turn, `\"least_busy\"` by open requests, `\"hash\"` by the entity, so that \
         an entity stays with a server",
    ),
    ("gateway.entity", "list", "Columns of the entity that `\"hash\"` goes by, which needs them"),
    ("gateway.health_interval", "duration", "Time between questions to each server whether it is ready"),
];

/// Returns every key with its default.
pub fn keys() -> Vec<ConfigKey> {
    let mut defaults = defaults();
    let key = |&(path, kind, help): &(&'static str, &'static str, &'static str)| {
        let bounds = bounds_of(path, kind == "duration").map_or_else(String::new, |bounds| format!(", {bounds}"));
        ConfigKey { path, kind: format!("{kind}{bounds}"), default: defaults.remove(path).flatten(), help }
    };
    WORDS.iter().map(key).collect()
}

/// Returns the descriptions of all keys as text for the terminal.
pub fn help() -> String {
    let mut text = "Config keys, set in the file given by --config or with --set:\n".to_owned();
    for ConfigKey { path, kind, default, help } in keys() {
        let written = default.map_or_else(|| format!("({kind})"), |default| format!("= {default}"));
        text += &format!("  {path} {written}\n          {help}\n");
    }
    text
}

/// Returns every key of [`Config`] with its default in TOML.
fn defaults() -> BTreeMap<String, Option<String>> {
    let mut topic: TopicConfig = toml::from_str("file = \"FILE\"").expect("a topic needs no more");
    topic.file.clear();
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
        // JSON and TOML spell plain values alike.
        value => Some(value.to_string()),
    };
    found.insert(path.to_owned(), default);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_description_and_every_description_a_key() {
        let known: Vec<String> = defaults().into_keys().collect();
        let mut worded: Vec<&str> = WORDS.iter().map(|(path, ..)| *path).collect();
        worded.sort_unstable();
        assert_eq!(worded, known);
    }

    #[test]
    fn defaults_are_spelt_as_in_toml() {
        let default = |path: &str| keys().into_iter().find(|key| key.path == path).unwrap().default;
        assert_eq!(default("max_ahead").as_deref(), Some("\"1d\""));
        assert_eq!(default("checkpoint.interval").as_deref(), Some("\"30s\""));
        assert_eq!(default("play.speed").as_deref(), Some("\"max\""));
        assert_eq!(default("topics.TOPIC.nulls").as_deref(), Some("[\"\"]"));
        assert_eq!(default("offline.enabled").as_deref(), Some("false"));
        assert_eq!((default("kafka"), default("redis.url"), default("topics.TOPIC.file")), (None, None, None));
    }
}
