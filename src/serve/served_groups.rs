//! The feature groups of a dataflow as requests see them.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use super::RequestError;
use super::answer_moment::AnswerMoment;
use super::explainer::ServedVector;
use super::router::decode;
use super::served_windows::{AskedFeatures, ServedWindows};
use crate::aggregate::Feature;
use crate::example::DerivedFeature;
use crate::expr::nearest;
use crate::spec::{self, Spec};
use crate::store::{ChangeTap, LookupTable, OnlineStore, RequestLookups};
use crate::time::EventTime;
use crate::value::{Key, Scalar, TimeRules, Type};

/// The most entities of one request.
const MOST_ENTITIES: usize = 1_000;

/// Every feature group.
#[derive(Debug)]
pub struct ServedGroups(Vec<ServedGroup>);

impl ServedGroups {
    /// # Panics
    /// If the store lacks a group: both are made from the same spec.
    pub fn new(spec: &Spec, online: &OnlineStore) -> Self {
        ServedGroups(spec.groups.iter().map(|group| ServedGroup::new(spec, group, online)).collect())
    }

    pub fn iter(&self) -> std::slice::Iter<'_, ServedGroup> {
        self.0.iter()
    }

    /// Returns the position of a group among those of the dataflow.
    pub fn position(&self, group: &ServedGroup) -> usize {
        self.0.iter().position(|known| std::ptr::eq(known, group)).expect("the group is one of these")
    }

    /// # Errors
    /// If there is no group of this name.
    pub fn find(&self, name: &str) -> Result<&ServedGroup, RequestError> {
        self.0.iter().find(|group| group.name == name).ok_or_else(|| {
            let names = || self.0.iter().map(|group| group.name.as_str());
            let (nearest, expected) = (nearest(name, names()), names().collect::<Vec<_>>().join(", "));
            RequestError::UnknownGroup { found: name.to_owned(), nearest, expected }
        })
    }
}

/// A column of an entity.
#[derive(Debug)]
pub struct EntityColumn {
    pub name: String,
    pub ty: Type,
}

impl EntityColumn {
    /// Returns the value of the column that a JSON value is, `None` if it is none. Times are RFC 3339 or epoch ms.
    pub fn scalar(&self, value: &Value) -> Option<Scalar> {
        scalar(self.ty, value)
    }
}

/// Returns the value of a type that a JSON value is, `None` if it is none. Times are RFC 3339 or epoch ms.
pub fn scalar(ty: Type, value: &Value) -> Option<Scalar> {
    match (ty, value) {
        (_, Value::Null) => Some(Scalar::Null),
        (Type::String, Value::String(text)) => Some(Scalar::String(text.as_str().into())),
        (Type::Int, Value::Number(number)) => number.as_i64().map(Scalar::Int),
        (Type::Float, Value::Number(number)) => number.as_f64().map(Scalar::Float),
        (Type::Bool, Value::Bool(value)) => Some(Scalar::Bool(*value)),
        (Type::Timestamp, Value::String(text)) => TimeRules::default().of_text(text).map(Scalar::Timestamp),
        (Type::Timestamp, Value::Number(number)) => number.as_i64().map(Scalar::Timestamp),
        _ => None,
    }
}

/// A feature group as requests see it.
#[derive(Debug)]
pub struct ServedGroup {
    pub name: String,
    /// The columns of the entity.
    pub entity: Vec<EntityColumn>,
    /// Names of the entity's columns as JSON.
    pub quoted_entity: Vec<String>,
    /// Names of the features, those of derived ones last.
    pub features: Vec<String>,
    /// The same as JSON.
    quoted_features: Vec<String>,
    derived: Vec<DerivedFeature>,
    table: LookupTable,
    /// The windows that requests may ask for beside those declared.
    windows: ServedWindows,
}

impl ServedGroup {
    /// # Panics
    /// If the store lacks the group: both are made from the same spec.
    fn new(spec: &Spec, group: &spec::Group, online: &OnlineStore) -> Self {
        let columns = &spec.stream_schema(group.from).columns;
        let column = |at: &usize| EntityColumn { name: columns[*at].name.clone(), ty: columns[*at].ty };
        let entity: Vec<EntityColumn> = group.entity.iter().map(column).collect();
        let quote = |name: &str| serde_json::to_string(name).expect("text has a JSON form");
        ServedGroup {
            name: group.name.clone(),
            quoted_entity: entity.iter().map(|column| quote(&column.name)).collect(),
            features: group.feature_names().map(str::to_owned).collect(),
            quoted_features: group.feature_names().map(quote).collect(),
            derived: group.derived_features(),
            entity,
            windows: ServedWindows::new(group, spec.stream_schema(group.from)),
            table: online.group(&group.name).expect("the store has all groups"),
        }
    }

    /// The features that a request asks for: those of a window, or all that are declared.
    ///
    /// # Errors
    /// If the window cannot be answered from the panes that the group keeps.
    pub fn asked(&self, window: Option<&str>) -> Result<AskedFeatures<'_>, RequestError> {
        match window {
            None => Ok(AskedFeatures::Declared { quoted_names: &self.quoted_features, derived: &self.derived }),
            Some(window) => self.windows.find(window).map(AskedFeatures::InWindow),
        }
    }

    /// The position of a feature.
    ///
    /// # Errors
    /// If the group has no feature of this name.
    pub fn feature(&self, name: &str) -> Result<usize, RequestError> {
        self.features.iter().position(|feature| feature == name).ok_or_else(|| RequestError::UnknownFeature {
            group: self.name.clone(),
            found: name.to_owned(),
            nearest: nearest(name, self.features.iter().map(String::as_str)),
            expected: self.features.join(", "),
        })
    }

    /// A feature for the entity of a vector, by its position: as it is there, or derived as of an asking time.
    pub fn value<'v>(&self, vector: &'v [Feature], feature: usize, asking: EventTime) -> Cow<'v, Feature> {
        match feature.checked_sub(self.features.len() - self.derived.len()) {
            Some(derived) => Cow::Owned(self.derived[derived].of_vector(vector, asking).into()),
            None => Cow::Borrowed(&vector[feature]),
        }
    }

    /// The newest vector of an entity. One with a null has none: a record with a null in its entity is of no entity.
    pub fn vector(&self, key: &[Scalar], lookups: &RequestLookups) -> Option<Arc<[Feature]>> {
        let is_whole = !key.iter().any(Scalar::is_null);
        is_whole.then(|| self.table.get(self.table.codec().encode_one(key).as_bytes(), lookups)).flatten()
    }

    /// The newest vector of an entity as it is sent at a moment, with derived features; `None` if it has none.
    pub fn served(&self, key: &[Scalar], moment: AnswerMoment<'_>) -> Option<ServedVector> {
        let vector = self.vector(key, moment.lookups)?;
        let value = |feature| self.value(&vector, feature, moment.asking).to_json(moment.asking);
        let features = (0..self.features.len()).map(value).collect();
        Some(ServedVector { features, time: moment.watermark.unwrap_or(EventTime::MIN) })
    }

    /// The tap of the changes of its vectors; `None` if they are made in another process.
    pub fn tap(&self) -> Option<&ChangeTap> {
        self.table.tap()
    }

    /// The values of the entity's columns in a key.
    pub fn decode(&self, key: &Key) -> Vec<Scalar> {
        self.table.codec().decode_one(key.as_bytes())
    }

    /// The error for an entity without a vector.
    pub fn unknown_entity(&self, key: &[Scalar]) -> RequestError {
        let entity = key.iter().map(Scalar::to_text).collect::<Vec<_>>().join(", ");
        RequestError::UnknownEntity { group: self.name.clone(), entity }
    }

    /// The entity that the segments of a path name, one for each of its columns.
    ///
    /// # Errors
    /// If there are more or fewer, or one is no value of its column's type.
    pub fn key(&self, segments: &[&str]) -> Result<Vec<Scalar>, RequestError> {
        if segments.len() != self.entity.len() {
            return Err(RequestError::KeyCount {
                group: self.name.clone(),
                expected: self.entity.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", "),
                count: self.entity.len(),
                found: segments.len(),
            });
        }
        let read = |(EntityColumn { name, ty }, segment): (&EntityColumn, &&str)| {
            let text = decode(segment)?;
            Scalar::of_text(*ty, &text).ok_or_else(|| RequestError::Key {
                column: name.clone(),
                found: text.into_owned(),
                expected: ty.name(),
            })
        };
        self.entity.iter().zip(segments).map(read).collect()
    }
}

/// Checks the number of entities of a request.
///
/// # Errors
/// If they are too many.
pub fn check_count(found: usize) -> Result<(), RequestError> {
    if found > MOST_ENTITIES { Err(RequestError::TooManyEntities { found, most: MOST_ENTITIES }) } else { Ok(()) }
}
