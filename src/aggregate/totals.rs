//! Sliding windows over moments: a running total an entity, from which whole panes are subtracted as they leave.
//!
//! Panes are kept by pane, not by entity: one bucket of (slot, moments) for each hop that holds records. An entity
//! remembers its place in the bucket that it last added to, so a record in the same pane as the one before is two
//! additions. Subtracting a pane when it leaves costs one step an entity in it, and nothing is scheduled a record.

use std::collections::VecDeque;

use super::moments::{Invertible, Moments};
use super::state::{Arrival, Left, Open, SlidingWindow, WindowState};
use super::{Keeps, LineInput};
use crate::value::Scalar;

/// A feature's position in the vector, and what to answer there.
pub type Answer = (usize, fn(&Moments) -> Scalar);

/// A pane and what it adds to the entities that have records in it.
type Bucket<A> = (i64, Vec<(u32, A)>);

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
                    self.buckets.insert(at, (pane, Vec::new()));
                }
                at
            }
            _ => {
                self.buckets.push_back((pane, std::mem::take(&mut self.spare)));
                self.buckets.len() - 1
            }
        }
    }

    /// Adds to a slot's total and to its place in the bucket `at`, which is that of `pane`.
    fn put(&mut self, slot: u32, (pane, at): (i64, usize), by: impl Fn(&mut A)) {
        let cell = &mut self.cells[slot as usize];
        let bucket = &mut self.buckets[at].1;
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
        let (mut span, mut leaves, mut place) = (0..0, 0, None);
        for record in records {
            if !span.contains(&record.event_time) {
                let pane = self.window.pane(record.event_time);
                span = pane * self.window.hop_ms..(pane + 1) * self.window.hop_ms;
                (leaves, place) = (self.window.leaves(pane), None);
            }
            let input = &batches[record.batch as usize][self.line];
            if leaves <= record.time || !input.keeps(record.row as usize) {
                missed.push(record.slot);
                continue;
            }
            let place = *place.get_or_insert_with(|| {
                let pane = self.window.pane(record.event_time);
                (pane, self.bucket(pane))
            });
            let x = input.scaled(record.row as usize);
            self.put(record.slot, place, |acc| acc.insert(x));
        }
    }

    fn advance(&mut self, asof: i64, left: &mut Left) {
        while self.buckets.front().is_some_and(|(pane, _)| self.window.leaves(*pane) <= asof) {
            let (_, mut bucket) = self.buckets.pop_front().expect("just seen");
            for (slot, acc) in &bucket {
                let total = &mut self.cells[*slot as usize].total;
                total.remove(acc);
                left.changed.push(*slot);
                if total.is_empty() {
                    left.emptied.push(*slot);
                }
            }
            bucket.clear();
            self.spare = bucket;
        }
    }

    fn next_leave(&self) -> i64 {
        self.buckets.front().map_or(i64::MAX, |(pane, _)| self.window.leaves(*pane))
    }

    fn finish(&self, slot: Option<u32>, open: &[Open<'_>], asof: i64, row: &mut [Scalar]) {
        let mut acc = slot.map_or_else(A::default, |slot| self.cells[slot as usize].total);
        for record in open {
            let input = &record.inputs[self.line];
            if input.keeps(record.row) && self.window.leaves(self.window.pane(record.event_time)) > asof {
                acc.insert(input.scaled(record.row));
            }
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

    fn save(&self) -> Vec<Vec<u8>> {
        // All panes by slot, in one piece: where a slot's begin, then each in its place.
        let mut ends: Vec<usize> = vec![0; self.cells.len() + 1];
        let all =
            || self.buckets.iter().flat_map(|(pane, bucket)| bucket.iter().map(|(slot, acc)| (*slot, *pane, *acc)));
        all().for_each(|(slot, _, _)| ends[slot as usize + 1] += 1);
        (1..ends.len()).for_each(|slot| ends[slot] += ends[slot - 1]);
        let mut panes: Vec<(i64, A)> = vec![(0, A::default()); ends[self.cells.len()]];
        let mut next = ends.clone();
        for (slot, pane, acc) in all() {
            panes[next[slot as usize]] = (pane, acc);
            next[slot as usize] += 1;
        }
        let encode = |slot: &[usize]| {
            let of_slot = &panes[slot[0]..slot[1]];
            let bytes = Vec::with_capacity(1 + size_of_val(of_slot));
            postcard::to_extend(of_slot, bytes).expect("moments always encode")
        };
        ends.windows(2).map(encode).collect()
    }

    fn load(&mut self, slot: u32, bytes: &[u8]) -> Result<(), postcard::Error> {
        for (pane, acc) in postcard::from_bytes::<Vec<(i64, A)>>(bytes)? {
            let at = self.bucket(pane);
            self.put(slot, (pane, at), |total| total.add(&acc));
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let panes: usize =
            self.buckets.iter().map(|(_, bucket)| bucket.capacity()).sum::<usize>() + self.spare.capacity();
        panes * size_of::<(u32, A)>() + self.cells.capacity() * size_of::<Cell<A>>()
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
