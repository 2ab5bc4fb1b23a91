//! The panes of all slots as they are saved, for windows that keep panes by entity.

use std::collections::VecDeque;

use super::panes::Sliding;
use crate::aggregate::algebra::Aggregate;
use crate::aggregate::cow_vec::CowVec;
use crate::aggregate::snapshot::{Encoder, encoded, remap_slot};
use crate::aggregate::state_codec::StateReader;

/// The panes of a slot, read from a saved state.
pub struct SavedPanes<T> {
    pub slot: u32,
    /// Panes, ascending, each with its accumulator.
    pub panes: Vec<(i64, T)>,
}

/// Encodes the panes of all slots that have some.
pub fn encoder<A: Aggregate>(aggregate: A, panes: &CowVec<VecDeque<(i64, A::Acc)>>) -> Encoder {
    let panes = panes.clone();
    Box::new(move || {
        let held = (0u32..).zip(panes.iter()).filter(|(_, panes)| !panes.is_empty());
        encoded(held, |to, (slot, panes)| {
            to.value(&slot);
            to.all(panes.iter(), |to, (pane, acc)| {
                to.value(pane);
                aggregate.write(acc, to);
            });
        })
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
    let pane = |from: &mut StateReader<'_>| Ok((from.value::<i64>()?, aggregate.read(from)?));
    for (saved, panes) in StateReader::new(bytes).all(|from| Ok((from.value()?, from.all(pane)?)))? {
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
