//! The bytes of request bodies that are held at a time, over all connections.
//!
//! The first bytes of each body, up to [`FREE`], are not counted: they are bounded by the number of connections, and so
//! a request of usual size is answered while others hold all that is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::RequestError;

/// Bytes of a body that are not counted.
pub const FREE: usize = 16 << 10;

/// The bytes that all bodies together may hold.
#[derive(Debug)]
pub struct BodyBudget {
    max: usize,
    held: AtomicUsize,
}

/// The bytes that one body holds. They are free again once this is dropped.
#[derive(Debug)]
pub struct HeldBytes {
    budget: Arc<BodyBudget>,
    counted: usize,
}

impl BodyBudget {
    /// A budget of `max` bytes.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(BodyBudget { max, held: AtomicUsize::new(0) })
    }

    /// Begins a body that holds nothing yet.
    pub fn begin(self: &Arc<Self>) -> HeldBytes {
        HeldBytes { budget: self.clone(), counted: 0 }
    }
}

impl HeldBytes {
    /// Holds `bytes` bytes in place of those held so far, if they are more.
    ///
    /// # Errors
    /// If bodies would hold more than the budget; the bytes held so far stay held.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), RequestError> {
        let more = bytes.saturating_sub(FREE).saturating_sub(self.counted);
        if more == 0 {
            return Ok(());
        }
        let (held, max) = (&self.budget.held, self.budget.max);
        let grown = held.fetch_update(Relaxed, Relaxed, |held| held.checked_add(more).filter(|held| *held <= max));
        grown.map_err(|_| RequestError::TooManyBodies)?;
        self.counted += more;
        Ok(())
    }

    /// Holds nothing any more, as what was read of a body that is refused is dropped.
    pub fn release(&mut self) {
        self.budget.held.fetch_sub(std::mem::take(&mut self.counted), Relaxed);
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_hold_no_more_than_the_budget_beside_their_first_bytes() {
        let budget = BodyBudget::new(100);
        let (mut first, mut second) = (budget.begin(), budget.begin());
        first.grow_to(FREE).unwrap();
        assert_eq!(budget.held.load(Relaxed), 0);
        first.grow_to(FREE + 60).unwrap();
        first.grow_to(FREE + 10).unwrap();
        second.grow_to(FREE + 40).unwrap();
        assert!(second.grow_to(FREE + 41).is_err());
        assert_eq!(budget.held.load(Relaxed), 100);
        drop(first);
        second.grow_to(FREE + 100).unwrap();
        assert!(second.grow_to(usize::MAX).is_err());
        second.release();
        assert_eq!(budget.held.load(Relaxed), 0);
        second.grow_to(FREE + 7).unwrap();
        drop(second);
        assert_eq!(budget.held.load(Relaxed), 0);
    }
}
