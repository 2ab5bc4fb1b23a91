//! Stores: the newest features for serving ([`memory`], mirrored in [`redis`]), and all of them for training elsewhere
//! ([`offline`], read back by [`offline_rows`], checked by [`checksums`]); and the newest records of streams that someone
//! watches (`taps`).

pub mod checksums;
mod content;
mod dirty_keys;
mod lookups;
pub mod memory;
pub mod offline;
pub mod offline_rows;
mod online_store;
pub mod redis;
mod taps;
mod times;

use std::sync::Arc;

use crate::aggregate::Feature;
use crate::value::Key;

pub use lookups::{Fetched, FetchedVector, LookupTable, MissingLookups, RemoteTable, RequestLookups};
pub use memory::Online;
pub use online_store::OnlineStore;
pub use taps::{Tap, TapReading, Taps};
pub use times::StoreTimes;

/// The features of an entity or the columns of a table row, shared by their readers.
pub type Vector = Arc<[Feature]>;

/// The newest vector of an entity or table row; `None` once it is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Upsert {
    pub key: Key,
    pub vector: Option<Vector>,
}
