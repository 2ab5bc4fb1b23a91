//! Features: the values that vectors hold, and their types.
//!
//! A feature is a scalar, a list or a map, or it depends on when it is asked for: the state keeps what does not change
//! between records, and the reader of the vector finishes it with an asking time.
//!
//! ```
//! use tidemill::aggregate::{Deferred, Feature};
//! use tidemill::value::Scalar;
//!
//! let newest = Feature::AsOf(Deferred::SecondsSince(1_000));
//! assert_eq!(newest.scalar(3_500), Scalar::Float(2.5));
//! ```

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_schema::{DataType, Field, Fields};
use serde::{Deserialize, Serialize, Serializer};

use super::input::LineInput;
use crate::time::EventTime;
use crate::value::{ColumnBuilder, Scalar, Type};

/// The type of a feature. Columns of records have a [`Type`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeatureType {
    Scalar(Type),
    List(Type),
    /// A map from text to values of a type.
    Map(Type),
}

impl FeatureType {
    /// The type of a scalar feature; `None` of a list or a map.
    pub fn scalar(self) -> Option<Type> {
        match self {
            FeatureType::Scalar(ty) => Some(ty),
            FeatureType::List(_) | FeatureType::Map(_) => None,
        }
    }

    /// The type of the value, or of the values in a list or map.
    pub fn of_values(self) -> Type {
        match self {
            FeatureType::Scalar(ty) | FeatureType::List(ty) | FeatureType::Map(ty) => ty,
        }
    }

    /// Returns whether a feature is null or of this type.
    pub fn admits(self, feature: &Feature) -> bool {
        let is_of = |ty: Type, value: &Scalar| match value {
            Scalar::Null => true,
            Scalar::Bool(_) => ty == Type::Bool,
            Scalar::Int(_) => matches!(ty, Type::Int | Type::Float),
            Scalar::Float(_) => ty == Type::Float,
            Scalar::String(_) => ty == Type::String,
            Scalar::Timestamp(_) => ty == Type::Timestamp,
        };
        match (self, feature) {
            (_, Feature::Open(open)) => self.admits(&open.without()),
            (FeatureType::Scalar(ty), Feature::Value(value)) => is_of(ty, value),
            (FeatureType::Scalar(ty), Feature::AsOf(_)) => ty == Type::Float,
            (FeatureType::List(ty), Feature::List(items)) => items.iter().all(|item| is_of(ty, item)),
            (FeatureType::Map(ty), Feature::Map(entries)) => entries.iter().all(|(_, value)| is_of(ty, value)),
            (FeatureType::Map(ty), Feature::MapAsOf(entries)) => {
                entries.iter().all(|(_, value)| FeatureType::Scalar(ty).admits(value))
            }
            (FeatureType::List(_) | FeatureType::Map(_), null) => null.is_null(),
            (FeatureType::Scalar(_), _) => false,
        }
    }

    /// The Arrow type of a column of this type.
    pub fn arrow(self) -> DataType {
        match self {
            FeatureType::Scalar(ty) => ty.arrow(),
            FeatureType::List(ty) => DataType::List(Arc::new(Field::new_list_field(ty.arrow(), true))),
            FeatureType::Map(ty) => DataType::Map(Arc::new(Self::entries(ty)), true),
        }
    }

    /// The entries of a map column.
    fn entries(ty: Type) -> Field {
        Field::new("entries", DataType::Struct(Self::entry(ty)), false)
    }

    /// The fields of a map's entry: its key and its value.
    pub fn entry(ty: Type) -> Fields {
        Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", ty.arrow(), true)])
    }
}

impl fmt::Display for FeatureType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FeatureType::Scalar(ty) => f.pad(ty.name()),
            FeatureType::List(ty) => f.pad(&format!("list<{ty}>")),
            FeatureType::Map(ty) => f.pad(&format!("map<{ty}>")),
        }
    }
}

impl Serialize for FeatureType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One feature of a vector.
#[derive(Clone, Debug, PartialEq)]
pub enum Feature {
    Value(Scalar),
    List(Arc<[Scalar]>),
    /// Entries by key, ascending.
    Map(Arc<[(Arc<str>, Scalar)]>),
    /// A scalar that depends on the asking time.
    AsOf(Deferred),
    /// A map whose values are scalars of which some depend on the asking time. Entries by key, ascending.
    MapAsOf(Arc<[(Arc<str>, Feature)]>),
    /// A feature that still lacks the record that looks it up.
    Open(Arc<dyn OpenFeature>),
    /// No feature, but what features of other windows are made of. It stands behind those of a vector.
    Panes(Arc<dyn PaneSet>),
}

/// The panes that a window has of an entity.
pub trait PaneSet: Any + fmt::Debug + Send + Sync {
    /// Returns whether another has the same records in the same panes.
    fn is_same(&self, other: &dyn PaneSet) -> bool;

    /// Returns them as bytes.
    fn encode(&self) -> Vec<u8>;

    /// Returns the panes of the same window that bytes are.
    ///
    /// # Errors
    /// If the bytes are none of panes of this window.
    fn decode(&self, bytes: &[u8]) -> Result<Arc<dyn PaneSet>, postcard::Error>;
}

impl PartialEq for dyn PaneSet {
    fn eq(&self, other: &dyn PaneSet) -> bool {
        self.is_same(other)
    }
}

/// A feature to which a record can be added.
pub trait OpenFeature: Any + fmt::Debug + Send + Sync {
    /// Returns whether the line counts the record in a row of its input.
    fn counts(&self, input: &LineInput, row: usize) -> bool;

    /// The feature without a record of one's own.
    fn without(&self) -> Feature;

    /// The feature with the record in a row of its line's input, at the asking time and behind all others. The record
    /// counts if the line counts it.
    fn with(&self, input: &LineInput, row: usize, asking: EventTime) -> Feature;

    /// Returns whether another is of the same records.
    fn is_same(&self, other: &dyn OpenFeature) -> bool;

    /// Returns the records that it is of, as bytes.
    fn encode(&self) -> Vec<u8>;

    /// Returns the same feature of the records that bytes are.
    ///
    /// # Errors
    /// If the bytes are none of records of such a feature.
    fn decode(&self, bytes: &[u8]) -> Result<Arc<dyn OpenFeature>, postcard::Error>;
}

impl PartialEq for dyn OpenFeature {
    fn eq(&self, other: &dyn OpenFeature) -> bool {
        self.is_same(other)
    }
}

/// A scalar that is finished with an asking time.
#[derive(Clone, Debug, PartialEq)]
pub enum Deferred {
    /// Seconds from an event time to the asking time; 0 where that is earlier.
    SecondsSince(EventTime),
    /// Records per second from an event time to the asking time; null where that is not later.
    PerSecond(Arc<CountSince>),
    /// A value that halves again and again.
    Decaying(Arc<Decaying>),
}

/// Records since an event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountSince {
    pub n: i64,
    /// Event time in epoch ms.
    pub since: EventTime,
}

/// A value as of one moment that halves each half-life.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decaying {
    pub value: f64,
    /// The moment of the value, in epoch ms.
    pub as_of: EventTime,
    pub half_life_ms: i64,
}

impl Deferred {
    /// Records per second since an event time.
    pub fn per_second(n: i64, since: EventTime) -> Deferred {
        Deferred::PerSecond(Arc::new(CountSince { n, since }))
    }

    /// A decaying value.
    pub fn decaying(value: f64, as_of: EventTime, half_life_ms: i64) -> Deferred {
        Deferred::Decaying(Arc::new(Decaying { value, as_of, half_life_ms }))
    }

    /// The same of records that enter `lag_ms` after they take effect: the value as of that much before the asking time.
    pub fn lagged(&self, lag_ms: i64) -> Deferred {
        match self {
            Deferred::SecondsSince(time) => Deferred::SecondsSince(time.saturating_add(lag_ms)),
            Deferred::PerSecond(count) => Deferred::per_second(count.n, count.since.saturating_add(lag_ms)),
            Deferred::Decaying(decaying) => {
                let Decaying { value, as_of, half_life_ms } = **decaying;
                Deferred::decaying(value, as_of.saturating_add(lag_ms), half_life_ms)
            }
        }
    }

    /// The value as of an asking time.
    pub fn at(&self, asking: EventTime) -> Scalar {
        match self {
            Deferred::SecondsSince(time) => Scalar::Float(asking.saturating_sub(*time).max(0) as f64 / 1e3),
            Deferred::PerSecond(count) => {
                let passed_ms = asking.saturating_sub(count.since);
                Scalar::from((passed_ms > 0).then(|| count.n as f64 / (passed_ms as f64 / 1e3)))
            }
            Deferred::Decaying(decaying) => {
                let half_lives = asking.saturating_sub(decaying.as_of) as f64 / decaying.half_life_ms as f64;
                Scalar::Float(decaying.value * libm::exp2(-half_lives))
            }
        }
    }
}

impl Feature {
    pub const NULL: Feature = Feature::Value(Scalar::Null);

    /// The value of a row of an Arrow column.
    ///
    /// # Panics
    /// If the column has a type of which no [`FeatureType`] is.
    pub fn of(column: &dyn Array, row: usize) -> Feature {
        if column.is_null(row) {
            return Feature::NULL;
        }
        match column.data_type() {
            DataType::List(_) => {
                let items = column.as_list::<i32>().value(row);
                Feature::List((0..items.len()).map(|at| Scalar::of(&items, at)).collect())
            }
            DataType::Map(..) => {
                let entries = column.as_map().value(row);
                let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1));
                Feature::Map((0..entries.len()).map(|at| (keys.value(at).into(), Scalar::of(values, at))).collect())
            }
            _ => Feature::Value(Scalar::of(column, row)),
        }
    }

    /// The map of entries in the order of their keys, whose values are scalars; null of no entries.
    pub fn map(entries: Vec<(Arc<str>, Feature)>) -> Feature {
        if entries.is_empty() {
            return Feature::NULL;
        }
        if entries.iter().any(|(_, value)| matches!(value, Feature::AsOf(_))) {
            return Feature::MapAsOf(entries.into());
        }
        Feature::Map(entries.into_iter().map(|(key, value)| (key, value.scalar(EventTime::MIN))).collect())
    }

    /// The feature as of an asking time, on which it depends no more.
    pub fn finished(&self, asking: EventTime) -> Feature {
        match self {
            Feature::Value(_) | Feature::List(_) | Feature::Map(_) => self.clone(),
            Feature::AsOf(deferred) => deferred.at(asking).into(),
            Feature::Open(open) => open.without().finished(asking),
            Feature::Panes(_) => Feature::NULL,
            Feature::MapAsOf(entries) => {
                Feature::Map(entries.iter().map(|(key, value)| (key.clone(), value.scalar(asking))).collect())
            }
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Feature::Value(Scalar::Null))
    }

    /// The same of a window that lags by `lag_ms`.
    pub fn lagged(self, lag_ms: i64) -> Feature {
        match self {
            _ if lag_ms == 0 => self,
            Feature::AsOf(deferred) => Feature::AsOf(deferred.lagged(lag_ms)),
            Feature::MapAsOf(entries) => {
                let lagged = |(key, value): &(Arc<str>, Feature)| (key.clone(), value.clone().lagged(lag_ms));
                Feature::MapAsOf(entries.iter().map(lagged).collect())
            }
            other => other,
        }
    }

    /// The scalar as of an asking time; null of a list or a map.
    pub fn scalar(&self, asking: EventTime) -> Scalar {
        match self {
            Feature::Value(value) => value.clone(),
            Feature::AsOf(deferred) => deferred.at(asking),
            Feature::Open(open) => open.without().scalar(asking),
            Feature::List(_) | Feature::Map(_) | Feature::MapAsOf(_) | Feature::Panes(_) => Scalar::Null,
        }
    }

    /// Appends the scalar as of an asking time to a column.
    ///
    /// # Panics
    /// If the column is of another type.
    pub fn append_to(&self, column: &mut ColumnBuilder, asking: EventTime) {
        match self {
            Feature::Value(value) => column.append(value),
            other => column.append(&other.scalar(asking)),
        }
    }

    /// Returns the value as JSON as of an asking time: a list as a list, a map as an object.
    pub fn to_json(&self, asking: EventTime) -> serde_json::Value {
        match self {
            Feature::List(items) => items.iter().map(Scalar::to_json).collect(),
            Feature::Map(entries) => entries.iter().map(|(key, value)| (key.to_string(), value.to_json())).collect(),
            Feature::MapAsOf(entries) => {
                entries.iter().map(|(key, value)| (key.to_string(), value.to_json(asking))).collect()
            }
            Feature::Open(open) => open.without().to_json(asking),
            Feature::Value(_) | Feature::AsOf(_) | Feature::Panes(_) => self.scalar(asking).to_json(),
        }
    }
}

impl From<Scalar> for Feature {
    fn from(value: Scalar) -> Feature {
        Feature::Value(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_no_larger_than_a_scalar() {
        assert_eq!(size_of::<Feature>(), size_of::<Scalar>());
    }

    #[test]
    fn types_are_spelt_with_the_types_of_their_values() {
        assert_eq!(FeatureType::Map(Type::Int).to_string(), "map<int>");
        assert_eq!(format!("{:9}|", FeatureType::Scalar(Type::Float)), "float    |");
    }

    #[test]
    fn seconds_since_a_later_time_are_zero() {
        assert_eq!(Deferred::SecondsSince(5_000).at(4_000), Scalar::Float(0.0));
        assert_eq!(Deferred::SecondsSince(5_000).at(5_001), Scalar::Float(0.001));
    }

    #[test]
    fn a_map_of_values_that_depend_on_the_asking_time_is_finished_with_it() {
        let since = |time| Feature::AsOf(Deferred::SecondsSince(time));
        let map =
            Feature::map(vec![("a".into(), since(1_000)), ("b".into(), since(2_500)), ("c".into(), Feature::NULL)]);
        let expected = [("a", Scalar::Float(2.0)), ("b", Scalar::Float(0.5)), ("c", Scalar::Null)];
        let expected = Feature::Map(expected.into_iter().map(|(key, value)| (key.into(), value)).collect());
        assert_eq!(map.finished(3_000), expected);
        assert_eq!(map.to_json(3_000), expected.to_json(0));
        assert!(FeatureType::Map(Type::Float).admits(&map) && !FeatureType::Map(Type::Int).admits(&map));
    }

    #[test]
    fn rates_and_decaying_values_follow_the_asking_time() {
        let rate = Deferred::per_second(6, 1_000);
        assert_eq!([1_000, 4_000].map(|asking| rate.at(asking)), [Scalar::Null, Scalar::Float(2.0)]);
        let decaying = Deferred::decaying(8.0, 1_000, 500);
        assert_eq!([1_000, 1_500, 2_500].map(|asking| decaying.at(asking)), [8.0, 4.0, 1.0].map(Scalar::Float));
    }
}
