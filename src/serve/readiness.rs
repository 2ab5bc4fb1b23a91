//! Whether requests should come here: what the rest of the process says stands against it.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Reasons not to be ready, each under the name of what gives it. Shared by the endpoint and whoever knows.
#[derive(Debug)]
pub struct Readiness {
    reasons: Mutex<BTreeMap<&'static str, String>>,
}

const START: &str = "start";

impl Default for Readiness {
    /// Of a process that has just started: not ready.
    fn default() -> Self {
        Readiness { reasons: Mutex::new(BTreeMap::from([(START, "starting".to_owned())])) }
    }
}

impl Readiness {
    /// The process has started; what else stands against it is said by name.
    pub fn started(&self) {
        self.clear(START);
    }

    /// Gives a reason, in place of one given before under the same name.
    pub fn block(&self, name: &'static str, reason: impl Into<String>) {
        self.reasons.lock().insert(name, reason.into());
    }

    /// Takes a reason back.
    pub fn clear(&self, name: &'static str) {
        self.reasons.lock().remove(name);
    }

    /// All reasons, by name.
    pub fn reasons(&self) -> Vec<String> {
        self.reasons.lock().values().cloned().collect()
    }
}
