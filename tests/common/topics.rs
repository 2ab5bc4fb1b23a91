//! Random topics.

use proptest::prelude::*;

use super::engine::Record;

/// A record with times that tie and jump, and values that are null, negative and tiny.
fn record() -> impl Strategy<Value = Record> {
    let x = prop_oneof![
        Just(None),
        (-3i32..4).prop_map(|x| Some(f64::from(x) / 8.0)),
        any::<i16>().prop_map(|x| Some(f64::from(x) * 1e-9))
    ];
    (0u8..12, prop::option::weighted(0.9, 0u8..3), 0i64..3, x, 0i64..12, prop::bool::weighted(0.2)).prop_map(
        |(id, shop, item, x, step, back)| Record {
            id: format!("k{id}"),
            shop: shop.map(|shop| format!("s{shop}")),
            item,
            x,
            step: if back { -step * 6 } else { step },
            at: 0,
        },
    )
}

/// Records whose steps are added up to times.
pub fn topic(most: usize) -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec(record(), 0..most).prop_map(|mut records| {
        let mut now = 1_000_000;
        for record in &mut records {
            now += record.step;
            record.at = now;
        }
        records
    })
}

/// The same with times that rise by a second or so from the first to the last.
pub fn rising(most: usize) -> impl Strategy<Value = Vec<Record>> {
    let risen = move |(at, mut record): (usize, Record)| {
        record.at += (at * 1200 / most) as i64;
        record
    };
    topic(most).prop_map(move |records| records.into_iter().enumerate().map(risen).collect())
}
