//! The panes of all slots as they are saved, for windows that keep panes by entity.

use std::collections::VecDeque;

use super::panes::Sliding;
use crate::aggregate::algebra::Aggregate;
use crate::aggregate::cow_vec::CowVec;
use crate::aggregate::snapshot::{Encoder, encoded, remap_slot};

/// The panes of a slot, read from a saved state.
pub struct SavedPanes<T> {
    pub slot: u32,
    /// Ascending, each with its accumulator.
    pub panes: Vec<(i64, T)>,
}

/// Encodes the panes of all slots that have some.
pub fn encoder<A: Aggregate>(panes: &CowVec<VecDeque<(i64, A::Acc)>>) -> Encoder {
    let panes = panes.clone();
    Box::new(move || {
        let held: Vec<_> = (0u32..).zip(panes.iter()).filter(|(_, panes)| !panes.is_empty()).collect();
        encoded(&held)
    })
}

/// Decodes what [`encoder`] encoded. Each slot of then is the one that `slots` maps it to, or left out.
///
/// # Errors
/// If the bytes are none of panes of this window and aggregate.
pub fn decode<A: Aggregate>(
    bytes: &[u8],
    slots: &[Option<u32>],
    window: Sliding,
    aggregate: A,
) -> Result<Vec<SavedPanes<A::Acc>>, postcard::Error> {
    let mut mine = Vec::new();
    for (saved, panes) in postcard::from_bytes::<Vec<(u32, Vec<(i64, A::Acc)>)>>(bytes)? {
        let is_alike = |panes: &[(i64, A::Acc)]| aggregate.are_alike(&panes[0].1, &panes[1].1);
        if !panes.iter().all(|(pane, acc)| window.has_pane(*pane) && aggregate.admits(acc))
            || !panes.is_sorted_by(|(one, _), (other, _)| one < other)
            || !panes.windows(2).all(is_alike)
        {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        mine.extend(remap_slot(slots, saved)?.map(|slot| SavedPanes { slot, panes }));
    }
    Ok(mine)
}
