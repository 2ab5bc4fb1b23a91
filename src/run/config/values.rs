//! The spelling of config values: durations, speeds, lists, texts.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// A visitor of texts, with what is expected in place of another value.
struct ExpectedText(&'static str);

impl de::Visitor<'_> for ExpectedText {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

/// Durations, as `"10s"`.
pub mod duration {
    use std::time::Duration;

    use serde::{Deserializer, Serializer, de};

    use super::ExpectedText;
    use crate::time::{format_duration, parse_duration};

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = deserializer.deserialize_str(ExpectedText("a duration such as \"10s\""))?;
        let ms = parse_duration(&text).ok_or_else(|| de::Error::custom("expected a duration such as \"10s\""))?;
        Ok(Duration::from_millis(ms as u64))
    }
}

/// Durations, as `"30s"`, or `"off"`.
pub mod duration_or_off {
    use std::time::Duration;

    use serde::{Deserializer, Serializer, de};

    use super::ExpectedText;
    use crate::time::parse_duration;

    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::duration::serialize(duration, serializer),
            None => serializer.serialize_str("off"),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let text = deserializer.deserialize_str(ExpectedText("a duration such as \"30s\", or \"off\""))?;
        let ms = (text != "off").then(|| parse_duration(&text).filter(|ms| *ms > 0));
        match ms {
            None => Ok(None),
            Some(Some(ms)) => Ok(Some(Duration::from_millis(ms as u64))),
            Some(None) => Err(de::Error::custom("expected a duration such as \"30s\", or \"off\"")),
        }
    }
}

/// Speeds: a number, or `"max"`.
pub mod pace {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::source::PlaybackSpeed;

    const EXPECTED: &str = "expected a positive number of event seconds per second, or \"max\"";

    pub fn serialize<S: Serializer>(pace: &PlaybackSpeed, serializer: S) -> Result<S::Ok, S::Error> {
        match pace {
            PlaybackSpeed::Factor(times) => serializer.serialize_f64(*times),
            PlaybackSpeed::Unlimited | PlaybackSpeed::Manual => serializer.serialize_str("max"),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PlaybackSpeed, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a positive number of event seconds per second, or \"max\"")]
        enum Speed {
            Times(f64),
            Text(String),
        }
        match Speed::deserialize(deserializer)? {
            Speed::Times(times) if times > 0.0 && times.is_finite() => Ok(PlaybackSpeed::Factor(times)),
            Speed::Text(text) if text == "max" => Ok(PlaybackSpeed::Unlimited),
            _ => Err(de::Error::custom(EXPECTED)),
        }
    }
}

/// Reads a text or a list of texts.
pub fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a path, or a list of paths")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(path) => vec![path],
        OneOrMany::Many(paths) if paths.is_empty() => {
            return Err(de::Error::custom("this list is empty; expected a path, or a list of paths"));
        }
        OneOrMany::Many(paths) => paths,
    })
}

/// Reads a table of scalars, each as its text.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let table = BTreeMap::<String, toml::Value>::deserialize(deserializer)?;
    let text = |(key, value): (String, toml::Value)| match value {
        toml::Value::String(text) => Ok((key, text)),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => Ok((key, value.to_string())),
        _ => Err(de::Error::custom(format!("{key}: expected text, a number or a bool; quote keys that have dots"))),
    };
    table.into_iter().map(text).collect()
}
