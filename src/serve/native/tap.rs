//! `GET /tap/{stream}?from=&most=`: the newest records of a source or a view, for `tidemill tap`.

use hyper::StatusCode;
use serde_json::json;

use crate::expr::nearest;
use crate::serve::call::Unanswered;
use crate::serve::payload::Payload;
use crate::serve::reply::{self, Reply};
use crate::serve::{Captures, RequestError, Service};

/// The most records of an answer.
const MOST: usize = 1000;

/// Answers with the records of a stream from a number on. Without one, it begins to keep records, and answers with the
/// number of the next.
///
/// # Errors
/// If there is no such stream, or a parameter is no number.
pub fn tap(service: &Service, captures: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let name = captures.text(0)?;
    let taps = || service.taps().into_iter().flatten();
    let found = taps().find(|(known, _)| **known == *name).map(|(_, tap)| tap);
    let tap = found.ok_or_else(|| {
        let names = || taps().map(|(name, _)| name.as_str());
        let (nearest, expected) = (nearest(&name, names()), names().collect::<Vec<_>>().join(", "));
        RequestError::UnknownStream { found: name.clone().into(), nearest, expected }
    })?;
    let most = number(captures, "most")?.map_or(MOST, |most| usize::try_from(most).unwrap_or(MOST).min(MOST));
    let read = tap.read(number(captures, "from")?, most);
    let answer = json!({ "stream": *name, "records": read.records, "next": read.next, "missed": read.missed });
    Ok(reply::value(StatusCode::OK, &answer))
}

/// Reads a number of the query.
fn number(captures: &Captures<'_>, name: &str) -> Result<Option<u64>, RequestError> {
    let Some(text) = captures.parameter(name)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| RequestError::Malformed(format!("{name}: {text:?} is not a whole number")))
}
