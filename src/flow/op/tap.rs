//! The tap of a stream: copies the stream's batches to `tidemill tap`.

use super::Records;
use super::map::map;
use crate::store::Online;

/// Passes the records of a source or a view on as they are, by the tap that the online store has of them. `name` is `None`
/// for a step inside a view, which has no tap; nor has a replay.
pub fn tapped<'scope>(records: Records<'scope>, online: Option<&Online>, name: Option<&str>) -> Records<'scope> {
    let tap = name.and_then(|name| online?.taps()?.get(name).cloned());
    let Some(tap) = tap else { return records };
    map(records, "Tap", move |batch| {
        tap.observe(&batch);
        batch
    })
}
