//! One column of a Parquet file as a declared column: whether its type converts without loss, and its values.
//!
//! A type that never converts is refused when the file is opened, before the first row. So is text where numbers or
//! bools are declared, unless all of it is such. Values of a type that may convert are judged row by row, as in every
//! other format.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, TimeUnit as ArrowUnit};

use crate::time::DAY_MS;
use crate::value::{Column, ColumnBuilder, FieldFault, Found, Type};

/// Kinds of types of a file, by the values that they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileType {
    Null,
    Bool,
    Int,
    Float,
    Decimal,
    Text,
    Time,
}

/// Returns the kind of an Arrow type; `None` if none of its values converts to any type.
fn file_type(data_type: &DataType) -> Option<FileType> {
    Some(match data_type {
        DataType::Null => FileType::Null,
        DataType::Boolean => FileType::Bool,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => FileType::Float,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => FileType::Text,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => FileType::Time,
        DataType::Dictionary(_, values) => return file_type(values),
        other if other.is_integer() => FileType::Int,
        other if other.is_decimal() => FileType::Decimal,
        _ => return None,
    })
}

/// The kinds of types whose values may be values of a declared type.
fn accepted(ty: Type) -> &'static [FileType] {
    match ty {
        Type::String => &[FileType::Null, FileType::Text],
        Type::Int | Type::Float => &[FileType::Null, FileType::Int, FileType::Float, FileType::Decimal, FileType::Text],
        Type::Bool => &[FileType::Null, FileType::Bool, FileType::Int, FileType::Float, FileType::Text],
        Type::Timestamp => {
            &[FileType::Null, FileType::Time, FileType::Int, FileType::Float, FileType::Decimal, FileType::Text]
        }
    }
}

/// A declared column in a file.
pub struct FileColumn {
    column: Column,
    /// The names of its fields, from the root inwards; none if the file lacks it.
    fields: Vec<String>,
    data_type: DataType,
}

impl FileColumn {
    /// Finds a column in the fields of a file: at its path, under its flat name, or under its own. `None` if the file has no
    /// such field.
    ///
    /// # Errors
    /// If values of the field's type are never values of the declared type.
    pub fn find(column: &Column, roots: &[&Field]) -> Result<Option<Self>, String> {
        let (flat, own) = ([column.flat_name()], [column.name.clone()]);
        let mut places = [column.path.as_slice(), &flat, &own].into_iter();
        let found = places.find_map(|path| field_at(roots, path).map(|field| (field, path)));
        let Some((field, path)) = found else { return Ok(None) };
        let data_type = field.data_type().clone();
        if !file_type(&data_type).is_some_and(|found| accepted(column.ty).contains(&found)) {
            let (name, ty) = (&column.name, column.ty);
            return Err(format!(
                "column {:?} has the type {data_type}, which does not convert to the declared type {ty} of {name:?}; \
                 declare another type, or write the file with another",
                path.join(".")
            ));
        }
        Ok(Some(FileColumn { column: column.clone(), fields: path.to_vec(), data_type }))
    }

    /// Returns all columns of a file whose types may convert to a declared type, those within structs too. Says of the
    /// others why they are left out.
    pub fn all_readable(roots: &[&Field], left_out: &mut Vec<String>) -> Vec<Self> {
        let mut found = Vec::new();
        let mut waiting: Vec<(Vec<String>, &Field)> = Vec::new();
        waiting.extend(roots.iter().rev().map(|root| (vec![root.name().clone()], *root)));
        while let Some((fields, field)) = waiting.pop() {
            let data_type = field.data_type().clone();
            match (field.data_type(), file_type(&data_type)) {
                (DataType::Struct(inner), _) => {
                    let below = |field: &Field| [fields.clone(), vec![field.name().clone()]].concat();
                    waiting.extend(inner.iter().rev().map(|field| (below(field), field.as_ref())));
                }
                (_, Some(_)) => {
                    let column = Column::new(fields.join("."), Type::String, true);
                    found.push(FileColumn { column, fields, data_type });
                }
                (_, None) => {
                    let path = fields.join(".");
                    left_out.push(format!("{path:?} is left out: no type takes values of {data_type}"));
                }
            }
        }
        found
    }

    /// Returns the names of its fields, from the root inwards; none if the file lacks it.
    pub fn path(&self) -> &[String] {
        &self.fields
    }

    /// Returns a column that a file lacks.
    pub fn absent(column: &Column) -> Self {
        FileColumn { column: column.clone(), fields: Vec::new(), data_type: DataType::Null }
    }

    /// Returns the name of the root field that has it; `None` if the file lacks it.
    pub fn root(&self) -> Option<&str> {
        self.fields.first().map(String::as_str)
    }

    /// Returns the declared column.
    pub fn column(&self) -> &Column {
        &self.column
    }

    /// Returns whether the values must all be read before the first row is, to know whether they convert.
    pub fn must_be_scanned(&self) -> bool {
        let is_text = file_type(&self.data_type) == Some(FileType::Text);
        is_text && matches!(self.column.ty, Type::Int | Type::Float | Type::Bool)
    }

    /// Checks that all values of a batch convert.
    ///
    /// # Errors
    /// If one does not.
    pub fn scan(&self, batch: &RecordBatch) -> Result<(), String> {
        let values = self.values(batch);
        let mut cell = ColumnBuilder::new(self.column.ty);
        let is_wrong = |row: &usize| match self.column.rules().write(values.found(*row), &mut cell) {
            Ok(()) | Err(FieldFault::Missing | FieldFault::Null(_) | FieldFault::NonFinite) => false,
            Err(_) => true,
        };
        let Some(row) = (0..batch.num_rows()).find(is_wrong) else { return Ok(()) };
        let (name, ty, data_type) = (self.fields.join("."), self.column.ty, &self.data_type);
        let found = values.found(row);
        Err(format!(
            "column {name:?} has the type {data_type}, and {found} is not of type {ty}, which is the declared type of {:?}; \
             declare it as a string, or write the file with another type",
            self.column.name
        ))
    }

    /// Returns its values in a batch.
    ///
    /// # Panics
    /// If the batch is of another file.
    pub fn values(&self, batch: &RecordBatch) -> FileValues {
        let Some((root, below)) = self.fields.split_first() else { return FileValues::default() };
        let mut array = batch.column_by_name(root).expect("the column was found in the file").clone();
        let mut parents = Vec::new();
        for name in below {
            let child = array.as_struct().column_by_name(name).expect("the column was found in the file").clone();
            parents.push(std::mem::replace(&mut array, child));
        }
        if let Some(dictionary) = array.as_any_dictionary_opt() {
            let taken = arrow_select::take::take(dictionary.values(), dictionary.keys(), None);
            array = taken.expect("the keys of a dictionary are positions of its values");
        }
        FileValues { array: Some(array), parents }
    }
}

/// Returns the field at a path.
fn field_at<'a>(roots: &[&'a Field], path: &[String]) -> Option<&'a Field> {
    let (name, rest) = path.split_first()?;
    let field = roots.iter().find(|field| field.name() == name)?;
    match (rest, field.data_type()) {
        ([], _) => Some(field),
        (rest, DataType::Struct(inner)) => field_at(&inner.iter().map(AsRef::as_ref).collect::<Vec<_>>(), rest),
        _ => None,
    }
}

/// The values of a column in a batch.
#[derive(Default)]
pub struct FileValues {
    /// `None` if the file lacks the column.
    array: Option<ArrayRef>,
    /// The structs that have it, outermost first.
    parents: Vec<ArrayRef>,
}

impl FileValues {
    /// Returns the value of a row.
    pub fn found(&self, row: usize) -> Found<'_> {
        match &self.array {
            Some(array) if !array.is_null(row) && self.parents.iter().all(|parent| parent.is_valid(row)) => {
                found(array, row)
            }
            _ => Found::Null,
        }
    }

    /// Returns the bytes of a text, or 0 for a value of another type.
    pub fn text_bytes(&self, row: usize) -> usize {
        match self.found(row) {
            Found::Text(text) => text.len(),
            _ => 0,
        }
    }
}

/// Returns a value that is not null.
fn found(array: &dyn Array, row: usize) -> Found<'_> {
    macro_rules! number {
        ($ty:ty) => {
            array.as_primitive::<$ty>().value(row)
        };
    }
    macro_rules! decimal {
        ($ty:ty) => {
            decimal(&array.as_primitive::<$ty>().value_as_string(row))
        };
    }
    match array.data_type() {
        // Numbers.
        DataType::Boolean => Found::Bool(array.as_boolean().value(row)),
        DataType::Int8 => Found::Int(number!(Int8Type).into()),
        DataType::Int16 => Found::Int(number!(Int16Type).into()),
        DataType::Int32 => Found::Int(number!(Int32Type).into()),
        DataType::Int64 => Found::Int(number!(Int64Type)),
        DataType::UInt8 => Found::Int(number!(UInt8Type).into()),
        DataType::UInt16 => Found::Int(number!(UInt16Type).into()),
        DataType::UInt32 => Found::Int(number!(UInt32Type).into()),
        DataType::UInt64 => {
            let value = number!(UInt64Type);
            i64::try_from(value).map_or(Found::Wide { int: None, float: value as f64 }, Found::Int)
        }
        DataType::Float16 => Found::Float(number!(Float16Type).to_f64()),
        DataType::Float32 => Found::Float(number!(Float32Type).into()),
        DataType::Float64 => Found::Float(number!(Float64Type)),
        DataType::Decimal32(..) => decimal!(Decimal32Type),
        DataType::Decimal64(..) => decimal!(Decimal64Type),
        DataType::Decimal128(..) => decimal!(Decimal128Type),
        DataType::Decimal256(..) => decimal!(Decimal256Type),
        // Texts and times.
        DataType::Utf8 => Found::Text(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Found::Text(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Found::Text(array.as_string_view().value(row)),
        DataType::Date32 => Found::Time(i64::from(number!(Date32Type)) * DAY_MS),
        DataType::Date64 => Found::Time(number!(Date64Type)),
        DataType::Timestamp(unit, _) => Found::Time(match unit {
            // A value that overflows is out of the range of event times in any case.
            ArrowUnit::Second => number!(TimestampSecondType).saturating_mul(1000),
            ArrowUnit::Millisecond => number!(TimestampMillisecondType),
            ArrowUnit::Microsecond => number!(TimestampMicrosecondType).div_euclid(1000),
            ArrowUnit::Nanosecond => number!(TimestampNanosecondType).div_euclid(1_000_000),
        }),
        _ => Found::Null,
    }
}

/// Returns a decimal by its text.
fn decimal(text: &str) -> Found<'static> {
    let whole = match text.split_once('.') {
        Some((whole, decimals)) => decimals.bytes().all(|digit| digit == b'0').then_some(whole),
        None => Some(text),
    };
    let float = text.parse().expect("a decimal is written as a number");
    Found::Wide { int: whole.and_then(|whole| whole.parse().ok()), float }
}
