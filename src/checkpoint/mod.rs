//! Snapshots: the state of every operator as of one closed event time.
//!
//! A snapshot is asked for at a time T that no operator has passed yet. Each operator, when its frontier reaches T,
//! finishes what is before T, saves, and goes on ([`Cut`]); so the parts agree without stopping anything. A [`Vault`]
//! gathers the parts, and deals them out again to a graph that starts from them, on any number of workers: parts are
//! keyed inside by what the operator exchanges by, and each worker keeps its share.

mod cut;
mod vault;

pub use cut::{Cut, Step};
pub use vault::{Parts, Vault};

/// Why saved state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("the saved state of operator {operator} cannot be read")]
    Undecodable {
        operator: String,
        #[source]
        source: postcard::Error,
    },
}
