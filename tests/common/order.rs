//! Records in the total order, by the definitions: watermarks, effective times, and rows of tables as of a time.

use std::collections::BTreeMap;

use super::engine::Record;
use tidemill::value::Scalar;

/// The place of a record in the total order: time, source by name, key, offset.
pub type Order = (i64, &'static str, String, usize);

/// A record of a source with its effective time and offset.
#[derive(Clone, Debug)]
pub struct Placed {
    pub source: &'static str,
    pub effective: i64,
    pub offset: usize,
    pub record: Record,
}

impl Placed {
    /// Its place in the total order: time, source by name, key, offset. The key of prices is the item.
    pub fn order(&self) -> Order {
        let key = if self.source == "prices" { self.record.item.to_string() } else { self.record.id.clone() };
        (self.effective, self.source, key, self.offset)
    }
}

/// Returns records with their effective times, by the definition of the watermark in each partition.
pub fn place(source: &'static str, records: &[Record], lateness: i64, partitions: usize) -> Vec<Placed> {
    let mut newest = vec![i64::MIN; partitions];
    let placed = |(offset, record): (usize, &Record)| {
        let newest = &mut newest[record.partition(source, partitions)];
        let effective = record.at.max(newest.saturating_sub(lateness));
        *newest = record.at.max(*newest);
        Placed { source, effective, offset, record: record.clone() }
    };
    records.iter().enumerate().map(placed).collect()
}

/// Returns the row of an item as of a time: of the newest event time, the last in the total order, in which `rows` are. A
/// delete is a row without a shop.
pub fn row_as_of(rows: &[Placed], item: i64, a: i64) -> Option<&Record> {
    let earlier = rows.iter().filter(|row| row.record.item == item && row.effective < a);
    let newest = earlier.max_by_key(|row| row.record.at)?;
    Some(&newest.record).filter(|record| record.shop.is_some())
}

/// Returns a text as a value of a column.
pub fn text(value: &Option<String>) -> Scalar {
    value.as_ref().map_or(Scalar::Null, |text| Scalar::String(text.as_str().into()))
}

/// Returns an int as a value of a column.
pub fn int(value: Option<i64>) -> Scalar {
    value.map_or(Scalar::Null, Scalar::Int)
}

/// Returns a float as a value of a column.
pub fn float(value: Option<f64>) -> Scalar {
    value.map_or(Scalar::Null, Scalar::Float)
}

/// Returns a row for every entity and effective time that had records: the vector just after them. `records` have their
/// effective times.
pub fn changes<'a, K: Ord + Clone>(
    records: impl Iterator<Item = (i64, &'a Record)>,
    key: impl Fn(&Record) -> Option<K>,
    scalars: impl Fn(K) -> Vec<Scalar>,
    vector: impl Fn(&Record, i64) -> Vec<Scalar>,
) -> Vec<Vec<Scalar>> {
    let mut rows = BTreeMap::new();
    for (time, record) in records {
        let Some(key) = key(record) else { continue };
        let mut row = vec![Scalar::Timestamp(time)];
        row.extend(scalars(key.clone()));
        row.extend(vector(record, time + 1));
        rows.insert((time, key), row);
    }
    rows.into_values().collect()
}
