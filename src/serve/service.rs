//! What an endpoint answers from, and the way of a request through it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::body::Incoming;
use parking_lot::Mutex;

use super::features::Group;
use super::reply::{self, Reply};
use super::served::Served;
use super::{Readiness, RequestError, Route, body, route};
use crate::example::ServingPlan;
use crate::expr::nearest;
use crate::metrics::{Metrics, Traffic};
use crate::registry::{LiveModels, Registry, RegistryError, Servable};
use crate::spec::Spec;
use crate::store::Online;
use crate::time::EventTime;

/// What a service is made of.
pub struct Parts<'a> {
    pub spec: &'a Spec,
    /// One for each model of the spec, in its order.
    pub plans: Vec<ServingPlan>,
    pub online: Arc<Online>,
    pub live: Arc<LiveModels>,
    /// Where versions are that [`LiveModels`] no longer holds.
    pub registry: Option<Registry>,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
}

/// Answers requests. Shared by all serving threads.
#[derive(Debug)]
pub struct Service {
    pub(super) dataflow: String,
    pub(super) models: Vec<Served>,
    pub(super) groups: Vec<Group>,
    pub(super) online: Arc<Online>,
    pub(super) live: Arc<LiveModels>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) readiness: Arc<Readiness>,
    registry: Option<Registry>,
    /// Versions read from the registry for requests that named them, newest last.
    fetched: Mutex<Vec<(String, Arc<Servable>)>>,
    /// As [`Route::ALL`].
    traffic: Vec<Traffic>,
}

/// Versions kept of those that requests named and [`LiveModels`] does not hold.
const FETCHED: usize = 8;

/// The limits of one request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub body_bytes: usize,
    pub body_time: Duration,
}

impl Service {
    /// # Panics
    /// If the parts are not of one dataflow.
    pub fn new(parts: Parts<'_>) -> Arc<Self> {
        let Parts { spec, plans, online, live, registry, metrics, readiness } = parts;
        assert_eq!(plans.len(), spec.models.len(), "there is a plan for each model");
        let served = plans.iter().zip(&spec.models);
        Arc::new(Service {
            dataflow: spec.name.clone(),
            models: served.map(|(plan, model)| Served::new(plan, &model.options.kind, &online)).collect(),
            groups: spec.groups.iter().map(|group| Group::new(spec, group, &online)).collect(),
            traffic: Route::ALL.iter().map(|route| Traffic::new(&metrics, route.name())).collect(),
            online,
            live,
            registry,
            metrics,
            readiness,
            fetched: Mutex::default(),
        })
    }

    /// Answers one request, whatever it is, and counts it.
    pub(super) async fn answer(&self, request: Request<Incoming>, limits: Limits) -> Reply {
        let start = Instant::now();
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let (route, rest) = Route::of(path);
        let answered = match route.check(&parts.method, path) {
            Err(error) => Err(error),
            Ok(()) => match route {
                Route::Predict => match body::check_type(&parts.headers) {
                    Ok(()) => match body::read(body, limits.body_bytes, limits.body_time).await {
                        Ok(body) => self.predict(&body).await,
                        Err(error) => Err(error),
                    },
                    Err(error) => Err(error),
                },
                Route::Features => self.features(rest),
                Route::Models => Ok(self.list_models()),
                Route::Model => route::decode(rest).and_then(|model| self.show_model(&model)),
                Route::Versions => route::decode(rest).and_then(|model| self.list_versions(&model)),
                Route::Live => Ok(self.alive()),
                Route::Ready => Ok(self.ready()),
                Route::Metrics => Ok(self.exposition()),
                Route::Dataflow => Ok(self.dataflow()),
                Route::Unknown => Err(RequestError::UnknownRoute(path.to_owned())),
            },
        };
        let reply = answered.unwrap_or_else(|error| {
            if let RequestError::Registry { model, version, source } = &error {
                tracing::warn!(model, version, error = source as &dyn std::error::Error, "a version cannot be read");
            }
            reply::error(&error)
        });
        self.count(route, reply.status().as_u16(), start.elapsed());
        reply
    }

    /// Counts an answer.
    pub(super) fn count(&self, route: Route, code: u16, took: Duration) {
        self.traffic[route as usize].count(code, took);
    }

    /// The position of a model.
    ///
    /// # Errors
    /// If there is no such model.
    pub(super) fn find_model(&self, name: &str) -> Result<usize, RequestError> {
        self.models.iter().position(|model| model.name == name).ok_or_else(|| {
            let names = || self.models.iter().map(|model| model.name.as_str());
            RequestError::UnknownModel {
                found: name.to_owned(),
                nearest: nearest(name, names()),
                expected: names().collect::<Vec<_>>().join(", "),
            }
        })
    }

    /// A version that a request named, if it is at hand.
    pub(super) fn version_at_hand(&self, model: &str, version: u64) -> Option<Arc<Servable>> {
        let fetched = || {
            let fetched = self.fetched.lock();
            let same = |(name, kept): &&(String, Arc<Servable>)| name == model && kept.version == version;
            fetched.iter().find(same).map(|(_, kept)| kept.clone())
        };
        self.live.version(model, version).or_else(fetched)
    }

    /// Brings a version that a request named from the registry.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub(super) async fn fetch(&self, model: &str, version: u64) -> Result<(), RequestError> {
        let unknown = || match self.live.champion(model) {
            Some(_) => RequestError::UnknownVersion { model: model.to_owned(), version },
            None => RequestError::NoVersion(model.to_owned()),
        };
        let registry = self.registry.clone().filter(|_| version > 0).ok_or_else(unknown)?;
        let name = model.to_owned();
        let loaded = tokio::task::spawn_blocking(move || registry.load(&name, version)).await;
        let (manifest, predictor) = match loaded.expect("reading a registry gives an error rather than a panic") {
            Ok(loaded) => loaded,
            Err(RegistryError::NoVersion { .. }) => return Err(unknown()),
            Err(source) => {
                let source = Box::new(source);
                return Err(RequestError::Registry { model: model.to_owned(), version, source });
            }
        };
        let servable = Servable { version, window_end: manifest.window.end, predictor: Arc::new(predictor) };
        let mut fetched = self.fetched.lock();
        if fetched.len() == FETCHED {
            fetched.remove(0);
        }
        fetched.push((model.to_owned(), Arc::new(servable)));
        Ok(())
    }

    /// Everything before this is closed; none before the first record.
    pub(super) fn watermark(&self) -> Option<EventTime> {
        match self.online.watermark() {
            EventTime::MIN => None,
            // The inputs are used up: then it is just after the newest record.
            EventTime::MAX => self.newest().map(|newest| newest + 1),
            time => Some(time),
        }
    }

    /// The newest event time seen.
    pub(super) fn newest(&self) -> Option<EventTime> {
        Some(self.online.newest()).filter(|newest| *newest != EventTime::MIN)
    }
}
