//! The form of labels and scores in the graph and in offline files, by the task of the model.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_schema::{DataType, Field};

use crate::model::{Labels, Scored, Task};
use crate::value::{ColumnBuilder, Scalar, Type};

/// The form of a model's labels and scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelForm {
    /// A label and a score are numbers; true is 1.
    Number,
    /// A label is the text of a class, and a score a map from class to probability.
    Class,
}

impl LabelForm {
    pub fn of(task: Task) -> Self {
        match task {
            Task::Multiclass => LabelForm::Class,
            _ => LabelForm::Number,
        }
    }

    /// Returns the type of a column of labels.
    pub fn label_type(self) -> Type {
        match self {
            LabelForm::Number => Type::Float,
            LabelForm::Class => Type::String,
        }
    }

    /// Returns the Arrow type of a column of scores.
    pub fn score_type(self) -> DataType {
        match self {
            LabelForm::Number => DataType::Float64,
            LabelForm::Class => {
                let entry = [("key", DataType::Utf8, false), ("value", DataType::Float64, true)];
                let entry = entry.map(|(name, ty, nullable)| Field::new(name, ty, nullable));
                let entry = Field::new("key_value", DataType::Struct(entry.to_vec().into()), false);
                DataType::Map(Arc::new(entry), false)
            }
        }
    }

    /// Reads the values of a label expression. None where there is no label.
    pub fn labels(self, value: &ArrayRef) -> Vec<Option<Scalar>> {
        let label = |row| match (self, Scalar::of(value, row)) {
            (LabelForm::Number, Scalar::Bool(value)) => Some(Scalar::Float(f64::from(u8::from(value)))),
            (LabelForm::Number, Scalar::Int(value)) => Some(Scalar::Float(value as f64)),
            (LabelForm::Number, value @ Scalar::Float(_)) => Some(value),
            (LabelForm::Class, Scalar::Bool(value)) => Some(Scalar::String(value.to_string().into())),
            (LabelForm::Class, Scalar::Int(value)) => Some(Scalar::String(value.to_string().into())),
            (LabelForm::Class, value @ Scalar::String(_)) => Some(value),
            _ => None,
        };
        (0..value.len()).map(label).collect()
    }

    /// Returns whether a value is a label of this form.
    pub fn has(self, label: &Scalar) -> bool {
        matches!((self, label), (LabelForm::Number, Scalar::Float(_)) | (LabelForm::Class, Scalar::String(_)))
    }

    /// Returns labels as a column.
    pub fn column<'a>(self, labels: impl ExactSizeIterator<Item = &'a Scalar>) -> ArrayRef {
        let mut column = ColumnBuilder::with_capacity(self.label_type(), labels.len());
        labels.for_each(|label| column.append(label));
        column.finish()
    }

    /// Returns a column without a label.
    pub fn nulls(self, rows: usize) -> ArrayRef {
        arrow_array::new_null_array(&self.label_type().arrow(), rows)
    }

    /// Reads a column of labels; a null is NaN.
    pub fn read(self, column: &ArrayRef) -> Labels {
        match self {
            LabelForm::Number => {
                let labels = column.as_primitive::<Float64Type>();
                match labels.null_count() {
                    0 => Labels::Numbers(labels.values().to_vec()),
                    _ => Labels::Numbers(labels.iter().map(|label| label.unwrap_or(f64::NAN)).collect()),
                }
            }
            LabelForm::Class => Labels::Classes(column.as_string::<i32>().clone()),
        }
    }

    /// Returns predictions as a column; null before the first version.
    pub fn scores(self, scored: &Scored) -> ArrayRef {
        let rows = 0..scored.len();
        match self {
            LabelForm::Number => {
                Arc::new(rows.map(|row| scored.prediction(row).first().copied()).collect::<Float64Array>())
            }
            LabelForm::Class => {
                let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
                let mut map = MapBuilder::new(Some(names), StringBuilder::new(), Float64Builder::new());
                for row in rows {
                    for (class, probability) in scored.classes(row).iter().zip(scored.prediction(row)) {
                        map.keys().append_value(class);
                        map.values().append_value(*probability);
                    }
                    map.append(!scored.prediction(row).is_empty()).expect("a key and a value were appended each time");
                }
                Arc::new(map.finish())
            }
        }
    }
}
