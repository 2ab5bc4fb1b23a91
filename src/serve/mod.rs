//! The endpoint: predictions, features, versions and metrics over HTTP.
//!
//! Each serving thread has a listener of its own on the same port, a single-threaded runtime, and every connection that
//! it accepted; a request is answered where it arrived. What requests share, they read without a lock: the pipelines of
//! the models, the online store, the cell that holds the live versions. Bodies, heads, connections and time are
//! bounded, and whatever a client sends, it gets an answer or is cut off: nothing here panics for it.
//!
//! | a request | where |
//! |---|---|
//! | comes in on a connection, which is watched | `server`, `connection` |
//! | has its path and method looked at | `route` |
//! | has its body read, within limits | `body` |
//! | is answered | `service`, then `predict`, `features`, `models`, `operations` |
//! | or refused | [`RequestError`] |
//! | is counted | [`crate::metrics::Traffic`] |

mod body;
mod connection;
mod error;
mod features;
mod models;
mod operations;
mod predict;
mod predict_request;
mod readiness;
mod reply;
mod route;
mod served;
mod server;
mod service;

pub use error::{RequestError, StartError};
pub use readiness::Readiness;
pub use route::Route;
pub use server::{Endpoint, Server, start};
pub use service::{Parts, Service};
