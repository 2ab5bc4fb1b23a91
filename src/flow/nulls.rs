//! Counting of what expressions could not compute.

use std::sync::Arc;

use crate::expr::EvalStats;
use crate::metrics::{NullCounter, NullReason};
use crate::value::Batch;

/// Adds what expressions could not compute to the counts of a place.
pub fn count(nulls: &NullCounter, failed: EvalStats) {
    if !failed.is_clean() {
        nulls.add(NullReason::NonFinite, failed.non_finite);
        nulls.add(NullReason::Overflow, failed.overflow);
        nulls.add(NullReason::Unreadable, failed.unreadable);
    }
}

/// Returns a function of batches that counts what `step` could not compute.
pub fn counted(
    nulls: Arc<NullCounter>,
    mut step: impl FnMut(Batch, &mut EvalStats) -> Batch,
) -> impl FnMut(Batch) -> Batch {
    move |batch| {
        let mut failed = EvalStats::default();
        let result = step(batch, &mut failed);
        count(&nulls, failed);
        result
    }
}
