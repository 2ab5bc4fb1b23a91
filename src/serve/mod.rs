//! The endpoint: predictions, features, versions and metrics over HTTP.
//!
//! Each serving thread has its own listener on the shared port, a single-threaded runtime, and the connections that it
//! accepted. Requests read shared state without a lock: the programs of the models, the online store and the live
//! versions. Bodies, heads, connections and time are bounded, in all and for one client. Whatever a client sends, it is
//! answered or cut off; no input makes a serving thread panic. Probes are answered on further connections as well.
//!
//! Routes are entries of tables, one table a [`RouteFamily`]. A family reads requests and writes answers and errors in its
//! own shape; what lies between is shared by all. A new route is one entry in one family, a new family one line in [`FAMILIES`].
//!
//! | a request | where |
//! |---|---|
//! | arrives on a connection, which is admitted, watched, and encrypted if there is a certificate | `server`, `admission`, `connection`, `tls` |
//! | names a host that no web page can have | `hosts` |
//! | is matched with a route, by path and method; has no query that the route does not take | `service`, `router` |
//! | has a token of the route's role, if the role needs one | `tokens` |
//! | has its body read, if the route takes one, within limits | `body`, `budget` |
//! | is answered by the route's handler | `native`, `operations`, or a folder of a protocol: `open_inference`, `tensorflow`, `mlflow`, `feast` |
//! | has its instances read, whatever form they are in | `served_models`, `instance_table`, `json_columns` |
//! | is predicted for: version, look-ups, expressions, scores; some are logged | `served_models`, `prediction_log` |
//! | is predicted for by the arms of a split and, beside, by shadows | `split_prediction`, `model_split`, `answered` |
//! | has its predictions explained, or its features: from the sources, on another thread | `explaining`; [`explainer`] |
//! | has items ranked, or left out, by what else is known of them and the user | `recommender` |
//! | is refused, in the family's shape, and counted | [`RequestError`], [`crate::metrics::Traffic`] |
//! | is a call of gRPC, with the feature of that name: the same on a port of its own, in HTTP/2 | `grpc`, `message_frame` |
//! | is passed on to another server instead of all that, by a [`Gateway`] | `gateway` |
//!
//! Every route has a pattern of its own, which is its label in metrics:
//!
//! ```
//! use tidemill::serve::FAMILIES;
//!
//! let patterns: Vec<&str> = FAMILIES.iter().flat_map(|family| family.routes).map(|route| route.pattern).collect();
//! assert!(patterns.contains(&"/predict") && patterns.contains(&"/features/{group}/{key}"));
//! ```

mod activity;
mod admission;
mod answer_moment;
mod answered;
mod body;
mod body_rule;
mod budget;
mod call;
mod certificate_expiry;
mod connection;
mod dashboard;
mod dashboard_config;
mod error;
pub mod explainer;
mod explaining;
mod feast;
mod file_stamp;
mod gateway;
#[cfg(feature = "grpc")]
mod grpc;
mod hosts;
mod instance_table;
mod json_columns;
mod json_error;
mod json_parts;
mod letter_board;
#[cfg(feature = "grpc")]
mod message_frame;
mod mlflow;
mod model_split;
mod native;
mod open_inference;
mod operations;
mod operator_rates;
mod payload;
mod prediction_log;
mod prediction_stats;
mod query;
mod readiness;
mod recommender;
mod reply;
mod request_service;
mod router;
mod rules;
mod served_groups;
mod served_model;
mod served_models;
mod served_windows;
mod server;
mod service;
mod split_prediction;
mod tensorflow;
mod tls;
mod tokens;

use body_rule::BodyRule;
use call::Unanswered;
use hyper::Method;
use payload::Payload;
use query::QueryRule;
use reply::Reply;

pub use dashboard_config::DashboardConfig;
pub use error::{RequestError, StartError};
pub use gateway::{BackendUrl, BalancePolicy, Gateway, GatewayConfig, HealthChecks};
#[cfg(feature = "grpc")]
pub use grpc::FAMILY as GRPC;
pub use letter_board::{LetterBoard, ShownLetter};
pub use operator_rates::{OperatorRates, SampledRates};
pub use readiness::Readiness;
pub use request_service::RequestService;
pub use router::Captures;
pub use server::{Endpoint, Server, check, check_port, resolve, start};
pub use service::{Service, ServiceConfig};
pub use tls::TlsFiles;
pub use tokens::{Role, Tokens};

/// Routes that share the shape of their errors.
#[derive(Debug)]
pub struct RouteFamily {
    pub routes: &'static [HttpRoute],
    /// Writes an error in the family's shape.
    error: fn(&RequestError) -> Reply,
}

/// A method and a pattern of paths, with the function that answers such requests.
#[derive(Debug)]
pub struct HttpRoute {
    /// A route for GET takes HEAD as well.
    pub method: Method,
    /// The path, with captures in braces; also the value of the label `route` of metrics.
    pub pattern: &'static str,
    /// All of a path after the text before the first brace, slashes included, is one capture.
    is_prefix: bool,
    pub role: Role,
    body: BodyRule,
    query: QueryRule,
    /// True if it is answered even with too many connections.
    is_reserved: bool,
    handler: Handler,
}

/// Answers a request from its captures, with its query, and its payload, whose body is empty under [`BodyRule::None`]. A
/// handler does not block: one that needs a version from the registry returns [`Unanswered::VersionNotLoaded`] and is
/// called again once the version is loaded; other work that takes long is returned as one more case of [`Unanswered`].
type Handler = fn(&Service, &Captures<'_>, Payload<'_>) -> Result<Reply, Unanswered>;

/// Every family of routes.
pub static FAMILIES: &[&RouteFamily] = &[
    &native::FAMILY,
    &operations::FAMILY,
    &open_inference::FAMILY,
    &tensorflow::FAMILY,
    &mlflow::FAMILY,
    &feast::FAMILY,
    &dashboard::FAMILY,
];

impl HttpRoute {
    /// A route for GET and HEAD. Each capture is a segment that is not empty.
    const fn get(pattern: &'static str, handler: Handler) -> HttpRoute {
        HttpRoute::of(Method::GET, pattern, Role::Read, BodyRule::None, handler)
    }

    /// A route for POST with a body, of the role `predict` unless it is given another. Captures are as above.
    const fn post(pattern: &'static str, handler: Handler) -> HttpRoute {
        HttpRoute::of(Method::POST, pattern, Role::Predict, BodyRule::Whole, handler)
    }

    const fn of(method: Method, pattern: &'static str, role: Role, body: BodyRule, handler: Handler) -> HttpRoute {
        let query = QueryRule::Named(&[]);
        HttpRoute { method, pattern, is_prefix: false, role, body, query, is_reserved: false, handler }
    }

    /// The same route for a role.
    const fn of_role(mut self, role: Role) -> HttpRoute {
        self.role = role;
        self
    }

    /// The same route with any query, which it ignores: probes and scrapers add parameters of their own.
    const fn with_any_query(mut self) -> HttpRoute {
        self.query = QueryRule::Any;
        self
    }

    /// The same route with the fields of a form as its query, which its handler checks.
    const fn with_form(mut self) -> HttpRoute {
        self.query = QueryRule::Form;
        self
    }

    /// The same route, which takes these parameters in the query.
    const fn with_query(mut self, names: &'static [&'static str]) -> HttpRoute {
        self.query = QueryRule::Named(names);
        self
    }

    /// The same route, answered even if there are too many connections.
    const fn reserved(mut self) -> HttpRoute {
        self.is_reserved = true;
        self
    }
}
