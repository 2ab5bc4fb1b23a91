//! Counts of every operator of the graph, taken from timely's own logging so that no operator can be left out.
//!
//! Timely logs the operators and channels of a graph, each message with its number of records, and when operators start
//! and stop. A message is counted as sent by the source of its channel and, when it is read, as received by its target.
//! Counts are added to the metrics when the worker flushes the log.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use timely::logging::{StartStop, TimelyEvent, TimelyEventBuilder};
use timely::worker::Worker;

use crate::metrics::{Metrics, OperatorCounts};

/// Registers the log on a worker. Call this before the graph is built.
pub fn listen(worker: &Worker, metrics: &Arc<Metrics>) {
    let log = Rc::new(RefCell::new(OperatorLog::new(metrics.clone())));
    let Some(mut registry) = worker.log_register() else { return };
    registry.insert::<TimelyEventBuilder, _>("timely", move |_time, events| match events {
        Some(events) => {
            let mut log = log.borrow_mut();
            events.iter().for_each(|(at, event)| log.see(*at, event));
        }
        None => log.borrow_mut().publish(),
    });
}

/// Adds the counts so far to the metrics.
pub fn flush(worker: &Worker) {
    if let Some(mut registry) = worker.log_register() {
        registry.flush();
    }
}

/// The counts of a worker's operators since the last flush, and the names that its events refer to.
struct OperatorLog {
    metrics: Arc<Metrics>,
    /// Names of operators and scopes by id.
    names: HashMap<usize, String>,
    /// Ids by address.
    ids: HashMap<Vec<usize>, usize>,
    /// By channel, the addresses of its source and its target.
    channels: HashMap<usize, (Vec<usize>, Vec<usize>)>,
    /// By id, the time at which an operator that is running started.
    started: HashMap<usize, Duration>,
    counts: HashMap<usize, OperatorCounts>,
}

impl OperatorLog {
    fn new(metrics: Arc<Metrics>) -> Self {
        OperatorLog {
            metrics,
            names: HashMap::new(),
            ids: HashMap::new(),
            channels: HashMap::new(),
            started: HashMap::new(),
            counts: HashMap::new(),
        }
    }

    fn see(&mut self, at: Duration, event: &TimelyEvent) {
        match event {
            TimelyEvent::Operates(event) => {
                self.names.insert(event.id, event.name.clone());
                self.ids.insert(event.addr.clone(), event.id);
            }
            TimelyEvent::Channels(event) => {
                let address = |node: usize| {
                    let mut address = event.scope_addr.clone();
                    address.push(node);
                    address
                };
                self.channels.insert(event.id, (address(event.source.0), address(event.target.0)));
            }
            TimelyEvent::Messages(event) => {
                let Some((source, target)) = self.channels.get(&event.channel) else { return };
                let Some(id) = self.ids.get(if event.is_send { source } else { target }) else { return };
                let counts = self.counts.entry(*id).or_default();
                let records = u64::try_from(event.record_count).unwrap_or(0);
                if event.is_send { counts.records_out += records } else { counts.records_in += records }
            }
            TimelyEvent::Schedule(event) => match event.start_stop {
                StartStop::Start => _ = self.started.insert(event.id, at),
                StartStop::Stop => {
                    if let Some(start) = self.started.remove(&event.id) {
                        let counts = self.counts.entry(event.id).or_default();
                        counts.busy_seconds += at.saturating_sub(start).as_secs_f64();
                    }
                }
            },
            _ => {}
        }
    }

    fn publish(&mut self) {
        for (id, counts) in self.counts.drain() {
            // The dataflow itself is a scope: its time would count that of its operators twice.
            let Some(name) = self.names.get(&id).filter(|name| !name.starts_with("Dataflow")) else { continue };
            let kind = name.split('.').next().unwrap_or(name).to_lowercase();
            self.metrics.count_operator(name, &kind, &counts);
        }
    }
}
