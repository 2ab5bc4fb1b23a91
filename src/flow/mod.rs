//! The graph: from a checked spec to a timely dataflow.
//!
//! [`plan`] decides everything; [`mod@build`] strings the operators of [`op`] together in the order in which a record
//! meets them; [`exchange`] deals rows to workers; [`telemetry`] listens to timely's own logging.

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
