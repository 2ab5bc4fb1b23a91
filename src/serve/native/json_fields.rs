//! The fields of an object in a body, one by one, with errors that name the field.

use serde_json::Value;

use crate::expr::nearest;
use crate::serve::json_parts::JsonParts;
use crate::serve::{RequestError, json_error};

/// Fields of known names, each there once at most.
pub struct JsonFields(Vec<(String, Value)>);

impl JsonFields {
    /// Reads an object.
    ///
    /// # Errors
    /// If the body is no object, or has a field of another name or one twice.
    pub fn read(body: &str, names: &[&str]) -> Result<Self, RequestError> {
        let malformed = |what: String| Err(RequestError::Malformed(what));
        let JsonParts::Object(fields) = json_error::parse(body, "an object")? else {
            return malformed("expected an object".to_owned());
        };
        for (at, (name, _)) in fields.iter().enumerate() {
            if !names.contains(&name.as_str()) {
                let nearest = nearest(name, names.iter().copied());
                return Err(RequestError::UnknownField { found: name.clone(), nearest, expected: names.join(", ") });
            }
            if fields[..at].iter().any(|(before, _)| before == name) {
                return malformed(format!("{name}: duplicate field"));
            }
        }
        Ok(JsonFields(fields))
    }

    /// The text of a field; `None` if it is absent or null.
    ///
    /// # Errors
    /// If it is something else.
    pub fn text(&self, name: &str) -> Result<Option<String>, RequestError> {
        match self.value(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(found) => Err(RequestError::Malformed(format!("{name}: expected text, found {found}"))),
        }
    }

    /// The whole number of a field.
    ///
    /// # Errors
    /// If it is absent or something else.
    pub fn whole_number(&self, name: &str) -> Result<u64, RequestError> {
        let found = self.value(name).ok_or_else(|| RequestError::Malformed(format!("{name}: missing")))?;
        let wrong = || RequestError::Malformed(format!("{name}: expected a whole number of at least 0, found {found}"));
        found.as_u64().ok_or_else(wrong)
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}
