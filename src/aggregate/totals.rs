//! Sliding windows over moments: a running total an entity, from which whole panes are subtracted as they leave.
//!
//! Panes are kept by pane, not by entity: one bucket of (slot, moments) for each hop that holds records. An entity
//! remembers its place in the bucket that it last added to, so a record in the same pane as the one before is two
//! additions. Subtracting a pane when it leaves costs one step an entity in it, and nothing is scheduled a record.

use std::collections::VecDeque;

use super::moments::{Invertible, Moments};
use super::state::{Arrival, Open, SlidingWindow, WindowState};
use super::{Keeps, LineInput};
use crate::value::Scalar;

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
    answers: Vec<(usize, fn(&Moments) -> Scalar)>,
    cells: Vec<Cell<A>>,
    /// By pane, ascending.
    buckets: VecDeque<Bucket<A>>,
}

/// A window of moments that keeps no more than `keeps` says.
pub fn totals(
    keeps: Keeps,
    window: SlidingWindow,
    line: usize,
    (digits, integer): (u32, bool),
    answers: Vec<(usize, fn(&Moments) -> Scalar)>,
) -> Box<dyn WindowState> {
    use super::moments::{Count, Spread, Total};
    match keeps {
        Keeps::Count => Box::new(Totals::<Count>::new(window, line, (digits, integer), answers)),
        Keeps::Total => Box::new(Totals::<Total>::new(window, line, (digits, integer), answers)),
        Keeps::Spread => Box::new(Totals::<Spread>::new(window, line, (digits, integer), answers)),
    }
}

impl<A: Invertible> Totals<A> {
    fn new(
        window: SlidingWindow,
        line: usize,
        (digits, integer): (u32, bool),
        answers: Vec<(usize, fn(&Moments) -> Scalar)>,
    ) -> Self {
        Totals { window, line, digits, integer, answers, cells: Vec::new(), buckets: VecDeque::new() }
    }

    /// The bucket of a pane, nearly always the newest.
    fn bucket(&mut self, pane: i64) -> &mut Vec<(u32, A)> {
        let at = match self.buckets.back() {
            Some((newest, _)) if *newest == pane => self.buckets.len() - 1,
            Some((newest, _)) if *newest > pane => {
                let at = self.buckets.partition_point(|(known, _)| *known < pane);
                if self.buckets[at].0 != pane {
                    self.buckets.insert(at, (pane, Vec::new()));
                }
                at
            }
            _ => {
                self.buckets.push_back((pane, Vec::new()));
                self.buckets.len() - 1
            }
        };
        &mut self.buckets[at].1
    }

    fn put(&mut self, slot: u32, pane: i64, by: impl Fn(&mut A)) {
        let cell = &mut self.cells[slot as usize];
        by(&mut cell.total);
        if cell.pane == pane {
            let at = cell.at as usize;
            by(&mut self.bucket(pane)[at].1);
        } else {
            let bucket = self.bucket(pane);
            let at = bucket.len() as u32;
            let mut acc = A::default();
            by(&mut acc);
            bucket.push((slot, acc));
            let cell = &mut self.cells[slot as usize];
            (cell.pane, cell.at) = (pane, at);
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

    fn insert(&mut self, slot: u32, input: &LineInput, record: &Arrival) {
        let pane = self.window.pane(record.event_time);
        if self.window.leaves(pane) > record.asof {
            let x = input.scaled(record.row);
            self.put(slot, pane, |acc| acc.insert(x));
        }
    }

    fn advance(&mut self, asof: i64, left: &mut Vec<u32>) {
        while self.buckets.front().is_some_and(|(pane, _)| self.window.leaves(*pane) <= asof) {
            let (_, bucket) = self.buckets.pop_front().expect("just seen");
            for (slot, acc) in &bucket {
                self.cells[*slot as usize].total.remove(acc);
                left.push(*slot);
            }
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
        self.cells[slot as usize].total.parts().0 == 0
    }

    fn save(&self) -> Vec<Vec<u8>> {
        let mut panes: Vec<Vec<(i64, A)>> = vec![Vec::new(); self.cells.len()];
        for (pane, bucket) in &self.buckets {
            bucket.iter().for_each(|(slot, acc)| panes[*slot as usize].push((*pane, *acc)));
        }
        panes.iter().map(|panes| postcard::to_stdvec(panes).expect("moments always encode")).collect()
    }

    fn load(&mut self, slot: u32, bytes: &[u8]) -> Result<(), postcard::Error> {
        for (pane, acc) in postcard::from_bytes::<Vec<(i64, A)>>(bytes)? {
            self.put(slot, pane, |total| total.add(&acc));
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let panes: usize = self.buckets.iter().map(|(_, bucket)| bucket.capacity()).sum();
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
