//! `POST /features/{group}`: the newest vectors of many entities, or their features in the window of `"window"`.
//!
//! An entity that the group does not have is `not_found`, and so is one with a null, whose records no group aggregates, and
//! one that is no entity of the group, whose result also has the `error`; the others are answered all the same. A body that
//! is malformed otherwise is refused as a whole.

use serde_json::{Map, Value, json};

use crate::expr::nearest;
use crate::serve::answer_moment::AnswerMoment;
use crate::serve::call::Unanswered;
use crate::serve::json_parts::JsonParts;
use crate::serve::payload::Payload;
use crate::serve::reply::{self, Reply};
use crate::serve::served_groups::{EntityColumn, ServedGroup, check_count};
use crate::serve::served_windows::AskedFeatures;
use crate::serve::{Captures, RequestError, Service, json_error};
use crate::time::format_time;
use crate::value::Scalar;

/// Shows the newest vectors of the entities that the body lists, in its order.
///
/// # Errors
/// If there is no such group, the body is malformed or lists too many, or the group cannot answer the window.
pub fn entities(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let group = service.groups.find(&captures.text(0)?)?;
    let EntitiesRequest { entities, window } = read(group, payload)?;
    let asked = group.asked(window.as_deref())?;
    let moment = service.moment(payload);
    let mut out = Vec::with_capacity(64 + 256 * entities.len());
    out.extend_from_slice(b"{\"results\":[");
    for (at, entity) in entities.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        match entity {
            Ok(key) => write_result(group, key, &asked, moment, &mut out),
            Err(wrong) => out.extend_from_slice(wrong.result().to_string().as_bytes()),
        }
    }
    out.extend_from_slice(b"],\"watermark\":");
    match moment.watermark {
        Some(time) => reply::write_text(&format_time(time), &mut out),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
    Ok(reply::json(out))
}

/// Appends the result of one entity.
fn write_result(
    group: &ServedGroup,
    key: &[Scalar],
    asked: &AskedFeatures<'_>,
    moment: AnswerMoment<'_>,
    out: &mut Vec<u8>,
) {
    let found = group.vector(key, moment.lookups);
    let status: &[u8] = if found.is_some() { b"{\"status\":\"found\"" } else { b"{\"status\":\"not_found\"" };
    out.extend_from_slice(status);
    out.extend_from_slice(b",\"entity\":");
    reply::write_object(group.quoted_entity.iter().map(String::as_str).zip(key), out);
    out.extend_from_slice(b",\"features\":");
    match found {
        Some(vector) => asked.write(&vector, moment, out),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}

/// An object that is no entity of the group.
struct WrongEntity {
    /// The object in the body; null if it is none.
    given: Value,
    error: String,
}

impl WrongEntity {
    fn result(&self) -> Value {
        json!({ "status": "not_found", "entity": self.given, "features": null, "error": self.error })
    }
}

/// The contents of a body.
struct EntitiesRequest {
    /// The keys of the entities, in order.
    entities: Vec<Result<Vec<Scalar>, WrongEntity>>,
    window: Option<String>,
}

/// The fields of a body.
const FIELDS: [&str; 2] = ["entities", "window"];

/// Reads a body.
fn read(group: &ServedGroup, payload: Payload<'_>) -> Result<EntitiesRequest, RequestError> {
    let body: JsonParts<JsonParts<JsonParts<Value>>> = json_error::parse(payload.text()?, "an object with entities")?;
    let malformed = |what: &str| RequestError::Malformed(what.to_owned());
    let JsonParts::Object(fields) = body else { return Err(malformed("expected an object with entities")) };
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
        Some(JsonParts::List(list)) => list,
        Some(_) => return Err(malformed("entities: expected a list of objects")),
        None => return Err(malformed("entities: missing")),
    };
    let window = match given("window")? {
        Some(JsonParts::Text(window)) => Some(window.clone()),
        Some(JsonParts::Null) | None => None,
        Some(_) => return Err(malformed("window: expected a duration, such as \"2h\"")),
    };
    check_count(list.len())?;
    let read = |(index, entity): (usize, &JsonParts<Value>)| {
        key(group, entity)
            .map_err(|what| WrongEntity { given: given_by(entity), error: format!("entities[{index}]{what}") })
    };
    Ok(EntitiesRequest { entities: list.iter().enumerate().map(read).collect(), window })
}

/// The object that stands for an entity in a body; null if it is none.
fn given_by(entity: &JsonParts<Value>) -> Value {
    match entity {
        JsonParts::Object(fields) => Value::Object(fields.iter().cloned().collect::<Map<_, _>>()),
        _ => Value::Null,
    }
}

/// Reads an entity: an object with a value for each of its columns, or null. The error is what follows the entity's place.
fn key(group: &ServedGroup, entity: &JsonParts<Value>) -> Result<Vec<Scalar>, String> {
    let JsonParts::Object(fields) = entity else { return Err(": expected an object".to_owned()) };
    let names = || group.entity.iter().map(|column| column.name.as_str());
    if let Some((found, _)) = fields.iter().find(|(name, _)| names().all(|known| known != name)) {
        let nearest = nearest(found, names()).map_or_else(String::new, |name| format!("; did you mean {name}?"));
        let expected = names().collect::<Vec<_>>().join(", ");
        return Err(format!(".{found}: no column of the entity; expected {expected}{nearest}"));
    }
    let value = |column: &EntityColumn| {
        let name = column.name.as_str();
        let mut given = fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
        let found = given.next().ok_or_else(|| format!(".{name}: missing"))?;
        if given.next().is_some() {
            return Err(format!(".{name}: duplicate field"));
        }
        column.scalar(found).ok_or_else(|| format!(".{name}: expected {}, found {found}", column.ty))
    };
    group.entity.iter().map(value).collect()
}
