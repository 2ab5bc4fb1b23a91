//! The vector that an explanation is compared with: the one that a running job serves, or that a replay has written.
//!
//! A job that is running tells up to which time everything is closed, but neither which later records it has received nor
//! the asking time. Both are found by trial: records are added in the total order to those that are closed, for as long as
//! the vector can be the one that was served, and the asking time is the one, among those that a job can have, at which the
//! values are equal. A job that reads fast may have closed the entity's records beyond the time that it tells, which is that
//! of all groups; then the first later time is taken at which the vector is the one that was served.

use std::path::Path;

use anyhow::{Context, anyhow};
use serde_json::Value;

use super::contributions::{Moment, arriving, closing};
use super::lineage::EntityRecords;
use crate::aggregate::{Deferred, Feature};
use crate::flow::plan::GroupPlan;
use crate::run::features::AskedEntity;
use crate::run::http_client::JobUrl;
use crate::serve::explainer::{ExplanationFailure, ExplanationLimits, ServedVector};
use crate::store::offline_rows::OfflineRows;
use crate::time::{EventTime, format_time};
use crate::value::{Scalar, TimeRules};

/// The most records that may have arrived and not be closed.
const MOST_PROVISIONAL: usize = 100_000;

/// The most changes of the vector after the time up to which a job tells that everything is closed, at which it is tried.
const MOST_CLOSED: usize = 100_000;

/// The most records that may have arrived at each of them and not be closed.
const MOST_AHEAD: usize = 1_000;

/// The most vectors that are compared at all of them.
const MOST_TRIED: usize = 300_000;

/// Gets the vector that a job serves.
///
/// # Errors
/// If the job does not answer, has no such entity, or is one of another dataflow.
pub fn of_job(job: &JobUrl, asked: &AskedEntity, group: &GroupPlan) -> anyhow::Result<ServedVector> {
    let body = asked.get(None, job)?;
    let feature = |name: &String| {
        let value = body["features"].get(name).cloned();
        value.with_context(|| format!("the job has no feature {name} in {}; does it run this dataflow?", group.name))
    };
    let features = group.names.iter().map(feature).collect::<anyhow::Result<_>>()?;
    let time = body["watermark"].as_str().and_then(|text| TimeRules::default().of_text(text));
    Ok(ServedVector { features, time: time.unwrap_or(EventTime::MIN) })
}

/// Reads the newest vector of an entity in the folder of a replay, of those whose records take effect before `before`.
///
/// # Errors
/// If the folder has none, or its file cannot be read.
pub fn of_replay(
    folder: &Path,
    group: &GroupPlan,
    entity: &[Scalar],
    before: Option<EventTime>,
) -> anyhow::Result<ServedVector> {
    let path = folder.join(format!("features/{}.parquet", group.name));
    let rows = OfflineRows::open(&path)?;
    let position = |name: &str| {
        let found = rows.names().iter().position(|known| known == name);
        found.with_context(|| format!("{} has no column {name}; is it of this dataflow?", path.display()))
    };
    let keys = group.entity_names.iter().map(|name| position(name)).collect::<anyhow::Result<Vec<_>>>()?;
    let features = group.names.iter().map(|name| position(name)).collect::<anyhow::Result<Vec<_>>>()?;
    let time = position("_time")?;
    let mut newest = None;
    for row in rows {
        let row = row?;
        let is_entity = keys.iter().zip(entity).all(|(at, value)| row[*at] == Feature::Value(value.clone()));
        let Feature::Value(Scalar::Timestamp(at)) = row[time] else { continue };
        if is_entity && before.is_none_or(|before| at < before) {
            let features = features.iter().map(|column| row[*column].to_json(at)).collect();
            newest = Some(ServedVector { features, time: at });
        }
    }
    newest.ok_or_else(|| {
        let entity = entity.iter().map(Scalar::to_text).collect::<Vec<_>>().join(", ");
        let before = before.map_or_else(String::new, |before| format!(" before {}", format_time(before)));
        anyhow!("{}: no vector of {entity}{before}", path.display())
    })
}

/// Returns the moment at which a replay wrote a vector: just after all records of its time.
pub fn moment_of_replay(vector: &ServedVector, records: &EntityRecords) -> Moment {
    Moment { asking: vector.time, ..Moment::as_of(vector.time + 1, records) }
}

/// Returns the moment at which a job served a vector: that of the most records that fit; if none do, that of the first later
/// time at which some do, if that is found, else the time that the job told.
///
/// # Errors
/// If a limit is reached.
pub fn moment_of_job(
    served: &ServedVector,
    group: &GroupPlan,
    records: &EntityRecords,
    limits: &ExplanationLimits,
) -> Result<Moment, ExplanationFailure> {
    let fits = |found: &[Feature], time: EventTime| {
        let fits = |(feature, served): (&Feature, &Value)| match feature {
            Feature::AsOf(_) => true,
            feature => feature.to_json(time) == *served,
        };
        found.iter().zip(&served.features).all(fits)
    };
    let told = Moment::as_of(served.time, records);
    let mut fitting = None;
    arriving(&group.layout, records, served.time, MOST_PROVISIONAL, |arrived, found| {
        if fits(&found, served.time) {
            fitting = Some(Moment { arrived, asking: asking_time(&found, served, records), ..told });
        }
        limits.check(0)
    })?;
    if fitting.is_none() {
        let mut tried = 0;
        closing(&group.layout, records, served.time, MOST_CLOSED, |later| {
            arriving(&group.layout, records, later.closed, MOST_AHEAD, |arrived, found| {
                tried += 1;
                if fits(&found, later.closed) {
                    fitting = Some(Moment { arrived, asking: asking_time(&found, served, records), ..later });
                }
                limits.check(0)
            })?;
            Ok(fitting.is_none() && tried < MOST_TRIED)
        })?;
    }
    Ok(fitting.unwrap_or(told))
}

/// Returns the asking time at which features have the values that were served; the watermark if none does.
fn asking_time(found: &[Feature], served: &ServedVector, records: &EntityRecords) -> EventTime {
    let told = found.iter().zip(&served.features).find_map(|(feature, value)| match feature {
        Feature::AsOf(Deferred::SecondsSince(time)) => Some(time + libm::round(value.as_f64()? * 1e3) as EventTime),
        _ => None,
    });
    let fits = |asking: &EventTime| {
        found.iter().zip(&served.features).all(|(found, served)| found.to_json(*asking) == *served)
    };
    let candidates = told.into_iter().chain([served.time, served.time.saturating_sub(1), records.newest]);
    candidates.into_iter().find(fits).unwrap_or(served.time)
}
