//! Readiness of the process to answer requests: reasons against it, and warnings that do not count against it.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Reasons against readiness, each under a name. Shared by the endpoint and the parts of the process that set them.
#[derive(Debug)]
pub struct Readiness {
    reasons: Mutex<BTreeMap<&'static str, String>>,
    /// Warnings by what they are about.
    warnings: Mutex<BTreeMap<String, String>>,
}

const START: &str = "start";

impl Default for Readiness {
    /// The state of a process that is starting: not ready.
    fn default() -> Self {
        Readiness { reasons: Mutex::new(BTreeMap::from([(START, "starting".to_owned())])), warnings: Mutex::default() }
    }
}

impl Readiness {
    /// Removes the reason that the process is starting.
    pub fn started(&self) {
        self.clear(START);
    }

    /// Sets the reason of a name, in place of an earlier one.
    pub fn block(&self, name: &'static str, reason: impl Into<String>) {
        self.reasons.lock().insert(name, reason.into());
    }

    /// Removes the reason of a name.
    pub fn clear(&self, name: &'static str) {
        self.reasons.lock().remove(name);
    }

    /// Sets the warning about something, in place of an earlier one.
    pub fn warn(&self, about: impl Into<String>, warning: impl Into<String>) {
        self.warnings.lock().insert(about.into(), warning.into());
    }

    /// Removes the warning about something.
    pub fn settle(&self, about: &str) {
        self.warnings.lock().remove(about);
    }

    /// All warnings, ordered by what they are about.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().iter().map(|(about, warning)| format!("{about}: {warning}")).collect()
    }

    /// All reasons, ordered by name.
    pub fn reasons(&self) -> Vec<String> {
        self.reasons.lock().values().cloned().collect()
    }
}
