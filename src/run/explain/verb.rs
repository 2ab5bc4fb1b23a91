//! The verb: what is asked, what it is compared with, and where it is printed.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;

use super::contributions::{Moment, derived, explain};
use super::lineage::EntityRecords;
use super::report::Report;
use super::served::{self, ServedVector};
use super::topics::BoundTopics;
use crate::expr::nearest;
use crate::flow::Plan;
use crate::flow::plan::GroupPlan;
use crate::run::args::{CommonArgs, JobArgs};
use crate::run::features::AskedEntity;
use crate::run::{Failure, inspect, output};
use crate::time::{EventTime, LATEST, format_time};
use crate::value::{Scalar, Type};

/// The flags of `features explain`.
#[derive(Clone, Debug)]
pub struct ExplainOptions {
    pub dataflow: PathBuf,
    /// The features to explain; all if there are none.
    pub features: Vec<String>,
    pub as_of: Option<EventTime>,
    /// The running job to compare with.
    pub job: JobArgs,
    /// The folder of a replay to compare with.
    pub replay: Option<PathBuf>,
    pub json: bool,
}

/// Explains features of an entity.
///
/// # Errors
/// If the file, the config or what is asked is wrong, a topic cannot be read, what it is compared with is not there, or a
/// feature is not as served.
pub fn run(asked: &AskedEntity, common: &CommonArgs, options: &ExplainOptions) -> Result<(), Failure> {
    let plan = Plan::new(Arc::new(inspect::load(&options.dataflow)?));
    let config = common.load()?;

    // The feature to explain, and the served value to compare it with.
    let number = find(&plan, &asked.group)?;
    let group = &plan.groups[number];
    let entity = entity(&plan, number, &asked.key)?;
    let wanted = features(group, &options.features)?;
    let (served, served_by) = match (&options.replay, options.as_of) {
        (Some(folder), before) => (Some(served::of_replay(folder, group, &entity, before)?), "written"),
        (None, Some(_)) => (None, ""),
        (None, None) => {
            let job = options.job.job(common)?;
            (Some(served::of_job(&job, asked, group)?), "served")
        }
    };

    // The records, and what is of them.
    let closed = served.as_ref().map(|served| served.time).or(options.as_of).unwrap_or(EventTime::MIN);
    // The newest record is known once all are read.
    let history = plan.history_of(group).filter(|_| closed != LATEST);
    let since = history.map(|history_ms| closed.saturating_sub(history_ms));
    let topics = BoundTopics::new(&config, &plan.spec.name)?;
    let records = EntityRecords::read(&plan, number, &group.codec.encode_one(&entity), &topics, since)?;
    let moment = moment(served.as_ref(), options, group, &records);
    if served.is_none() && moment.arrived == 0 {
        return Err(unknown(asked, moment.closed, since));
    }
    let spec = &plan.spec.groups[number];
    let contributions = explain(spec, group, &records, moment, &spec.read_by(&wanted));
    let derived = derived(group, &contributions, moment, &wanted);

    // The report.
    let report = Report {
        spec,
        group,
        entity: &entity,
        records: &records,
        moment,
        contributions: &contributions,
        derived: &derived,
        served: served.as_ref(),
        served_by,
    };
    output::print(&if options.json { format!("{:#}\n", report.to_json()) } else { report.to_text() })?;
    match report.differences().as_slice() {
        [] => Ok(()),
        names => Err(Failure::Runtime(anyhow!("{} differ from what is {served_by}", names.join(", ")))),
    }
}

/// Returns the error for an entity without a record before a time, of those since the beginning of its windows.
fn unknown(asked: &AskedEntity, before: EventTime, since: Option<EventTime>) -> Failure {
    let since =
        since.map_or_else(String::new, |since| format!(" and since {}, where its windows begin", format_time(since)));
    let (group, key, before) = (&asked.group, asked.key.join(", "), format_time(before));
    Failure::Runtime(anyhow!("{group} has no entity {key} as of {before}: it has no record before then{since}"))
}

fn moment(
    served: Option<&ServedVector>,
    options: &ExplainOptions,
    group: &GroupPlan,
    records: &EntityRecords,
) -> Moment {
    match (served, &options.replay, options.as_of) {
        (Some(vector), Some(_), _) => served::moment_of_replay(vector, records),
        (Some(vector), None, _) => served::moment_of_job(vector, group, records),
        (None, _, Some(LATEST)) => Moment::as_of(records.newest.saturating_add(1), records),
        (None, _, as_of) => Moment::as_of(as_of.unwrap_or(EventTime::MIN), records),
    }
}

/// Returns the position of a group by name.
fn find(plan: &Plan, name: &str) -> Result<usize, Failure> {
    let names = || plan.groups.iter().map(|group| group.name.as_str());
    names().position(|known| known == name).ok_or_else(|| {
        let hint = hint(name, names());
        Failure::Usage(format!("error: the dataflow has no feature group {name:?}; {hint}"))
    })
}

/// The end of an error about a name: the nearest valid one, or all.
fn hint<'a>(name: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(name, names.clone()) {
        Some(name) => format!("did you mean {name}?"),
        None => format!("expected one of {}", names.collect::<Vec<_>>().join(", ")),
    }
}

/// Reads the values of an entity's columns.
fn entity(plan: &Plan, group: usize, key: &[String]) -> Result<Vec<Scalar>, Failure> {
    let group = &plan.groups[group];
    let names = group.entity_names.join(", ");
    if key.len() != group.entity_names.len() {
        let (name, found) = (&group.name, key.len());
        return Err(Failure::Usage(format!("error: group {name} has the entity {names}; found {found} values")));
    }
    let columns = group.codec.types().iter().zip(&group.entity_names);
    let value = |((ty, name), text): ((&Type, &String), &String)| {
        Scalar::of_text(*ty, text)
            .ok_or_else(|| Failure::Usage(format!("error: {name}: expected {ty}, found {text:?}")))
    };
    columns.zip(key).map(value).collect()
}

/// Returns the positions of features by name, ascending; all if there are no names.
fn features(group: &GroupPlan, names: &[String]) -> Result<Vec<usize>, Failure> {
    let known = || group.names.iter().map(String::as_str);
    for name in names {
        if known().all(|known| known != name) {
            let group = &group.name;
            return Err(Failure::Usage(format!(
                "error: --feature: {group} has no feature {name:?}; {}",
                hint(name, known())
            )));
        }
    }
    let is_wanted = |feature: &usize| names.is_empty() || names.contains(&group.names[*feature]);
    Ok((0..group.names.len()).filter(is_wanted).collect())
}
