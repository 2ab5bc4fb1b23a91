//! Reading a config file and its overrides.

use std::path::Path;

use super::Config;
use crate::expr::nearest;
use crate::run::Failure;
use crate::source::MOST_RECORD_BYTES;

impl Config {
    /// Reads a config file and applies overrides `key.path=value` in order.
    ///
    /// # Errors
    /// If the file cannot be read, or it or an override has a mistake.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Config, Failure> {
        let label = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("{label}: error: cannot be read: {error}")))?;
        let located = |error: toml::de::Error| {
            let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
            Failure::Usage(format!("{label}:{line}:{column}: error: {}", what(&error)))
        };
        // The file is read without overrides first, so that a mistake in it has a line and a column.
        toml::from_str::<Config>(&text).map_err(located)?;
        let mut table: toml::Table = toml::from_str(&text).map_err(located)?;
        for change in overrides {
            apply(&mut table, change)?;
        }
        let mut config: Config = table
            .try_into()
            .map_err(|error: toml::de::Error| Failure::Usage(format!("--set: error: {}", what(&error))))?;
        config.base = path.parent().map(Path::to_owned).unwrap_or_default();
        if config.workers == 0 || config.http.threads == 0 {
            return Err(Failure::Usage(format!("{label}: error: workers and http.threads must be at least 1")));
        }
        config.check_bounds().map_err(|what| Failure::Usage(format!("{label}: error: {what}")))?;
        if let Some(wrong) = config.http.mistake() {
            return Err(Failure::Usage(format!("{label}: error: {wrong}")));
        }
        Ok(config)
    }

    /// Checks the bounds of what is read.
    ///
    /// # Errors
    /// The first that is out of its range.
    fn check_bounds(&self) -> Result<(), String> {
        let wrong = |name: &str, expected: &str, found: &dyn std::fmt::Display| {
            Err(format!("{name}: expected {expected}, found {found}"))
        };
        if !(1..=MOST_RECORD_BYTES).contains(&self.max_record_bytes) {
            return wrong("max_record_bytes", &format!("1 to {MOST_RECORD_BYTES}"), &self.max_record_bytes);
        }
        for (name, bound) in [("max_in_flight", self.max_in_flight), ("max_in_flight_bytes", self.max_in_flight_bytes)]
        {
            if bound == 0 {
                return wrong(name, "at least 1", &bound);
            }
        }
        if !(0.0..=1.0).contains(&self.max_dead_letters) {
            return wrong("max_dead_letters", "a share from 0 to 1", &self.max_dead_letters);
        }
        Ok(())
    }
}

/// Returns the message of an error; for an unknown key, with the most similar key that exists.
fn what(error: &toml::de::Error) -> String {
    let message = error.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let meant = quoted.next().filter(|_| message.starts_with("unknown field ")).and_then(|name| nearest(name, quoted));
    meant.map_or_else(|| message.to_owned(), |meant| format!("{message}; did you mean {meant}?"))
}

/// Returns the line and the column, counted from 1, of a byte offset in a text.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Sets one key. The value is TOML or, if it does not parse, plain text. Everything after `kafka.` is one key.
fn apply(table: &mut toml::Table, change: &str) -> Result<(), Failure> {
    let wrong = |why: &str| Failure::Usage(format!("--set {change}: error: {why}"));
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
        return Err(wrong("a part of the key is empty; expected key.path=value"));
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
    use crate::source::PlaybackSpeed;

    fn load(text: &str, overrides: &[&str]) -> Result<Config, String> {
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
            error.starts_with("--set: error: unknown field `worker`, expected one of `data_dir`, `workers`"),
            "{error}"
        );
        assert!(error.ends_with("; did you mean workers?"), "{error}");
        assert!(!load("colour = 1", &[]).unwrap_err().contains("did you mean"));
        assert!(load("", &["workers"]).unwrap_err().contains("expected key.path=value"));
        for (set, expected) in [
            ("max_record_bytes=0", "max_record_bytes: expected 1 to 268435456, found 0"),
            ("max_record_bytes=268435457", "max_record_bytes: expected 1 to 268435456, found 268435457"),
            ("max_in_flight_bytes=0", "max_in_flight_bytes: expected at least 1, found 0"),
            ("max_dead_letters=10", "max_dead_letters: expected a share from 0 to 1, found 10"),
        ] {
            assert!(load("", &[set]).unwrap_err().ends_with(expected), "{set}");
        }
    }

    #[test]
    fn limits_of_the_endpoint_must_let_a_request_through() {
        let error = |change: &str| load("", &[change]).unwrap_err();
        assert!(error("http.max_connections_per_address=0").ends_with("must be at least 1"));
        let error = error("http.max_body_bytes=40000000");
        assert_eq!(
            error,
            "config.toml: error: http.max_total_body_bytes is 67108864; expected at least 80000000, twice \
             http.max_body_bytes, since a body in gzip is held as sent and decompressed"
        );
        assert!(load("", &["http.max_body_bytes=40000000", "http.max_total_body_bytes=80000000"]).is_ok());
    }
}
