//! Acknowledgement of records: when everything made from a batch has been served.
//!
//! Records of a batch part on their way: filters drop some, exchanges send some to other workers, operators keep some.
//! So they are not counted. All parts of a batch, and everything made from them, share one [`AckToken`]; the batch is
//! acknowledged when the last clone is dropped. An operator that keeps a batch for longer than the online store needs
//! to publish it must drop the token early.
//!
//! ```
//! use tidemill::value::{AckToken, Batch};
//!
//! let (ack, watch) = AckToken::watched();
//! let batch = Batch { ack, ..Batch::default() };
//! let part = batch.slice(0, 0);
//! drop(batch);
//! assert!(!watch.is_acknowledged());
//! drop(part);
//! assert!(watch.is_acknowledged());
//! ```

use std::fmt;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Weak};

/// A share in the acknowledgement of a batch. Held until the online store has published the records; the default is
/// a token that no one watches.
#[derive(Clone, Default)]
pub struct AckToken(Option<Arc<()>>);

/// Observer of an [`AckToken`] and its clones.
#[derive(Clone, Debug)]
pub struct AckWatch(Weak<()>);

impl AckToken {
    /// Returns a new token and the watch that observes it.
    pub fn watched() -> (Self, AckWatch) {
        let token = Arc::new(());
        let watch = AckWatch(Arc::downgrade(&token));
        (AckToken(Some(token)), watch)
    }
}

impl fmt::Debug for AckToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "watched" } else { "unwatched" })
    }
}

impl AckWatch {
    /// Returns whether every clone of the token has been dropped. If so, all writes made before the drops are visible
    /// to the caller.
    pub fn is_acknowledged(&self) -> bool {
        let is_acknowledged = self.0.strong_count() == 0;
        if is_acknowledged {
            // Pairs with the release of each dropped `Arc`.
            fence(Ordering::Acquire);
        }
        is_acknowledged
    }
}
