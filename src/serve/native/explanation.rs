//! `GET /explain/{group}/{key}[/{key}…]?feature=&as_of=&most=`: the records that features of an entity are of, and the
//! features recomputed from just those, beside those that are served.

use crate::serve::call::Unanswered;
use crate::serve::explainer::{ExplainedMoment, ExplanationRequest};
use crate::serve::payload::Payload;
use crate::serve::reply::{self, Reply};
use crate::serve::router::decode;
use crate::serve::served_groups::ServedGroup;
use crate::serve::{Captures, RequestError, Service};
use crate::time::{EARLIEST, EventTime, LATEST};
use crate::value::TimeRules;

/// The most records of a window that are listed, unless the request says another number, and the most that it may say.
const LISTED: usize = 1_000;
const MOST_LISTED: usize = 10_000;

/// Explains features of the entity that the path names: all, or those of `feature`, whose names are separated by commas; as
/// they are served, or as of a time.
///
/// # Errors
/// If there is no such group, entity or feature, a parameter is malformed, there are no sources here, or they cannot be read.
pub fn explanation(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let mut segments = captures.raw(0).split('/');
    let name = decode(segments.next().unwrap_or_default())?;
    let group = service.groups.find(&name)?;
    let key = group.key(&segments.collect::<Vec<_>>())?;
    let features = match captures.parameter("feature")? {
        None => (0..group.features.len()).collect(),
        Some(names) => features(group, &names)?,
    };
    let most_listed = most(captures)?;
    let as_of = captures.parameter("as_of")?.map(|text| time(&text)).transpose()?;
    let explainer = service.explainer()?;
    let moment = match as_of {
        Some(time) => ExplainedMoment::AsOf(time),
        None => {
            let moment = service.moment(payload);
            let served = group.served(&key, moment).ok_or_else(|| group.unknown_entity(&key))?;
            Unanswered::check_fetched(moment)?;
            ExplainedMoment::Served(served)
        }
    };
    let group = service.groups.position(group);
    let request = ExplanationRequest { group, key, features, moment, most_listed };
    // Features keep the order in which they are declared.
    let write = |explanation| reply::json(serde_json::to_vec(&explanation).expect("an explanation has a JSON form"));
    Err(Unanswered::explaining(explainer, request, write))
}

/// Returns the positions of features by name, ascending.
fn features(group: &ServedGroup, names: &str) -> Result<Vec<usize>, RequestError> {
    let mut features = names.split(',').map(|name| group.feature(name)).collect::<Result<Vec<_>, _>>()?;
    features.sort_unstable();
    features.dedup();
    Ok(features)
}

fn most(captures: &Captures<'_>) -> Result<usize, RequestError> {
    let Some(text) = captures.parameter("most")? else { return Ok(LISTED) };
    let most = text.parse().ok().filter(|most| *most <= MOST_LISTED);
    most.ok_or_else(|| RequestError::Malformed(format!("most: expected a number up to {MOST_LISTED}, found {text:?}")))
}

fn time(text: &str) -> Result<EventTime, RequestError> {
    match text {
        "earliest" => Ok(EARLIEST),
        "latest" => Ok(LATEST),
        text => TimeRules::default().of_text(text).ok_or_else(|| {
            let expected = "RFC 3339, a date, epoch ms, earliest or latest";
            RequestError::Malformed(format!("as_of: expected {expected}, found {text:?}"))
        }),
    }
}
