//! The layout of features in Redis: the keys of hashes, and values as text.
//!
//! ```
//! use tidemill::store::redis::key_text;
//! use tidemill::value::Scalar;
//!
//! let key = key_text("flights", "route", &[Scalar::String("A:B".into()), Scalar::Int(7)]);
//! assert_eq!(key, "tidemill:flights:route:A%3AB:7");
//! ```

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use redis::{Cmd, Pipeline, cmd};

use super::MirroredGroup;
use crate::aggregate::{Deferred, Feature};
use crate::store::Vector;
use crate::time::EventTime;
use crate::value::Scalar;

/// The field of the watermark, beside those of the features.
const WATERMARK: &str = "_watermark";

/// Returns the key of an entity's hash.
pub fn key_text(dataflow: &str, group: &str, key: &[Scalar]) -> String {
    with_key(format!("tidemill:{}:{}", escaped(dataflow), escaped(group)), key)
}

/// Returns a text with the values of a key behind it.
pub fn with_key(mut text: String, key: &[Scalar]) -> String {
    for value in key {
        text.push(':');
        text.push_str(&escaped(&value_text(value).unwrap_or_default()));
    }
    text
}

/// Returns the key of the hash of the recorded progress.
pub fn positions_key(dataflow: &str) -> String {
    format!("tidemill:{}:_positions", escaped(dataflow))
}

/// Percent-encodes `%` and `:`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.contains(['%', ':']) { text.replace('%', "%25").replace(':', "%3A").into() } else { text.into() }
}

/// Returns a value as the shortest text that reads back to it, a time in epoch ms; `None` for a null.
fn value_text(value: &Scalar) -> Option<Cow<'_, str>> {
    match value {
        Scalar::Null => None,
        Scalar::Bool(value) => Some(if *value { "true" } else { "false" }.into()),
        Scalar::Int(value) | Scalar::Timestamp(value) => Some(value.to_string().into()),
        Scalar::Float(value) => value.is_finite().then(|| float_text(*value).into()),
        Scalar::String(value) => Some(value.as_ref().into()),
    }
}

/// Returns a feature as text: a scalar as [`value_text`], a list or a map as JSON, and what depends on the asking time
/// as what a reader finishes it from. `None` for a null.
fn feature_text(feature: &Feature) -> Option<Cow<'_, str>> {
    match feature {
        Feature::Value(value) => value_text(value),
        Feature::List(_) | Feature::Map(_) => Some(feature.to_json(EventTime::MIN).to_string().into()),
        Feature::AsOf(deferred) => Some(deferred_text(deferred).into()),
        Feature::Panes(_) => None,
        Feature::Open(open) => feature_text(&open.without()).map(|text| text.into_owned().into()),
        Feature::MapAsOf(entries) => {
            let entry = |(key, value): &(Arc<str>, Feature)| {
                let value = match value {
                    Feature::AsOf(deferred) => deferred_text(deferred),
                    other => other.to_json(EventTime::MIN).to_string(),
                };
                format!("{}:{value}", json_text(key))
            };
            Some(format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(",")).into())
        }
    }
}

/// Returns what a reader finishes a value from.
fn deferred_text(deferred: &Deferred) -> String {
    match deferred {
        // Epoch ms: the reader subtracts it from its own time.
        Deferred::SecondsSince(time) => time.to_string(),
        Deferred::PerSecond(count) => json_text(count.as_ref()),
        Deferred::Decaying(decaying) => json_text(decaying.as_ref()),
    }
}

fn json_text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("numbers and texts convert to JSON")
}

/// Returns a float as the shortest text that reads back to it, with an exponent if that is shorter.
fn float_text(value: f64) -> String {
    let mut plain = String::with_capacity(24);
    write!(plain, "{value}").expect("text grows as it needs");
    if plain.len() <= 6 {
        return plain;
    }
    let scientific = format!("{value:e}");
    if scientific.len() < plain.len() { scientific } else { plain }
}

/// Appends the commands that write an entity's newest vector to its hash, at the key `text`, or delete the hash if
/// there is none. A reader sees the old vector or the new one, never a mixture: nulls have no field, and fields are
/// deleted and set in one transaction.
pub fn write(pipe: &mut Pipeline, text: &str, group: &MirroredGroup, vector: Option<&Vector>, asof: EventTime) {
    let Some(vector) = vector else {
        pipe.add_command(delete(text)).ignore();
        return;
    };
    let mut set = cmd("HSET");
    set.arg(text);
    let mut nulls = cmd("HDEL");
    nulls.arg(text);
    let (mut has_values, mut has_nulls) = (false, false);
    let derived = group.derived.as_ref().map_or_else(Vec::new, |derived| derived(vector));
    let of_vector = vector.iter().take(group.features.len() - derived.len());
    for (name, value) in group.features.iter().zip(of_vector.chain(&derived)) {
        match feature_text(value) {
            Some(value) => {
                set.arg(name).arg(value.as_bytes());
                has_values = true;
            }
            None => {
                nulls.arg(name);
                has_nulls = true;
            }
        }
    }
    if asof > EventTime::MIN {
        set.arg(WATERMARK).arg(asof);
        has_values = true;
    }
    if !has_values {
        pipe.add_command(delete(text)).ignore();
        return;
    }
    if has_nulls {
        pipe.cmd("MULTI").ignore().add_command(nulls).ignore().add_command(set).ignore().cmd("EXEC").ignore();
    } else {
        pipe.add_command(set).ignore();
    }
    if let Some(ttl_ms) = group.ttl_ms {
        pipe.cmd("PEXPIRE").arg(text).arg(ttl_ms).ignore();
    }
}

fn delete(text: &str) -> Cmd {
    let mut delete = cmd("DEL");
    delete.arg(text);
    delete
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_float_reads_back_and_no_spelling_of_it_is_shorter(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let text = float_text(value);
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
            let spellings = [format!("{value}"), format!("{value:e}")];
            prop_assert!(spellings.iter().all(|other| text.len() <= other.len()));
        }

        #[test]
        fn different_keys_have_different_texts_that_read_back(key in proptest::collection::vec(".*", 1..4)) {
            let scalars: Vec<Scalar> = key.iter().map(|part| Scalar::String(part.as_str().into())).collect();
            let text = key_text("d", "g", &scalars);
            let parts: Vec<String> = text
                .strip_prefix("tidemill:d:g:")
                .unwrap()
                .split(':')
                .map(|part| percent_encoding::percent_decode_str(part).decode_utf8().unwrap().into_owned())
                .collect();
            prop_assert_eq!(parts, key);
        }
    }

    #[test]
    fn only_percent_signs_and_colons_are_escaped() {
        let text =
            key_text("a:b", "g", &[Scalar::String("50% né/∞ x".into()), Scalar::Float(-0.0), Scalar::Bool(true)]);
        assert_eq!(text, "tidemill:a%3Ab:g:50%25 né/∞ x:-0:true");
        assert_eq!(float_text(1e300), "1e300");
        assert_eq!(float_text(123456.75), "123456.75");
        assert_eq!(value_text(&Scalar::Float(f64::NAN)), None);
    }

    #[test]
    fn lists_and_maps_are_json_and_a_time_is_left_to_the_reader() {
        let text = |feature: &Feature| feature_text(feature).map(Cow::into_owned);
        let list = Feature::List([Scalar::String("a\"b".into()), Scalar::Null, Scalar::Int(2)].into());
        assert_eq!(text(&list).as_deref(), Some(r#"["a\"b",null,2]"#));
        let map = Feature::Map([("x".into(), Scalar::Float(0.5)), ("y".into(), Scalar::Float(2.0))].into());
        assert_eq!(text(&map).as_deref(), Some(r#"{"x":0.5,"y":2.0}"#));
        assert_eq!(text(&Feature::AsOf(Deferred::SecondsSince(1_700_000_000_000))).as_deref(), Some("1700000000000"));
        let rate = Feature::AsOf(Deferred::per_second(5, 1_700));
        assert_eq!(text(&rate).as_deref(), Some(r#"{"n":5,"since":1700}"#));
        let decaying = Feature::AsOf(Deferred::decaying(2.5, 1_700, 60));
        assert_eq!(text(&decaying).as_deref(), Some(r#"{"value":2.5,"as_of":1700,"half_life_ms":60}"#));
        let map = Feature::map(vec![("a\"".into(), rate), ("b".into(), Feature::NULL)]);
        assert_eq!(text(&map).as_deref(), Some(r#"{"a\"":{"n":5,"since":1700},"b":null}"#));
        assert_eq!(text(&Feature::NULL), None);
    }
}
