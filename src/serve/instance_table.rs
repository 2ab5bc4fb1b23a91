//! Instances as a table of cells, for protocols that send columns or rows without names.
//!
//! [`crate::example::Program::instances`] reads a list of objects. An [`InstanceTable`] presents itself as such a list, one
//! object a row. So the rules of an instance, and the words for its mistakes, are the same in every protocol, and there is
//! no second reader of instances.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Error;
use serde_json::value::RawValue;

/// Instances with the same names, and a value for each name and row.
#[derive(Clone, Copy, Debug)]
pub struct InstanceTable<'de, F> {
    /// The names of the columns.
    pub names: &'de [String],
    pub rows: usize,
    /// Returns the cell of a row and a column, by position.
    pub cell: F,
}

/// The value of one column of an instance.
#[derive(Clone, Copy, Debug)]
pub enum TableCell<'de> {
    Json(&'de RawValue),
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float(f64),
    Text(&'de str),
}

impl<'de, F: Fn(usize, usize) -> TableCell<'de>> Deserializer<'de> for InstanceTable<'de, F> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(TableRows { table: self, next: 0 })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The rows of a table that are still to be read.
struct TableRows<'de, F> {
    table: InstanceTable<'de, F>,
    next: usize,
}

impl<'de, F: Fn(usize, usize) -> TableCell<'de>> SeqAccess<'de> for TableRows<'de, F> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.next == self.table.rows {
            return Ok(None);
        }
        let row = self.next;
        self.next += 1;
        seed.deserialize(TableRow { table: &self.table, row, next: 0 }).map(Some)
    }
}

/// The columns of a row that are still to be read.
struct TableRow<'t, 'de, F> {
    table: &'t InstanceTable<'de, F>,
    row: usize,
    next: usize,
}

impl<'de, F: Fn(usize, usize) -> TableCell<'de>> Deserializer<'de> for TableRow<'_, 'de, F> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

impl<'de, F: Fn(usize, usize) -> TableCell<'de>> MapAccess<'de> for TableRow<'_, 'de, F> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(name) = self.table.names.get(self.next) else { return Ok(None) };
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let cell = (self.table.cell)(self.row, self.next);
        self.next += 1;
        match cell {
            TableCell::Json(raw) => seed.deserialize(&mut serde_json::Deserializer::from_str(raw.get())),
            cell => seed.deserialize(cell),
        }
    }
}

impl<'de> Deserializer<'de> for TableCell<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            TableCell::Json(raw) => serde_json::Deserializer::from_str(raw.get()).deserialize_any(visitor),
            TableCell::Null => visitor.visit_unit(),
            TableCell::Bool(value) => visitor.visit_bool(value),
            TableCell::Int(value) => visitor.visit_i64(value),
            TableCell::Unsigned(value) => visitor.visit_u64(value),
            TableCell::Float(value) => visitor.visit_f64(value),
            TableCell::Text(text) => visitor.visit_borrowed_str(text),
        }
    }

    /// A column that shares its path with others is read as the text of its JSON, which only a reader of JSON can present.
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        let json = match self {
            TableCell::Json(raw) => raw.get().to_owned(),
            TableCell::Null => "null".to_owned(),
            TableCell::Bool(value) => value.to_string(),
            TableCell::Int(value) => value.to_string(),
            TableCell::Unsigned(value) => value.to_string(),
            TableCell::Float(value) if value.is_finite() => serde_json::to_string(&value)?,
            TableCell::Float(value) => return Err(Error::custom(format_args!("{value} is not a finite number"))),
            TableCell::Text(text) => serde_json::to_string(text)?,
        };
        serde_json::Deserializer::from_reader(json.as_bytes()).deserialize_newtype_struct(name, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_table_is_a_list_of_objects() {
        let raw: &RawValue = serde_json::from_str(r#"{"a": [1, "x"]}"#).unwrap();
        let cells = [
            TableCell::Json(raw),
            TableCell::Null,
            TableCell::Bool(true),
            TableCell::Int(-1),
            TableCell::Unsigned(u64::MAX),
            TableCell::Float(0.1),
            TableCell::Text("é\""),
        ];
        let names: Vec<String> = ["j", "n", "b", "i", "u", "f", "t"].map(str::to_owned).into();
        let table = InstanceTable { names: &names, rows: 2, cell: |_, column: usize| cells[column] };
        let row = json!({
            "j": { "a": [1, "x"] }, "n": null, "b": true, "i": -1, "u": u64::MAX, "f": 0.1, "t": "é\""
        });
        assert_eq!(Value::deserialize(table).unwrap(), json!([row, row]));
        let texts: Vec<std::collections::BTreeMap<String, Box<RawValue>>> = Deserialize::deserialize(table).unwrap();
        assert_eq!(texts[1]["t"].get(), r#""é\"""#);
        assert_eq!(
            [texts[1]["f"].get(), texts[1]["n"].get(), texts[1]["u"].get()],
            ["0.1", "null", "18446744073709551615"]
        );
        assert!(Box::<RawValue>::deserialize(TableCell::Float(f64::INFINITY)).is_err());
    }
}
