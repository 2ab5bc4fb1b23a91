//! Columns and their types.

use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit as ArrowUnit};
use serde::{Deserialize, Serialize};

use super::{Separator, TimeRules};

/// The type of a column. `timestamp` is event time in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    String,
    Int,
    Float,
    Bool,
    Timestamp,
}

impl Type {
    /// All types, in the order in which the documentation lists them.
    pub const ALL: [Type; 5] = [Type::String, Type::Int, Type::Float, Type::Bool, Type::Timestamp];

    /// Returns the spelling in a dataflow file.
    pub fn name(self) -> &'static str {
        match self {
            Type::String => "string",
            Type::Int => "int",
            Type::Float => "float",
            Type::Bool => "bool",
            Type::Timestamp => "timestamp",
        }
    }

    /// Returns the Arrow type of a column of this type.
    pub fn arrow(self) -> DataType {
        match self {
            Type::String => DataType::Utf8,
            Type::Int => DataType::Int64,
            Type::Float => DataType::Float64,
            Type::Bool => DataType::Boolean,
            Type::Timestamp => DataType::Timestamp(ArrowUnit::Millisecond, None),
        }
    }

    /// Returns the type of an Arrow column; `None` if no type maps to it.
    pub fn of_arrow(data_type: &DataType) -> Option<Type> {
        Type::ALL.into_iter().find(|ty| ty.arrow() == *data_type)
    }

    /// Returns whether arithmetic applies to values of this type.
    pub fn is_numeric(self) -> bool {
        matches!(self, Type::Int | Type::Float)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One column of a source, a table, a view or a feature group.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    pub ty: Type,
    pub nullable: bool,
    /// Its path in a record, outermost name first; `[name]` unless the file sets `path`.
    pub path: Vec<String>,
    /// The step to which sums of this float are exact; 1e-9 unless the file sets `resolution`.
    pub resolution: Option<f64>,
    /// Rules by which numbers and texts are read as a timestamp.
    pub time: TimeRules,
}

impl Column {
    /// Returns a column with defaults for everything but its name and type.
    pub fn new(name: impl Into<String>, ty: Type, nullable: bool) -> Self {
        let name = name.into();
        Column { path: vec![name.clone()], name, ty, nullable, resolution: None, time: TimeRules::default() }
    }

    /// Returns its name where records are flat, as in CSV: the names of its path, joined by dots.
    pub fn flat_name(&self) -> String {
        self.path.join(".")
    }
}

/// Columns in their declared order, and how records hold them where that is not said by the columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    pub columns: Vec<Column>,
    /// The separator of the fields of records in CSV.
    pub separator: Separator,
}

impl Schema {
    pub fn new(columns: Vec<Column>) -> Self {
        Schema { columns, separator: Separator::default() }
    }

    /// The same columns of records with another separator in CSV.
    pub fn separated_by(self, separator: Separator) -> Self {
        Schema { separator, ..self }
    }

    /// Returns the position of a column.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    pub fn len(&self) -> usize {
        self.columns.len()
    }

    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Returns the schema of Arrow batches with these columns.
    pub fn arrow(&self) -> arrow_schema::SchemaRef {
        let fields: Fields = self.columns.iter().map(|c| Field::new(&c.name, c.ty.arrow(), c.nullable)).collect();
        Arc::new(arrow_schema::Schema::new(fields))
    }
}
