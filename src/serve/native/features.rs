//! `GET /features/{group}/{key}[/{key}…]`: the newest vector of one entity, or its features in the window of `?window=2h`.

use crate::serve::call::Unanswered;
use crate::serve::payload::Payload;
use crate::serve::reply::{self, Reply};
use crate::serve::router::decode;
use crate::serve::{Captures, Service};
use crate::time::format_time;

/// Shows the newest vector of the entity that the path names.
///
/// # Errors
/// If there is no such group or entity, or the group cannot answer the window.
pub fn features(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let mut segments = captures.raw(0).split('/');
    let group = service.groups.find(&decode(segments.next().unwrap_or_default())?)?;
    let key = group.key(&segments.collect::<Vec<_>>())?;
    let window = captures.parameter("window")?;
    let asked = group.asked(window.as_deref())?;
    let moment = service.moment(payload);
    let Some(vector) = group.vector(&key, moment.lookups) else {
        return Err(group.unknown_entity(&key).into());
    };
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"group\":");
    reply::write_text(&group.name, &mut out);
    out.extend_from_slice(b",\"entity\":");
    reply::write_object(group.quoted_entity.iter().map(String::as_str).zip(&key), &mut out);
    out.extend_from_slice(b",\"features\":");
    asked.write(&vector, moment, &mut out);
    out.extend_from_slice(b",\"watermark\":");
    match moment.watermark {
        Some(time) => reply::write_text(&format_time(time), &mut out),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
    Ok(reply::json(out))
}
