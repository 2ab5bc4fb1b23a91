//! `POST /get-online-features`: the newest features of many entities, by column.
//!
//! The answer has a list of values for each key column, then for each feature, with a value for each entity. The event
//! time of a feature is the watermark: everything before it is in the value.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::aggregate::Feature;
use crate::serve::call::Unanswered;
use crate::serve::json_columns::JsonColumns;
use crate::serve::payload::Payload;
use crate::serve::reply::{self, Reply};
use crate::serve::served_groups::{ServedGroup, check_count};
use crate::serve::{Captures, RequestError, Service, json_error};
use crate::store::RequestLookups;
use crate::time::format_time;
use crate::value::Scalar;

/// The time of what has none.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

/// The body of a request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnlineFeaturesRequest<'a> {
    /// `view:feature` each.
    #[serde(default)]
    features: Vec<String>,
    feature_service: Option<String>,
    /// A list of values for each key column.
    #[serde(borrow)]
    entities: &'a RawValue,
    #[serde(default)]
    full_feature_names: bool,
    #[serde(default)]
    include_feature_view_version_metadata: bool,
}

/// A feature that is asked for.
#[derive(Debug)]
struct AskedFeature<'s> {
    group: &'s ServedGroup,
    /// Position among the features of the group.
    feature: usize,
}

/// The vectors of a group for all entities of a request, in their order.
type GroupVectors = Vec<Option<Arc<[Feature]>>>;

/// Shows features of entities.
///
/// # Errors
/// If there is no such group, feature or model, or the body is malformed or lists too many entities.
pub fn online_features(service: &Service, _: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let request: OnlineFeaturesRequest<'_> = json_error::parse(payload.text()?, "an object with entities")?;
    if request.include_feature_view_version_metadata {
        let what = "include_feature_view_version_metadata: expected false, for feature groups have no versions";
        return Err(malformed(what.to_owned()).into());
    }
    let asked = asked(service, &request)?;
    let entities = JsonColumns::read("entities", request.entities)?;
    check_count(entities.rows())?;
    let keys = key_names(service, &entities)?;
    let names = names(&request, &keys, &asked)?;
    let moment = service.moment(payload);
    let vectors = vectors(&entities, &asked, moment.lookups)?;
    // Keys first, then features, each with its values, statuses and times.
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"metadata\":{\"feature_names\":");
    serde_json::to_writer(&mut out, &names).expect("writing to memory cannot fail");
    out.extend_from_slice(b"},\"results\":[");
    for (at, name) in keys.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"{\"values\":" } else { b",{\"values\":" });
        serde_json::to_writer(&mut out, &entities.column(name)).expect("writing to memory cannot fail");
        write_end(&vec![true; entities.rows()], NO_TIME, &mut out);
    }
    let watermark = moment.watermark.map_or_else(|| NO_TIME.to_owned(), format_time);
    for (asked, vectors) in asked.iter().zip(&vectors) {
        out.extend_from_slice(b",{\"values\":[");
        for (at, vector) in vectors.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            let value = |vector| asked.group.value(vector, asked.feature, moment.asking);
            let feature = vector.as_deref().map_or(Cow::Owned(Feature::NULL), value);
            reply::write_feature(&feature, moment.asking, &mut out);
        }
        out.push(b']');
        let found: Vec<bool> = vectors.iter().map(Option::is_some).collect();
        write_end(&found, &watermark, &mut out);
    }
    out.extend_from_slice(b"]}");
    Ok(reply::json(out))
}

/// Appends the rest of a result after its values: for each, whether it was found, and the time if it was.
fn write_end(found: &[bool], time: &str, out: &mut Vec<u8>) {
    let of = |yes, no| found.iter().map(|found| if *found { yes } else { no }).collect::<Vec<&str>>();
    out.extend_from_slice(b",\"statuses\":");
    serde_json::to_writer(&mut *out, &of("PRESENT", "NOT_FOUND")).expect("writing to memory cannot fail");
    out.extend_from_slice(b",\"event_timestamps\":");
    serde_json::to_writer(&mut *out, &of(time, NO_TIME)).expect("writing to memory cannot fail");
    out.push(b'}');
}

/// The features that a request asks for: by their names, or those of a model.
fn asked<'s>(service: &'s Service, request: &OnlineFeaturesRequest<'_>) -> Result<Vec<AskedFeature<'s>>, RequestError> {
    let of = |group: &str, feature: &str| {
        let group = service.groups.find(group)?;
        Ok(AskedFeature { group, feature: group.feature(feature)? })
    };
    match (&request.feature_service, request.features.as_slice()) {
        (Some(model), []) => {
            let model = &service.models[service.models.find(model)?];
            model.program.features().iter().filter_map(|name| name.split_once('.')).map(|(g, f)| of(g, f)).collect()
        }
        (None, []) => Err(malformed("features: expected names VIEW:FEATURE, or a feature_service".to_owned())),
        (None, names) => {
            let one = |(at, name): (usize, &String)| match name.split_once(':') {
                Some((group, feature)) => of(group, feature),
                None => Err(malformed(format!("features[{at}]: expected VIEW:FEATURE, found {name:?}"))),
            };
            names.iter().enumerate().map(one).collect()
        }
        (Some(_), _) => Err(malformed("both features and feature_service; expected one of them".to_owned())),
    }
}

/// Returns the columns that are keys of a group, not only of those that are asked for, in the order in which they are given.
/// Other columns are ignored. Feast does both.
///
/// # Errors
/// If a column is given twice.
fn key_names(service: &Service, entities: &JsonColumns<'_>) -> Result<Vec<String>, RequestError> {
    let names = entities.names();
    if let Some(twice) = (1..names.len()).find(|at| names[..*at].contains(&names[*at])) {
        return Err(malformed(format!("entities.{}: duplicate field", names[twice])));
    }
    let is_key = |name: &&String| service.groups.iter().any(|group| group.entity.iter().any(|key| key.name == **name));
    Ok(names.iter().filter(is_key).cloned().collect())
}

/// The names of the columns of the answer.
fn names(
    request: &OnlineFeaturesRequest<'_>,
    keys: &[String],
    asked: &[AskedFeature<'_>],
) -> Result<Vec<String>, RequestError> {
    let mut names = keys.to_vec();
    for AskedFeature { group, feature } in asked {
        let feature = &group.features[*feature];
        let name = if request.full_feature_names { format!("{}__{feature}", group.name) } else { feature.clone() };
        if names.contains(&name) {
            let what =
                format!("features: two columns would be named {name}; ask for each once, with full_feature_names");
            return Err(malformed(what));
        }
        names.push(name);
    }
    Ok(names)
}

/// The vectors of each feature's group, for all entities. Those of a group are looked up once.
fn vectors(
    entities: &JsonColumns<'_>,
    asked: &[AskedFeature<'_>],
    lookups: &RequestLookups,
) -> Result<Vec<Arc<GroupVectors>>, RequestError> {
    let mut known: Vec<(&str, Arc<GroupVectors>)> = Vec::new();
    let mut all = Vec::with_capacity(asked.len());
    for AskedFeature { group, .. } in asked {
        let found = known.iter().find(|(name, _)| *name == group.name).map(|(_, vectors)| vectors.clone());
        let vectors = match found {
            Some(vectors) => vectors,
            None => {
                let keys = keys(entities, group)?;
                let vectors = Arc::new(keys.iter().map(|key| group.vector(key, lookups)).collect::<GroupVectors>());
                known.push((&group.name, vectors.clone()));
                vectors
            }
        };
        all.push(vectors);
    }
    Ok(all)
}

/// The keys of all entities in a group.
fn keys(entities: &JsonColumns<'_>, group: &ServedGroup) -> Result<Vec<Vec<Scalar>>, RequestError> {
    let mut keys = vec![Vec::with_capacity(group.entity.len()); entities.rows()];
    for column in &group.entity {
        let name = &column.name;
        let values = entities.column(name).ok_or_else(|| malformed(format!("entities.{name}: missing")))?;
        for (at, (json, key)) in values.iter().zip(&mut keys).enumerate() {
            let value: Value = serde_json::from_str(json.get()).map_err(|error| malformed(error.to_string()))?;
            let wrong = || malformed(format!("entities.{name}[{at}]: expected {}, found {value}", column.ty));
            key.push(column.scalar(&value).ok_or_else(wrong)?);
        }
    }
    Ok(keys)
}

fn malformed(what: String) -> RequestError {
    RequestError::Malformed(what)
}
