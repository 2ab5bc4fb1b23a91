//! Rules for the requests of a connection.

use std::sync::Arc;

use rustls::ServerConfig;

use super::body::Limits;
use super::hosts::AllowedHosts;
use super::tokens::Tokens;

/// Rules for the requests of one connection.
#[derive(Clone, Debug)]
pub struct ConnectionRules {
    pub limits: Limits,
    /// The hosts that requests may name, if the connection is to a loopback address.
    pub hosts: Option<Arc<AllowedHosts>>,
    pub tokens: Arc<Tokens>,
    /// The certificate that the connection is encrypted with; `None` if it is not.
    pub tls: Option<Arc<ServerConfig>>,
    /// There are too many connections: only routes in reserve are answered, once.
    pub is_reserved: bool,
}
