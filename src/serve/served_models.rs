//! The models of a dataflow as requests see them, and their versions.

use std::fmt::Display;
use std::ops::Index;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::de::{DeserializeSeed, Deserializer};

use super::answer_moment::AnswerMoment;
use super::answered::Answered;
use super::call::{Call, ReadFor, Scratch, SplitCall, Unanswered, VersionRef};
use super::explaining::explain;
use super::model_split::ShadowBudget;
use super::prediction_log::{LoggedModel, PredictionLog};
use super::served_model::ServedModel;
use super::{RequestError, json_error};
use crate::example::{Frame, InstanceError};
use crate::expr::nearest;
use crate::metrics::NullReason;
use crate::registry::{CHAMPION, LiveModels, Manifest, Registry, RegistryError, Servable};
use crate::time::EventTime;

/// Versions kept of those that requests named and [`LiveModels`] does not hold.
const MOST_LOADED: usize = 8;

/// Every model, in the order of the spec.
#[derive(Debug)]
pub struct ServedModels {
    models: Vec<ServedModel>,
    pub(super) live: Arc<LiveModels>,
    registry: Option<Registry>,
    log: Option<PredictionLog>,
    /// The time that shadows may take.
    pub(super) shadow_budget: ShadowBudget,
    /// Versions read from the registry for requests that named them, newest last.
    loaded: Mutex<Vec<LoadedVersion>>,
}

#[derive(Debug)]
struct LoadedVersion {
    model: usize,
    servable: Arc<Servable>,
}

impl ServedModels {
    pub fn new(
        models: Vec<ServedModel>,
        live: Arc<LiveModels>,
        registry: Option<Registry>,
        log: Option<PredictionLog>,
    ) -> Self {
        ServedModels { models, live, registry, log, shadow_budget: ShadowBudget::default(), loaded: Mutex::default() }
    }

    pub fn iter(&self) -> std::slice::Iter<'_, ServedModel> {
        self.models.iter()
    }

    /// The position of a model.
    ///
    /// # Errors
    /// If there is no model of this name.
    pub fn find(&self, name: &str) -> Result<usize, RequestError> {
        self.models.iter().position(|model| model.name == name).ok_or_else(|| {
            let names = || self.models.iter().map(|model| model.name.as_str());
            RequestError::UnknownModel {
                found: name.to_owned(),
                nearest: nearest(name, names()),
                expected: names().collect::<Vec<_>>().join(", "),
            }
        })
    }

    /// The position of the model that a request names, or of the only one if it names none.
    ///
    /// # Errors
    /// If there is no model of this name, or no name where there are several.
    pub fn named(&self, name: Option<&str>) -> Result<usize, RequestError> {
        match name {
            Some(name) => self.find(name),
            None => self.only().ok_or_else(|| {
                let names: Vec<&str> = self.models.iter().map(|model| model.name.as_str()).collect();
                RequestError::WhichModel(names.join(", "))
            }),
        }
    }

    /// The position of the model where there is only one.
    pub fn only(&self) -> Option<usize> {
        (self.models.len() == 1).then_some(0)
    }

    /// The registry.
    ///
    /// # Errors
    /// If the service has none.
    pub fn registry(&self) -> Result<Registry, RequestError> {
        self.registry.clone().ok_or(RequestError::NoRegistry)
    }

    /// The live versions.
    pub fn live(&self) -> Arc<LiveModels> {
        self.live.clone()
    }

    /// The number of a model's champion, `None` before its first version.
    pub fn champion(&self, model: &ServedModel) -> Option<u64> {
        self.live.champion(&model.name).map(|champion| champion.version)
    }

    /// The manifests of a model's versions that can be asked for, ascending.
    pub fn manifests(&self, model: &ServedModel) -> Vec<Arc<Manifest>> {
        self.live.manifests(&model.name)
    }

    /// The version that an alias of a model points to.
    ///
    /// # Errors
    /// If the model has no such alias.
    pub fn alias(&self, model: &ServedModel, alias: &str) -> Result<VersionRef, RequestError> {
        if alias == CHAMPION {
            return Ok(VersionRef::Champion);
        }
        let aliases = self.live.aliases(&model.name);
        let known = aliases.keys().map(String::as_str).chain([CHAMPION]).collect::<Vec<_>>();
        aliases.get(alias).map(|version| VersionRef::Number(*version)).ok_or_else(|| RequestError::UnknownAlias {
            model: model.name.clone(),
            alias: alias.to_owned(),
            expected: known.join(", "),
        })
    }

    /// The champion of a model, once it has one that takes the inputs of the dataflow.
    pub fn servable(&self, model: &ServedModel) -> Option<Arc<Servable>> {
        self.live.champion(&model.name).filter(|champion| model.fits(champion))
    }

    /// The manifest of a version that can be asked for.
    ///
    /// # Errors
    /// If there is no such version.
    pub fn manifest(&self, model: &ServedModel, version: u64) -> Result<Arc<Manifest>, RequestError> {
        let found = self.manifests(model).into_iter().find(|manifest| manifest.version == version);
        found.ok_or_else(|| RequestError::UnknownVersion { model: model.name.clone(), version })
    }

    /// Reads instances for a model into a frame: a list of objects, or whatever presents itself as one. Instances without
    /// an event time get `newest`. Returns the first mistake in an instance, if any.
    ///
    /// # Errors
    /// If the list itself is malformed.
    pub fn read_instances<'de, D: Deserializer<'de, Error: Display>>(
        &self,
        model: usize,
        instances: D,
        newest: Option<EventTime>,
        frame: &mut Frame,
    ) -> Result<Option<InstanceError>, RequestError> {
        let read = self.models[model].program.instances(frame, newest).deserialize(instances);
        read.map(Result::err).map_err(|error| {
            let place = frame.reading().map_or_else(String::new, |index| format!("instances[{index}]: "));
            RequestError::Malformed(format!("{place}{}", json_error::reworded(&error.to_string())))
        })
    }

    /// Predicts for the instances in `scratch`: looks up and computes what they do not have, then scores them, by the arm of
    /// each if there is a split and the request names no version. Returns what predicted, and leaves the predictions in
    /// `scratch`. `read` reads the instances for another model.
    ///
    /// # Errors
    /// If the version does not exist, is not loaded or takes other inputs, or if an instance is faulty.
    pub fn predict(
        &self,
        call: &Call,
        moment: AnswerMoment<'_>,
        scratch: &mut Scratch,
        read: ReadFor<'_>,
    ) -> Result<Answered, Unanswered> {
        let start = Instant::now();
        let model = &self.models[call.model];
        let split = match (call.version, &call.fault) {
            (VersionRef::Unnamed, None) => self.live.splits().serving(&model.name, moment.watermark),
            _ => None,
        };
        if let Some(serving) = split {
            let split = SplitCall { model: call.model, moment, explain: call.explain, read };
            let answered = self.predict_split(split, &serving, scratch)?;
            self.log(model, &answered, scratch, start.elapsed());
            return Ok(answered);
        }
        let version = self.version(call.model, call.version)?;
        let stats = model.stats.of(version.version);
        if let Some(fault) = &call.fault {
            Unanswered::check_fetched(moment)?;
            stats.failed(start.elapsed());
            return Err(RequestError::Instance(fault.clone()).into());
        }
        let Scratch { frame, memory, predictions, .. } = scratch;
        model.complete(frame, moment)?;
        let input = |row: usize, input: usize| model.program.input(frame, row, input);
        let explanations = call.explain.then(|| explain(model, &version.predictor, frame.rows(), input, memory));
        let explanations = explanations.transpose()?;
        model.nulls.add(NullReason::OutOfRange, version.predictor.out_of_range(frame.rows(), input));
        version.predictor.predict_values(frame.rows(), input, memory, predictions);
        let took = start.elapsed();
        stats.succeeded(frame.rows(), took);
        let is_named = matches!(call.version, VersionRef::Number(_));
        if is_named { &model.by_named } else { &model.by_champion }.add(frame.rows());
        let answered = Answered::by(version, explanations);
        self.log(model, &answered, scratch, took);
        Ok(answered)
    }

    /// Logs predictions, if the entity of an instance is one of those that are logged.
    fn log(&self, model: &ServedModel, answered: &Answered, scratch: &Scratch, took: Duration) {
        if let Some(log) = self.log {
            log.write(LoggedModel { program: &model.program, quoted: &model.quoted, answered }, scratch, took);
        }
    }

    /// Returns the number of the version that a request asks for.
    ///
    /// # Errors
    /// If it does not exist, is not loaded or takes other inputs.
    pub fn check(&self, call: &Call) -> Result<u64, Unanswered> {
        self.version(call.model, call.version).map(|version| version.version)
    }

    /// The version that a request asks for.
    fn version(&self, model: usize, version: VersionRef) -> Result<Arc<Servable>, Unanswered> {
        let served = &self.models[model];
        let number = match version {
            VersionRef::Unnamed | VersionRef::Champion => {
                return self.servable(served).ok_or_else(|| RequestError::NoVersion(served.name.clone()).into());
            }
            VersionRef::Number(number) => number,
        };
        match self.live.version(&served.name, number).or_else(|| self.loaded(model, number)) {
            Some(version) if served.fits(&version) => Ok(version),
            Some(_) => Err(RequestError::OtherInputs { model: served.name.clone(), version: number }.into()),
            None => Err(Unanswered::VersionNotLoaded { model, version: number }),
        }
    }

    /// A version that was loaded for an earlier request.
    fn loaded(&self, model: usize, version: u64) -> Option<Arc<Servable>> {
        let loaded = self.loaded.lock();
        let found = loaded.iter().find(|loaded| loaded.model == model && loaded.servable.version == version);
        found.map(|loaded| loaded.servable.clone())
    }

    /// Loads a version from the registry, on a thread that may block.
    ///
    /// # Errors
    /// If it does not exist or cannot be read.
    pub async fn load(&self, model: usize, version: u64) -> Result<(), RequestError> {
        let name = &self.models[model].name;
        let unknown = || match self.live.champion(name) {
            Some(_) => RequestError::UnknownVersion { model: name.clone(), version },
            None => RequestError::NoVersion(name.clone()),
        };
        let registry = self.registry.clone().filter(|_| version > 0).ok_or_else(unknown)?;
        let owned = name.clone();
        let loaded = tokio::task::spawn_blocking(move || registry.load(&owned, version)).await;
        let (manifest, predictor) = match loaded.expect("reading a registry returns errors and does not panic") {
            Ok(loaded) => loaded,
            Err(RegistryError::NoVersion { .. }) => return Err(unknown()),
            Err(source) => {
                return Err(RequestError::Registry { model: name.clone(), version, source: Box::new(source) });
            }
        };
        let servable = Servable::new(manifest, Arc::new(predictor));
        let mut loaded = self.loaded.lock();
        if loaded.len() == MOST_LOADED {
            loaded.remove(0);
        }
        loaded.push(LoadedVersion { model, servable: Arc::new(servable) });
        Ok(())
    }
}

impl Index<usize> for ServedModels {
    type Output = ServedModel;
    fn index(&self, model: usize) -> &ServedModel {
        &self.models[model]
    }
}
