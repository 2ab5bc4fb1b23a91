//! The saved state of one operator instance.

use serde::Serialize;

/// The state of one operator instance as of a barrier, encoded at once or later.
pub struct SavedPart(Box<dyn FnOnce() -> Vec<u8> + Send>);

impl SavedPart {
    /// Encodes the state now, as it is about to change.
    pub fn encoded(state: &impl Serialize) -> Self {
        let bytes = encode(state);
        SavedPart(Box::new(|| bytes))
    }

    /// Leaves the encoding of state that no longer changes to the thread that writes the checkpoint.
    pub fn deferred<S: Serialize>(state: impl FnOnce() -> S + Send + 'static) -> Self {
        SavedPart(Box::new(|| encode(&state())))
    }

    /// A part that is encoded already.
    pub(super) fn of_bytes(bytes: Vec<u8>) -> Self {
        SavedPart(Box::new(|| bytes))
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        (self.0)()
    }
}

fn encode(state: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(state).expect("an operator's state has a postcard form")
}
