//! The operators of the graph, one a file. Each changes its state for closed times only and processes closed records
//! in the total order, so that its state as of any time T is a function of the records before T.

mod admission;
mod assignments;
mod attribution;
mod changes;
mod closed_times;
mod closing;
mod entities;
mod example_columns;
pub mod group;
mod key_stack;
pub mod label;
mod label_total;
pub mod learn;
mod learning;
pub mod map;
pub mod newest_rows;
mod pending_examples;
mod pending_lookups;
mod publisher;
mod saved_examples;
mod shard;
pub mod shift;
pub mod sink;
mod slot_set;
pub mod source;
mod stash;
pub mod table;
pub mod tap;
mod throttle;
pub mod union;
mod updates;
mod work_slice;

pub use admission::{RefusedInWindow, RefusedLabels};
pub use assignments::Assignments;
pub use stash::{ClosingRow, Stash, StashedBatch};
pub use work_slice::SliceLength;

use timely::dataflow::Stream;

use crate::time::EventTime;
use crate::value::Batch;

/// A stream of records.
pub type Records<'scope> = Stream<'scope, EventTime, Batch>;

/// The frontier of an input as one time: the end of time where the input is closed.
pub fn frontier_of(frontier: &timely::progress::frontier::MutableAntichain<EventTime>) -> EventTime {
    frontier.frontier().iter().next().copied().unwrap_or(EventTime::MAX)
}
