//! The JSON schema of config files, for editors, generated from the table of keys.

use serde_json::{Value, json};

use super::bounds::range_of;
use super::keys::keys;

/// The name that stands for a topic's in the table of keys.
const TOPIC: &str = "TOPIC";

/// Returns the schema, of draft 7, which editors of TOML read.
pub fn schema() -> Value {
    let mut schema = table();
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["title"] = "A config of tidemill".into();
    for key in keys() {
        let mut at = &mut schema;
        let mut names: Vec<&str> = key.path.split('.').collect();
        let last = names.pop().unwrap_or_default();
        for name in names {
            at = below(at, name);
        }
        let mut value = value_of(key.path, &key.kind);
        value["description"] = key.help.into();
        if let Some(default) = key.default.and_then(|text| serde_json::from_str::<Value>(&text).ok()) {
            value["default"] = default;
        }
        at["properties"][last] = value;
    }
    let required = &mut schema["properties"]["topics"]["additionalProperties"]["required"];
    *required = json!(["file"]);
    schema
}

/// Returns the schema of a table without any key yet.
fn table() -> Value {
    json!({ "type": "object", "properties": {}, "additionalProperties": false })
}

/// Returns the schema of a table within another one, which is added if there is none yet.
fn below<'a>(at: &'a mut Value, name: &str) -> &'a mut Value {
    let place = match name {
        TOPIC => &mut at["additionalProperties"],
        name => &mut at["properties"][name],
    };
    if !place.is_object() {
        *place = table();
    }
    place
}

/// Returns the schema of a value by its kind in the reference.
///
/// # Panics
/// If the kind is none of those that are known here.
fn value_of(path: &str, kind: &str) -> Value {
    let kind = kind.split(',').next().unwrap_or_default();
    let text = || json!({ "type": "string" });
    let duration = || json!({ "type": "string", "pattern": r"^([0-9.]+(ms|s|m|h|d|w)|off)$" });
    let mut value = match (path, kind) {
        ("clock", _) => json!({ "enum": ["wall", "stream"] }),
        ("log.format", _) => json!({ "enum": ["json", "text"] }),
        ("play.speed", _) => json!({ "anyOf": [{ "type": "number", "exclusiveMinimum": 0 }, { "const": "max" }] }),
        (_, "int") => json!({ "type": "integer" }),
        (_, "number") => json!({ "type": "number" }),
        (_, "bool") => json!({ "type": "boolean" }),
        (_, "duration") => duration(),
        (_, "list") => json!({ "type": "array", "items": text() }),
        (_, "path or list") => json!({ "anyOf": [text(), { "type": "array", "items": text() }] }),
        (_, "table") => {
            json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } })
        }
        (_, "`file:PATH`") => json!({ "type": "string", "pattern": "^file:." }),
        (_, "path" | "text" | "URL" | "path or `file://` URL") => text(),
        (path, other) => unreachable!("{path}: the kind {other:?} has no schema"),
    };
    if let Some(range) = range_of(path).filter(|_| matches!(kind, "int" | "number"))
        && value.get("type").is_some()
    {
        value["minimum"] = (*range.start()).into();
        value["maximum"] = (*range.end()).into();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_has_every_key() {
        let schema = schema();
        for key in keys() {
            let found = key.path.split('.').try_fold(&schema, |at, name| match name {
                TOPIC => at.get("additionalProperties"),
                name => at.get("properties")?.get(name),
            });
            assert!(found.is_some_and(Value::is_object), "{}", key.path);
        }
        let workers = &schema["properties"]["workers"];
        assert_eq!((&workers["minimum"], &workers["default"]), (&json!(1), &json!(1)));
    }
}
