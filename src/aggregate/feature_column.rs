//! Builders of Arrow columns of features.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, ListArray, MapArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field};

use super::feature::{Feature, FeatureType};
use crate::time::EventTime;
use crate::value::{ColumnBuilder, Type};

/// Builds one column of a feature type, value by value.
pub enum FeatureColumn {
    Scalar(ColumnBuilder),
    List(ListColumn),
    Map(MapColumn),
}

/// A list column being built.
pub struct ListColumn {
    ty: Type,
    items: ColumnBuilder,
    rows: Rows,
}

/// A map column being built.
pub struct MapColumn {
    ty: Type,
    keys: StringBuilder,
    values: ColumnBuilder,
    rows: Rows,
}

/// The length of each row, and whether it is valid.
#[derive(Default)]
struct Rows {
    lengths: Vec<usize>,
    valid: Vec<bool>,
}

impl Rows {
    fn push(&mut self, length: Option<usize>) {
        self.lengths.push(length.unwrap_or(0));
        self.valid.push(length.is_some());
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
        let offsets = OffsetBuffer::from_lengths(std::mem::take(&mut self.lengths));
        let valid = NullBuffer::from(std::mem::take(&mut self.valid));
        (offsets, Some(valid).filter(|valid| valid.null_count() > 0))
    }
}

impl FeatureColumn {
    pub fn new(ty: FeatureType) -> Self {
        match ty {
            FeatureType::Scalar(ty) => FeatureColumn::Scalar(ColumnBuilder::new(ty)),
            FeatureType::List(ty) => {
                FeatureColumn::List(ListColumn { ty, items: ColumnBuilder::new(ty), rows: Rows::default() })
            }
            FeatureType::Map(ty) => {
                let (keys, values) = (StringBuilder::new(), ColumnBuilder::new(ty));
                FeatureColumn::Map(MapColumn { ty, keys, values, rows: Rows::default() })
            }
        }
    }

    /// Appends a feature as of an asking time.
    ///
    /// # Panics
    /// If it is neither null nor of the column's type.
    pub fn append(&mut self, feature: &Feature, asking: EventTime) {
        if matches!(feature, Feature::MapAsOf(_) | Feature::Open(_)) {
            return self.append(&feature.finished(asking), asking);
        }
        match (self, feature) {
            (FeatureColumn::Scalar(column), Feature::Value(value)) => column.append(value),
            (FeatureColumn::Scalar(column), Feature::AsOf(deferred)) => column.append(&deferred.at(asking)),
            (FeatureColumn::List(column), Feature::List(items)) => {
                items.iter().for_each(|item| column.items.append(item));
                column.rows.push(Some(items.len()));
            }
            (FeatureColumn::Map(column), Feature::Map(entries)) => {
                for (key, value) in entries.iter() {
                    column.keys.append_value(key);
                    column.values.append(value);
                }
                column.rows.push(Some(entries.len()));
            }
            (FeatureColumn::List(ListColumn { rows, .. }) | FeatureColumn::Map(MapColumn { rows, .. }), null)
                if null.is_null() =>
            {
                rows.push(None);
            }
            (_, feature) => panic!("a column was given {feature:?}, which is not of its type"),
        }
    }

    /// Returns the bytes of the texts in the column.
    pub fn text_bytes(&self) -> usize {
        match self {
            FeatureColumn::Scalar(column) => column.text_bytes(),
            FeatureColumn::List(column) => column.items.text_bytes(),
            FeatureColumn::Map(column) => column.keys.values_slice().len() + column.values.text_bytes(),
        }
    }

    /// The column built so far; the builder is empty again.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            FeatureColumn::Scalar(column) => column.finish(),
            FeatureColumn::List(column) => {
                let (offsets, valid) = column.rows.finish();
                let field = Arc::new(Field::new_list_field(column.ty.arrow(), true));
                Arc::new(ListArray::new(field, offsets, column.items.finish(), valid))
            }
            FeatureColumn::Map(column) => {
                let (offsets, valid) = column.rows.finish();
                let keys: ArrayRef = Arc::new(column.keys.finish());
                let fields = FeatureType::entry(column.ty);
                let entries = StructArray::new(fields.clone(), vec![keys, column.values.finish()], None);
                let field = Arc::new(Field::new("entries", DataType::Struct(fields), false));
                Arc::new(MapArray::new(field, offsets, entries, valid, true))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;

    use super::*;
    use crate::aggregate::Deferred;
    use crate::value::Scalar;

    #[test]
    fn a_column_reads_back_as_the_features_that_it_was_built_from() {
        let list = |items: &[i64]| Feature::List(items.iter().map(|item| Scalar::Int(*item)).collect());
        let map = |entries: &[(&str, f64)]| {
            Feature::Map(entries.iter().map(|(key, value)| (Arc::from(*key), Scalar::Float(*value))).collect())
        };
        let columns = [
            (FeatureType::Scalar(Type::Bool), vec![Feature::Value(Scalar::Bool(true)), Feature::NULL]),
            (FeatureType::List(Type::Int), vec![list(&[3, 1]), Feature::NULL, list(&[]), list(&[2])]),
            (FeatureType::Map(Type::Float), vec![map(&[("a", 0.5), ("b", 2.0)]), map(&[]), Feature::NULL]),
        ];
        for (ty, features) in columns {
            let mut builder = FeatureColumn::new(ty);
            features.iter().for_each(|feature| builder.append(feature, 0));
            let column = builder.finish();
            assert_eq!(*column.data_type(), ty.arrow());
            let read: Vec<Feature> = (0..column.len()).map(|row| Feature::of(&column, row)).collect();
            assert_eq!(read, features, "{ty}");
        }
    }

    #[test]
    fn a_deferred_feature_is_finished_as_it_is_appended() {
        let mut builder = FeatureColumn::new(FeatureType::Scalar(Type::Float));
        builder.append(&Feature::AsOf(Deferred::SecondsSince(1_000)), 1_500);
        assert_eq!(Feature::of(&builder.finish(), 0), Feature::Value(Scalar::Float(0.5)));
    }
}
