//! A message without a value, as the delete of a table's row.
//!
//! The key is a JSON object with the key columns or, where there is but one, that column's value itself: plain text
//! for a string, JSON for another type. The delete's time is the message's own.

use crate::source::TopicReader;
use crate::time::EventTime;
use crate::value::{Column, ColumnBuilder, FieldError, FieldFault, JsonDecoder, Scalar, Schema, Type};

/// Decodes the tombstones of one table.
pub struct Tombstones {
    decoder: JsonDecoder,
    /// The key columns, by name and without nesting.
    schema: Schema,
    key: Vec<usize>,
    time: usize,
    deleted: usize,
}

impl Tombstones {
    /// None for what is no table: there a value must be.
    pub fn of(reader: &TopicReader) -> Option<Self> {
        if !reader.upsert {
            return None;
        }
        let columns = reader.key.iter().map(|column| &reader.schema.columns[*column]);
        let plain =
            columns.map(|column| Column { unit: column.unit, ..Column::new(column.name.clone(), column.ty, false) });
        let schema = Schema::new(plain.collect());
        Some(Tombstones {
            decoder: JsonDecoder::new(&schema),
            schema,
            key: reader.key.clone(),
            time: reader.time,
            deleted: reader.schema.len() - 1,
        })
    }

    /// Appends one row, whatever happens; says in `present` which columns it has.
    ///
    /// # Errors
    /// If the message has no time, or no key that is the table's.
    pub fn decode(
        &self,
        key: Option<&[u8]>,
        time: Option<EventTime>,
        columns: &mut [ColumnBuilder],
        present: &mut Vec<bool>,
    ) -> Result<(), FieldError> {
        present.clear();
        present.resize(columns.len(), false);
        let mut row = vec![Scalar::Null; columns.len()];
        let decoded = self.row(key, time, &mut row);
        for (index, (column, value)) in columns.iter_mut().zip(&row).enumerate() {
            column.append(value);
            present[index] = !value.is_null();
        }
        decoded
    }

    fn row(&self, key: Option<&[u8]>, time: Option<EventTime>, row: &mut [Scalar]) -> Result<(), FieldError> {
        let malformed = |why: &str| FieldError { column: None, fault: FieldFault::Malformed(why.to_owned()) };
        let key = key.ok_or_else(|| malformed("a delete without a key"))?;
        let time = time.ok_or_else(|| malformed("a delete without a time"))?;
        let values = self.object(key).or_else(|error| self.single(key).ok_or(error))?;
        for (column, value) in self.key.iter().zip(values) {
            row[*column] = value;
        }
        row[self.time] = Scalar::Timestamp(time);
        row[self.deleted] = Scalar::Bool(true);
        Ok(())
    }

    fn object(&self, json: &[u8]) -> Result<Vec<Scalar>, FieldError> {
        let mut columns: Vec<_> = self.schema.columns.iter().map(|column| ColumnBuilder::new(column.ty)).collect();
        let mut present = Vec::new();
        self.decoder.decode(json, &mut columns, &mut present)?;
        match self.decoder.missing(&present) {
            Some(missing) => Err(missing),
            None => Ok(columns.iter_mut().map(|column| Scalar::of(&column.finish(), 0)).collect()),
        }
    }

    /// The only key column's value.
    fn single(&self, text: &[u8]) -> Option<Vec<Scalar>> {
        let [column] = self.schema.columns.as_slice() else { return None };
        let text = std::str::from_utf8(text).ok()?;
        if column.ty == Type::String {
            return Some(vec![Scalar::String(text.into())]);
        }
        self.object(format!("{{{:?}:{text}}}", column.name).as_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(key: &[(&str, Type)]) -> TopicReader {
        let mut columns: Vec<_> = key.iter().map(|(name, ty)| Column::new(*name, *ty, false)).collect();
        columns.push(Column::new("at", Type::Timestamp, false));
        TopicReader {
            source: "t".to_owned(),
            topic: "t".to_owned(),
            schema: TopicReader::with_deletes(&Schema::new(columns)),
            key: (0..key.len()).collect(),
            time: key.len(),
            lateness_ms: 0,
            filter: None,
            upsert: true,
            ordered: true,
            reach_ms: i64::MAX,
        }
    }

    fn decode(key: &[(&str, Type)], bytes: Option<&str>) -> Result<Vec<Scalar>, String> {
        let reader = reader(key);
        let mut columns: Vec<_> = reader.schema.columns.iter().map(|column| ColumnBuilder::new(column.ty)).collect();
        let mut present = Vec::new();
        let tombstones = Tombstones::of(&reader).unwrap();
        let decoded = tombstones.decode(bytes.map(str::as_bytes), Some(7), &mut columns, &mut present);
        assert!(columns.iter().all(|column| column.len() == 1), "a row is always completed");
        decoded.map_err(|error| error.to_string())?;
        Ok(columns.iter_mut().map(|column| Scalar::of(&column.finish(), 0)).collect())
    }

    #[test]
    fn a_key_is_an_object_or_the_one_value_itself() {
        let rest = [Scalar::Timestamp(7), Scalar::Bool(true)];
        let row = |key: &[Scalar]| Ok([key, &rest].concat());
        let (text, number) = (("name", Type::String), ("number", Type::Int));
        assert_eq!(decode(&[text], Some(r#"{"name":"a"}"#)), row(&[Scalar::String("a".into())]));
        assert_eq!(decode(&[text], Some("a b")), row(&[Scalar::String("a b".into())]));
        assert_eq!(decode(&[number], Some("12")), row(&[Scalar::Int(12)]));
        let both = row(&[Scalar::String("a".into()), Scalar::Int(3)]);
        assert_eq!(decode(&[text, number], Some(r#"{"number":3,"name":"a"}"#)), both);
        assert_eq!(decode(&[text, number], Some(r#"{"number":3}"#)), Err("name: missing".to_owned()));
        assert_eq!(decode(&[text], None), Err("malformed: a delete without a key".to_owned()));
        assert!(decode(&[number], Some("x")).unwrap_err().starts_with("malformed"));
    }
}
