//! The verb: what is asked, who answers it, and where it is printed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::answer::answer;
use super::error::ExplainError;
use super::served;
use super::text::text;
use super::topics::BoundTopics;
use crate::expr::nearest;
use crate::flow::Plan;
use crate::flow::plan::GroupPlan;
use crate::run::args::{CommonArgs, JobArgs};
use crate::run::features::AskedEntity;
use crate::run::http_client::segment;
use crate::run::{Failure, inspect, output};
use crate::serve::explainer::{ExplainedMoment, ExplanationLimits, ExplanationRequest, FeatureExplanation};
use crate::time::EventTime;
use crate::value::{Scalar, Type};

/// The longest time that a job may take to answer; it has a limit of its own.
const PATIENCE: Duration = Duration::from_secs(90);

/// The most records of a window that a job is asked for.
const MOST_LISTED: usize = 10_000;

/// The flags of `features explain`.
#[derive(Clone, Debug)]
pub struct ExplainOptions {
    /// The dataflow file; without one, the running job explains.
    pub dataflow: Option<PathBuf>,
    /// The features to explain; all if there are none.
    pub features: Vec<String>,
    pub as_of: Option<EventTime>,
    /// The running job to ask, or to compare with.
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
    let explanation = match &options.dataflow {
        Some(file) => from_topics(file, asked, common, options)?,
        None => from_job(asked, common, options)?,
    };
    let served_by = if options.replay.is_some() { "written" } else { "served" };
    let json = || serde_json::to_value(&explanation).expect("an explanation has a JSON form");
    output::print(&if options.json { format!("{:#}\n", json()) } else { text(&explanation, served_by) })?;
    let differ = explanation.features().filter(|(_, of)| of.equal == Some(false));
    match differ.map(|(name, _)| name).collect::<Vec<_>>().as_slice() {
        [] => Ok(()),
        names => Err(Failure::Runtime(anyhow!("{} differ from what is {served_by}", names.join(", ")))),
    }
}

/// Asks the running job.
fn from_job(asked: &AskedEntity, common: &CommonArgs, options: &ExplainOptions) -> Result<FeatureExplanation, Failure> {
    let mut path = format!("{}?most={MOST_LISTED}", asked.path("explain"));
    if !options.features.is_empty() {
        path += &format!("&feature={}", segment(&options.features.join(",")));
    }
    if let Some(as_of) = options.as_of {
        path += &format!("&as_of={as_of}");
    }
    let body = options.job.job(common)?.with_patience(PATIENCE).text(&path)?;
    Ok(serde_json::from_str(&body).context("the answer is no explanation; is the job of this version of tidemill?")?)
}

/// Reads the topics of a dataflow.
fn from_topics(
    file: &Path,
    asked: &AskedEntity,
    common: &CommonArgs,
    options: &ExplainOptions,
) -> Result<FeatureExplanation, Failure> {
    let plan = Plan::new(Arc::new(inspect::load(file)?));
    let config = common.load()?;
    let number = find(&plan, &asked.group)?;
    let group = &plan.groups[number];
    let key = entity(&plan, number, &asked.key)?;
    let features = features(group, &options.features)?;
    let moment = match (&options.replay, options.as_of) {
        (Some(folder), before) => ExplainedMoment::Written(served::of_replay(folder, group, &key, before)?),
        (None, Some(_)) if options.job.is_given() => {
            let what =
                "error: with --dataflow and --as-of no job is asked; expected no --url, --token-file or --ca-file";
            return Err(Failure::Usage(what.to_owned()));
        }
        (None, Some(time)) => ExplainedMoment::AsOf(time),
        (None, None) => ExplainedMoment::Served(served::of_job(&options.job.job(common)?, asked, group)?),
    };
    let topics = BoundTopics::new(&config, &plan.spec.name)?;
    let request = ExplanationRequest { group: number, key, features, moment, most_listed: usize::MAX };
    answer(&plan, &request, &topics, &ExplanationLimits::none()).map_err(ExplainError::into_failure)
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
