//! Rules for the requests of a connection.

use std::sync::Arc;

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
    /// There are too many connections: only routes in reserve are answered, once.
    pub is_reserved: bool,
}
