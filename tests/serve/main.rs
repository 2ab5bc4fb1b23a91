//! HTTP and metrics as clients see them.
//!
//! | file | covers |
//! |---|---|
//! | `bodies` | request bodies: content types, gzip |
//! | `http` | every route and error, over real sockets |
//! | `instances` | what an instance must contain, and what its time does |
//! | `prometheus` | metrics, config and alert rules, with a real Prometheus |

#[path = "../common/mod.rs"]
mod common;
mod bodies;
mod http;
mod instances;
mod prometheus;
