//! The way of a request through the gateway.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode, Uri};
use serde_json::json;

use super::answer_body::AnswerBody;
use super::backend::{Backend, BackendUrl};
use super::choice::{BalancePolicy, Balancer};
use super::exchange::{ExchangeError, Outgoing, exchange};
use super::{entity, forwarded};
use crate::metrics::Metrics;
use crate::serve::reply::{self, Reply};
use crate::serve::request_service::RequestService;
use crate::serve::router::Router;
use crate::serve::rules::ConnectionRules;
use crate::serve::{BodyRule, FAMILIES, HttpRoute, Readiness, RequestError, Role, body};

/// The settings of a gateway.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    pub servers: Vec<BackendUrl>,
    pub policy: BalancePolicy,
    /// The columns of the entity that [`BalancePolicy::Hash`] goes by.
    pub entity: Vec<String>,
    /// The longest time that a server may take to answer.
    pub timeout: Duration,
}

/// Passes requests on to servers. Shared by all serving threads.
#[derive(Debug)]
pub struct Gateway {
    balancer: Balancer,
    entity: Vec<String>,
    timeout: Duration,
    router: Router,
    metrics: Arc<Metrics>,
    /// Reasons of the gateway's own against being ready.
    readiness: Arc<Readiness>,
}

impl Gateway {
    /// A gateway whose servers are out until they are checked.
    pub fn new(config: GatewayConfig, metrics: &Arc<Metrics>, readiness: &Arc<Readiness>) -> Arc<Self> {
        let GatewayConfig { servers, policy, entity, timeout } = config;
        let backends = servers.into_iter().enumerate().map(|(index, url)| Backend::new(index, url, metrics));
        Arc::new(Gateway {
            balancer: Balancer::new(backends.collect(), policy),
            entity,
            timeout,
            router: Router::new(FAMILIES, metrics),
            metrics: metrics.clone(),
            readiness: readiness.clone(),
        })
    }

    /// Returns how many servers get requests.
    pub fn ready_servers(&self) -> usize {
        self.balancer.backends.iter().filter(|backend| backend.is_in()).count()
    }

    /// Returns the servers.
    pub(super) fn backends(&self) -> &[Arc<Backend>] {
        &self.balancer.backends
    }

    /// Answers what is asked of the gateway itself; `None` for what is passed on.
    fn own(&self, route: &HttpRoute) -> Option<Reply> {
        match route.pattern {
            "/health/live" | "/v2/health/live" => Some(reply::value(StatusCode::OK, &json!({ "live": true }))),
            "/health/ready" => {
                let reasons = self.reasons();
                let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                Some(reply::value(status, &json!({ "ready": reasons.is_empty(), "reasons": reasons })))
            }
            "/metrics" => {
                self.metrics.ready.with_label_values::<&str>(&[]).set(i64::from(self.reasons().is_empty()));
                Some(reply::exposition(self.metrics.exposition()))
            }
            _ => None,
        }
    }

    /// Returns the reasons against being ready.
    fn reasons(&self) -> Vec<String> {
        let mut reasons = self.readiness.reasons();
        if self.ready_servers() == 0 {
            reasons.push("no server is ready".to_owned());
        }
        reasons
    }

    /// Answers a request that a route was found for.
    async fn answer_route(
        &self,
        route: &HttpRoute,
        request: Request<Incoming>,
        rules: &ConnectionRules,
    ) -> Result<Response<AnswerBody>, RequestError> {
        let (parts, body) = request.into_parts();
        if rules.is_reserved && !route.is_reserved {
            body::discard_within(&parts.headers, body, &rules.limits).await;
            return Err(RequestError::TooManyConnections);
        }
        if let Err(error) = rules.check(route, &parts) {
            body::discard_within(&parts.headers, body, &rules.limits).await;
            return Err(error);
        }
        if let Some(reply) = self.own(route) {
            return Ok(reply.map(AnswerBody::Whole));
        }
        // Read whole and as it was sent; it stays counted until the answer begins.
        let held = match route.body {
            BodyRule::None => None,
            _ => Some(body::read_as_sent(body, &rules.limits).await?),
        };
        let bytes = held.as_ref().map(|held| held.bytes.clone()).unwrap_or_default();
        let hash = match self.balancer.needs_hash() {
            true => entity::hash_of(parts.uri.path(), &bytes, &self.entity),
            false => 0,
        };
        let target = parts.uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from);
        let outgoing = Outgoing {
            // Moves of aliases are the only requests that change something.
            is_repeatable: route.role != Role::Admin,
            headers: forwarded::of_request(&parts.headers, rules.client, rules.tls.is_some()),
            method: parts.method,
            target,
            body: bytes,
        };
        self.forward(&outgoing, hash).await
    }

    /// Sends a request to a server and, if that fails and it is repeatable, to another one.
    async fn forward(&self, request: &Outgoing, hash: u64) -> Result<Response<AnswerBody>, RequestError> {
        let first = self.balancer.choose(hash, None).ok_or(RequestError::NoServer)?;
        let failure = match self.attempt(first, request).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        // A server that is late may still be at work, and so would be the other one.
        let is_late = matches!(failure, ExchangeError::Late);
        let was_sent = !matches!(failure, ExchangeError::Connect(_));
        let other = self.balancer.choose(hash, Some(first.index));
        let failure = match other.filter(|_| !is_late && (request.is_repeatable || !was_sent)) {
            None => failure,
            Some(second) => {
                first.traffic.retried();
                match self.attempt(second, request).await {
                    Ok(answer) => return Ok(answer),
                    Err(failure) => failure,
                }
            }
        };
        Err(match failure {
            ExchangeError::Late => RequestError::ServerLate,
            _ if self.ready_servers() == 0 => RequestError::NoServer,
            failure => RequestError::ServerFailed(failure.to_string()),
        })
    }

    /// Sends a request to a server, which is taken out if it fails.
    async fn attempt(&self, backend: &Arc<Backend>, request: &Outgoing) -> Result<Response<AnswerBody>, ExchangeError> {
        let answered = exchange(backend, request, self.timeout).await;
        match &answered {
            Ok(answer) => backend.traffic.answered(answer.status().as_u16()),
            Err(failure) => {
                backend.traffic.failed();
                if !matches!(failure, ExchangeError::Late) {
                    backend.take_out(failure as &dyn fmt::Display);
                }
            }
        }
        answered
    }
}

impl RequestService for Gateway {
    type Answer = AnswerBody;

    async fn answer(&self, request: Request<Incoming>, rules: &ConnectionRules) -> Response<AnswerBody> {
        let start = Instant::now();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let found = self.router.find(&method, &path);
        let allowed = rules.hosts.as_ref().map_or(Ok(()), |hosts| hosts.check(request.uri(), request.headers()));
        let answered = match allowed.and(found.route) {
            Ok((route, _)) => self.answer_route(route, request, rules).await,
            Err(error) => Err(error),
        };
        let mut answer = answered.unwrap_or_else(|error| found.family.refusal(&error).map(AnswerBody::Whole));
        if rules.is_reserved {
            reply::end_connection(&mut answer);
        }
        found.traffic.count(answer.status().as_u16(), start.elapsed());
        answer
    }

    fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}
