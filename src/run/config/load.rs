//! Reading a config file and its overrides.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, Deserializer};

use super::origin::{Origin, position};
use super::{Config, keys};
use crate::blob::Blobs;
use crate::expr::nearest;
use crate::run::Failure;
use crate::store::redis::RedisWriter;
use crate::{disk, secret};

/// Bytes of the longest name that is taken for a key.
const LONGEST_KEY: usize = 32;

/// A change of a key on the command line.
pub struct ConfigChange {
    /// `key.path=value`.
    pub text: String,
    /// The flag without the value.
    pub flag: &'static str,
}

impl Config {
    /// Reads a config file and applies overrides `key.path=value` in order.
    ///
    /// # Errors
    /// If the file cannot be read, or it or an override has a mistake. The text says where, and contains no value.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Config, Failure> {
        let set = overrides.iter().map(|text| ConfigChange { text: text.clone(), flag: "--set" });
        Config::load_changed(path, &set.collect::<Vec<_>>())
    }

    /// Reads a config file and applies changes by any flag, in order.
    ///
    /// # Errors
    /// Those of [`Config::load`].
    pub fn load_changed(path: &Path, changes: &[ConfigChange]) -> Result<Config, Failure> {
        let label = path.display().to_string();
        let text = disk::read_text(path).map_err(|error| {
            Failure::Usage(match error.place {
                Some(place) => format!("{label}:{place}: error: {}", error.source),
                None => format!("{label}: error: cannot be read: {}; expected --config PATH", error.source),
            })
        })?;
        // The file is read without overrides first, so that a mistake in it has a line and a column. After that, each
        // override is read with those before it that can be read, so that a mistake is that of one.
        let (mut table, mut errors) = decode(&label, &text);
        let mut config: Config = table.clone().try_into().unwrap_or_default();
        let mut origin = Origin::new(&label, &text);
        for change in changes {
            let mut changed = table.clone();
            let read = apply(&mut changed, change).and_then(|path| {
                let flag = flag_of(change, &path);
                match changed.clone().try_into() {
                    Ok(read) => Ok((read, path)),
                    Err(error) => Err(format!("{flag}: error: {}", what(&error))),
                }
            });
            match read {
                Ok((read, path)) => {
                    (config, table) = (read, changed);
                    let flag = flag_of(change, &path);
                    origin.overridden(path, flag);
                }
                Err(error) => errors.push(error),
            }
        }
        config.origin = origin;
        config.base = path.parent().map(Path::to_owned).unwrap_or_default();
        config.keep_secrets();
        // What a key says of another one is judged only if both could be read.
        let is_whole = errors.is_empty();
        errors.extend(config.out_of_bounds());
        errors.extend(config.wrong_urls());
        if is_whole {
            errors.extend(config.contradictions());
        }
        if errors.is_empty() { Ok(config) } else { Err(Failure::Usage(errors.join("\n"))) }
    }

    /// Returns an error for each key that does not fit another one, or names what it must not.
    fn contradictions(&self) -> Vec<String> {
        let mut errors = Vec::new();
        if let Some((key, wrong)) = self.http.mistake() {
            errors.push(format!("{}: error: {wrong}", self.origin.place(&["http", key])));
        }
        if let Some(wrong) = self.grpc.mistake(cfg!(feature = "grpc")) {
            errors.push(format!("{}: error: {wrong}", self.origin.place(&["grpc", "listen"])));
        }
        if self.log.predictions > 0.0 && self.log.file.is_none() {
            let place = self.origin.place(&["log", "predictions"]);
            errors.push(format!("{place}: error: log.predictions is given without log.file, which they are logged to"));
        }
        if let Some((key, wrong)) = self.gateway.mistake() {
            errors.push(format!("{}: error: {wrong}", self.origin.place(&["gateway", key])));
        }
        if let Some(missing) = self.http.tls.missing() {
            let given = if missing == "key" { "cert" } else { "key" };
            let place = self.origin.place(&["http", "tls", given]);
            errors.push(format!("{place}: error: http.tls.{given} is given without http.tls.{missing}; expected both"));
        }
        for role in self.http.tokens.mistakes() {
            let (place, name) = (self.origin.place(&["http", "tokens", role.name()]), role.name());
            errors.push(format!("{place}: error: http.tokens.{name}: expected file:PATH, and never a token itself"));
        }
        errors
    }

    /// Returns an error for each URL that nothing can be opened at.
    fn wrong_urls(&self) -> Vec<String> {
        let folder = |url: &String| Blobs::folder_of(url).err().map(|error| error.to_string());
        let redis = |url: &String| {
            let expected = "redis://HOST:PORT[/DB], with :PASSWORD@ before HOST if there is one, or redis+unix:///PATH";
            // Only the cause is shown: the address may contain a password.
            RedisWriter::check_url(url).err().map(|cause| format!("{cause}; expected {expected}"))
        };
        let wrong = [
            ("redis", self.redis.url.as_ref().and_then(redis)),
            ("registry", self.registry.url.as_ref().and_then(folder)),
            ("checkpoint", self.checkpoint.url.as_ref().and_then(folder)),
        ];
        let error = |(section, what): (&str, Option<String>)| {
            Some(format!("{}: error: [{section}] url: {}", self.origin.place(&[section, "url"]), what?))
        };
        wrong.into_iter().filter_map(error).collect()
    }

    /// Hides the config's secrets in everything that is printed from now on.
    fn keep_secrets(&self) {
        let urls = [&self.redis.url, &self.registry.url, &self.checkpoint.url];
        urls.into_iter().flatten().for_each(|url| secret::keep_url(url));
        self.topics.values().flat_map(|topic| &topic.file).for_each(|path| secret::keep_url(path));
        let secrets = self.kafka.iter().filter(|(key, _)| secret::is_secret_name(key));
        secrets.for_each(|(_, value)| secret::keep(value));
    }
}

/// Reads a config file, and returns all that can be read of it, and an error for each key that cannot.
fn decode(label: &str, text: &str) -> (toml::Table, Vec<String>) {
    let at = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    let mut errors = Vec::new();
    let mut document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let place = position(text, at(&error));
            return (toml::Table::new(), vec![format!("{label}:{place}: error: {}", what(&error))]);
        }
    };
    // Decoding ends at a mistake: the key is left out, and the rest is decoded again.
    let mut left_out: Vec<Vec<String>> = Vec::new();
    while let Err(error) = Config::deserialize(Deserializer::from(document.clone())) {
        let key = leave_out(document.as_mut(), at(&error));
        // A key that was left out before is not missing.
        let is_missing = |path: &Vec<String>| {
            let (name, table) = path.split_last().expect("a path has a key");
            key.as_deref() == Some(table) && error.message() == format!("missing field `{name}`")
        };
        if !left_out.iter().any(is_missing) {
            errors.push((at(&error), what(&error)));
        }
        let Some(key) = key else {
            document.as_mut().clear();
            break;
        };
        left_out.push(key);
    }
    errors.sort();
    let located = errors.into_iter().map(|(at, what)| format!("{label}:{}: error: {what}", position(text, at)));
    (toml::Table::deserialize(Deserializer::from(document)).unwrap_or_default(), located.collect())
}

/// Removes the innermost key that a byte offset is in, or in the value of, and returns its path.
fn leave_out(table: &mut DeTable<'_>, at: usize) -> Option<Vec<String>> {
    for (key, value) in table.iter_mut() {
        let DeValue::Table(inner) = value.as_mut() else { continue };
        if let Some(mut path) = leave_out(inner, at) {
            path.insert(0, key.get_ref().to_string());
            return Some(path);
        }
    }
    let is_there = |(key, value): &(&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
        key.span().contains(&at) || value.span().contains(&at)
    };
    let name = table.iter().find(is_there)?.0.get_ref().to_string();
    table.remove(name.as_str());
    Some(vec![name])
}

/// Returns the message of an error, without values, as they may be secret; for an unknown key or word, with the most
/// similar one that exists.
fn what(error: &toml::de::Error) -> String {
    let message = error.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let is_unknown = message.starts_with("unknown field ") || message.starts_with("unknown variant ");
    let found = quoted.next().filter(|_| is_unknown).unwrap_or_default();
    let meant = if is_unknown { nearest(found, quoted) } else { None };
    let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
    let (kind, expected) = message.rsplit_once(", expected ").unwrap_or((message, ""));
    let kind = match kind.strip_prefix("invalid type: ").or_else(|| kind.strip_prefix("invalid value: ")) {
        Some(value) => format!("this is {}", kind_of(value)),
        None if message.starts_with("unknown variant ") => "unknown word".to_owned(),
        // A name that is like none may be a value in the wrong place.
        None if message.starts_with("unknown field ") && meant.is_empty() && !is_spelt_as_key(found) => {
            "unknown field".to_owned()
        }
        None => kind.to_owned(),
    };
    let expected = match expected {
        "" => String::new(),
        "u64" | "usize" | "i64" | "u32" | "u16" => ", expected an int of at least 0".to_owned(),
        expected if expected.starts_with("struct ") => ", expected a table".to_owned(),
        expected => format!(", expected {expected}"),
    };
    format!("{kind}{expected}{meant}")
}

/// Returns what a value is, given serde's description of it, which contains the value.
fn kind_of(value: &str) -> &'static str {
    match value.split_whitespace().next().unwrap_or_default() {
        "string" | "character" => "a text",
        "integer" => "an int",
        "floating" => "a number",
        "boolean" | "unit" => "a bool",
        "map" => "a table",
        "sequence" => "a list",
        _ => "another value",
    }
}

/// Returns whether a name is spelt as the keys of a config are, and so hardly a value in the wrong place.
fn is_spelt_as_key(name: &str) -> bool {
    name.len() <= LONGEST_KEY && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// Returns a flag and the key that it sets, without the value, and without a key that is neither like one nor spelt as one:
/// it may be a value.
fn flag_of(change: &ConfigChange, path: &[String]) -> String {
    let known = |part: &str| {
        let mut names = keys().into_iter().flat_map(|key| key.path.split('.'));
        is_spelt_as_key(part) || names.any(|name| name == part || nearest(part, [name]).is_some())
    };
    let is_free = |at: usize| path[0] == "kafka" || (path[0] == "topics" && at == 1);
    let plain = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let shown = path.iter().enumerate().all(|(at, part)| plain(part) && (known(part) || (at > 0 && is_free(at))));
    match change.flag {
        "--set" if shown => format!("--set {}", path.join(".")),
        flag => flag.to_owned(),
    }
}

/// Sets one key and returns its path. The value is TOML or, if it does not parse, plain text. Everything after `kafka.` is
/// one key.
fn apply(table: &mut toml::Table, change: &ConfigChange) -> Result<Vec<String>, String> {
    let (path, value) = change
        .text
        .split_once('=')
        .ok_or_else(|| format!("{}: error: this sets nothing; expected KEY.PATH=VALUE", change.flag))?;
    let value = match toml::from_str::<toml::Table>(&format!("value = {value}")) {
        Ok(mut parsed) if parsed.len() == 1 => {
            parsed.remove("value").unwrap_or_else(|| toml::Value::String(value.to_owned()))
        }
        _ => toml::Value::String(value.to_owned()),
    };
    let names: Vec<String> = match path.split_once('.') {
        Some(("kafka", key)) => vec!["kafka".to_owned(), key.to_owned()],
        _ => path.split('.').map(str::to_owned).collect(),
    };
    let wrong = |why: &str| format!("{}: error: {why}", flag_of(change, &names));
    let (last, parents) = names.split_last().expect("splitting gives at least one part");
    if names.iter().any(String::is_empty) {
        return Err(wrong("a part of the key is empty; expected KEY.PATH=VALUE"));
    }
    let mut place = table;
    for (depth, name) in parents.iter().enumerate() {
        let inner = place.entry(name).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        place = inner.as_table_mut().ok_or_else(|| wrong(&format!("part {} of the key is not a table", depth + 1)))?;
    }
    place.insert(last.clone(), value);
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::PlaybackSpeed;

    fn load(text: &str, overrides: &[&str]) -> Result<Config, String> {
        load_bytes(text.as_bytes(), overrides)
    }

    fn load_bytes(text: &[u8], overrides: &[&str]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        Config::load(&path, &overrides).map_err(|failure| match failure {
            Failure::Usage(text) => text.replace(&path.display().to_string(), "config.toml"),
            Failure::Runtime(error) => panic!("{error}"),
        })
    }

    #[test]
    fn an_override_is_toml_or_else_plain_text() {
        let config =
            load("", &["workers=3", "http.listen=127.0.0.1:0", "play.speed=max", "topics.a.file=x.csv"]).unwrap();
        assert_eq!(
            (config.workers, config.http.listen.as_str(), config.play.speed),
            (3, "127.0.0.1:0", PlaybackSpeed::Unlimited)
        );
        assert_eq!(config.topics["a"].file, ["x.csv"]);
    }

    #[test]
    fn a_mistake_is_reported_with_line_and_column() {
        let error = load("workers = 2\n[http]\nlisten = \"a\"\nthreds = 2\n", &[]).unwrap_err();
        assert!(error.starts_with("config.toml:4:1: error: unknown field `threds`"), "{error}");
        assert!(error.ends_with("; did you mean threads?"), "{error}");
        let error = load("", &["worker=2"]).unwrap_err();
        assert!(
            error.starts_with("--set worker: error: unknown field `worker`, expected one of `data_dir`, `workers`"),
            "{error}"
        );
        assert!(error.ends_with("; did you mean workers?"), "{error}");
        let error = load("colour = 1", &[]).unwrap_err();
        assert!(error.starts_with("config.toml:1:1: error: unknown field `colour`, expected one of"), "{error}");
        assert!(!error.contains("did you mean"));
        let error = load("", &["nokey=1"]).unwrap_err();
        assert!(error.starts_with("--set nokey: error: unknown field `nokey`, expected one of"), "{error}");
        assert_eq!(
            load("max_ahead = 5", &["idle_after=5", "checkpoint.interval=true"])
                .unwrap_err()
                .lines()
                .collect::<Vec<_>>(),
            [
                "config.toml:1:13: error: this is an int, expected a duration such as \"10s\"",
                "--set idle_after: error: this is an int, expected a duration such as \"10s\"",
                "--set checkpoint.interval: error: this is a bool, expected a duration such as \"30s\", or \"off\"",
            ]
        );
        assert!(load("", &["workers"]).unwrap_err().contains("expected KEY.PATH=VALUE"));
        let error = load("clock = \"wal\"", &[]).unwrap_err();
        assert_eq!(error, "config.toml:1:9: error: unknown word, expected `wall` or `stream`; did you mean wall?");
        let error = load("workers = \"two\"", &[]).unwrap_err();
        assert_eq!(error, "config.toml:1:11: error: this is a text, expected an int of at least 0");
        assert!(
            load_bytes(b"workers = 1\n# caf\xe9\n", &[])
                .unwrap_err()
                .starts_with("config.toml:2:6: error: the byte 0xe9")
        );
    }

    #[test]
    fn all_mistakes_of_a_file_and_of_the_overrides_are_reported_together() {
        let text = "workers = \"two\"\nclock = \"wal\"\nmax_in_flight = 0\n[http]\nthreds = 2\nlisten = 8080\n\
                    tls = { cert = 1, key = \"k\" }\n[topics.a]\nfile = 3\n[topics.b]\nnulls = []\n\
                    [topics.c]\nfile = \"c.csv\"\nmax_ahead = \"long\"\n";
        let error =
            load(text, &["checkpoint.keep=many", "workers", "http.threads=0", "offline.enabled=1"]).unwrap_err();
        let places: Vec<&str> = error.lines().map(|line| line.split(": error: ").next().unwrap()).collect();
        assert_eq!(
            places,
            [
                "config.toml:1:11",
                "config.toml:2:9",
                "config.toml:5:1",
                "config.toml:6:10",
                "config.toml:7:16",
                "config.toml:9:8",
                "config.toml:10:1",
                "config.toml:14:13",
                "--set checkpoint.keep",
                "--set",
                "--set offline.enabled",
                "config.toml:3:1",
                "--set http.threads",
            ],
            "{error}"
        );
    }

    #[test]
    fn a_missing_file_is_an_error_that_names_the_flag() {
        let Err(Failure::Usage(error)) = Config::load(Path::new("/nowhere/a.toml"), &[]) else {
            panic!("no such file")
        };
        assert!(error.starts_with("/nowhere/a.toml: error: cannot be read: "), "{error}");
        assert!(error.ends_with("; expected --config PATH"), "{error}");
    }

    #[test]
    fn values_out_of_range_are_reported_together_each_with_its_place() {
        let error =
            load("workers = 100000\n[http]\nmax_connections = 0\nrequest_timeout = \"0s\"\n", &["checkpoint.keep=0"]);
        let error = error.unwrap_err();
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(
            lines,
            [
                "config.toml:1:1: error: workers is out of range; expected 1 to 1024",
                "config.toml:4:1: error: http.request_timeout is out of range; expected \"1ms\" to \"1d\"",
                "config.toml:3:1: error: http.max_connections is out of range; expected 1 to 1048576",
                "--set checkpoint.keep: error: checkpoint.keep is out of range; expected 1 to 1099511627776",
            ]
        );
        for (set, expected) in [
            ("max_record_bytes=268435457", "max_record_bytes is out of range; expected 1 to 268435456"),
            ("max_dead_letters=10", "max_dead_letters is out of range; expected 0 to 1"),
            (
                "topics.a={file=\"a.csv\",max_ahead=\"1000000d\"}",
                "topics.a.max_ahead is out of range; expected \"0s\" to \"36500d\"",
            ),
        ] {
            assert!(load("", &[set]).unwrap_err().ends_with(expected), "{set}: {}", load("", &[set]).unwrap_err());
        }
        for key in [
            "workers",
            "max_in_flight",
            "max_in_flight_bytes",
            "max_record_bytes",
            "http.threads",
            "http.max_body_bytes",
            "http.max_connections",
            "checkpoint.keep",
        ] {
            for value in ["0", "-1", "18446744073709551615", "1e9", "nan", "\"\"", "[]"] {
                let error = load("", &[&format!("{key}={value}")]).unwrap_err();
                assert!(error.starts_with(&format!("--set {key}: error: ")), "{key}={value}: {error}");
            }
        }
    }

    #[test]
    fn no_value_is_in_an_error_whatever_is_wrong_around_it() {
        let marker = "hunter-2-hunter";
        let secrets = [
            format!("redis://:{marker}@cache:6379/0"),
            format!("redis:/:{marker}@cache"),
            format!("s3://key:{marker}@bucket/models?secret={marker}"),
            marker.to_owned(),
        ];
        let keys = [
            "redis.url",
            "redis",
            "redis.url.x",
            "registry.url",
            "checkpoint.url",
            "kafka.sasl.password",
            "kafka",
            "http.threads",
            "workers",
            "clock",
            "checkpoint.interval",
            "play.speed",
            "offline.enabled",
            "nokey",
            "topics.a",
            "topics.a.file.b",
            "http.listen.x",
            "http.tokens.admin",
            "http.tokens",
            "registry.keep",
            "dead_letters.topic.x",
        ];
        for secret in &secrets {
            for key in keys {
                // As an override, as text and as other types; and in a file, with mistakes of its syntax.
                for form in [
                    format!("{key}={secret}"),
                    format!("{key}={secret:?}"),
                    format!("{key}=[{secret:?}]"),
                    format!("{key}={{ a = {secret:?} }}"),
                    format!("{key}:{secret}"),
                    format!("{secret}={key}"),
                    secret.clone(),
                ] {
                    let error = load("", &[&form]).err().unwrap_or_default();
                    assert!(!error.contains(marker), "{form}: {error}");
                }
                for form in [
                    format!("{key} = {secret}"),
                    format!("{key} = \"{secret}"),
                    format!("{key} = [{secret:?}]"),
                    format!("{key} = {secret:?} {secret:?}"),
                    format!("{key} {secret}"),
                    format!("{key}.{secret}"),
                    format!("\"{secret}\" = {key}"),
                    format!("[\"{secret}\"]\na = 1"),
                    format!("{key} = '{secret}'\n{key} = '{secret}'"),
                ] {
                    let error = load(&form, &[]).map(|config| format!("{config:?}")).unwrap_or_else(|error| error);
                    assert!(!error.contains(marker), "{form}: {error}");
                }
            }
        }
    }

    #[test]
    fn limits_of_the_endpoint_must_let_a_request_through() {
        let error = |change: &str| load("", &[change]).unwrap_err();
        assert!(error("http.max_connections_per_address=0").contains("is out of range; expected 1 to "));
        let error = error("http.max_body_bytes=40000000");
        assert_eq!(
            error,
            "config.toml: error: http.max_total_body_bytes is 67108864; expected at least 80000000, twice \
             http.max_body_bytes, since a body in gzip is held as sent and decompressed"
        );
        assert!(load("", &["http.max_body_bytes=40000000", "http.max_total_body_bytes=80000000"]).is_ok());
    }
}
