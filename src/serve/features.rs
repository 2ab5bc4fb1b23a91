//! `GET /features/{group}/{key}[/{key}…]`: the newest vector of one entity.

use std::sync::Arc;

use super::reply::{self, Reply};
use super::{RequestError, Service, route};
use crate::expr::nearest;
use crate::spec::{self, Spec};
use crate::store::Online;
use crate::store::memory::Shelf;
use crate::time::{format_time, parse_time};
use crate::value::{Scalar, Type};

/// A feature group as requests see it.
#[derive(Debug)]
pub struct Group {
    name: String,
    /// The entity's columns.
    entity: Vec<(String, Type)>,
    /// Their names and the features' as JSON.
    quoted_entity: Vec<String>,
    quoted_features: Vec<String>,
    shelf: Arc<Shelf>,
}

impl Group {
    /// # Panics
    /// If the store lacks the group: both are made from the same spec.
    pub fn new(spec: &Spec, group: &spec::Group, online: &Online) -> Self {
        let columns = &spec.stream_schema(group.from).columns;
        let entity: Vec<_> = group.entity.iter().map(|at| (columns[*at].name.clone(), columns[*at].ty)).collect();
        let quote = |name: &String| serde_json::to_string(name).expect("text has a JSON form");
        Group {
            name: group.name.clone(),
            quoted_entity: entity.iter().map(|(name, _)| quote(name)).collect(),
            quoted_features: group.features.iter().map(|feature| quote(&feature.name)).collect(),
            entity,
            shelf: online.group(&group.name).expect("the store has all groups").clone(),
        }
    }

    /// The entity that path segments stand for.
    fn key(&self, segments: &[&str]) -> Result<Vec<Scalar>, RequestError> {
        if segments.len() != self.entity.len() {
            return Err(RequestError::KeyCount {
                group: self.name.clone(),
                expected: self.entity.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "),
                count: self.entity.len(),
                found: segments.len(),
            });
        }
        let read = |((column, ty), segment): (&(String, Type), &&str)| {
            let text = route::decode(segment)?;
            read_key(*ty, &text).ok_or_else(|| RequestError::Key {
                column: column.clone(),
                found: text.into_owned(),
                expected: ty.name(),
            })
        };
        self.entity.iter().zip(segments).map(read).collect()
    }
}

/// A value of a type, as a path spells it. Times are RFC 3339 or epoch ms.
fn read_key(ty: Type, text: &str) -> Option<Scalar> {
    match ty {
        Type::String => Some(Scalar::String(text.into())),
        Type::Int => text.parse().ok().map(Scalar::Int),
        Type::Float => text.parse().ok().filter(|value: &f64| value.is_finite()).map(Scalar::Float),
        Type::Bool => text.parse().ok().map(Scalar::Bool),
        Type::Timestamp => parse_time(text).or_else(|| text.parse().ok()).map(Scalar::Timestamp),
    }
}

impl Service {
    /// `path` is what follows `/features/`.
    pub(super) fn features(&self, path: &str) -> Result<Reply, RequestError> {
        let mut segments = path.split('/');
        let name = route::decode(segments.next().unwrap_or_default())?;
        let Some(group) = self.groups.iter().find(|group| group.name == name) else {
            let names = || self.groups.iter().map(|group| group.name.as_str());
            let (nearest, expected) = (nearest(&name, names()), names().collect::<Vec<_>>().join(", "));
            return Err(RequestError::UnknownGroup { found: name.into_owned(), nearest, expected });
        };
        let key = group.key(&segments.collect::<Vec<_>>())?;
        let Some(vector) = group.shelf.get(&group.shelf.codec().encode_one(&key)) else {
            let plain =
                |value: &Scalar| value.to_json().as_str().map_or_else(|| value.to_json().to_string(), str::to_owned);
            let entity = key.iter().map(plain).collect::<Vec<_>>().join(", ");
            return Err(RequestError::UnknownEntity { group: group.name.clone(), entity });
        };
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"group\":");
        reply::write_text(&group.name, &mut out);
        out.extend_from_slice(b",\"entity\":");
        reply::write_object(group.quoted_entity.iter().map(String::as_str).zip(&key), &mut out);
        out.extend_from_slice(b",\"features\":");
        reply::write_object(group.quoted_features.iter().map(String::as_str).zip(vector.iter()), &mut out);
        out.extend_from_slice(b",\"watermark\":");
        match self.watermark() {
            Some(time) => reply::write_text(&format_time(time), &mut out),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
        Ok(reply::json(out))
    }
}
