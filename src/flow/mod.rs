//! The graph: from a checked spec to a timely dataflow.
//!
//! [`plan`] decides everything; [`mod@build`] strings the operators of [`op`] together in the order in which a record
//! meets them; [`exchange`] deals rows to workers; [`telemetry`] listens to timely's own logging.
//!
//! Invariant: the order of records is that of their effective times, sources, keys and offsets, on any number of workers
//! and for any batches. An operator changes its state for closed times only, so it may depend on that order and on no
//! other. State that cannot be restored ends the build with a [`CheckpointError`](crate::checkpoint::CheckpointError).
//!
//! ```
//! use std::sync::Arc;
//! use tidemill::flow::Plan;
//! use tidemill::flow::plan::PlanStep;
//!
//! let file = r#"
//! name = "demo"
//! source.clicks = { topic = "clicks", format = "json", time = "at", columns = { user = "string", at = "timestamp" } }
//! features.user = { from = "clicks", entity = "user", aggregate = [{ op = "count", windows = ["1h"] }] }
//! "#;
//! let plan = Plan::new(Arc::new(tidemill::spec::parse(file, "demo.toml").unwrap()));
//! let clicks = PlanStep::Stream { stream: plan.spec.stream("clicks").unwrap(), probed: false };
//! assert_eq!(plan.steps, [clicks, PlanStep::Group(0)]);
//! assert_eq!(plan.groups[0].names, ["count_1h"]);
//! ```

pub mod build;
pub mod codec;
mod dataflow_graph;
pub mod draw;
pub mod exchange;
pub mod label_form;
pub mod label_pairs;
pub mod nulls;
pub mod op;
pub mod plan;
mod planning;
pub mod record_order;
pub mod saved_batch;
pub mod saved_state;
mod serving;
mod steps;
pub mod telemetry;

pub use build::{Job, build};
pub use plan::Plan;
