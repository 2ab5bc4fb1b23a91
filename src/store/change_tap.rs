//! Tap of a table: the keys whose vectors change, kept only while someone asks for them.
//!
//! Writers of a table are on the path of every record, so what a tap may cost them is bounded. While no request has come in the
//! last [`WATCHED`], a change costs a look at a number. While someone does, up to [`KEPT`] changes are kept after each
//! request; any further change until the next one, and any that would have to wait for another thread, is only counted.
//! A reader looks up the newest vectors of the keys itself.
//!
//! ```
//! use tidemill::store::ChangeTap;
//! use tidemill::value::Key;
//! let tap = ChangeTap::default();
//! tap.note(&Key::from_bytes(b"before anyone asks"));
//! let first = tap.read(None, 10);
//! tap.note(&Key::from_bytes(b"a"));
//! let read = tap.read(Some(first.next), 10);
//! assert_eq!((read.keys, read.next, read.missed), (vec![Key::from_bytes(b"a")], 1, 0));
//! ```

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;

use super::taps::{KEPT, WATCHED};
use crate::value::Key;

/// The tap of one table.
#[derive(Debug)]
pub struct ChangeTap {
    begun: Instant,
    /// Until when changes are kept, in ms since `begun`; 0 while no request asks for them.
    watched_until: AtomicU64,
    /// Changes that may still be kept before the next request.
    room: AtomicU64,
    /// Changes since the last that was kept, which were not.
    skipped: AtomicU64,
    kept: Mutex<KeptChanges>,
}

#[derive(Debug, Default)]
struct KeptChanges {
    /// Changes, ascending by number.
    changes: VecDeque<KeptChange>,
    /// The number of the change after the last one that is kept or known to have been skipped.
    next: u64,
}

#[derive(Debug)]
struct KeptChange {
    number: u64,
    key: Key,
}

/// Changes of a table, as a reader has asked for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeReading {
    /// The keys that have changed, each once, by their first change.
    pub keys: Vec<Key>,
    /// The number to ask with for those that follow.
    pub next: u64,
    /// Number of changes that were not kept, or are not any more.
    pub missed: u64,
}

impl Default for ChangeTap {
    fn default() -> Self {
        ChangeTap {
            begun: Instant::now(),
            watched_until: AtomicU64::new(0),
            room: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            kept: Mutex::default(),
        }
    }
}

impl ChangeTap {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Notes that the vector of a key has changed, if someone asks for changes. Does not wait.
    pub fn note(&self, key: &Key) {
        if self.watched_until.load(Relaxed) != 0 {
            self.note_watched(key);
        }
    }

    #[cold]
    fn note_watched(&self, key: &Key) {
        let has_room = || self.room.load(Relaxed) > 0;
        // Looked at again under the lock, without which it does not shrink.
        let kept = has_room().then(|| self.kept.try_lock()).flatten().filter(|_| has_room());
        let Some(mut kept) = kept else {
            self.skipped.fetch_add(1, Relaxed);
            return;
        };
        // The clock is asked only for changes that are kept.
        let until = self.watched_until.load(Relaxed);
        if self.now() >= until {
            // A request at this moment sets it again, after the lock.
            let _ = self.watched_until.compare_exchange(until, 0, Relaxed, Relaxed);
            return;
        }
        let number = kept.next + self.skipped.swap(0, Relaxed);
        kept.next = number + 1;
        kept.changes.push_back(KeptChange { number, key: key.clone() });
        let surplus = kept.changes.len().saturating_sub(KEPT);
        kept.changes.drain(..surplus);
        self.room.fetch_sub(1, Relaxed);
    }

    /// Returns up to `most` changes from a number on; without one, none but the number to go on with. Changes are kept from
    /// now on.
    pub fn read(&self, from: Option<u64>, most: usize) -> ChangeReading {
        let mut kept = self.kept.lock();
        kept.next += self.skipped.swap(0, Relaxed);
        self.room.store(KEPT as u64, Relaxed);
        self.watched_until.store(self.now().saturating_add(WATCHED.as_millis() as u64), Relaxed);
        let from = from.unwrap_or(kept.next).min(kept.next);
        let first = kept.changes.partition_point(|change| change.number < from);
        let wanted = || kept.changes.range(first..).take(most);
        let (count, is_all) = (wanted().count(), kept.changes.len() - first <= most);
        let next = match wanted().next_back() {
            Some(last) if !is_all => last.number + 1,
            None if !is_all => from,
            _ => kept.next,
        };
        let mut seen = HashSet::new();
        let keys = wanted().filter(|change| seen.insert(&change.key)).map(|change| change.key.clone()).collect();
        ChangeReading { keys, next, missed: next - from - count as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        Key::from_bytes(number.to_string().as_bytes())
    }

    #[test]
    fn changes_are_kept_while_someone_asks_and_what_is_not_kept_is_counted() {
        let tap = ChangeTap::default();
        (0..5).for_each(|number| tap.note(&key(number)));
        let first = tap.read(None, 10);
        assert_eq!((first.keys.len(), first.next, first.missed), (0, 0, 0), "nobody had asked");
        // Three changes of two keys.
        [5, 6, 5].iter().for_each(|number| tap.note(&key(*number)));
        assert_eq!(tap.read(Some(0), 10), ChangeReading { keys: vec![key(5), key(6)], next: 3, missed: 0 });
        assert_eq!(tap.read(Some(0), 1), ChangeReading { keys: vec![key(5)], next: 1, missed: 0 });
        assert_eq!(tap.read(Some(0), 0), ChangeReading { keys: vec![], next: 0, missed: 0 });
        assert_eq!(tap.read(Some(1), 10).keys, [key(6), key(5)]);
        assert_eq!(tap.read(Some(u64::MAX), 10), ChangeReading { keys: vec![], next: 3, missed: 0 });
    }

    #[test]
    fn after_each_request_so_many_changes_are_kept_and_the_rest_is_only_counted() {
        let tap = ChangeTap::default();
        tap.read(None, 10);
        (0..3 * KEPT).for_each(|number| tap.note(&key(number)));
        // The first ones are kept; those after them are missed.
        let read = tap.read(Some(0), KEPT);
        assert_eq!(
            (read.keys.len(), &read.keys[0], read.next, read.missed),
            (KEPT, &key(0), 3 * KEPT as u64, 2 * KEPT as u64)
        );
        // A reader that comes late misses what others' requests have made room for.
        (0..KEPT).for_each(|number| tap.note(&key(number)));
        let late = tap.read(Some(0), KEPT);
        assert_eq!((late.keys.len(), late.next, late.missed), (KEPT, 4 * KEPT as u64, 3 * KEPT as u64));
        // A writer does not wait for a reader.
        let held = tap.kept.lock();
        tap.note(&key(7));
        drop(held);
        assert_eq!(tap.read(Some(late.next), 10), ChangeReading { keys: vec![], next: late.next + 1, missed: 1 });
    }

    #[test]
    fn nothing_is_kept_once_no_request_has_come_for_a_while() {
        let tap = ChangeTap::default();
        tap.read(None, 10);
        tap.watched_until.store(1, Relaxed);
        while tap.now() < 1 {
            std::thread::yield_now();
        }
        tap.note(&key(1));
        assert_eq!(tap.watched_until.load(Relaxed), 0);
        assert_eq!(tap.read(Some(0), 10), ChangeReading { keys: vec![], next: 0, missed: 0 });
    }
}
