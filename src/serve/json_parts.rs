//! JSON taken apart by one level, with all fields of an object: those of the same name, too, which other readers drop.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value of JSON, whose parts are read as `T`.
pub enum JsonParts<T> {
    /// All fields in their order, those of the same name too.
    Object(Vec<(String, T)>),
    List(Vec<T>),
    Text(String),
    Null,
    Other,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for JsonParts<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonPartsVisitor(PhantomData))
    }
}

struct JsonPartsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for JsonPartsVisitor<T> {
    type Value = JsonParts<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonParts<T>, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(JsonParts::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<JsonParts<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(JsonParts::List(items))
    }

    fn visit_bool<E>(self, _: bool) -> Result<JsonParts<T>, E> {
        Ok(JsonParts::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<JsonParts<T>, E> {
        Ok(JsonParts::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<JsonParts<T>, E> {
        Ok(JsonParts::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<JsonParts<T>, E> {
        Ok(JsonParts::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<JsonParts<T>, E> {
        Ok(JsonParts::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<JsonParts<T>, E> {
        Ok(JsonParts::Null)
    }
}
