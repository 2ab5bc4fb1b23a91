//! Snapshots of a group's state: taken without copying what it holds, and encoded later.

use serde::{Deserialize, Serialize};

use super::cow_vec::CowVec;
use super::recency::RecencySnapshot;
use super::state_codec::StateWriter;
use crate::time::EventTime;
use crate::value::Key;

/// Encodes the state of a window as of one moment, on any thread.
pub type Encoder = Box<dyn FnOnce() -> Vec<u8> + Send>;

/// The state of one feature group on one worker, as it is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedGroup {
    /// The number in the total order of the next record.
    pub sequence: i64,
    /// The asking time that it was advanced to.
    pub asof: EventTime,
    /// By slot, the entities.
    pub keys: Vec<Option<Key>>,
    /// The state of each window for those slots, in its own encoding.
    pub windows: Vec<Vec<u8>>,
    /// The slots of a group with a bound, part by part, the one longest without a record first; else none.
    pub recency: Vec<u32>,
    /// Entities that have been dropped at the bound.
    pub dropped: u64,
}

/// The closed state of one feature group on one worker as of one moment. It shares with the group what has not changed
/// since.
pub struct GroupSnapshot {
    pub(super) sequence: i64,
    pub(super) asof: EventTime,
    pub(super) keys: CowVec<Option<Key>>,
    pub(super) windows: Vec<Encoder>,
    pub(super) recency: Option<RecencySnapshot>,
    pub(super) dropped: u64,
}

impl GroupSnapshot {
    /// The state as it is saved.
    pub fn saved(self) -> SavedGroup {
        SavedGroup {
            sequence: self.sequence,
            asof: self.asof,
            keys: self.keys.iter().cloned().collect(),
            windows: self.windows.into_iter().map(|encode| encode()).collect(),
            recency: self.recency.map_or_else(Vec::new, |recency| recency.slots()),
            dropped: self.dropped,
        }
    }
}

/// The encoding of a window's state: the number of its entries, and each as `write` appends it.
pub(super) fn encoded<T>(entries: impl Iterator<Item = T>, write: impl FnMut(&mut StateWriter, T)) -> Vec<u8> {
    let mut writer = StateWriter::default();
    writer.all(entries.collect::<Vec<_>>().into_iter(), write);
    writer.into_bytes()
}

/// The slot that a saved one is mapped to; `None` if the entity in it is not loaded.
///
/// # Errors
/// If there is no such slot among those saved.
pub(super) fn remap_slot(slots: &[Option<u32>], saved: u32) -> Result<Option<u32>, postcard::Error> {
    slots.get(saved as usize).copied().ok_or(postcard::Error::DeserializeBadEncoding)
}
