//! The service: shared state, and the way of a request through it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Incoming;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::answer_moment::AnswerMoment;
use super::call::Unanswered;
use super::dashboard_config::DashboardConfig;
use super::operator_rates::RateSampler;
use super::payload::Payload;
use super::prediction_log::PredictionLog;
use super::recommender::Recommender;
use super::reply::{self, Reply};
use super::request_service::RequestService;
use super::router::Router;
use super::rules::ConnectionRules;
use super::served_groups::ServedGroups;
use super::served_model::ServedModel;
use super::served_models::ServedModels;
use super::{BodyRule, Captures, HttpRoute, Readiness, RequestError, body};
use crate::example::Program;
use crate::metrics::Metrics;
use crate::registry::{LiveModels, Registry};
use crate::spec::Spec;
use crate::store::{Online, Taps};
use crate::time::EventTime;

/// The most requests that wait at a time for work that blocks, such as reading a version from the registry. Further ones
/// are refused, so that a registry that hangs does not take up all connections.
const MOST_WAITING: usize = 64;

/// The target of log lines on requests that could not be answered although they were right.
const ERRORS: &str = "errors";

/// The state that a service answers from.
pub struct ServiceConfig<'a> {
    pub spec: &'a Spec,
    /// One for each model of the spec, in its order.
    pub programs: Vec<Program>,
    pub online: Arc<Online>,
    pub live: Arc<LiveModels>,
    /// Holds versions that [`LiveModels`] no longer does.
    pub registry: Option<Registry>,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    pub dashboard: DashboardConfig,
    /// The share of the entities whose predictions are logged.
    pub logged_share: f64,
}

/// Answers requests. Shared by all serving threads.
#[derive(Debug)]
pub struct Service {
    /// The dataflow's name.
    pub(super) dataflow: String,
    pub(super) models: ServedModels,
    pub(super) groups: ServedGroups,
    pub(super) metrics: Arc<Metrics>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) dashboard: DashboardConfig,
    /// Rates of the operators, for the dashboard.
    pub(super) rates: RateSampler,
    online: Arc<Online>,
    router: Router,
    /// A permit for each request that may wait for work that blocks.
    waiting: Semaphore,
}

impl Service {
    /// # Panics
    /// If the parts are not of one dataflow.
    pub fn new(config: ServiceConfig<'_>) -> Arc<Self> {
        let ServiceConfig { spec, programs, online, live, registry, metrics, readiness, dashboard, logged_share } =
            config;
        assert_eq!(programs.len(), spec.models.len(), "there is a program for each model");
        let models = programs.into_iter().zip(&spec.models);
        let models = models
            .map(|(plan, model)| {
                let recommender = model.recommend.as_ref().map(|of| Recommender::new(of, spec, &online));
                ServedModel::new(plan, &model.options, recommender, &online, &metrics)
            })
            .collect();
        Arc::new(Service {
            dataflow: spec.name.clone(),
            models: ServedModels::new(models, live, registry, PredictionLog::new(logged_share)),
            groups: ServedGroups::new(spec, &online),
            router: Router::new(&metrics),
            online,
            metrics,
            readiness,
            dashboard,
            rates: RateSampler::new(Instant::now()),
            waiting: Semaphore::new(MOST_WAITING),
        })
    }

    /// Answers a request and counts it. Whatever is wrong with the request becomes an error of its route's family.
    pub(super) async fn answer(&self, request: Request<Incoming>, rules: &ConnectionRules) -> Reply {
        let start = Instant::now();
        let (parts, body) = request.into_parts();
        // Find the route and check what the request is, before its body is read.
        let found = self.router.find(&parts.method, parts.uri.path());
        let allowed = rules.hosts.as_ref().map_or(Ok(()), |hosts| hosts.check(&parts.uri, &parts.headers));
        let answered = match allowed.and(found.route) {
            Ok((route, _)) if rules.is_reserved && !route.is_reserved => {
                body::discard_within(body, &rules.limits).await;
                Err(RequestError::TooManyConnections)
            }
            Ok((route, captures)) => match (rules.check(route, &parts), route.body) {
                (Err(error), _) => {
                    body::discard_within(body, &rules.limits).await;
                    Err(error)
                }
                (Ok(()), BodyRule::None) => {
                    let captures = captures.with_query(parts.uri.query());
                    self.respond(route, &captures, Payload { headers: &parts.headers, bytes: &[] }).await
                }
                (Ok(()), BodyRule::Whole) => match body::read_body(&parts.headers, body, &rules.limits).await {
                    Ok(body) => {
                        let payload = Payload { headers: &parts.headers, bytes: &body.bytes };
                        self.respond(route, &captures, payload).await
                    }
                    Err(error) => Err(error),
                },
            },
            Err(error) => Err(error),
        };
        // Write errors as the family does.
        let mut reply = answered.unwrap_or_else(|error| {
            match &error {
                RequestError::Registry { model, version, source } => {
                    tracing::warn!(
                        target: ERRORS,
                        route = found.traffic.route(),
                        model,
                        version,
                        error = source as &dyn std::error::Error,
                        "a version cannot be read"
                    );
                }
                RequestError::RegistryAway { model, source } => {
                    let (route, error) = (found.traffic.route(), source as &dyn std::error::Error);
                    tracing::warn!(target: ERRORS, route, model, error, "the registry cannot be used");
                }
                _ => {}
            }
            found.family.refusal(&error)
        });
        if rules.is_reserved {
            reply::end_connection(&mut reply);
        }
        found.traffic.count(reply.status().as_u16(), start.elapsed());
        reply
    }

    /// Calls the handler of a route; a second time if a version had to be loaded from the registry first.
    async fn respond(
        &self,
        route: &HttpRoute,
        captures: &Captures<'_>,
        payload: Payload<'_>,
    ) -> Result<Reply, RequestError> {
        for _ in 0..2 {
            match (route.handler)(self, captures, payload) {
                Ok(reply) => return Ok(reply),
                Err(Unanswered::Refused(error)) => return Err(error),
                Err(Unanswered::VersionNotLoaded { model, version }) => {
                    let _permit = self.wait()?;
                    self.models.load(model, version).await?;
                }
                Err(Unanswered::Blocking(work)) => {
                    let _permit = self.wait()?;
                    return work.done().await;
                }
            }
        }
        // Other requests have loaded so many versions in between that this one was dropped again.
        Err(RequestError::TooManyConnections)
    }

    /// Lets a request wait for work that blocks, unless too many do.
    fn wait(&self) -> Result<SemaphorePermit<'_>, RequestError> {
        self.waiting.try_acquire().map_err(|_| RequestError::TooMuchWaiting)
    }

    /// The time before which everything is closed; `None` before the first record.
    pub(super) fn watermark(&self) -> Option<EventTime> {
        match self.online.watermark() {
            EventTime::MIN => None,
            // The inputs have ended: the watermark is then just after the newest record.
            EventTime::MAX => self.newest().map(|newest| newest + 1),
            time => Some(time),
        }
    }

    /// The newest event time of any record; `None` before the first.
    pub(super) fn newest(&self) -> Option<EventTime> {
        Some(self.online.newest()).filter(|newest| *newest != EventTime::MIN)
    }

    /// The moment of an answer, to be taken once and before anything is looked up.
    pub(super) fn moment(&self) -> AnswerMoment {
        AnswerMoment { watermark: self.watermark(), asking: self.online.asking_time() }
    }

    /// The taps of the streams of the dataflow; `None` if nothing is computed here.
    pub(super) fn taps(&self) -> Option<&Taps> {
        self.online.taps()
    }
}

impl RequestService for Service {
    type Answer = Full<Bytes>;

    async fn answer(&self, request: Request<Incoming>, rules: &ConnectionRules) -> Reply {
        Service::answer(self, request, rules).await
    }

    fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}
