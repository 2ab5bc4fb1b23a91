//! Errors of requests with their statuses, and errors of starting an endpoint.

use std::net::SocketAddr;

use hyper::StatusCode;

use super::explainer::ExplanationFailure;
use crate::example::{InstanceError, InstanceFault};
use crate::registry::RegistryError;
use crate::store::redis::FetchError;

/// An error of a request. Clients read its `Display`.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The body as a whole is malformed, or one of its own fields is.
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    Instance(InstanceError),
    #[error("unknown field {found}; {}", hint(.nearest.as_deref(), .expected))]
    UnknownField { found: String, nearest: Option<String>, expected: String },
    #[error("model: missing; expected one of {0}")]
    WhichModel(String),
    #[error("{column}: expected {expected}, found {found:?}")]
    Key { column: String, found: String, expected: &'static str },
    #[error("group {group} has the entity {expected}, so it takes {count} in the path; found {found}")]
    KeyCount { group: String, expected: String, count: usize, found: usize },
    #[error("entities: {found} of them; expected {most} at most")]
    TooManyEntities { found: usize, most: usize },
    #[error("model {model} is of kind {kind}, whose predictions cannot be explained; expected one of {expected}")]
    NotExplained { model: String, kind: String, expected: String },
    #[error("instances: {found} of them to be explained by model {model}; expected {most} at most")]
    TooManyExplained { model: String, found: usize, most: usize },
    #[error(
        "{0:?} in the path is not valid percent-encoding; expected % and two hexadecimal digits, such as %25 for % itself"
    )]
    PercentEncoding(String),
    #[error("the path or the query is not UTF-8 once decoded")]
    Path,
    /// A parameter of a query that the route does not take, and those that it takes.
    #[error("unknown query parameter {found:?}; this route takes {}", if .expected.is_empty() { "none" } else { .expected })]
    Query { found: String, expected: String },
    #[error("query parameter {0} is given twice")]
    QueryTwice(String),
    /// A window on request, and those that can be answered.
    #[error("window: {found:?} cannot be answered by group {group}; {}", possible_windows(.expected))]
    Window { group: String, found: String, expected: String },
    #[error("version {version} of model {model} was made for other inputs than this dataflow has")]
    OtherInputs { model: String, version: u64 },
    #[error("unknown route {0}")]
    UnknownRoute(String),
    #[error("unknown model {found}; {}", hint(.nearest.as_deref(), .expected))]
    UnknownModel { found: String, nearest: Option<String>, expected: String },
    #[error("unknown metric {found}; {}", hint(.nearest.as_deref(), .expected))]
    UnknownMetric { found: String, nearest: Option<String>, expected: String },
    #[error("model {model} has no version {version}")]
    UnknownVersion { model: String, version: u64 },
    #[error("model {model} has no alias {alias}; expected {expected}")]
    UnknownAlias { model: String, alias: String, expected: String },
    #[error("unknown feature group {found}; {}", hint(.nearest.as_deref(), .expected))]
    UnknownGroup { found: String, nearest: Option<String>, expected: String },
    #[error("unknown stream {found}; {}", hint(.nearest.as_deref(), .expected))]
    UnknownStream { found: String, nearest: Option<String>, expected: String },
    #[error("group {group} has no feature {found}; {}", hint(.nearest.as_deref(), .expected))]
    UnknownFeature { group: String, found: String, nearest: Option<String>, expected: String },
    #[error("group {group} has no entity {entity}")]
    UnknownEntity { group: String, entity: String },
    /// The methods that the path takes.
    #[error("this route takes {} only", .0.join(" and "))]
    Method(Vec<&'static str>),
    #[error("the request took too long to arrive")]
    TooSlow,
    #[error("the body broke off, or is not encoded as its headers say")]
    BrokenOff(#[source] hyper::Error),
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("content encoding {0:?}; expected gzip or identity")]
    ContentEncoding(String),
    #[error("transfer encoding {0:?}; expected chunked")]
    TransferEncoding(String),
    #[error("the body is not valid gzip: {0}")]
    Gzip(std::io::Error),
    #[error("too many connections; try again later")]
    TooManyConnections,
    #[error("the bodies of all requests together are larger than the endpoint may hold; try again later")]
    TooManyBodies,
    #[error("too many requests wait for the registry; try again later")]
    TooMuchWaiting,
    /// The host that a request on a loopback address names.
    #[error(
        "host {0:?} is not allowed on a loopback address; expected localhost, 127.0.0.1, [::1] or one of \
         http.allowed_hosts"
    )]
    Host(String),
    /// The role that the route is for.
    #[error("this route takes a token of the role {0}; expected Authorization: Bearer TOKEN")]
    NoToken(&'static str),
    #[error("the token is of another role than {0}")]
    WrongRole(&'static str),
    #[error("content type {found:?}; this route takes {expected} only")]
    ContentType { found: String, expected: &'static str },
    /// A move that cannot be made.
    #[error("{0}")]
    Move(RegistryError),
    #[error("the registry of model {model} cannot be used now")]
    RegistryAway {
        model: String,
        #[source]
        source: Box<RegistryError>,
    },
    /// A look-up cannot be fetched.
    #[error("{0}")]
    Store(FetchError),
    #[error("this server has no registry")]
    NoRegistry,
    /// No server behind the gateway is ready.
    #[error("no server is ready; try again later")]
    NoServer,
    /// A server behind the gateway, and another one if the request could be sent twice.
    #[error("the server that was asked did not answer: {0}")]
    ServerFailed(String),
    #[error("the server that was asked did not answer in time")]
    ServerLate,
    /// The most features explained at a time.
    #[error("features are being explained for {0} other requests; try again later")]
    TooManyExplanations(usize),
    #[error("{0}")]
    Explanation(#[from] ExplanationFailure),
    #[error(
        "a replica reads no sources; ask the run, or, to explain features, use `tidemill features explain --dataflow FILE`"
    )]
    NoSources,
    #[error("no version of model {0} yet")]
    NoVersion(String),
    #[error("version {version} of model {model} cannot be read now")]
    Registry {
        model: String,
        version: u64,
        #[source]
        source: Box<RegistryError>,
    },
}

/// The end of an error about a name: the nearest valid one, or all of them.
fn hint(nearest: Option<&str>, expected: &str) -> String {
    match nearest {
        Some(name) => format!("did you mean {name}?"),
        None if expected.is_empty() => "there is none here".to_owned(),
        None => format!("expected one of {expected}"),
    }
}

/// The end of an error about a window on request.
fn possible_windows(expected: &str) -> String {
    match expected {
        "" => "it keeps no panes for requests, which request_windows = true makes it do".to_owned(),
        _ => format!("expected {expected}"),
    }
}

impl RequestError {
    pub fn status(&self) -> StatusCode {
        match self {
            // Beyond the limits.
            RequestError::Instance(InstanceError { fault: InstanceFault::TooMany, .. })
            | RequestError::TooManyEntities { .. }
            | RequestError::TooManyExplained { .. }
            | RequestError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            RequestError::Malformed(_)
            | RequestError::Instance(_)
            | RequestError::UnknownField { .. }
            | RequestError::UnknownMetric { .. }
            | RequestError::WhichModel(_)
            | RequestError::Key { .. }
            | RequestError::KeyCount { .. }
            | RequestError::NotExplained { .. }
            | RequestError::PercentEncoding(_)
            | RequestError::Path
            | RequestError::Query { .. }
            | RequestError::QueryTwice(_)
            | RequestError::Window { .. }
            | RequestError::BrokenOff(_)
            | RequestError::Gzip(_)
            | RequestError::TransferEncoding(_)
            | RequestError::Move(_)
            | RequestError::OtherInputs { .. } => StatusCode::BAD_REQUEST,
            RequestError::NoToken(_) => StatusCode::UNAUTHORIZED,
            RequestError::UnknownRoute(_)
            | RequestError::UnknownModel { .. }
            | RequestError::UnknownVersion { .. }
            | RequestError::UnknownAlias { .. }
            | RequestError::UnknownGroup { .. }
            | RequestError::UnknownStream { .. }
            | RequestError::UnknownFeature { .. }
            | RequestError::UnknownEntity { .. }
            | RequestError::NoSources => StatusCode::NOT_FOUND,
            RequestError::Explanation(failure) => failure.status(),
            RequestError::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            RequestError::TooSlow => StatusCode::REQUEST_TIMEOUT,
            RequestError::ContentEncoding(_) | RequestError::ContentType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            RequestError::TooManyConnections
            | RequestError::TooManyBodies
            | RequestError::TooMuchWaiting
            | RequestError::TooManyExplanations(_) => StatusCode::TOO_MANY_REQUESTS,
            RequestError::Host(_) | RequestError::WrongRole(_) => StatusCode::FORBIDDEN,
            // Not the fault of the client.
            RequestError::NoVersion(_)
            | RequestError::Registry { .. }
            | RequestError::RegistryAway { .. }
            | RequestError::Store(_)
            | RequestError::NoRegistry
            | RequestError::NoServer => StatusCode::SERVICE_UNAVAILABLE,
            RequestError::ServerFailed(_) => StatusCode::BAD_GATEWAY,
            RequestError::ServerLate => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Returns whether the connection ends with this error, because the rest of the request is not read.
    pub fn ends_connection(&self) -> bool {
        matches!(
            self,
            RequestError::TooLarge(_)
                | RequestError::TooManyBodies
                | RequestError::TooSlow
                | RequestError::BrokenOff(_)
                | RequestError::Host(_)
                | RequestError::TransferEncoding(_)
        )
    }
}

/// An error of starting an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The config key of the address, and its value.
    #[error("{key} is {found:?}; expected ADDRESS:PORT")]
    Address { key: &'static str, found: String },
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("the tokens of the role {role} cannot be used: {path}: {why}")]
    Tokens { role: &'static str, path: String, why: String },
    #[error("http.tls.{key}: {path}: {why}")]
    Tls { key: &'static str, path: String, why: String },
    #[error(
        "others can reach {0}, and any of them could move the aliases of models; expected a loopback address, or a file \
         with tokens as http.tokens.admin"
    )]
    OpenAdmin(SocketAddr),
    #[error("a serving thread cannot be started")]
    Thread(#[source] std::io::Error),
}
