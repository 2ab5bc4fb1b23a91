//! Stores: the newest features for serving ([`memory`], mirrored in [`redis`]), and all of them for training elsewhere
//! ([`offline`], read back by [`offline_rows`], checked by [`checksums`]); and the newest records of streams and changes of
//! groups that someone watches (`taps`, `change_tap`).
//!
//! Invariant: a reader never sees half of a vector, nor an older vector of a key after a newer one. Writing to memory
//! cannot fail; a mirror that cannot be written is behind, and catches up; an offline file that cannot be written ends
//! the run with an [`offline::OfflineError`].
//!
//! ```
//! use tidemill::aggregate::Feature;
//! use tidemill::store::Online;
//! use tidemill::value::{Scalar, Type};
//!
//! let online = Online::new([("spend".to_owned(), vec![Type::String])], []);
//! let spend = online.group("spend").unwrap();
//! let ann = spend.codec().encode_one(&[Scalar::String("ann".into())]);
//! assert_eq!(spend.get(&ann), None);
//! spend.write(&ann, &mut None, &[Feature::Value(Scalar::Int(3))]);
//! assert_eq!(spend.get(&ann).unwrap()[0], Feature::Value(Scalar::Int(3)));
//! ```

mod change_tap;
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

pub use change_tap::{ChangeReading, ChangeTap};
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
