//! Counts every operator of the graph by listening to timely's own logging, so that none can be forgotten.
//!
//! Timely logs what exists (operators, channels) and what happens (messages with their number of records, operators
//! starting and stopping). A message into a channel is counted as out of its source and, when read, as into its target.
//! Counts go to the metrics when the worker flushes the log.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use timely::logging::{StartStop, TimelyEvent, TimelyEventBuilder};
use timely::worker::Worker;

use crate::metrics::{Metrics, OperatorCounts};

/// Starts listening on a worker; to be called before the graph is built.
pub fn listen(worker: &Worker, metrics: &Arc<Metrics>) {
    let listener = Rc::new(RefCell::new(Listener::new(metrics.clone())));
    let Some(mut registry) = worker.log_register() else { return };
    registry.insert::<TimelyEventBuilder, _>("timely", move |_time, events| match events {
        Some(events) => {
            let mut listener = listener.borrow_mut();
            events.iter().for_each(|(at, event)| listener.see(*at, event));
        }
        None => listener.borrow_mut().publish(),
    });
}

/// Has what was counted so far published.
pub fn flush(worker: &Worker) {
    if let Some(mut registry) = worker.log_register() {
        registry.flush();
    }
}

struct Listener {
    metrics: Arc<Metrics>,
    /// Name by id; scopes too.
    names: HashMap<usize, String>,
    ids: HashMap<Vec<usize>, usize>,
    /// Channels: source and target operator by address.
    channels: HashMap<usize, (Vec<usize>, Vec<usize>)>,
    started: HashMap<usize, Duration>,
    counts: HashMap<usize, OperatorCounts>,
}

impl Listener {
    fn new(metrics: Arc<Metrics>) -> Self {
        Listener {
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
            // The dataflow itself is a scope: its time is that of its operators.
            let Some(name) = self.names.get(&id).filter(|name| !name.starts_with("Dataflow")) else { continue };
            let kind = name.split('.').next().unwrap_or(name).to_lowercase();
            self.metrics.count_operator(name, &kind, &counts);
        }
    }
}
