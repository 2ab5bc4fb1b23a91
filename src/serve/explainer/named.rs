//! Values by name that keep their order: a JSON object.
//!
//! ```
//! use tidemill::serve::explainer::{NamedValue, NamedValues};
//! let text = r#"{"b":1,"a":2}"#;
//! let values: NamedValues<u8> = serde_json::from_str(text).unwrap();
//! assert_eq!(values.iter().map(|of| (of.name.as_str(), of.value)).collect::<Vec<_>>(), [("b", 1), ("a", 2)]);
//! assert_eq!(serde_json::to_string(&values).unwrap(), text);
//! ```

use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value and its name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedValue<T> {
    pub name: String,
    pub value: T,
}

/// Values by name, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedValues<T>(Vec<NamedValue<T>>);

impl<T> NamedValues<T> {
    pub fn iter(&self) -> std::slice::Iter<'_, NamedValue<T>> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> FromIterator<NamedValue<T>> for NamedValues<T> {
    fn from_iter<I: IntoIterator<Item = NamedValue<T>>>(values: I) -> Self {
        NamedValues(values.into_iter().collect())
    }
}

impl<T: Serialize> Serialize for NamedValues<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|of| (&of.name, &of.value)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for NamedValues<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// Reads an object.
struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = NamedValues<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NamedValues<T>, A::Error> {
        let mut values = Vec::new();
        while let Some((name, value)) = map.next_entry()? {
            values.push(NamedValue { name, value });
        }
        Ok(NamedValues(values))
    }
}
