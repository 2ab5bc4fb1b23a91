//! The entity that a request is about, as a hash.
//!
//! The gateway has no dataflow, so the names of the entity's columns are told to it. They are looked for anywhere in a
//! body of JSON: as a column of an instance, a list of values by name, or a tensor with its `name` and `data`. Of several
//! instances, the first one counts. The path of `/features/{group}/{key}` has the values themselves.

use percent_encoding::percent_decode_str;
use serde_json::Value;
use twox_hash::XxHash3_64;

/// The beginning of the paths of vectors.
const FEATURES: &str = "/features/";

/// Returns the hash of the entity of a request. If it does not name all columns, the hash is that of the whole request.
pub fn hash_of(path: &str, body: &[u8], columns: &[String]) -> u64 {
    let key = path.strip_prefix(FEATURES).and_then(|rest| rest.split_once('/')).map(|(_, key)| of_path(key));
    let key = key.filter(|_| !columns.is_empty()).or_else(|| of_body(body, columns));
    match key {
        Some(key) => XxHash3_64::oneshot(&key),
        None => XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(path.as_bytes()), body),
    }
}

fn of_path(key: &str) -> Vec<u8> {
    let mut joined = Vec::new();
    key.split('/').for_each(|segment| append(&mut joined, &percent_decode_str(segment).collect::<Vec<u8>>()));
    joined
}

fn of_body(body: &[u8], columns: &[String]) -> Option<Vec<u8>> {
    if columns.is_empty() {
        return None;
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    let mut joined = Vec::new();
    for column in columns {
        match find(&body, column)? {
            Value::String(text) => append(&mut joined, text.as_bytes()),
            other => append(&mut joined, other.to_string().as_bytes()),
        }
    }
    Some(joined)
}

/// Appends a value, so that values of other lengths do not look alike.
fn append(joined: &mut Vec<u8>, value: &[u8]) {
    joined.extend_from_slice(value);
    joined.push(0xff);
}

/// Returns the first value of a column in a JSON text.
fn find<'a>(value: &'a Value, column: &str) -> Option<&'a Value> {
    match value {
        Value::Object(object) => {
            let is_tensor = object.get("name").and_then(Value::as_str) == Some(column);
            let own = object.get(column).or_else(|| object.get("data").filter(|_| is_tensor));
            own.and_then(first).or_else(|| object.values().find_map(|inner| find(inner, column)))
        }
        Value::Array(list) => list.iter().find_map(|inner| find(inner, column)),
        _ => None,
    }
}

/// Returns a value, or the first one of nested lists.
fn first(value: &Value) -> Option<&Value> {
    match value {
        Value::Array(list) => first(list.first()?),
        Value::Object(_) => None,
        value => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(path: &str, body: &str) -> u64 {
        hash_of(path, body.as_bytes(), &["buyer".to_owned(), "shop".to_owned()])
    }

    #[test]
    fn an_entity_has_one_hash_in_every_protocol() {
        let expected = hash("/features/spend/a%2Fb/7", "");
        for body in [
            r#"{"instances":[{"amount":1,"shop":7,"buyer":"a/b"},{"shop":8,"buyer":"c"}]}"#,
            r#"{"model":"m","user":{"buyer":"a/b"},"candidates":[{"shop":7}]}"#,
            r#"{"inputs":{"buyer":["a/b","c"],"shop":[[7],[8]]}}"#,
            r#"{"inputs":[{"name":"shop","data":[[7]]},{"name":"buyer","data":["a/b"]}]}"#,
            r#"{"features":["spend:mean"],"entities":{"buyer":["a/b"],"shop":[7]}}"#,
        ] {
            assert_eq!(hash("/predict", body), expected, "{body}");
        }
        assert_ne!(hash("/features/spend/a/b7", ""), hash("/features/spend/ab/7", ""));
        assert_ne!(hash("/predict", r#"{"buyer":"a/b","shop":8}"#), expected);
    }

    #[test]
    fn any_other_request_has_the_hash_of_all_of_it() {
        for body in ["", "{", "[]", r#"{"buyer":{}}"#, r#"{"buyer":[]}"#, r#"{"buyer":"a"}"#] {
            assert_eq!(hash("/predict", body), hash("/predict", body));
            assert_ne!(hash("/predict", body), hash("/recommend", body), "{body}");
        }
        let of_none = |path: &str, body: &str| hash_of(path, body.as_bytes(), &[]);
        assert_ne!(of_none("/features/spend/a/7", ""), of_none("/features/place/a/7", ""));
    }
}
