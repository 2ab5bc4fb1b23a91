//! A registry in the place of another one, as after `run --fresh`: how it is recognised, and what is forgotten then.

use super::history::AliasMove;
use super::{Registry, RegistryError};

impl Registry {
    /// Returns the first move of a model, by which one registry is distinguished from another; `None` if there is none yet.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn first_move(&self, model: &str) -> Result<Option<AliasMove>, RegistryError> {
        self.history.first(model)
    }

    /// Forgets what was seen of the registry that was there before.
    pub fn forget_seen(&self) {
        self.history.forget_seen();
    }
}
