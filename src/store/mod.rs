//! Stores: the newest features for serving ([`memory`], mirrored in [`redis`]), and all of them for training elsewhere
//! ([`offline`], read back by [`offline_rows`]).

pub mod memory;
pub mod offline;
pub mod offline_rows;
pub mod redis;

use std::sync::Arc;

use crate::value::{Key, Scalar};

pub use memory::Online;

/// A vector, shared by whoever reads it.
pub type Vector = Arc<[Scalar]>;

/// The newest of an entity or table row; none once it is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Upsert {
    pub key: Key,
    pub vector: Option<Vector>,
}
