//! The handlers of the dashboard.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;

use hyper::StatusCode;
use maud::html;
use serde::de::DeserializeSeed;
use serde_json::{Map, Value};

use super::arms::ShownSplit;
use super::explained;
use super::explorer::{self, FormField, FoundEntity};
use super::overview::{GroupSummary, Overview};
use super::scoring::{self, MOST_WINDOWS, ShownModel, Trial};
use super::shell;
use crate::example::NeededColumn;
use crate::expr::nearest;
use crate::model::InputColumn;
use crate::registry::{RegistryError, ScorePoint};
use crate::serve::answer_moment::AnswerMoment;
use crate::serve::call::{Call, Scratch, Unanswered, VersionRef};
use crate::serve::explainer::{ExplainedMoment, ExplanationRequest};
use crate::serve::instance_table::{InstanceTable, TableCell};
use crate::serve::operator_rates::SampledCounts;
use crate::serve::payload::Payload;
use crate::serve::query::{FormValue, check_fields};
use crate::serve::reply::{self, Reply};
use crate::serve::served_groups::{EntityColumn, ServedGroup};
use crate::serve::served_model::ServedModel;
use crate::serve::{Captures, RequestError, Service, operations};
use crate::value::{Scalar, Type};

/// The most records of a window that the page of an explanation lists.
const MOST_LISTED: usize = 200;

/// The style sheet.
pub fn style(_: &Service, _: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    Ok(shell::respond(StatusCode::OK, "text/css; charset=utf-8", shell::STYLE))
}

/// The script.
pub fn script(_: &Service, _: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    Ok(shell::respond(StatusCode::OK, "text/javascript; charset=utf-8", shell::SCRIPT))
}

/// The icon.
pub fn icon(_: &Service, _: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    Ok(shell::respond(StatusCode::OK, "image/svg+xml", shell::ICON))
}

/// The first page.
pub fn overview(service: &Service, _: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    // The state of the process, from its metrics.
    let metrics = &service.metrics;
    let (operators, sources) = (metrics.operators(), metrics.sources());
    let reads = sources.iter().map(|(name, source)| (name.clone(), source.read()));
    let counts = SampledCounts { operators: operators.clone(), reads: reads.collect() };
    let rates = service.rates.rates(Instant::now(), &counts);
    let mut status = metrics.groups();
    let group = |group: &ServedGroup| GroupSummary {
        name: group.name.clone(),
        entity: group.entity.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", "),
        features: group.features.len(),
        status: status.remove(&group.name).unwrap_or_default(),
    };
    let overview = Overview {
        reasons: operations::reasons(service),
        warnings: service.readiness.warnings(),
        watermark: service.times().closed(),
        newest: service.times().newest(),
        graph: (service.dashboard.graph)(&rates),
        sources,
        letters: service.dashboard.letters.shown(),
        groups: service.groups.iter().map(group).collect(),
        states: metrics.states(),
        operators,
        rates,
    };
    // The models, whose scores are in the registry.
    let models: Vec<ShownModel> = service.models.iter().map(|model| summary(service, model)).collect();
    let (dataflow, registry) = (service.dataflow.clone(), service.models.registry().ok());
    Err(Unanswered::blocking(move || {
        let points = |model: &ShownModel| {
            registry.as_ref().map_or_else(Vec::new, |registry| {
                registry.newest_scores(&model.name, MOST_WINDOWS).unwrap_or_else(|error| {
                    warn(&model.name, &error);
                    Vec::new()
                })
            })
        };
        let sections = html! {
            (overview.sections())
            @for model in &models { (model.section(&points(model))) }
        };
        Ok(shell::page(&dataflow, "Dataflow", &sections))
    }))
}

/// The page of a feature group.
///
/// # Errors
/// If there is no such group, or the query is no form of its entity.
pub fn group(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let group = service.groups.find(&captures.text(0)?)?;
    let given = captures.form()?;
    let fields = entity_fields(group, &given)?;
    let moment = service.moment(payload);
    let found = (!given.is_empty()).then(|| find(group, &fields, moment));
    let is_explained = service.explainer().is_ok();
    let sections = explorer::sections(&group.name, &fields, found.as_ref(), moment.watermark, is_explained);
    Ok(shell::page(&service.dataflow, &format!("Features {}", group.name), &sections))
}

/// Returns the fields of an entity, with the values of a form.
///
/// # Errors
/// If the form has other fields, or one twice.
fn entity_fields(group: &ServedGroup, given: &[FormValue]) -> Result<Vec<FormField>, RequestError> {
    check_fields(given, &group.entity.iter().map(|column| column.name.as_str()).collect::<Vec<_>>())?;
    let value = |name: &str| given.iter().find(|known| known.name == name).map(|known| known.value.clone());
    let field = |column: &EntityColumn| FormField {
        name: column.name.clone(),
        hint: column.ty.name().to_owned(),
        value: value(&column.name).unwrap_or_default(),
        required: true,
    };
    Ok(group.entity.iter().map(field).collect())
}

/// Reads the entity in a form. The error says which value is none of its column.
fn entity(group: &ServedGroup, fields: &[FormField]) -> Result<Vec<Scalar>, RequestError> {
    let value = |(column, field): (&EntityColumn, &FormField)| {
        Scalar::of_text(column.ty, &field.value).ok_or_else(|| RequestError::Key {
            column: column.name.clone(),
            found: field.value.clone(),
            expected: column.ty.name(),
        })
    };
    group.entity.iter().zip(fields).map(value).collect()
}

/// Finds the vector of the entity that a form names; features are as of a moment.
fn find(group: &ServedGroup, fields: &[FormField], moment: AnswerMoment<'_>) -> FoundEntity {
    let key = match entity(group, fields) {
        Ok(key) => key,
        Err(mistake) => return FoundEntity::Mistake(mistake.to_string()),
    };
    let Some(served) = group.served(&key, moment) else { return FoundEntity::Unknown };
    FoundEntity::Vector(group.features.iter().cloned().zip(served.features).collect())
}

/// The page of an explanation of a feature, as it is served for the entity in a form.
///
/// # Errors
/// If there is no such group, feature or entity, the query is no form of an entity, or the feature cannot be explained now.
pub fn explained(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let group = service.groups.find(&captures.text(0)?)?;
    let feature = group.feature(&captures.text(1)?)?;
    let fields = entity_fields(group, &captures.form()?)?;
    let key = entity(group, &fields)?;
    let explainer = service.explainer()?;
    let moment = service.moment(payload);
    let served = group.served(&key, moment).ok_or_else(|| group.unknown_entity(&key))?;
    Unanswered::check_fetched(moment)?;
    let (dataflow, name, feature_name) =
        (service.dataflow.clone(), group.name.clone(), group.features[feature].clone());
    let write = move |explanation| {
        let sections = explained::sections(&name, &feature_name, &fields, &explanation);
        shell::page(&dataflow, &format!("Explanation of {feature_name}"), &sections)
    };
    let request = ExplanationRequest {
        group: service.groups.position(group),
        key,
        features: vec![feature],
        moment: ExplainedMoment::Served(served),
        most_listed: MOST_LISTED,
    };
    Err(Unanswered::explaining(explainer, request, write))
}

/// The page of a model.
///
/// # Errors
/// If there is no such model or metric.
pub fn model(service: &Service, captures: &Captures<'_>, _: Payload<'_>) -> Result<Reply, Unanswered> {
    let model = &service.models[service.models.find(&captures.text(0)?)?];
    let summary = summary(service, model);
    let metric = match captures.parameter("metric")? {
        None => summary.metrics.first().copied(),
        Some(name) => Some(find_metric(&summary.metrics, name)?),
    };
    let trial = trial_fields(model, &[]);
    let (dataflow, registry) = (service.dataflow.clone(), service.models.registry().ok());
    Err(Unanswered::blocking(move || {
        let points = registry.as_ref().map(|registry| registry.newest_scores(&summary.name, MOST_WINDOWS));
        let points: Vec<ScorePoint> = match points {
            None => Vec::new(),
            Some(Ok(points)) => points,
            Some(Err(error)) => {
                warn(&summary.name, &error);
                Vec::new()
            }
        };
        let mut others = BTreeMap::new();
        for name in summary.split.iter().flat_map(|split| split.others.keys()) {
            let points = registry.as_ref().and_then(|registry| registry.scores(name).ok());
            others.insert(name.clone(), points.unwrap_or_default());
        }
        let sections = summary.sections(metric, &points, &others, &trial);
        Ok(shell::page(&dataflow, &format!("Model {}", summary.name), &sections))
    }))
}

fn find_metric(metrics: &[&'static str], name: Cow<'_, str>) -> Result<&'static str, RequestError> {
    let known = metrics.iter().copied().find(|known| *known == name);
    known.ok_or_else(|| RequestError::UnknownMetric {
        nearest: nearest(&name, metrics.iter().copied()),
        found: name.into_owned(),
        expected: metrics.join(", "),
    })
}

/// The page of a trial. What is wrong with the instance is shown beside its form.
///
/// # Errors
/// If there is no such model, or the query is no form of its columns.
pub fn predict(service: &Service, captures: &Captures<'_>, payload: Payload<'_>) -> Result<Reply, Unanswered> {
    let position = service.models.find(&captures.text(0)?)?;
    let model = &service.models[position];
    let given = captures.form()?;
    check_fields(&given, &model.program.needed().map(|column| column.name).collect::<Vec<_>>())?;
    let fields = trial_fields(model, &given);
    let answered = match instance(model, &fields) {
        Err(what) => Err(what),
        Ok(instance) => match run(service, position, &instance, payload) {
            Ok(trial) => Ok(trial),
            Err(Unanswered::Refused(error)) => Err(error.to_string()),
            Err(other) => return Err(other),
        },
    };
    // A form that nobody has filled in yet has no faults.
    let is_asked = !given.is_empty() || answered.is_ok();
    let answered = is_asked.then(|| answered.as_ref().map_err(String::as_str));
    let sections = scoring::trial_sections(&model.name, &fields, answered);
    Ok(shell::page(&service.dataflow, &format!("Predict {}", model.name), &sections))
}

/// Returns the columns that a form sets, and their values.
///
/// # Errors
/// If a value is not one of its column's type.
fn instance<'a>(model: &ServedModel, fields: &'a [FormField]) -> Result<(Vec<String>, Vec<TableCell<'a>>), String> {
    let (mut names, mut cells) = (Vec::new(), Vec::new());
    for (column, field) in model.program.needed().zip(fields).filter(|(_, field)| !field.value.is_empty()) {
        let cell = match column.ty {
            // Times are read with the rules of their column.
            Type::String | Type::Timestamp => Some(TableCell::Text(&field.value)),
            ty => match Scalar::of_text(ty, &field.value) {
                Some(Scalar::Bool(value)) => Some(TableCell::Bool(value)),
                Some(Scalar::Int(value)) => Some(TableCell::Int(value)),
                Some(Scalar::Float(value)) => Some(TableCell::Float(value)),
                _ => None,
            },
        };
        cells.push(cell.ok_or_else(|| format!("{}: expected {}", column.name, column.ty.name()))?);
        names.push(column.name.to_owned());
    }
    Ok((names, cells))
}

/// Predicts for an instance, as `/predict` does.
fn run(
    service: &Service,
    position: usize,
    (names, cells): &(Vec<String>, Vec<TableCell<'_>>),
    payload: Payload<'_>,
) -> Result<Trial, Unanswered> {
    let model = &service.models[position];
    Scratch::with(|scratch| {
        let seed = model.program.instances(&mut scratch.frame, service.newest(payload));
        let read = seed.deserialize(InstanceTable { names, rows: 1, cell: |_, column: usize| cells[column] });
        let fault = read.map_err(|error| RequestError::Malformed(error.to_string()))?.err();
        let call = Call { model: position, version: VersionRef::Champion, explain: false, fault };
        let answered = service.models.predict(&call, service.moment(payload), scratch, &|_, _| Ok(None))?;
        let mut predictions = Vec::new();
        reply::write_predictions(&answered, &scratch.predictions, &mut predictions);
        let predictions: Vec<Value> = serde_json::from_slice(&predictions).unwrap_or_default();
        let input = |(at, input): (usize, &InputColumn)| {
            let mut object = Vec::new();
            let value = model.program.input(&scratch.frame, 0, at);
            reply::write_inputs(std::iter::once((model.quoted[at].as_str(), value)), &mut object);
            let object: Map<String, Value> = serde_json::from_slice(&object).unwrap_or_default();
            (input.name.clone(), object.into_iter().next().map(|(_, value)| value).unwrap_or_default())
        };
        Ok(Trial {
            version: answered.version.version,
            prediction: predictions.into_iter().next().unwrap_or_default(),
            inputs: model.program.inputs().iter().enumerate().map(input).collect(),
        })
    })
}

/// Returns the fields of a trial: the columns from which inputs are made.
fn trial_fields(model: &ServedModel, given: &[FormValue]) -> Vec<FormField> {
    let field = |column: NeededColumn<'_>| FormField {
        name: column.name.to_owned(),
        hint: format!("{}{}", column.ty.name(), if column.nullable { ", optional" } else { "" }),
        value: given
            .iter()
            .find(|known| known.name == column.name)
            .map_or_else(String::new, |known| known.value.clone()),
        required: false,
    };
    model.program.needed().map(field).collect()
}

fn summary(service: &Service, model: &ServedModel) -> ShownModel {
    ShownModel {
        name: model.name.clone(),
        kind: model.kind.clone(),
        champion: service.models.champion(model),
        metrics: model.metrics.clone(),
        versions: service.models.manifests(model),
        split: split(service, model),
    }
}

fn split(service: &Service, model: &ServedModel) -> Option<ShownSplit> {
    let now = service.times().closed();
    let serving = service.models.live().splits().serving(&model.name, now)?;
    let others = serving.entry.split.iter().flat_map(|split| split.models());
    let champion = |name: &str| {
        let other = &service.models[service.models.find(name).ok()?];
        Some((name.to_owned(), service.models.champion(other)?))
    };
    Some(ShownSplit { others: others.filter_map(champion).collect(), now: now.unwrap_or(serving.entry.time), serving })
}

fn warn(model: &str, error: &RegistryError) {
    tracing::warn!(model, error = error as &dyn std::error::Error, "no scores are shown");
}
