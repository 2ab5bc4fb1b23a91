//! The service: shared state, and the way of a request through it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::activity::Activity;
use super::answer_moment::AnswerMoment;
use super::body::HeldBody;
use super::call::Unanswered;
use super::dashboard_config::DashboardConfig;
use super::explainer::{ExplanationFailure, FeatureExplainer};
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
use super::{BodyRule, Captures, FAMILIES, HttpRoute, Readiness, RequestError, body};
use crate::example::Program;
use crate::metrics::Metrics;
use crate::registry::{LiveModels, Registry};
use crate::spec::Spec;
use crate::store::{OnlineStore, RequestLookups, StoreTimes, Taps};
use crate::time::EventTime;

/// The most requests that wait at a time for work that blocks, such as reading a version from the registry. Further ones
/// are refused, so that a registry that hangs does not take up all connections.
const MOST_WAITING: usize = 64;

/// The most times that a handler is called for one request: look-ups depend on each other, but not that often.
const MOST_CALLS: usize = 64;

/// The target of log lines on requests that could not be answered although they were right.
const ERRORS: &str = "errors";

/// The state that a service answers from.
pub struct ServiceConfig<'a> {
    pub spec: &'a Spec,
    /// One for each model of the spec, in its order.
    pub programs: Vec<Program>,
    pub online: OnlineStore,
    pub live: Arc<LiveModels>,
    /// Holds versions that [`LiveModels`] no longer does.
    pub registry: Option<Registry>,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    pub dashboard: DashboardConfig,
    /// Explains features from the sources; `None` if there are none here.
    pub explainer: Option<FeatureExplainer>,
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
    explainer: Option<FeatureExplainer>,
    /// Rates of the operators, for the dashboard.
    pub(super) rates: RateSampler,
    online: OnlineStore,
    router: Router,
    /// A permit for each request that may wait for work that blocks.
    waiting: Semaphore,
}

impl Service {
    /// # Panics
    /// If the parts are not of one dataflow.
    pub fn new(config: ServiceConfig<'_>) -> Arc<Self> {
        let ServiceConfig { spec, programs, online, live, registry, metrics, readiness, .. } = config;
        let ServiceConfig { dashboard, explainer, logged_share, .. } = config;
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
            router: Router::new(FAMILIES, &metrics),
            online,
            metrics,
            readiness,
            dashboard,
            explainer,
            rates: RateSampler::new(Instant::now()),
            waiting: Semaphore::new(MOST_WAITING),
        })
    }

    /// Answers a request and counts it. Whatever is wrong with the request becomes an error of its route's family.
    pub(super) async fn answer(&self, request: Request<Incoming>, rules: &ConnectionRules) -> Reply {
        self.answer_by(&self.router, request, rules).await
    }

    /// The same by the routes of another router.
    pub(super) async fn answer_by(
        &self,
        router: &Router,
        request: Request<Incoming>,
        rules: &ConnectionRules,
    ) -> Reply {
        let start = Instant::now();
        let (parts, body) = request.into_parts();
        // Find the route and check what the request is, before its body is read.
        let found = router.find(&parts.method, parts.uri.path());
        let allowed = rules.hosts.as_ref().map_or(Ok(()), |hosts| hosts.check(&parts.uri, &parts.headers));
        let answered = match allowed.and(found.route) {
            Ok((route, _)) if rules.is_reserved && !route.is_reserved => {
                body::discard_within(&parts.headers, body, &rules.limits).await;
                Err(RequestError::TooManyConnections)
            }
            Ok((route, captures)) => match (rules.check(route, &parts), route.body) {
                (Err(error), _) => {
                    body::discard_within(&parts.headers, body, &rules.limits).await;
                    Err(error)
                }
                (Ok(()), BodyRule::None) => {
                    let captures = captures.with_query(parts.uri.query());
                    self.respond(route, &captures, &parts.headers, &[], &rules.activity).await
                }
                (Ok(()), rule) => match read(rule, &parts.headers, body, rules).await {
                    Ok(body) => self.respond(route, &captures, &parts.headers, &body.bytes, &rules.activity).await,
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
                RequestError::Explanation(error @ ExplanationFailure::Source(_)) => {
                    let route = found.traffic.route();
                    tracing::warn!(target: ERRORS, route, %error, "features cannot be explained");
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

    /// Calls the handler of a route; again if what it looks up had to be fetched first, or a version had to be loaded from
    /// the registry.
    async fn respond(
        &self,
        route: &HttpRoute,
        captures: &Captures<'_>,
        headers: &HeaderMap,
        bytes: &[u8],
        activity: &Activity,
    ) -> Result<Reply, RequestError> {
        let lookups = RequestLookups::default();
        let payload = Payload { headers, bytes, lookups: &lookups };
        for _ in 0..MOST_CALLS {
            let answered = (route.handler)(self, captures, payload);
            if !lookups.is_complete() {
                // Whatever the answer is, it is one to a request that has looked something up which was not there yet.
                self.online.fetch(&lookups).await.map_err(RequestError::Store)?;
                continue;
            }
            match answered {
                Ok(reply) => return Ok(reply),
                Err(Unanswered::NotFetched) => {}
                Err(Unanswered::Refused(error)) => return Err(error),
                Err(Unanswered::VersionNotLoaded { model, version }) => {
                    let _permit = self.wait()?;
                    self.models.load(model, version).await?;
                }
                Err(Unanswered::Blocking(work)) => {
                    let _permit = self.wait()?;
                    return work.done().await;
                }
                Err(Unanswered::Explaining(task)) => {
                    let explained = activity.while_present(task.done()).await;
                    return explained.unwrap_or(Err(ExplanationFailure::Cancelled.into()));
                }
            }
        }
        // For example, other requests loaded so many versions that this one was evicted.
        Err(RequestError::TooManyConnections)
    }

    /// Admits a request to work that blocks, unless too many wait for some.
    fn wait(&self) -> Result<SemaphorePermit<'_>, RequestError> {
        self.waiting.try_acquire().map_err(|_| RequestError::TooMuchWaiting)
    }

    /// The explainer of features.
    ///
    /// # Errors
    /// If there are no sources here.
    pub(super) fn explainer(&self) -> Result<&FeatureExplainer, RequestError> {
        self.explainer.as_ref().ok_or(RequestError::NoSources)
    }

    /// The times now, for what is no answer from the store.
    pub(super) fn times(&self) -> StoreTimes {
        self.online.times()
    }

    /// The event time of instances that have none: the newest of any record; `None` before the first.
    pub(super) fn newest(&self, payload: Payload<'_>) -> Option<EventTime> {
        self.online.times_for(payload.lookups).newest()
    }

    /// The same for an answer whose moment has been taken.
    pub(super) fn newest_at(&self, moment: AnswerMoment<'_>) -> Option<EventTime> {
        self.online.times_for(moment.lookups).newest()
    }

    /// The moment of an answer, to be taken once and before anything is looked up.
    pub(super) fn moment<'a>(&self, payload: Payload<'a>) -> AnswerMoment<'a> {
        let times = self.online.times_for(payload.lookups);
        AnswerMoment { watermark: times.closed(), asking: times.asking(), lookups: payload.lookups }
    }

    /// The taps of the streams of the dataflow; `None` if nothing is computed here.
    pub(super) fn taps(&self) -> Option<&Taps> {
        self.online.taps()
    }
}

/// Reads a body by the rule of its route.
async fn read(
    rule: BodyRule,
    headers: &HeaderMap,
    body: Incoming,
    rules: &ConnectionRules,
) -> Result<HeldBody, RequestError> {
    match rule {
        #[cfg(feature = "grpc")]
        BodyRule::Message => super::message_frame::read_message(headers, body, &rules.limits).await,
        _ => body::read_body(headers, body, &rules.limits).await,
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
