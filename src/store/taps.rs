//! Taps of streams: their newest records, kept only while someone asks for them.
//!
//! A stream that no request has asked for in the last [`WATCHED`] costs a look at a number for each batch. Others are kept
//! as JSON, up to [`KEPT`] records; those that a reader was too slow for are counted.
//!
//! ```
//! use tidemill::store::Tap;
//! let tap = Tap::new(vec!["user".to_owned()]);
//! assert!(!tap.is_watched());
//! let first = tap.read(None, 10);
//! assert!(tap.is_watched() && first.records.is_empty() && first.next == 0);
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Map, Value};

use crate::value::{Batch, Scalar};

/// The time after a request for which records are kept.
pub const WATCHED: Duration = Duration::from_secs(10);

/// The most records that are kept of a stream.
pub const KEPT: usize = 1000;

/// The taps of all streams, by name.
pub type Taps = BTreeMap<String, Arc<Tap>>;

/// The tap of one stream.
#[derive(Debug)]
pub struct Tap {
    /// The names of the stream's columns.
    columns: Vec<String>,
    begun: Instant,
    /// Until when records are kept, in ms since `begun`.
    watched_until: AtomicU64,
    kept: Mutex<KeptRecords>,
}

#[derive(Debug, Default)]
struct KeptRecords {
    records: VecDeque<Value>,
    /// The number of the record after the last one.
    next: u64,
}

/// Records of a stream, as a reader has asked for them.
#[derive(Clone, Debug, PartialEq)]
pub struct TapReading {
    pub records: Vec<Value>,
    /// The number to ask with for those that follow.
    pub next: u64,
    /// Number of records that were there and are not kept any more.
    pub missed: u64,
}

impl Tap {
    /// Returns the tap of a stream with these columns.
    pub fn new(columns: Vec<String>) -> Self {
        Tap { columns, begun: Instant::now(), watched_until: AtomicU64::new(0), kept: Mutex::default() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns whether someone asks for records.
    pub fn is_watched(&self) -> bool {
        let until = self.watched_until.load(Relaxed);
        until != 0 && self.now() < until
    }

    /// Keeps the records of a batch, if someone asks for them.
    pub fn observe(&self, batch: &Batch) {
        if !self.is_watched() {
            return;
        }
        let first = batch.len().saturating_sub(KEPT);
        let row = |row: usize| {
            let values = batch.columns.iter().map(|column| Scalar::of(column, row).to_json());
            Value::Object(self.columns.iter().cloned().zip(values).collect::<Map<_, _>>())
        };
        let rows: Vec<Value> = (first..batch.len()).map(row).collect();
        let mut kept = self.kept.lock();
        kept.next += batch.len() as u64;
        kept.records.extend(rows);
        let surplus = kept.records.len().saturating_sub(KEPT);
        kept.records.drain(..surplus);
    }

    /// Returns up to `most` records from a number on; without one, none but the number to go on with.
    pub fn read(&self, from: Option<u64>, most: usize) -> TapReading {
        let until = self.now().saturating_add(WATCHED.as_millis() as u64);
        self.watched_until.store(until, Relaxed);
        let kept = self.kept.lock();
        let oldest = kept.next - kept.records.len() as u64;
        let from = from.unwrap_or(kept.next).min(kept.next);
        let start = from.max(oldest);
        let records: Vec<Value> = kept.records.iter().skip((start - oldest) as usize).take(most).cloned().collect();
        TapReading { next: start + records.len() as u64, missed: start - from, records }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, BinaryArray, Int64Array};

    use super::*;
    use crate::value::AckToken;

    fn batch(from: i64, to: i64) -> Batch {
        let numbers: Vec<i64> = (from..to).collect();
        let column: ArrayRef = Arc::new(Int64Array::from(numbers.clone()));
        let sort_key = BinaryArray::from_iter_values(numbers.iter().map(|number| number.to_be_bytes()));
        let times: arrow_buffer::ScalarBuffer<i64> = numbers.into();
        Batch { event_times: times.clone(), times, sort_key, columns: vec![column], ack: AckToken::default() }
    }

    #[test]
    fn records_are_kept_while_someone_asks_and_those_that_were_missed_are_counted() {
        let tap = Tap::new(vec!["n".to_owned()]);
        tap.observe(&batch(0, 5));
        let first = tap.read(None, 10);
        assert_eq!((first.records.len(), first.next, first.missed), (0, 0, 0), "no request had asked");
        tap.observe(&batch(5, 8));
        let read = tap.read(Some(first.next), 2);
        assert_eq!(read.records, [serde_json::json!({ "n": 5 }), serde_json::json!({ "n": 6 })]);
        let rest = tap.read(Some(read.next), 10);
        assert_eq!((rest.records.len(), rest.next), (1, 3));
        tap.observe(&batch(0, 2 * KEPT as i64));
        let late = tap.read(Some(rest.next), KEPT);
        assert_eq!((late.records.len(), late.missed), (KEPT, KEPT as u64));
        assert_eq!(late.records[KEPT - 1], serde_json::json!({ "n": 2 * KEPT - 1 }));
        assert_eq!(tap.read(Some(u64::MAX), 10).records.len(), 0);
    }
}
