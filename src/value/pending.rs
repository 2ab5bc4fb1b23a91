//! Knowing when records have taken effect, wherever they went.
//!
//! Records part on their way: by filters, among workers, into operators that keep them. So instead of counting them out
//! and in, all that comes of a batch shares one thing, and when that is gone, so are they. Whoever keeps a batch for longer
//! than until it is shown must let go of its `Pending`.
//!
//! ```
//! use tidemill::value::{Batch, Pending};
//!
//! let (pending, watch) = Pending::watched();
//! let batch = Batch { pending, ..Batch::default() };
//! let part = batch.slice(0, 0);
//! drop(batch);
//! assert!(!watch.is_over());
//! drop(part);
//! assert!(watch.is_over());
//! ```

use std::fmt;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Weak};

/// Goes with records for as long as the online store may not show them yet: all parts of a batch and all that is made
/// of them share it, and who shows them, or has no use for that, drops it. By default there is nobody who asks.
#[derive(Clone, Default)]
pub struct Pending(Option<Arc<()>>);

/// Tells when the last of a [`Pending`] is gone.
#[derive(Clone, Debug)]
pub struct Watch(Weak<()>);

impl Pending {
    /// A new one, with who watches it.
    pub fn watched() -> (Self, Watch) {
        let pending = Arc::new(());
        let watch = Watch(Arc::downgrade(&pending));
        (Pending(Some(pending)), watch)
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "watched" } else { "unwatched" })
    }
}

impl Watch {
    /// Whether nothing is pending any more; then whatever was done before it was dropped is seen here.
    pub fn is_over(&self) -> bool {
        let is_over = self.0.strong_count() == 0;
        if is_over {
            fence(Ordering::Acquire);
        }
        is_over
    }
}
