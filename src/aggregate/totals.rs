//! Sliding windows over moments: a running total an entity, from which whole panes are subtracted as they leave.
//!
//! Panes are kept by pane, not by entity: one bucket of (slot, moments) for each hop that holds records. An entity
//! remembers its place in the bucket that it last added to, so a record in the same pane as the one before is two
//! additions. Subtracting a pane when it leaves costs one step an entity in it, and nothing is scheduled a record.
//!
//! A snapshot shares the buckets; one that is added to while a snapshot of it is held is copied first. Totals are not
//! saved: they are what the buckets add up to.

use std::collections::VecDeque;
use std::sync::Arc;

use super::moments::{Invertible, Moments};
use super::snapshot::{Encoder, encoded, placed};
use super::state::{Arrival, Left, SlidingWindow, WindowState};
use super::{Keeps, LineInput};
use crate::value::Scalar;

/// A feature's position in the vector, and what to answer there.
pub type Answer = (usize, fn(&Moments) -> Scalar);

/// A pane and what it adds to the entities that have records in it.
type Bucket<A> = (i64, Arc<Vec<(u32, A)>>);

struct Cell<A> {
    total: A,
    /// Where this entity's moments of `pane` are, in that pane's bucket.
    pane: i64,
    at: u32,
}

impl<A: Invertible> Default for Cell<A> {
    fn default() -> Self {
        Cell { total: A::default(), pane: i64::MIN, at: 0 }
    }
}

/// The moments of one line in one window, for every entity.
pub struct Totals<A> {
    window: SlidingWindow,
    line: usize,
    digits: u32,
    integer: bool,
    /// Feature positions and what to answer there.
    answers: Vec<Answer>,
    cells: Vec<Cell<A>>,
    /// By open slot: what its open records add.
    open: Vec<A>,
    /// By pane, ascending.
    buckets: VecDeque<Bucket<A>>,
    /// A bucket that has been emptied, for the next pane: its memory is as large as a pane needs.
    spare: Vec<(u32, A)>,
}

/// A window of moments that keeps no more than `keeps` says.
pub fn totals(
    keeps: Keeps,
    window: SlidingWindow,
    line: usize,
    (digits, integer): (u32, bool),
    answers: Vec<Answer>,
) -> Box<dyn WindowState> {
    use super::moments::{Count, Spread, Total};
    match keeps {
        Keeps::Count => Box::new(Totals::<Count>::new(window, line, (digits, integer), answers)),
        Keeps::Total => Box::new(Totals::<Total>::new(window, line, (digits, integer), answers)),
        Keeps::Spread => Box::new(Totals::<Spread>::new(window, line, (digits, integer), answers)),
    }
}

impl<A: Invertible> Totals<A> {
    fn new(window: SlidingWindow, line: usize, (digits, integer): (u32, bool), answers: Vec<Answer>) -> Self {
        Totals {
            window,
            line,
            digits,
            integer,
            answers,
            cells: Vec::new(),
            open: Vec::new(),
            buckets: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// Where the bucket of a pane is, nearly always last.
    fn bucket(&mut self, pane: i64) -> usize {
        match self.buckets.back() {
            Some((newest, _)) if *newest == pane => self.buckets.len() - 1,
            Some((newest, _)) if *newest > pane => {
                let at = self.buckets.partition_point(|(known, _)| *known < pane);
                if self.buckets[at].0 != pane {
                    self.buckets.insert(at, (pane, Arc::default()));
                }
                at
            }
            _ => {
                self.buckets.push_back((pane, Arc::new(std::mem::take(&mut self.spare))));
                self.buckets.len() - 1
            }
        }
    }

    /// The records that count, with their scaled values.
    fn counted<'a>(
        &self,
        records: &'a [Arrival],
        batches: &'a [&[LineInput]],
    ) -> impl Iterator<Item = (&'a Arrival, i128)> + use<'a, A> {
        let (window, line) = (self.window, self.line);
        records.iter().filter_map(move |record| {
            let (input, row) = (&batches[record.batch as usize][line], record.row as usize);
            (window.takes(record) && input.keeps(row)).then(|| (record, input.scaled(row)))
        })
    }

    /// Takes in records of one pane that count.
    fn add<'a>(&mut self, pane: i64, records: impl Iterator<Item = (&'a Arrival, i128)>) {
        let at = self.bucket(pane);
        let bucket = Arc::make_mut(&mut self.buckets[at].1);
        for (record, x) in records {
            put(&mut self.cells[record.slot as usize], bucket, (record.slot, pane), |acc| acc.insert(x));
        }
    }
}

/// Adds to a slot's total and to its place in the bucket of a pane.
fn put<A: Invertible>(cell: &mut Cell<A>, bucket: &mut Vec<(u32, A)>, (slot, pane): (u32, i64), by: impl Fn(&mut A)) {
    by(&mut cell.total);
    if cell.pane == pane {
        by(&mut bucket[cell.at as usize].1);
    } else {
        (cell.pane, cell.at) = (pane, bucket.len() as u32);
        let mut acc = A::default();
        by(&mut acc);
        bucket.push((slot, acc));
    }
}

impl<A: Invertible> WindowState for Totals<A> {
    fn line(&self) -> usize {
        self.line
    }

    fn grow(&mut self, slots: usize) {
        self.cells.resize_with(slots, Cell::default);
    }

    fn clear(&mut self, slot: u32) {
        self.cells[slot as usize] = Cell::default();
    }

    fn insert(&mut self, records: &[Arrival], batches: &[&[LineInput]], _position: i64, missed: &mut Vec<u32>) {
        // Neighbours nearly always share a pane, and so its bucket.
        let mut rest = records;
        while let Some(first) = rest.first() {
            let pane = self.window.pane(first.event_time);
            let span = pane * self.window.hop_ms..(pane + 1) * self.window.hop_ms;
            let run = rest.iter().position(|record| !span.contains(&record.event_time)).unwrap_or(rest.len());
            let (run, after) = rest.split_at(run);
            rest = after;
            let (leaves, line) = (self.window.leaves(pane), self.line);
            let counts = |record: &Arrival| {
                leaves > record.time && batches[record.batch as usize][line].keeps(record.row as usize)
            };
            missed.extend(run.iter().filter(|record| !counts(record)).map(|record| record.slot));
            let mut counted = run.iter().filter(|record| counts(record)).peekable();
            if counted.peek().is_some() {
                let x = |record: &Arrival| batches[record.batch as usize][line].scaled(record.row as usize);
                self.add(pane, counted.map(|record| (record, x(record))));
            }
        }
    }

    fn advance(&mut self, asof: i64, left: &mut Left) {
        while self.buckets.front().is_some_and(|(pane, _)| self.window.leaves(*pane) <= asof) {
            let (_, bucket) = self.buckets.pop_front().expect("just seen");
            for (slot, acc) in bucket.iter() {
                let total = &mut self.cells[*slot as usize].total;
                total.remove(acc);
                left.changed.push(*slot);
                if total.is_empty() {
                    left.emptied.push(*slot);
                }
            }
            if let Ok(mut bucket) = Arc::try_unwrap(bucket) {
                bucket.clear();
                self.spare = bucket;
            }
        }
    }

    fn next_leave(&self) -> i64 {
        self.buckets.front().map_or(i64::MAX, |(pane, _)| self.window.leaves(*pane))
    }

    fn finish(&self, slot: Option<u32>, open: Option<u32>, row: &mut [Scalar]) {
        let mut acc = slot.map_or_else(A::default, |slot| self.cells[slot as usize].total);
        if let Some(open) = open {
            acc.add(&self.open[open as usize]);
        }
        let (n, s, q) = acc.parts();
        let moments = Moments { n, s, q, digits: self.digits, integer: self.integer };
        for (position, answer) in &self.answers {
            row[*position] = answer(&moments);
        }
    }

    fn is_empty(&self, slot: u32) -> bool {
        self.cells[slot as usize].total.is_empty()
    }

    fn grow_open(&mut self, slots: usize) {
        self.open.resize_with(slots, A::default);
    }

    fn open(&mut self, records: &[Arrival], batches: &[&[LineInput]], _came: i64) {
        for (record, x) in self.counted(records, batches) {
            self.open[record.slot as usize].insert(x);
        }
    }

    fn close(&mut self, records: &[Arrival], batches: &[&[LineInput]]) {
        for (record, x) in self.counted(records, batches) {
            let mut acc = A::default();
            acc.insert(x);
            self.open[record.slot as usize].remove(&acc);
        }
    }

    fn clear_open(&mut self, slot: u32) {
        self.open[slot as usize] = A::default();
    }

    fn save(&self) -> Encoder {
        let buckets: Vec<Bucket<A>> = self.buckets.iter().cloned().collect();
        Box::new(move || encoded(&buckets))
    }

    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error> {
        for (pane, saved) in postcard::from_bytes::<Vec<(i64, Vec<(u32, A)>)>>(bytes)? {
            let mut mine = Vec::with_capacity(saved.len());
            for (slot, acc) in saved {
                mine.extend(placed(slots, slot)?.map(|slot| (slot, acc)));
            }
            if mine.is_empty() {
                continue;
            }
            let at = self.bucket(pane);
            let bucket = Arc::make_mut(&mut self.buckets[at].1);
            for (slot, acc) in mine {
                put(&mut self.cells[slot as usize], bucket, (slot, pane), |total| total.add(&acc));
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let panes: usize =
            self.buckets.iter().map(|(_, bucket)| bucket.capacity()).sum::<usize>() + self.spare.capacity();
        panes * size_of::<(u32, A)>()
            + self.cells.capacity() * size_of::<Cell<A>>()
            + self.open.capacity() * size_of::<A>()
    }
}

/// Bytes an entity, and bytes a pane of it, at this level of moments.
pub fn sizes(keeps: Keeps) -> (usize, usize) {
    use super::moments::{Count, Spread, Total};
    match keeps {
        Keeps::Count => (size_of::<Cell<Count>>(), size_of::<(u32, Count)>()),
        Keeps::Total => (size_of::<Cell<Total>>(), size_of::<(u32, Total)>()),
        Keeps::Spread => (size_of::<Cell<Spread>>(), size_of::<(u32, Spread)>()),
    }
}
