//! Recommenders: what a model needs besides its program to rank items for a user.

use std::collections::HashSet;

use super::answer_moment::AnswerMoment;
use crate::aggregate::Feature;
use crate::spec::{FeatureRef, ItemColumn, Recommend, Spec};
use crate::store::{LookupTable, OnlineStore, RequestLookups, Vector};
use crate::time::EventTime;
use crate::value::{Key, KeyCodec, Scalar, Type};

/// The items of a model, and the features by which some are left out or ranked.
#[derive(Debug)]
pub struct Recommender {
    /// The rows of items.
    table: LookupTable,
    /// The columns of items that records have, in the order of the table.
    pub columns: Vec<ItemColumn>,
    codec: KeyCodec,
    /// Names of the key columns as JSON.
    pub quoted: Vec<String>,
    pub seen: Option<EntityFeature>,
    pub popularity: Option<EntityFeature>,
}

/// A feature of an entity, in the online store.
#[derive(Debug)]
pub struct EntityFeature {
    table: LookupTable,
    /// Names and types of the entity's columns.
    pub entity: Vec<(String, Type)>,
    position: usize,
}

/// A candidate: its key, and its columns as an instance has them.
#[derive(Clone, Debug)]
pub struct ItemCandidate {
    /// Its place among the candidates of a request; `None` of a row of the items' table.
    pub index: Option<usize>,
    /// The values of its key columns, in the order of [`Recommender::key_columns`].
    pub key: Vec<Scalar>,
    /// All its columns, by name.
    pub fields: serde_json::Map<String, serde_json::Value>,
}

impl Recommender {
    /// # Panics
    /// If the store lacks a table or group: both are made from the same spec.
    pub fn new(recommend: &Recommend, spec: &Spec, online: &OnlineStore) -> Self {
        let topic = &spec.tables[recommend.table].topic;
        let feature = |of: &FeatureRef| {
            let group = &spec.groups[of.group];
            let columns = &spec.stream_schema(group.from).columns;
            let entity = group.entity.iter().map(|at| (columns[*at].name.clone(), columns[*at].ty));
            EntityFeature {
                table: online.group(&group.name).expect("the store has all groups"),
                entity: entity.collect(),
                position: of.feature,
            }
        };
        let keys = || recommend.columns.iter().filter(|column| column.is_key);
        let quote = |column: &ItemColumn| serde_json::to_string(&column.name).expect("text has a JSON form");
        Recommender {
            table: online.table(&topic.name).expect("the store has all tables"),
            codec: KeyCodec::new(&keys().map(|column| column.ty).collect::<Vec<_>>()),
            quoted: keys().map(quote).collect(),
            columns: recommend.columns.clone(),
            seen: recommend.seen.as_ref().map(feature),
            popularity: recommend.popularity.as_ref().map(feature),
        }
    }

    /// The columns that identify an item.
    pub fn key_columns(&self) -> impl Iterator<Item = &ItemColumn> {
        self.columns.iter().filter(|column| column.is_key)
    }

    /// Returns the key of an item as bytes, whose order is that of the values.
    pub fn key(&self, item: &[Scalar]) -> Key {
        self.codec.encode_one(item)
    }

    /// Returns all items, in the order of their keys; the number of them if that is more than `most`.
    pub fn items(&self, most: usize, lookups: &RequestLookups) -> Result<Vec<ItemCandidate>, usize> {
        let rows = self.table.vectors(most, lookups)?;
        let item = |row: &Vector| {
            let value = |column: &ItemColumn| row[column.position].scalar(EventTime::MIN);
            let present =
                self.columns.iter().map(|column| (column, value(column))).filter(|(_, value)| !value.is_null());
            ItemCandidate {
                index: None,
                key: self.key_columns().map(value).collect(),
                fields: present.map(|(column, value)| (column.name.clone(), value.to_json())).collect(),
            }
        };
        let mut items: Vec<ItemCandidate> = rows.iter().map(item).collect();
        items.sort_by_cached_key(|item| self.key(&item.key));
        Ok(items)
    }
}

impl EntityFeature {
    /// Returns the feature of an entity as of an asking time; `None` if the store does not have the entity, as it has none
    /// with a null.
    pub fn of(&self, key: &[Scalar], moment: AnswerMoment<'_>) -> Option<Feature> {
        let vector = self.table.get(self.table.codec().encode_one(key).as_bytes(), moment.lookups)?;
        Some(vector[self.position].finished(moment.asking))
    }
}

/// Returns the keys of the items of a list.
pub fn keys_of(recommender: &Recommender, list: &Feature) -> HashSet<Key> {
    match list {
        Feature::List(items) => {
            let items = items.iter().filter(|item| !item.is_null());
            items.map(|item| recommender.key(std::slice::from_ref(item))).collect()
        }
        _ => HashSet::new(),
    }
}
