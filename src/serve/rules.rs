//! Rules for the requests of a connection.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::header::TRANSFER_ENCODING;
use hyper::http::request::Parts;
use rustls::ServerConfig;

use super::activity::Activity;
use super::body::Limits;
use super::hosts::AllowedHosts;
use super::tokens::{Tokens, check_json};
use super::{HttpRoute, RequestError, Role};

/// Rules for the requests of one connection.
#[derive(Clone, Debug)]
pub struct ConnectionRules {
    pub limits: Limits,
    /// The hosts that requests may name, if the connection is to a loopback address.
    pub hosts: Option<Arc<AllowedHosts>>,
    pub tokens: Arc<Tokens>,
    /// The address of the client.
    pub client: IpAddr,
    /// The certificate that the connection is encrypted with; `None` if it is not.
    pub tls: Option<Arc<ServerConfig>>,
    /// True if there are too many connections: only routes in reserve are answered, once.
    pub is_reserved: bool,
    /// The activity of the connection.
    pub activity: Arc<Activity>,
}

impl ConnectionRules {
    /// Checks what a request is besides its path and its body: how its body is transferred, its query, its token, and for a
    /// move its content type.
    ///
    /// # Errors
    /// If the route does not take such a request.
    pub fn check(&self, route: &HttpRoute, parts: &Parts) -> Result<(), RequestError> {
        let encodings = parts.headers.get_all(TRANSFER_ENCODING).iter();
        // Another encoding would be left on the body, so that it would be read as something else than was sent.
        if let Some(found) = encodings
            .map(|found| String::from_utf8_lossy(found.as_bytes()))
            .find(|found| !found.trim().eq_ignore_ascii_case("chunked"))
        {
            return Err(RequestError::TransferEncoding(found.into_owned()));
        }
        self.tokens.check(route.role, &parts.headers)?;
        route.query.check(parts.uri.query())?;
        if route.role == Role::Admin { check_json(&parts.headers) } else { Ok(()) }
    }
}
