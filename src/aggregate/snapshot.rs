//! A group's state as of one moment, taken without copying what it holds, and as it is saved.

use serde::{Deserialize, Serialize};

use super::by_slot::BySlot;
use crate::value::Key;

/// Encodes what a window kept at some moment; on any thread.
pub type Encoder = Box<dyn FnOnce() -> Vec<u8> + Send>;

/// The state of one feature group on one worker, as it is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedGroup {
    /// The place reached in the total order.
    pub position: i64,
    /// By slot, the entities.
    pub keys: Vec<Option<Key>>,
    /// What each window keeps of those slots, in its own encoding.
    pub windows: Vec<Vec<u8>>,
}

/// The state of one feature group on one worker at one moment. It shares with the group what has not changed since.
pub struct GroupSnapshot {
    pub(super) position: i64,
    pub(super) keys: BySlot<Option<Key>>,
    pub(super) windows: Vec<Encoder>,
}

impl GroupSnapshot {
    /// The state as it is saved.
    pub fn saved(self) -> SavedGroup {
        SavedGroup {
            position: self.position,
            keys: self.keys.iter().cloned().collect(),
            windows: self.windows.into_iter().map(|encode| encode()).collect(),
        }
    }
}

/// Bytes of something that always encodes.
pub(super) fn encoded(state: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(state).expect("what windows keep always encodes")
}

/// The slot that stands for a saved one, if the entity in it is loaded.
///
/// # Errors
/// If there is no such slot among those saved.
pub(super) fn placed(slots: &[Option<u32>], saved: u32) -> Result<Option<u32>, postcard::Error> {
    slots.get(saved as usize).copied().ok_or(postcard::Error::DeserializeBadEncoding)
}
