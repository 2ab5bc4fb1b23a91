//! Connections to servers that wait for a request, by serving thread.

use std::cell::RefCell;
use std::collections::HashMap;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;

use super::backend::Backend;

/// The most connections that a thread keeps for a server.
const MOST: usize = 128;

/// A connection to a server.
pub struct BackendConnection {
    pub sender: SendRequest<Full<Bytes>>,
    /// The number of times that the server had been taken out when the connection was made.
    pub outages: u64,
}

thread_local! {
    /// By the position of the server, the newest last. A serving thread is of one gateway.
    static IDLE: RefCell<HashMap<usize, Vec<BackendConnection>>> = RefCell::default();
}

/// Takes a connection that is open, as far as is known, and was made since the server was last taken in.
pub fn take(backend: &Backend) -> Option<BackendConnection> {
    IDLE.with_borrow_mut(|idle| {
        let kept = idle.get_mut(&backend.index)?;
        let is_usable = |connection: &BackendConnection| {
            connection.outages == backend.outages() && connection.sender.is_ready() && !connection.sender.is_closed()
        };
        std::iter::from_fn(|| kept.pop()).find(is_usable)
    })
}

/// Keeps a connection for another request.
pub fn keep(backend: &Backend, connection: BackendConnection) {
    if connection.sender.is_closed() || connection.outages != backend.outages() {
        return;
    }
    IDLE.with_borrow_mut(|idle| {
        let kept = idle.entry(backend.index).or_default();
        if kept.len() < MOST {
            kept.push(connection);
        }
    });
}
