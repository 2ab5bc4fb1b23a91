//! Where streams end: the online store, the offline files.

use std::sync::{Arc, Mutex};

use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;

use super::{Records, frontier_of};
use crate::flow::exchange::Route;
use crate::store::Upsert;
use crate::store::offline::{OfflineError, OrderedFile};
use crate::time::EventTime;

/// A file that the graph writes and its owner finishes.
pub type SharedFile = Arc<Mutex<Option<OrderedFile>>>;

/// Applies upserts, in the order in which they come.
pub fn upserts<'scope>(
    stream: Stream<'scope, EventTime, Vec<Upsert>>,
    name: &str,
    mut apply: impl FnMut(Upsert) + 'static,
) {
    stream.sink(Pipeline, name, move |(input, _frontier)| {
        input.for_each(|_, upserts| upserts.drain(..).for_each(&mut apply));
    });
}

/// Writes records to a file on one worker, in the total order of their event times. A record may come up to
/// `delay_ms` after its event time.
pub fn file(
    stream: Records<'_>,
    name: &str,
    file: SharedFile,
    delay_ms: i64,
    mut failed: impl FnMut(OfflineError) + 'static,
) {
    stream.sink(Route::One(0).pact(), name, move |(input, frontier)| {
        let mut held = file.lock().expect("no holder panics");
        let Some(file) = held.as_mut() else {
            input.for_each(|_, _| {});
            return;
        };
        input.for_each(|_, batch| file.push(std::mem::take(batch)));
        let frontier = frontier_of(frontier);
        if frontier < EventTime::MAX
            && let Err(error) = file.release(frontier.saturating_sub(delay_ms))
        {
            failed(error);
            *held = None;
        }
    });
}
