//! Tombstones: messages without a value, which delete a row of a table.
//!
//! The key is a message of the topic's format with the key columns or, if there is only one, that column's value itself:
//! plain text for a string, JSON for another type. A message has the columns by their names or by the last names of their
//! paths, as Debezium has it, which may put them below `payload`. The time of the delete is the message's own.

use crate::source::SourcePlan;
use crate::source::message::MessageFormat;
use crate::time::EventTime;
use crate::value::{Column, ColumnBuilder, FieldError, FieldFault, JsonDecoder, Scalar, Schema, Type};

/// Decoder of the tombstones of one table.
pub struct Tombstones<F> {
    /// The format for each place that the key columns may have.
    formats: Vec<F>,
    /// The key columns, by name and without nesting.
    schema: Schema,
    key: Vec<usize>,
    /// The column of the event time; `None` if it is an expression, which a delete does not need.
    time: Option<usize>,
    deleted: usize,
}

impl<F: MessageFormat> Tombstones<F> {
    /// Returns the decoder of a table; `None` for a stream, whose messages must have a value.
    pub fn of(plan: &SourcePlan) -> Option<Self> {
        if !plan.is_table {
            return None;
        }
        let columns = plan.key.iter().map(|column| &plan.schema.columns[*column]);
        let plain = columns
            .map(|column| Column { time: column.time.clone(), ..Column::new(column.name.clone(), column.ty, false) });
        let schema = Schema::new(plain.collect()).separated_by(plan.schema.separator);
        let last = |index: usize| plan.schema.columns[plan.key[index]].path.last().expect("a path has a name").clone();
        let placed = |outer: &[&str]| {
            let mut schema = schema.clone();
            for (index, column) in schema.columns.iter_mut().enumerate() {
                column.path = outer.iter().map(|name| (*name).to_owned()).chain([last(index)]).collect();
            }
            F::new(&schema)
        };
        let formats = match F::NAMES_COLUMNS {
            true => vec![F::new(&schema), placed(&[]), placed(&["payload"])],
            false => vec![F::new(&schema)],
        };
        Some(Tombstones {
            formats,
            schema,
            key: plan.key.clone(),
            time: plan.time.column(),
            deleted: plan.schema.len() - 1,
        })
    }

    /// Appends one row, even if it fails, and sets in `present` which columns it has.
    ///
    /// # Errors
    /// If the message has no time, or its key is not one of the table.
    pub fn decode(
        &mut self,
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

    /// Sets the key, the time and the mark of a delete in a row.
    fn row(&mut self, key: Option<&[u8]>, time: Option<EventTime>, row: &mut [Scalar]) -> Result<(), FieldError> {
        let malformed = |why: &str| FieldError { column: None, fault: FieldFault::Malformed(why.to_owned()) };
        let key = key.ok_or_else(|| malformed("a delete without a key"))?;
        let time = time.ok_or_else(|| malformed("a delete without a time"))?;
        let values = self.key_columns(key).or_else(|error| self.single_column(key).ok_or(error))?;
        for (column, value) in self.key.iter().zip(values) {
            row[*column] = value;
        }
        if let Some(column) = self.time {
            row[column] = Scalar::Timestamp(time);
        }
        row[self.deleted] = Scalar::Bool(true);
        Ok(())
    }

    /// Decodes a key that is a message with all key columns.
    fn key_columns(&mut self, key: &[u8]) -> Result<Vec<Scalar>, FieldError> {
        let mut missing = None;
        for at in 0..self.formats.len() {
            let (mut columns, mut present) = (self.builders(), Vec::new());
            self.formats[at].decode(key, &mut columns, &mut present)?;
            match self.schema.columns.iter().zip(&present).find(|(_, present)| !**present) {
                None => return Ok(row_of(columns)),
                Some((column, _)) => _ = missing.get_or_insert_with(|| column.name.clone()),
            }
        }
        Err(FieldError { column: missing, fault: FieldFault::Missing })
    }

    /// Decodes a key that is the value of the only key column.
    fn single_column(&self, key: &[u8]) -> Option<Vec<Scalar>> {
        let [column] = self.schema.columns.as_slice() else { return None };
        let text = std::str::from_utf8(key).ok()?;
        if column.ty == Type::String {
            return Some(vec![Scalar::String(text.into())]);
        }
        let (mut columns, object) = (self.builders(), format!("{{{:?}:{text}}}", column.name));
        JsonDecoder::new(&self.schema).decode(object.as_bytes(), &mut columns, &mut Vec::new()).ok()?;
        Some(row_of(columns))
    }

    fn builders(&self) -> Vec<ColumnBuilder> {
        self.schema.columns.iter().map(|column| ColumnBuilder::new(column.ty)).collect()
    }
}

/// Returns the only row that has been built.
fn row_of(mut columns: Vec<ColumnBuilder>) -> Vec<Scalar> {
    columns.iter_mut().map(|column| Scalar::of(&column.finish(), 0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::RecordTime;
    use crate::source::message::{Csv, Json};

    fn plan(key: &[(&str, Type)]) -> SourcePlan {
        let mut columns: Vec<_> = key.iter().map(|(name, ty)| Column::new(*name, *ty, false)).collect();
        columns.push(Column::new("at", Type::Timestamp, false));
        SourcePlan {
            source: "t".to_owned(),
            topic: "t".to_owned(),
            format: None,
            schema: SourcePlan::with_deletes(&Schema::new(columns)),
            key: (0..key.len()).collect(),
            time: RecordTime::Column(key.len()),
            lateness_ms: 0,
            filter: None,
            is_table: true,
            needs_order: true,
            retention_ms: i64::MAX,
        }
    }

    fn decode<F: MessageFormat>(key: &[(&str, Type)], bytes: Option<&str>) -> Result<Vec<Scalar>, String> {
        let plan = plan(key);
        let mut columns: Vec<_> = plan.schema.columns.iter().map(|column| ColumnBuilder::new(column.ty)).collect();
        let mut present = Vec::new();
        let mut tombstones = Tombstones::<F>::of(&plan).unwrap();
        let decoded = tombstones.decode(bytes.map(str::as_bytes), Some(7), &mut columns, &mut present);
        assert!(columns.iter().all(|column| column.len() == 1), "a row is always completed");
        decoded.map_err(|error| error.to_string())?;
        Ok(columns.iter_mut().map(|column| Scalar::of(&column.finish(), 0)).collect())
    }

    #[test]
    fn a_json_key_is_an_object_or_the_one_value_itself() {
        let rest = [Scalar::Timestamp(7), Scalar::Bool(true)];
        let row = |key: &[Scalar]| Ok([key, &rest].concat());
        let (text, number) = (("name", Type::String), ("number", Type::Int));
        assert_eq!(decode::<Json>(&[text], Some(r#"{"name":"a"}"#)), row(&[Scalar::String("a".into())]));
        assert_eq!(decode::<Json>(&[text], Some("a b")), row(&[Scalar::String("a b".into())]));
        assert_eq!(decode::<Json>(&[number], Some("12")), row(&[Scalar::Int(12)]));
        let both = row(&[Scalar::String("a".into()), Scalar::Int(3)]);
        assert_eq!(decode::<Json>(&[text, number], Some(r#"{"number":3,"name":"a"}"#)), both);
        assert_eq!(decode::<Json>(&[text, number], Some(r#"{"number":3}"#)), Err("name: missing".to_owned()));
        assert_eq!(decode::<Json>(&[text], None), Err("malformed: a delete without a key".to_owned()));
        assert!(decode::<Json>(&[number], Some("x")).unwrap_err().starts_with("malformed"));
        // As Debezium writes keys, with and without their schema.
        assert_eq!(
            decode::<Json>(&[number], Some(r#"{"payload":{"number":12},"schema":{}}"#)),
            row(&[Scalar::Int(12)])
        );
    }

    #[test]
    fn a_csv_key_is_a_record_of_the_key_columns() {
        let rest = [Scalar::Timestamp(7), Scalar::Bool(true)];
        let row = |key: &[Scalar]| Ok([key, &rest].concat());
        let (text, number) = (("name", Type::String), ("number", Type::Int));
        assert_eq!(decode::<Csv>(&[text], Some("\"a, b\"")), row(&[Scalar::String("a, b".into())]));
        assert_eq!(decode::<Csv>(&[text, number], Some("a,3")), row(&[Scalar::String("a".into()), Scalar::Int(3)]));
        assert_eq!(decode::<Csv>(&[text, number], Some("a,")), Err("number: missing".to_owned()));
        assert!(decode::<Csv>(&[number], Some("x")).unwrap_err().starts_with("number: expected int"));
    }
}
