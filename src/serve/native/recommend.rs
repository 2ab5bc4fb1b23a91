//! `POST /recommend`: the best items for a user.
//!
//! The candidates are those of the body, or all rows of the items' table. Each is one instance with the user's columns, and
//! the model's prediction is its score. Items that the user has seen are left out, unless the body says otherwise. A user of
//! whom no record has been seen is new: the items are ranked by their popularity, if the dataflow says what that is.

use std::cmp::Reverse;
use std::io::Write;

use serde::de::DeserializeSeed;
use serde_json::{Map, Value};

use crate::aggregate::Feature;
use crate::example::InstanceError;
use crate::expr::nearest;
use crate::serve::answer_moment::AnswerMoment;
use crate::serve::call::{Call, Scratch, Unanswered, VersionRef};
use crate::serve::payload::Payload;
use crate::serve::recommender::{EntityFeature, ItemCandidate, Recommender, keys_of};
use crate::serve::reply::{self, Reply};
use crate::serve::served_groups::scalar;
use crate::serve::served_model::ServedModel;
use crate::serve::{Captures, RequestError, Service, json_error};
use crate::value::{Key, Scalar, Type};

/// The fields of a request.
const FIELDS: [&str; 5] = ["model", "user", "candidates", "n", "exclude_seen"];

/// The most candidates of a request.
const MOST_CANDIDATES: usize = 10_000;

/// The most items of an answer.
const MOST_ITEMS: u64 = 1_000;

/// The items of an answer unless the body says how many.
const ITEMS: u64 = 10;

/// The candidates that are scored at a time.
const SLICE: usize = 256;

/// A request as read from a body.
struct RecommendRequest {
    model: usize,
    user: Map<String, Value>,
    /// `None` for all items.
    candidates: Option<Vec<ItemCandidate>>,
    n: usize,
    /// `None` if the body does not say.
    exclude_seen: Option<bool>,
}

/// Ranks items for the user of a body.
///
/// # Errors
/// If the body is malformed, names a model that does not exist or does not recommend, or one that has no version yet.
pub fn recommend(service: &Service, _: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let request = read(service, payload.text()?)?;
    let (model, recommender) = (&service.models[request.model], recommender(&service.models[request.model])?);
    let moment = service.moment(payload);
    let history = history(recommender, &request, moment)?;
    let candidates = candidates(recommender, &request, history.as_ref(), moment)?;
    // Both decide what is looked up next.
    Unanswered::check_fetched(moment)?;
    // One version scores all candidates, whatever becomes champion in between. A missing version is an error for new users, too.
    let version = service.models.check(&Call {
        model: request.model,
        version: VersionRef::Champion,
        explain: false,
        fault: None,
    })?;
    let (by, scores) = match (&recommender.popularity, history) {
        (Some(popularity), None) => {
            check(service, &request, &candidates, moment)?;
            ("popularity", popularities(recommender, popularity, &candidates, moment))
        }
        _ => ("model", scores(service, &request, version, &candidates, moment)?),
    };
    let best = best(recommender, &candidates, &scores, request.n);
    let items = best.into_iter().map(|at| RankedItem { candidate: &candidates[at], score: scores[at] });
    Ok(reply::json(write_answer(model, version, by, items)))
}

/// An item of an answer.
struct RankedItem<'a> {
    candidate: &'a ItemCandidate,
    score: f64,
}

/// The answer as JSON.
fn write_answer<'a>(
    model: &ServedModel,
    version: u64,
    by: &str,
    items: impl Iterator<Item = RankedItem<'a>>,
) -> Vec<u8> {
    let names: Vec<&str> = model.recommender.iter().flat_map(|of| of.quoted.iter().map(String::as_str)).collect();
    let mut out = model.head.clone();
    write!(out, "{version},\"by\":\"{by}\",\"items\":[").expect("writing to memory cannot fail");
    for (at, RankedItem { candidate, score }) in items.enumerate() {
        out.extend_from_slice(if at > 0 { b",{\"item\":" } else { b"{\"item\":" });
        reply::write_object(names.iter().copied().zip(&candidate.key), &mut out);
        out.extend_from_slice(b",\"score\":");
        reply::write_float(score, &mut out);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}

/// The list of what the user has seen; `None` of one who is new, or if the dataflow has no such list.
fn history(
    recommender: &Recommender,
    request: &RecommendRequest,
    moment: AnswerMoment<'_>,
) -> Result<Option<Feature>, RequestError> {
    let Some(seen) = &recommender.seen else {
        return match request.exclude_seen {
            Some(true) => Err(malformed("exclude_seen: the model has no 'seen' in its 'recommend'".to_owned())),
            _ => Ok(None),
        };
    };
    let value = |(name, ty): &(String, Type)| match request.user.get(name) {
        None => Err(malformed(format!("user.{name}: missing"))),
        Some(found) => {
            scalar(*ty, found).ok_or_else(|| malformed(format!("user.{name}: expected {ty}, found {found}")))
        }
    };
    let key = seen.entity.iter().map(value).collect::<Result<Vec<Scalar>, _>>()?;
    Ok(seen.of(&key, moment))
}

/// The candidates of a request, or all items, without those that the user has seen.
fn candidates(
    recommender: &Recommender,
    request: &RecommendRequest,
    history: Option<&Feature>,
    moment: AnswerMoment<'_>,
) -> Result<Vec<ItemCandidate>, RequestError> {
    let all = match &request.candidates {
        Some(candidates) if candidates.len() > MOST_CANDIDATES => {
            let found = candidates.len();
            return Err(malformed(format!("candidates: {found} of them; expected {MOST_CANDIDATES} at most")));
        }
        Some(candidates) => candidates.clone(),
        None => recommender.items(MOST_CANDIDATES, moment.lookups).map_err(|items| {
            malformed(format!("candidates: missing, and there are {items} items; expected {MOST_CANDIDATES} at most"))
        })?,
    };
    let seen = match history {
        Some(list) if request.exclude_seen != Some(false) => keys_of(recommender, list),
        _ => return Ok(all),
    };
    Ok(all.into_iter().filter(|candidate| !seen.contains(&recommender.key(&candidate.key))).collect())
}

/// The popularity of each candidate; 0 of one of which there is none.
fn popularities(
    recommender: &Recommender,
    popularity: &EntityFeature,
    candidates: &[ItemCandidate],
    moment: AnswerMoment<'_>,
) -> Vec<f64> {
    // The entity's columns are key columns, in an order of its own.
    let place = |name: &String| recommender.key_columns().position(|column| column.name == *name);
    let places: Vec<usize> = popularity.entity.iter().map(|(name, _)| place(name).expect("a key column")).collect();
    let of = |candidate: &ItemCandidate| {
        let key: Vec<Scalar> = places.iter().map(|at| candidate.key[*at].clone()).collect();
        match popularity.of(&key, moment).map(|feature| feature.scalar(moment.asking)) {
            Some(Scalar::Int(count)) => count as f64,
            Some(Scalar::Float(value)) => value,
            _ => 0.0,
        }
    };
    candidates.iter().map(of).collect()
}

/// The positions of the `n` best candidates, best first. Equal scores are in the order of the items' keys.
fn best(recommender: &Recommender, candidates: &[ItemCandidate], scores: &[f64], n: usize) -> Vec<usize> {
    let key = |at: &usize| -> Key { recommender.key(&candidates[*at].key) };
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    // The bits of a float, so turned that they compare as `total_cmp` does.
    let rank = |score: f64| {
        let bits = score.to_bits() as i64;
        Reverse(bits ^ (((bits >> 63) as u64) >> 1) as i64)
    };
    order.sort_by_cached_key(|at| (rank(scores[*at]), key(at)));
    order.truncate(n);
    order
}

/// Predicts for each candidate with the user's columns, by one version.
fn scores(
    service: &Service,
    request: &RecommendRequest,
    version: u64,
    candidates: &[ItemCandidate],
    moment: AnswerMoment<'_>,
) -> Result<Vec<f64>, Unanswered> {
    let call = Call { model: request.model, version: VersionRef::Number(version), explain: false, fault: None };
    let model = &service.models[request.model];
    if moment.lookups.is_fetched() {
        // All slices first, so that what they look up is fetched together.
        read_instances(service, request, candidates, moment, |scratch| {
            model.look_up(&mut scratch.frame, moment);
            Ok(())
        })?;
        Unanswered::check_fetched(moment)?;
    }
    let mut scores = Vec::with_capacity(candidates.len());
    read_instances(service, request, candidates, moment, |scratch| {
        service.models.predict(&call, moment, scratch, &|_, _| Ok(None))?;
        scores.extend(scratch.predictions.rows().map(|prediction| prediction[0]));
        Ok(())
    })?;
    Ok(scores)
}

/// Checks the columns of the user and of candidates that are not scored: all of those of the body, or one item.
fn check(
    service: &Service,
    request: &RecommendRequest,
    candidates: &[ItemCandidate],
    moment: AnswerMoment<'_>,
) -> Result<(), Unanswered> {
    let some = if request.candidates.is_some() { candidates } else { &candidates[..candidates.len().min(1)] };
    read_instances(service, request, some, moment, |_| Ok(()))
}

/// Reads the candidates with the user's columns into a frame, slice by slice, and calls `then` after each.
fn read_instances(
    service: &Service,
    request: &RecommendRequest,
    candidates: &[ItemCandidate],
    moment: AnswerMoment<'_>,
    mut then: impl FnMut(&mut Scratch) -> Result<(), Unanswered>,
) -> Result<(), Unanswered> {
    let program = &service.models[request.model].program;
    Scratch::with(|scratch| {
        candidates.chunks(SLICE).try_for_each(|slice| {
            let instances = slice.iter().map(|candidate| instance(&request.user, &candidate.fields));
            let text = Value::Array(instances.collect()).to_string();
            let seed = program.instances(&mut scratch.frame, service.newest_at(moment));
            let read = seed.deserialize(&mut serde_json::Deserializer::from_str(&text));
            let read = read.map_err(|error| malformed(error.to_string()))?;
            read.map_err(|fault| fault_of(&fault, &slice[fault.index], &request.user))?;
            then(scratch)
        })
    })
}

/// The error of an instance, whose fields are those of the user and of a candidate: one of the body by its place there, a
/// row of the items' table by its key.
fn fault_of(fault: &InstanceError, candidate: &ItemCandidate, user: &Map<String, Value>) -> RequestError {
    let item = match candidate.index {
        Some(index) => format!("candidates[{index}]"),
        None => format!("item {}", candidate.key.iter().map(Scalar::to_text).collect::<Vec<_>>().join(", ")),
    };
    let place = match &fault.field {
        Some(field) if user.contains_key(field) => format!("user.{field}"),
        Some(field) => format!("{item}.{field}"),
        None => item,
    };
    malformed(format!("{place}{}", fault.fault))
}

/// A candidate with the user's columns.
fn instance(user: &Map<String, Value>, fields: &Map<String, Value>) -> Value {
    let mut instance = user.clone();
    instance.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
    Value::Object(instance)
}

fn malformed(what: String) -> RequestError {
    RequestError::Malformed(what)
}

/// The recommender of a model.
fn recommender(model: &ServedModel) -> Result<&Recommender, RequestError> {
    let missing = || malformed(format!("model {} has no 'recommend' in its dataflow file", model.name));
    model.recommender.as_ref().ok_or_else(missing)
}

/// Reads a body.
fn read(service: &Service, body: &str) -> Result<RecommendRequest, RequestError> {
    let body: Value = json_error::parse(body, "an object with a user")?;
    let Value::Object(mut fields) = body else {
        return Err(malformed("expected an object with a user".to_owned()));
    };
    if let Some(found) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let (found, expected) = (found.clone(), FIELDS.join(", "));
        return Err(RequestError::UnknownField { nearest: nearest(&found, FIELDS), found, expected });
    }
    // The model, the user and the candidates.
    let model = match fields.remove("model") {
        None | Some(Value::Null) => only(service)?,
        Some(Value::String(name)) => service.models.find(&name)?,
        Some(_) => return Err(malformed("model: expected a name".to_owned())),
    };
    let recommender = recommender(&service.models[model])?;
    let user = match fields.remove("user") {
        Some(Value::Object(user)) => user,
        Some(_) => return Err(malformed("user: expected an object of columns".to_owned())),
        None => return Err(malformed("user: missing".to_owned())),
    };
    if let Some(column) = recommender.key_columns().find(|column| user.contains_key(&column.name)) {
        return Err(malformed(format!("user.{}: a column of the items", column.name)));
    }
    let candidates = match fields.remove("candidates") {
        None | Some(Value::Null) => None,
        Some(Value::Array(list)) => {
            let candidates = list.into_iter().enumerate();
            Some(candidates.map(|(index, value)| candidate(recommender, index, value)).collect::<Result<_, _>>()?)
        }
        Some(_) => return Err(malformed("candidates: expected a list of objects".to_owned())),
    };
    // The items that are wanted.
    let n = match fields.remove("n") {
        None | Some(Value::Null) => ITEMS,
        Some(value) => value
            .as_u64()
            .filter(|n| (1..=MOST_ITEMS).contains(n))
            .ok_or_else(|| malformed(format!("n: expected 1 to {MOST_ITEMS}, found {value}")))?,
    };
    let exclude_seen = match fields.remove("exclude_seen") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(exclude)) => Some(exclude),
        Some(value) => return Err(malformed(format!("exclude_seen: expected true or false, found {value}"))),
    };
    Ok(RecommendRequest { model, user, candidates, n: n as usize, exclude_seen })
}

/// The only model that recommends.
fn only(service: &Service) -> Result<usize, RequestError> {
    let all = || service.models.iter().enumerate().filter(|(_, model)| model.recommender.is_some());
    match (all().next(), all().count()) {
        (Some((model, _)), 1) => Ok(model),
        (None, _) => Err(malformed("no model has a 'recommend' in the dataflow file".to_owned())),
        _ => Err(RequestError::WhichModel(all().map(|(_, model)| model.name.as_str()).collect::<Vec<_>>().join(", "))),
    }
}

/// Reads a candidate: an object with the key columns of an item, and any other of its columns.
fn candidate(recommender: &Recommender, index: usize, value: Value) -> Result<ItemCandidate, RequestError> {
    let Value::Object(fields) = value else {
        return Err(malformed(format!("candidates[{index}]: expected an object")));
    };
    let key = recommender.key_columns().map(|column| {
        let (name, ty) = (&column.name, column.ty);
        let found = fields.get(name).ok_or_else(|| malformed(format!("candidates[{index}].{name}: missing")))?;
        let value = scalar(ty, found).filter(|value| !value.is_null());
        value.ok_or_else(|| malformed(format!("candidates[{index}].{name}: expected {ty}, found {found}")))
    });
    Ok(ItemCandidate { index: Some(index), key: key.collect::<Result<_, _>>()?, fields })
}
