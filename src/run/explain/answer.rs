//! The answer to a request to explain: from the topics, within limits.

use super::contributions::{Moment, derived, explain};
use super::error::ExplainError;
use super::lineage::EntityRecords;
use super::report::Report;
use super::served::{moment_of_job, moment_of_replay};
use super::topics::Topics;
use crate::flow::Plan;
use crate::serve::explainer::{
    ExplainedMoment, ExplanationFailure, ExplanationLimits, ExplanationRequest, FeatureExplanation, ServedVector,
};
use crate::time::{EventTime, LATEST, format_time};
use crate::value::Scalar;

/// Explains features of an entity from the topics of a plan.
///
/// # Errors
/// If the group cannot be explained, the entity has no records as of a time, a topic cannot be read, or a limit is reached.
pub fn answer(
    plan: &Plan,
    request: &ExplanationRequest,
    topics: &impl Topics,
    limits: &ExplanationLimits,
) -> Result<FeatureExplanation, ExplainError> {
    let ExplanationRequest { group: number, key, features, moment: asked, most_listed } = request;
    let (spec, group) = (&plan.spec.groups[*number], &plan.groups[*number]);
    let served = match asked {
        ExplainedMoment::AsOf(_) => None,
        ExplainedMoment::Served(served) | ExplainedMoment::Written(served) => Some(served),
    };
    // The newest record is known once all are read.
    let since = plan.history_of(group).filter(|_| closed(asked) != LATEST);
    let since = since.map(|history_ms| closed(asked).saturating_sub(history_ms));
    let records = EntityRecords::read(plan, *number, &group.codec.encode_one(key), topics, since, limits)?;
    let moment = match asked {
        ExplainedMoment::AsOf(LATEST) => Moment::as_of(records.newest.saturating_add(1), &records),
        ExplainedMoment::AsOf(time) => Moment::as_of(*time, &records),
        ExplainedMoment::Served(vector) => moment_of_job(vector, group, &records, limits)?,
        ExplainedMoment::Written(vector) => moment_of_replay(vector, &records),
    };
    if served.is_none() && moment.arrived == 0 {
        return Err(unknown(&group.name, key, moment.closed, since).into());
    }
    let contributions = explain(spec, group, &records, moment, &spec.read_by(features), limits)?;
    let derived = derived(group, &contributions, moment, features);
    let report = Report {
        spec,
        group,
        entity: key,
        records: &records,
        moment,
        contributions: &contributions,
        derived: &derived,
        served,
        most_listed: *most_listed,
    };
    Ok(report.explanation())
}

/// Returns the time up to which everything is closed at the moment that is asked for.
fn closed(asked: &ExplainedMoment) -> EventTime {
    match asked {
        ExplainedMoment::AsOf(time)
        | ExplainedMoment::Served(ServedVector { time, .. })
        | ExplainedMoment::Written(ServedVector { time, .. }) => *time,
    }
}

/// Returns the error for an entity without a record before a time, of those since the beginning of its windows.
fn unknown(group: &str, key: &[Scalar], before: EventTime, since: Option<EventTime>) -> ExplanationFailure {
    let since =
        since.map_or_else(String::new, |since| format!(" and since {}, where its windows begin", format_time(since)));
    let (key, before) = (key.iter().map(Scalar::to_text).collect::<Vec<_>>().join(", "), format_time(before));
    ExplanationFailure::UnknownEntity(format!(
        "{group} has no entity {key} as of {before}: it has no record before then{since}"
    ))
}
