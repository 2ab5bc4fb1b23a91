//! HTTP and metrics as clients see them.
//!
//! | file | covers |
//! |---|---|
//! | `http` | every route and error, over real sockets |
//! | `prometheus` | metrics, config and alert rules, with a real Prometheus |

#[path = "../common/mod.rs"]
mod common;
mod http;
mod prometheus;
