//! One operator's side of a snapshot: where to stop on the way to its frontier, and save.

use std::sync::Arc;

use serde::Serialize;

use super::Vault;
use super::vault::Part;
use crate::time::EventTime;

/// One stretch of an operator's way to its frontier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Work off everything before this time,
    pub upto: EventTime,
    /// and then save, if so.
    pub save: bool,
}

/// An operator instance's part in snapshots.
pub struct Cut {
    vault: Arc<Vault>,
    operator: String,
    /// The newest request for a snapshot that this instance has saved for.
    saved: u64,
}

impl Cut {
    /// Enters an operator instance; from now on no snapshot is whole without it.
    pub fn new(vault: &Arc<Vault>, operator: impl Into<String>) -> Self {
        vault.join();
        Cut { vault: vault.clone(), operator: operator.into(), saved: 0 }
    }

    /// Says how the instance is had to look, where nothing comes that would have it look by itself.
    pub fn wake_by(&self, wake: impl Fn() + Send + 'static) {
        self.vault.wake_by(Box::new(wake));
    }

    /// The time of a snapshot that this instance has not saved for.
    pub fn wanted(&self) -> Option<EventTime> {
        // In this order: a time that is seen is that of the request, or of a later one.
        let asked = self.vault.asked();
        self.vault.wanted().filter(|_| asked != self.saved)
    }

    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    pub fn operator(&self) -> &str {
        &self.operator
    }

    /// The stretches to a frontier: one, or two where a snapshot is wanted on the way.
    pub fn steps(&self, frontier: EventTime) -> impl Iterator<Item = Step> + use<> {
        let wanted = self.wanted().filter(|time| *time <= frontier);
        let first = wanted.map(|upto| Step { upto, save: true });
        first.into_iter().chain([Step { upto: frontier, save: false }])
    }

    /// Saves this instance's part as of `time`.
    pub fn save(&mut self, time: EventTime, state: &impl Serialize) {
        let part = encoded(state);
        self.put(time, Box::new(|| part));
    }

    /// The same of state that does not change any more: it is encoded when the snapshot is written, by whoever writes it.
    pub fn hand_over<S: Serialize>(&mut self, time: EventTime, state: impl FnOnce() -> S + Send + 'static) {
        self.put(time, Box::new(|| encoded(&state())));
    }

    fn put(&mut self, time: EventTime, part: Part) {
        self.saved = self.vault.asked();
        self.vault.put(&self.operator, time, part);
    }
}

fn encoded(state: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(state).expect("an operator's state always encodes")
}
