//! Decoder of JSON objects into columns.
//!
//! One object is one row. Fields are written straight into the column builders, without building a tree. A row is always
//! completed, with nulls from the first fault on, so that columns stay aligned; the caller drops the row if a fault is
//! returned. Fields that are no column are ignored. An object that is null has no fields.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::cell::{CellRules, CellWriter, Found, ValueSeed};
use super::json_plain::{FieldOrder, read_plain};
use super::json_shape::{DELETED, ObjectShape, SharedShape, ValueShape};
use super::{ColumnBuilder, FieldError, FieldFault, Schema, Type};

/// Decoder of objects with the columns of one schema.
#[derive(Debug)]
pub struct JsonDecoder {
    pub(super) schema: Schema,
    shape: ObjectShape,
    /// The mark of a delete, if these are records of a table.
    deleted: Option<usize>,
    /// True if objects of this shape can be plain.
    pub(super) may_be_plain: bool,
    /// Objects to be read by the parser before one is expected to be plain again.
    pub(super) unplain: Cell<u32>,
    /// The order of fields in the last plain object.
    order: RefCell<FieldOrder>,
}

/// The beginning of the parser's error of a number beyond all floats.
const OUT_OF_RANGE: &str = "number out of range";

/// Objects that are read by the parser after one that was not plain: the next are likely to be like it.
const UNPLAIN_RUN: u32 = 64;

impl JsonDecoder {
    /// Returns a decoder that finds each column at its path.
    pub fn new(schema: &Schema) -> Self {
        let deleted = schema.index_of(DELETED);
        let shape = ObjectShape::of(schema);
        let may_be_plain = schema.len() <= PlainColumns::BITS as usize && shape.is_flat();
        let order = RefCell::default();
        JsonDecoder { schema: schema.clone(), shape, deleted, may_be_plain, unplain: Cell::new(0), order }
    }

    /// Appends one row and sets in `present` which columns have a value. A missing column, or one that is null, is no
    /// fault here.
    ///
    /// # Errors
    /// The first fault of the object.
    pub fn decode(
        &self,
        json: &[u8],
        columns: &mut [ColumnBuilder],
        present: &mut Vec<bool>,
    ) -> Result<(), FieldError> {
        present.clear();
        present.resize(self.schema.len(), false);
        let rows = columns.first().map_or(0, ColumnBuilder::len);
        let mut row = JsonRow {
            decoder: self,
            columns,
            rows,
            present,
            fault: None,
            fallbacks: Vec::new(),
            before: None,
            gone: false,
            plain: 0,
        };
        // If the text is valid UTF-8 as a whole, its strings need not be checked one by one.
        let parsed = match std::str::from_utf8(json) {
            Ok(text) if self.expects_plain() && row.read_plain(text) => Ok(()),
            Ok(text) => row.read(serde_json::Deserializer::from_str(text)),
            Err(_) => row.read(serde_json::Deserializer::from_slice(json)),
        };
        let parsed = parsed.and_then(|()| row.complete());
        let fault = row.fault;
        columns.iter_mut().filter(|column| column.len() == rows).for_each(ColumnBuilder::append_null);
        match (fault, parsed) {
            (Some(fault), _) => Err(fault),
            (None, Ok(())) => Ok(()),
            (None, Err(error)) if error.to_string().starts_with(OUT_OF_RANGE) => {
                Err(FieldError { column: None, fault: FieldFault::NonFinite })
            }
            (None, Err(error)) => Err(FieldError { column: None, fault: FieldFault::Malformed(error.to_string()) }),
        }
    }

    /// Returns whether the next object is likely to be plain.
    fn expects_plain(&self) -> bool {
        let left = self.unplain.get();
        self.unplain.set(left.saturating_sub(1));
        self.may_be_plain && left == 0
    }
}

/// A set of columns, by position.
type PlainColumns = u64;

/// A row while its object is read.
struct JsonRow<'a, 'de> {
    decoder: &'a JsonDecoder,
    columns: &'a mut [ColumnBuilder],
    /// The length of a column that has no value of this row yet.
    rows: usize,
    present: &'a mut [bool],
    fault: Option<FieldError>,
    /// Values for columns that may turn out to have none.
    fallbacks: Vec<(usize, &'de RawValue)>,
    /// The row before a change.
    before: Option<(&'a ObjectShape, &'de RawValue)>,
    /// True if the row after the change is null.
    gone: bool,
    /// The columns that [`JsonRow::read_plain`] has read and [`JsonRow::read`] has not come to.
    plain: PlainColumns,
}

impl<'a, 'de> JsonRow<'a, 'de> {
    /// Reads the object, which must be all there is.
    fn read<R: serde_json::de::Read<'de>>(&mut self, mut json: serde_json::Deserializer<R>) -> serde_json::Result<()> {
        let shape = &self.decoder.shape;
        json.deserialize_map(ObjectSeed { row: self, shape, gone: false })?;
        json.end()
    }

    /// Reads the object if it is plain. If it is not, what has been read is kept for [`JsonRow::read`].
    fn read_plain(&mut self, text: &'de str) -> bool {
        let decoder = self.decoder;
        let order = &mut decoder.order.borrow_mut();
        let is_plain = read_plain(&decoder.shape, order, text, |column, found| {
            let cell = &mut self.columns[column];
            if cell.len() > self.rows {
                return false;
            }
            self.plain |= 1 << column;
            let rules = CellRules { nullable: true, ..decoder.schema.columns[column].rules() };
            self.present[column] = !matches!(found, Found::Null);
            if let Err(fault) = rules.write(*found, cell) {
                self.fail(column, fault);
            }
            true
        });
        if !is_plain {
            decoder.unplain.set(UNPLAIN_RUN);
        }
        is_plain
    }

    /// Returns whether the next value of a column has been read as that of a plain object. It is the next only once.
    fn take_plain(&mut self, column: usize) -> bool {
        let others = self.plain & !(1_u64.checked_shl(column as u32).unwrap_or(0));
        std::mem::replace(&mut self.plain, others) != others
    }

    /// Reads what was put off until all of the object was known.
    fn complete(&mut self) -> serde_json::Result<()> {
        for (column, raw) in std::mem::take(&mut self.fallbacks) {
            if self.columns[column].len() == self.rows {
                self.read_value(column, raw)?;
            }
        }
        if let (true, Some((shape, raw)), Some(deleted)) = (self.gone, self.before, self.decoder.deleted)
            && raw.get().starts_with('{')
        {
            self.read_object(shape, raw)?;
            if self.columns[deleted].len() == self.rows {
                self.columns[deleted].bool(true);
                self.present[deleted] = true;
            }
        }
        Ok(())
    }

    fn fail(&mut self, column: usize, fault: FieldFault) {
        let name = &self.decoder.schema.columns[column].name;
        self.fault.get_or_insert_with(|| FieldError { column: Some(name.clone()), fault });
    }

    /// Returns the seed of a column's value; `None`, and a fault, if it has one already.
    fn seed(&mut self, column: usize) -> Option<ValueSeed<'a, &mut ColumnBuilder>> {
        if self.columns[column].len() > self.rows {
            self.fail(column, FieldFault::Malformed("duplicate field".to_owned()));
            return None;
        }
        // A null is told from a fault by `present`: whether it may be one depends on the record.
        let rules = CellRules { nullable: true, ..self.decoder.schema.columns[column].rules() };
        Some(ValueSeed { rules, cell: &mut self.columns[column] })
    }

    fn note(&mut self, column: usize, read: Result<(), FieldFault>) {
        self.present[column] = !self.columns[column].is_last_null();
        if let Err(fault) = read {
            self.present[column] = true;
            self.fail(column, fault);
        }
    }

    /// Records a number beyond all floats, at which the parser stops, as a fault of its column.
    fn note_range(&mut self, column: usize, error: &impl fmt::Display) {
        if error.to_string().starts_with(OUT_OF_RANGE) {
            self.fail(column, FieldFault::NonFinite);
        }
    }

    fn read_value(&mut self, column: usize, raw: &'de RawValue) -> serde_json::Result<()> {
        if let Some(seed) = self.seed(column) {
            let read = seed.deserialize(&mut serde_json::Deserializer::from_str(raw.get()));
            let read = read.inspect_err(|error| self.note_range(column, error))?;
            self.note(column, read);
        }
        Ok(())
    }

    fn read_object(&mut self, shape: &'a ObjectShape, raw: &'de RawValue) -> serde_json::Result<()> {
        ObjectSeed { row: self, shape, gone: false }.deserialize(&mut serde_json::Deserializer::from_str(raw.get()))
    }

    /// Reads a value of several columns. A string takes an object as its JSON if there are columns below it.
    fn read_shared(&mut self, shared: &'a SharedShape, raw: &'de RawValue) -> serde_json::Result<()> {
        let has_below = !shared.below.fields.is_empty() && raw.get().starts_with('{');
        for column in &shared.columns {
            if !(has_below && self.decoder.schema.columns[*column].ty == Type::String) {
                self.read_value(*column, raw)?;
            } else if let Some(seed) = self.seed(*column) {
                let written = seed.rules.write(Found::Text(raw.get()), seed.cell);
                self.note(*column, written);
            }
        }
        if has_below { self.read_object(&shared.below, raw) } else { Ok(()) }
    }
}

/// Reads an object, or null in its place, into the columns that it has.
struct ObjectSeed<'r, 'a, 'de> {
    row: &'r mut JsonRow<'a, 'de>,
    shape: &'a ObjectShape,
    /// True if null in its place means a delete.
    gone: bool,
}

impl<'a, 'de> ObjectSeed<'_, 'a, 'de> {
    /// Refuses a value that is no object.
    fn wrong<E>(self, found: Found<'_>) -> Result<(), E> {
        if let Some(column) = self.shape.first_column() {
            let expected = self.row.decoder.schema.columns[column].ty;
            let found = format!("{found} in place of the object that has it");
            self.row.fail(column, FieldFault::WrongType { expected, found });
        }
        Ok(())
    }

    fn read_field<A: MapAccess<'de>>(&mut self, value: &'a ValueShape, map: &mut A) -> Result<(), A::Error> {
        let row = &mut *self.row;
        match value {
            ValueShape::Column(column) if row.take_plain(*column) => _ = map.next_value::<IgnoredAny>()?,
            ValueShape::Column(column) => match row.seed(*column) {
                Some(seed) => {
                    let read = map.next_value_seed(seed).inspect_err(|error| row.note_range(*column, error))?;
                    row.note(*column, read);
                }
                None => _ = map.next_value::<IgnoredAny>()?,
            },
            ValueShape::Object(shape) => map.next_value_seed(ObjectSeed { row, shape, gone: false })?,
            ValueShape::After(shape) => map.next_value_seed(ObjectSeed { row, shape, gone: true })?,
            ValueShape::Before(shape) => row.before = Some((shape, map.next_value()?)),
            ValueShape::Fallback(column) => row.fallbacks.push((*column, map.next_value()?)),
            ValueShape::Shared(shared) => {
                let raw = map.next_value()?;
                row.read_shared(shared, raw).map_err(serde::de::Error::custom)?;
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_, '_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let (shape, mut next) = (self.shape, 0);
        while let Some(found) = map.next_key_seed(FieldIndex { shape, next })? {
            next = found.map_or(next, |field| field + 1);
            match found {
                None => _ = map.next_value::<IgnoredAny>()?,
                Some(field) => self.read_field(&shape.fields[field].value, &mut map)?,
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.row.gone |= self.gone;
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.wrong(Found::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.wrong(Found::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.wrong(Found::Wide { int: i64::try_from(value).ok(), float: value as f64 })
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.wrong(Found::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.wrong(Found::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.wrong(Found::List)
    }
}

/// Finds a field by its name, without allocating the name.
struct FieldIndex<'a> {
    shape: &'a ObjectShape,
    /// The field to try first: the next in the order of the schema.
    next: usize,
}

impl<'de> DeserializeSeed<'de> for FieldIndex<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldIndex<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.shape.find(name, self.next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Column, Type};

    fn decode(json: &str) -> Result<(), FieldError> {
        let mut nested = Column::new("amount", Type::Float, false);
        nested.path = vec!["payload".into(), "amount".into()];
        let schema = Schema::new(vec![
            Column::new("id", Type::String, false),
            nested,
            Column::new("n", Type::Int, true),
            Column::new("at", Type::Timestamp, true),
        ]);
        let decoder = JsonDecoder::new(&schema);
        let mut columns: Vec<_> = schema.columns.iter().map(|c| ColumnBuilder::new(c.ty)).collect();
        let mut present = Vec::new();
        let result = decoder.decode(json.as_bytes(), &mut columns, &mut present);
        assert!(columns.iter().all(|column| column.len() == 1), "a row is always completed");
        assert_eq!(present.len(), schema.len());
        result
    }

    #[test]
    fn each_fault_is_named() {
        let fault = |json| decode(json).unwrap_err().to_string();
        assert_eq!(decode(r#"{"id":"a","payload":{"amount":1},"n":2.0,"at":"2013-01-01"}"#), Ok(()));
        assert_eq!(decode(r#"{"id":"a","payload":{"amount":1},"n":null,"more":[1,{}]}"#), Ok(()));
        assert_eq!(decode(r#"{"id":"a","payload":{}}"#), Ok(()));
        assert_eq!(decode(r#"{"id":null,"payload":null,"n":"7","at":"1706688000000"}"#), Ok(()));
        assert_eq!(fault(r#"{"id":7,"payload":{"amount":1}}"#), "id: expected string, found the number 7");
        assert_eq!(fault(r#"{"id":"a","payload":{"amount":1},"n":1.5}"#), "n: expected int, found the number 1.5");
        let beyond = "n: expected int, found a number near 9.223372036854776e18, beyond 64 bits";
        assert_eq!(fault(r#"{"id":"a","payload":{"amount":1},"n":9223372036854775808}"#), beyond);
        assert_eq!(fault(r#"{"id":"a","payload":{"amount":1e999}}"#), "amount: not a finite number");
        assert_eq!(fault(r#"{"id":"a","payload":{"amount":1},"at":"soon"}"#), "at: \"soon\" is not a time");
        assert_eq!(fault(r#"{"id":"a","id":"b","payload":{"amount":1}}"#), "id: malformed: duplicate field");
        assert!(fault(r#"{"id":"a","pay"#).starts_with("malformed: EOF"));
        assert!(fault("[1]").starts_with("malformed: invalid type: sequence"));
        assert!(fault("null").starts_with("malformed: invalid type: null"));
        let expected = "amount: expected float, found a list in place of the object that has it";
        assert_eq!(fault(r#"{"id":"a","payload":[1]}"#), expected);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_decode_to_a_row_or_a_fault(json: Vec<u8>) {
            let _ = decode(&String::from_utf8_lossy(&json));
        }
    }
}
