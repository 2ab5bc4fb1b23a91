//! Where streams end: the online store, the offline files.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::operators::generic::Operator;

use super::{Records, frontier_of};
use crate::flow::exchange::{Route, key_columns};
use crate::flow::plan::TablePlan;
use crate::store::Upsert;
use crate::store::memory::Shelf;
use crate::store::offline::{OfflineError, OrderedFile};
use crate::time::EventTime;
use crate::value::{Key, Scalar};

/// A file that the graph writes and its owner finishes.
pub type SharedFile = Arc<Mutex<Option<OrderedFile>>>;

/// What a sink leaves: nothing, at the times that it has taken in.
pub type Sunk<'scope> = Stream<'scope, EventTime, Vec<()>>;

/// Rows that wait before some are written.
const ENOUGH: usize = 1 << 14;

/// Writes records to a file on one worker, in the total order of their event times. A record may come up to
/// `delay_ms` after its event time.
pub fn file<'scope>(
    stream: Records<'scope>,
    name: &str,
    file: SharedFile,
    delay_ms: i64,
    mut failed: impl FnMut(OfflineError) + 'static,
) -> Sunk<'scope> {
    stream.unary_frontier::<NoopBuilder<Vec<()>>, _, _, _>(Route::One(0).pact(), name, move |_, _| {
        move |(input, frontier), _output| {
            let mut held = file.lock().expect("no holder panics");
            let Some(file) = held.as_mut() else {
                input.for_each(|_, _| {});
                return;
            };
            input.for_each(|_, batch| file.push(std::mem::take(batch)));
            let frontier = frontier_of(frontier);
            if frontier < EventTime::MAX
                && file.pending() >= ENOUGH
                && let Err(error) = file.release(frontier.saturating_sub(delay_ms))
            {
                failed(error);
                *held = None;
            }
        }
    })
}

/// Shows the newest rows of a table in the online store at once: a row gives way to one that takes effect later.
pub fn rows<'scope>(stream: Records<'scope>, plan: &TablePlan, shelf: Arc<Shelf>) -> Sunk<'scope> {
    let (key, columns, width) = (plan.key_codec.clone(), plan.key.clone(), plan.schema.len());
    let route = Route::Key { codec: key.clone(), columns: columns.clone() };
    let name = format!("table.{}.online", plan.name);
    stream.unary::<NoopBuilder<Vec<()>>, _, _, _>(route.pact(), &name, move |_, _| {
        let mut newest: HashMap<Key, EventTime> = HashMap::new();
        move |input, _output| {
            input.for_each(|_, batch| {
                let keys = key.encode(&key_columns(batch, &columns));
                for row in 0..batch.len() {
                    let (key, time) = (Key::from_bytes(keys.row(row).as_ref()), batch.times[row]);
                    let known = newest.entry(key.clone()).or_insert(time);
                    if *known <= time {
                        *known = time;
                        let gone = Scalar::of(&batch.columns[width], row) == Scalar::Bool(true);
                        let values = || batch.columns[..width].iter().map(|column| Scalar::of(column, row)).collect();
                        shelf.apply(Upsert { key, vector: (!gone).then(values) });
                    }
                }
            });
        }
    })
}
