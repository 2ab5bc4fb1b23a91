//! `GET /tap/{stream}?from=&most=`: the newest records of a source or a view, or the changed vectors of a feature group, for
//! `tidemill tap`.

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use crate::expr::nearest;
use crate::serve::call::Unanswered;
use crate::serve::payload::Payload;
use crate::serve::reply::{self, Reply};
use crate::serve::served_groups::ServedGroup;
use crate::serve::{Captures, RequestError, Service};
use crate::store::{ChangeReading, ChangeTap, Tap};
use crate::time::format_time;
use crate::value::Key;

/// The most records or vectors of an answer.
const MOST: usize = 1000;

/// A part of the request that says which records or changes are wanted.
#[derive(Clone, Copy)]
struct Wanted {
    /// The number to begin with; without one, none but the number of the next is wanted.
    from: Option<u64>,
    most: usize,
}

/// Answers with the records of a stream, or the changed vectors of a group, from a number on. Without one, it begins to keep
/// them, and answers with the number of the next.
///
/// # Errors
/// If there is no such stream or group, nothing is computed here, or a parameter is no number.
pub fn tap(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let name = captures.text(0)?;
    let most = number(captures, "most")?.map_or(MOST, |most| usize::try_from(most).unwrap_or(MOST).min(MOST));
    let wanted = Wanted { from: number(captures, "from")?, most };
    // Streams and groups share one namespace.
    let streams = || service.taps().into_iter().flatten();
    if let Some((_, tap)) = streams().find(|(known, _)| **known == *name) {
        return Ok(records(&name, tap, wanted));
    }
    let groups = || service.groups.iter().filter_map(|group| Some((group, group.tap()?)));
    if let Some((group, tap)) = groups().find(|(group, _)| *group.name == *name) {
        return Ok(vectors(service, group, tap, wanted, payload));
    }
    if service.taps().is_none() {
        return Err(RequestError::NoSources.into());
    }
    let names = || streams().map(|(name, _)| name.as_str()).chain(groups().map(|(group, _)| group.name.as_str()));
    let (nearest, expected) = (nearest(&name, names()), names().collect::<Vec<_>>().join(", "));
    Err(RequestError::UnknownStream { found: name.into(), nearest, expected }.into())
}

fn records(name: &str, tap: &Tap, wanted: Wanted) -> Reply {
    let read = tap.read(wanted.from, wanted.most);
    let answer = json!({ "stream": name, "records": read.records, "next": read.next, "missed": read.missed });
    reply::value(StatusCode::OK, &answer)
}

/// Answers with the newest vector of each entity that has changed; null for one that has left all windows.
fn vectors(service: &Service, group: &ServedGroup, tap: &ChangeTap, wanted: Wanted, payload: Payload<'_>) -> Reply {
    let ChangeReading { keys, next, missed } = tap.read(wanted.from, wanted.most);
    // A vector that is read after the moment is taken has all records before it.
    let moment = service.moment(payload);
    let vector = |key: &Key| {
        let key = group.decode(key);
        let entity: Map<String, Value> =
            group.entity.iter().zip(&key).map(|(column, value)| (column.name.clone(), value.to_json())).collect();
        let features = group.served(&key, moment).map(|served| {
            let values = group.features.iter().cloned().zip(served.features);
            values.collect::<Map<String, Value>>()
        });
        json!({ "entity": entity, "features": features })
    };
    let vectors: Vec<Value> = keys.iter().map(vector).collect();
    let watermark = moment.watermark.map(format_time);
    let answer =
        json!({ "group": group.name, "vectors": vectors, "watermark": watermark, "next": next, "missed": missed });
    reply::value(StatusCode::OK, &answer)
}

/// Reads a number of the query.
fn number(captures: &Captures<'_>, name: &str) -> Result<Option<u64>, RequestError> {
    let Some(text) = captures.parameter(name)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| RequestError::Malformed(format!("{name}: {text:?} is not a whole number")))
}
