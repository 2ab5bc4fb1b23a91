//! `POST /features/{group}`: the newest vectors of many entities, or their features in the window of `"window"`.
//!
//! An entity that the group does not have is not found, for itself; so is one with a null, of which no record is
//! aggregated. A body that is malformed is refused as a whole.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::expr::nearest;
use crate::serve::call::Unanswered;
use crate::serve::payload::Payload;
use crate::serve::reply::{self, Reply};
use crate::serve::served_groups::{EntityColumn, ServedGroup, check_count};
use crate::serve::served_windows::AskedFeatures;
use crate::serve::{Captures, RequestError, Service};
use crate::time::format_time;
use crate::value::Scalar;

/// Shows the newest vectors of the entities that the body lists, in its order.
///
/// # Errors
/// If there is no such group, the body is malformed or lists too many, or the group cannot answer the window.
pub fn entities(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let group = service.groups.find(&captures.text(0)?)?;
    let EntitiesRequest { keys, window } = read(group, payload)?;
    let asked = group.asked(window.as_deref())?;
    let mut out = Vec::with_capacity(64 + 256 * keys.len());
    out.extend_from_slice(b"{\"results\":[");
    for (at, key) in keys.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_result(service, group, key, &asked, &mut out);
    }
    out.extend_from_slice(b"],\"watermark\":");
    match service.watermark() {
        Some(time) => reply::write_text(&format_time(time), &mut out),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
    Ok(reply::json(out))
}

/// Appends the result of one entity.
fn write_result(service: &Service, group: &ServedGroup, key: &[Scalar], asked: &AskedFeatures<'_>, out: &mut Vec<u8>) {
    let found = group.vector(key);
    let status: &[u8] = if found.is_some() { b"{\"status\":\"found\"" } else { b"{\"status\":\"not_found\"" };
    out.extend_from_slice(status);
    out.extend_from_slice(b",\"entity\":");
    reply::write_object(group.quoted_entity.iter().map(String::as_str).zip(key), out);
    out.extend_from_slice(b",\"features\":");
    match found {
        Some(vector) => asked.write(&vector, service.closed_time(), service.asking_time(), out),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}

/// The contents of a body.
struct EntitiesRequest {
    /// The entities, in order.
    keys: Vec<Vec<Scalar>>,
    window: Option<String>,
}

/// The fields of a body.
const FIELDS: [&str; 2] = ["entities", "window"];

/// Reads a body.
fn read(group: &ServedGroup, payload: Payload<'_>) -> Result<EntitiesRequest, RequestError> {
    let body: EntityJson<EntityJson<EntityJson<Value>>> =
        serde_json::from_str(payload.text()?).map_err(|error| RequestError::Malformed(error.to_string()))?;
    let malformed = |what: &str| RequestError::Malformed(what.to_owned());
    let EntityJson::Object(fields) = body else { return Err(malformed("expected an object with entities")) };
    if let Some((found, _)) = fields.iter().find(|(name, _)| !FIELDS.contains(&name.as_str())) {
        let (found, expected) = (found.clone(), FIELDS.join(", "));
        return Err(RequestError::UnknownField { nearest: nearest(&found, FIELDS), found, expected });
    }
    let given = |field: &str| {
        let mut values = fields.iter().filter(|(name, _)| name == field).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(malformed(&format!("{field}: duplicate field"))),
        }
    };
    let list = match given("entities")? {
        Some(EntityJson::List(list)) => list,
        Some(_) => return Err(malformed("entities: expected a list of objects")),
        None => return Err(malformed("entities: missing")),
    };
    let window = match given("window")? {
        Some(EntityJson::Text(window)) => Some(window.clone()),
        Some(EntityJson::Null) | None => None,
        Some(_) => return Err(malformed("window: expected a duration, such as \"2h\"")),
    };
    check_count(list.len())?;
    let keys = list.iter().enumerate().map(|(index, entity)| key(group, index, entity));
    Ok(EntitiesRequest { keys: keys.collect::<Result<_, _>>()?, window })
}

/// Reads an entity: an object with a value for each of its columns, or null.
fn key(group: &ServedGroup, index: usize, entity: &EntityJson<Value>) -> Result<Vec<Scalar>, RequestError> {
    let wrong = |what: String| RequestError::Malformed(format!("entities[{index}]{what}"));
    let EntityJson::Object(fields) = entity else { return Err(wrong(": expected an object".to_owned())) };
    let names = || group.entity.iter().map(|column| column.name.as_str());
    if let Some((found, _)) = fields.iter().find(|(name, _)| names().all(|known| known != name)) {
        let nearest = nearest(found, names()).map_or_else(String::new, |name| format!("; did you mean {name}?"));
        let expected = names().collect::<Vec<_>>().join(", ");
        return Err(wrong(format!(".{found}: no column of the entity; expected {expected}{nearest}")));
    }
    let value = |column: &EntityColumn| {
        let name = column.name.as_str();
        let mut given = fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
        let found = given.next().ok_or_else(|| wrong(format!(".{name}: missing")))?;
        if given.next().is_some() {
            return Err(wrong(format!(".{name}: duplicate field")));
        }
        column.scalar(found).ok_or_else(|| wrong(format!(".{name}: expected {}, found {found}", column.ty)))
    };
    group.entity.iter().map(value).collect()
}

/// A value of JSON, whose parts are read as `T`.
enum EntityJson<T> {
    /// All fields in their order, those of the same name too.
    Object(Vec<(String, T)>),
    List(Vec<T>),
    Text(String),
    Null,
    Other,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for EntityJson<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntityJsonVisitor(PhantomData))
    }
}

struct EntityJsonVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EntityJsonVisitor<T> {
    type Value = EntityJson<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EntityJson<T>, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(EntityJson::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<EntityJson<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(EntityJson::List(items))
    }

    fn visit_bool<E>(self, _: bool) -> Result<EntityJson<T>, E> {
        Ok(EntityJson::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<EntityJson<T>, E> {
        Ok(EntityJson::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<EntityJson<T>, E> {
        Ok(EntityJson::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<EntityJson<T>, E> {
        Ok(EntityJson::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<EntityJson<T>, E> {
        Ok(EntityJson::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<EntityJson<T>, E> {
        Ok(EntityJson::Null)
    }
}
