//! The JSON schema of dataflow files, for editors, generated from the tables that the reader uses.
//!
//! The schema knows the keys of each table, which of them are required, and the form of their values. It accepts every
//! file that `check` accepts; what expressions and names refer to is for `check` alone.

use serde_json::{Map, Value, json};

use super::keys::{
    AGGREGATE, Absent, COLUMN, DERIVED, FEATURES, FILE, INPUT, KIND, LABEL, LOOK_UP, MODEL, OPTIMIZER, PUBLISH,
    RANKING, RECOMMEND, SOURCE, Section, TABLE, TEST, VIEW, WINDOW,
};
use super::section::SectionKey;
use crate::model::{KINDS, OPTIMIZERS, Parameter};
use crate::source::{FILE_FORMATS, FORMATS};
use crate::value::{Separator, Type};

/// Returns the schema, of draft 7, which editors of TOML read.
pub fn schema() -> Value {
    let mut schema = section(&FILE);
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["title"] = "A dataflow file of tidemill".into();
    schema
}

/// Returns the schema of a table.
fn section(of: &'static Section) -> Value {
    table_of(of, Map::new())
}

/// Returns the schema of a table that may have further keys beside those of its section.
fn table_of(of: &'static Section, further: Map<String, Value>) -> Value {
    let mut properties = further;
    let mut required = Vec::new();
    for key in of.keys {
        properties.insert(key.name.to_owned(), described(key, value_of(of, key)));
        if key.absent == Absent::Required {
            required.push(key.name);
        }
    }
    let mut schema = json!({
        "type": "object", "description": of.summary, "properties": properties, "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

/// Adds the description of a key and its default to the schema of its value.
fn described(key: &SectionKey, mut value: Value) -> Value {
    value["description"] = key.summary.into();
    if let Absent::Is(text) = key.absent
        && let Ok(table) = format!("default = {text}").parse::<toml::Table>()
        && let Ok(default) = serde_json::to_value(&table["default"])
    {
        value["default"] = default;
    }
    value
}

/// Returns the schema of the value of a key: the tables below it, or the form that the reference names.
fn value_of(of: &'static Section, key: &SectionKey) -> Value {
    // The tables below others.
    match (of.title, key.name) {
        (title, "source") if title == FILE.title => named(section(&SOURCE)),
        (title, "table") if title == FILE.title => named(section(&TABLE)),
        (title, "view") if title == FILE.title => named(section(&VIEW)),
        (title, "features") if title == FILE.title => named(section(&FEATURES)),
        (title, "model") if title == FILE.title => named(section(&MODEL)),
        (title, "test") if title == FILE.title => list(section(&TEST)),
        (title, "columns") if title == SOURCE.title || title == TABLE.title => {
            named(any(vec![column_type(), section(&COLUMN)]))
        }
        (title, "type") if title == COLUMN.title => column_type(),
        (title, "aggregate") if title == FEATURES.title => list(any(vec![section(&AGGREGATE), section(&DERIVED)])),
        (title, "windows") if title == AGGREGATE.title => {
            list(any(vec![json!({ "type": "string" }), section(&WINDOW)]))
        }
        (title, "kind") if title == MODEL.title => {
            let kinds = || KINDS.iter().map(|kind| kind.name);
            one_or_table(&KIND, kinds(), KINDS.iter().flat_map(|kind| kind.parameters.iter()))
        }
        (title, "optimizer") if title == MODEL.title => {
            let names = OPTIMIZERS.iter().map(|kind| kind.name);
            one_or_table(&OPTIMIZER, names, OPTIMIZERS.iter().flat_map(|kind| kind.parameters.iter()))
        }
        (title, "features") if title == MODEL.title => {
            list(any(vec![json!({ "type": "string" }), section(&INPUT), section(&LOOK_UP)]))
        }
        (title, "label") if title == MODEL.title => section(&LABEL),
        (title, "publish") if title == MODEL.title => section(&PUBLISH),
        (title, "recommend") if title == MODEL.title => section(&RECOMMEND),
        (title, "ranking") if title == MODEL.title => section(&RANKING),
        (title, "class_weight") if title == MODEL.title => {
            any(vec![json!({ "enum": ["balanced"] }), named(json!({ "type": "number" }))])
        }
        (title, "records") if title == TEST.title => named(list(json!({ "type": "object" }))),
        // Plain values.
        _ => of_form(key.form),
    }
}

/// Returns the schema of a name from a list, or of a table with such a name and parameters.
fn one_or_table<'a>(
    of: &'static Section,
    names: impl Iterator<Item = &'static str>,
    parameters: impl Iterator<Item = &'a Parameter>,
) -> Value {
    let names: Vec<&str> = names.collect();
    let value = |parameter: &Parameter| {
        let ty = if parameter.bounds.words().is_empty() { "number" } else { "string" };
        (parameter.name.to_owned(), json!({ "type": [ty], "description": parameter.summary }))
    };
    let mut further = Map::new();
    for (name, value) in parameters.map(value) {
        // A parameter of several kinds may be a number in one and a word in another.
        match further.get_mut(&name) {
            Some(known) if known["type"] != value["type"] => known["type"] = json!(["number", "string"]),
            Some(_) => {}
            None => _ = further.insert(name, value),
        }
    }
    let mut table = table_of(of, further);
    table["properties"]["name"]["enum"] = names.clone().into();
    any(vec![json!({ "enum": names }), table])
}

fn column_type() -> Value {
    let types: Vec<&str> = Type::ALL.into_iter().map(Type::name).collect();
    json!({ "type": "string", "pattern": format!("^({})\\??$", types.join("|")) })
}

/// Returns the schema of a table of things by name.
fn named(value: Value) -> Value {
    json!({ "type": "object", "additionalProperties": value })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn any(of: Vec<Value>) -> Value {
    json!({ "anyOf": of })
}

/// Returns the schema of a value by its form in the reference.
///
/// # Panics
/// If the form is none of those that are known here.
fn of_form(form: &str) -> Value {
    let text = || json!({ "type": "string" });
    match form {
        "string" | "SQL" | "expression" | "string or expression" | "timestamp" => text(),
        "string or list of strings" => any(vec![text(), list(text())]),
        "list of strings" => list(text()),
        "list of lists" => list(list(text())),
        "duration" => json!({ "type": "string", "pattern": r"^-?[0-9.]+(ms|s|m|h|d|w)$" }),
        "int" => json!({ "type": "integer" }),
        "float" => json!({ "type": "number" }),
        "bool" => json!({ "type": "boolean" }),
        "table" => json!({ "type": "object" }),
        "number, bool or string" | "bool, number, string or time" => json!({ "type": ["number", "boolean", "string"] }),
        "[format](#formats)" => {
            let mut names: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
            names.extend(FILE_FORMATS.iter().map(|format| format.format));
            names.sort_unstable();
            names.dedup();
            json!({ "enum": names })
        }
        "separator" => json!({ "enum": Separator::ALL.map(Separator::text) }),
        words if words.starts_with('`') => {
            let words: Vec<&str> = words.split('`').skip(1).step_by(2).map(|word| word.trim_matches('"')).collect();
            json!({ "enum": words })
        }
        other => unreachable!("the form {other:?} has no schema"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_has_every_key_of_every_section() {
        let text = schema().to_string();
        for section in super::super::keys::SECTIONS {
            for key in section.keys {
                assert!(text.contains(&format!("\"{}\":{{", key.name)), "{} of {}", key.name, section.title);
            }
        }
        assert_eq!(schema()["required"], json!(["name"]));
        assert_eq!(schema()["properties"]["model"]["additionalProperties"]["properties"]["bins"]["default"], json!(0));
    }
}
