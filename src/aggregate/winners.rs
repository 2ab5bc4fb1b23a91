//! Sliding windows over picks: for each entity the panes that may still win.
//!
//! A pane whose best record is beaten by a later pane's can never be the answer again, so what is kept is a queue of
//! panes with falling ranks: the oldest is the answer, and a record is pushed and popped at most once. Open records
//! are kept the same way, by the time at which they close.

use std::collections::VecDeque;

use super::LineInput;
use super::by_slot::BySlot;
use super::pick::{Candidate, Rank};
use super::snapshot::{Encoder, encoded, placed};
use super::state::{Arrival, Left, SlidingWindow, WindowState};
use crate::value::Scalar;

/// An open record that may be the answer.
struct Opened {
    /// When it takes effect, and which it is of those that came.
    at: (i64, i64),
    /// What it competes by with other open records: higher wins.
    rank: (i64, i64),
    value: Scalar,
}

/// One pick of one line in one window, for every entity.
pub struct Winners {
    window: SlidingWindow,
    line: usize,
    rank: Rank,
    /// The feature's position.
    answer: usize,
    /// By slot: panes ascending, ranks falling.
    queues: BySlot<VecDeque<(i64, Candidate)>>,
    /// By open slot: records in the order in which they close, ranks falling.
    open: Vec<VecDeque<Opened>>,
    /// By pane ascending: the slots that hold something of it.
    timers: VecDeque<(i64, Vec<u32>)>,
}

impl Winners {
    pub fn new(window: SlidingWindow, line: usize, rank: Rank, answer: usize) -> Self {
        Winners { window, line, rank, answer, queues: BySlot::default(), open: Vec::new(), timers: VecDeque::new() }
    }

    fn put(&mut self, slot: u32, pane: i64, candidate: Candidate) {
        let queue = self.queues.get_mut(slot);
        let at = queue.partition_point(|(known, _)| *known < pane);
        let here = queue.get(at);
        if here.is_some_and(|(_, rival)| rival.rank >= candidate.rank) {
            return;
        }
        let known = here.is_some_and(|(known, _)| *known == pane);
        let beaten = (0..at).rev().take_while(|before| queue[*before].1.rank <= candidate.rank).count();
        if known {
            queue[at].1 = candidate;
        } else {
            queue.insert(at, (pane, candidate));
        }
        queue.drain(at - beaten..at);
        if !known {
            self.wake(pane, slot);
        }
    }

    /// Has the entity looked at when the pane leaves.
    fn wake(&mut self, pane: i64, slot: u32) {
        let at = match self.timers.back() {
            Some((newest, _)) if *newest == pane => self.timers.len() - 1,
            Some((newest, _)) if *newest > pane => {
                let at = self.timers.partition_point(|(known, _)| *known < pane);
                if self.timers[at].0 != pane {
                    self.timers.insert(at, (pane, Vec::new()));
                }
                at
            }
            _ => {
                self.timers.push_back((pane, Vec::new()));
                self.timers.len() - 1
            }
        };
        self.timers[at].1.push(slot);
    }

    fn candidate(&self, input: &LineInput, row: usize, position: i64) -> Candidate {
        self.rank.candidate(Scalar::of(input.values(), row), position)
    }

    fn put_open(&mut self, slot: u32, opened: Opened) {
        let queue = &mut self.open[slot as usize];
        let at = queue.partition_point(|known| known.at < opened.at);
        if queue.get(at).is_some_and(|later| later.rank >= opened.rank) {
            return;
        }
        let beaten = (0..at).rev().take_while(|before| queue[*before].rank <= opened.rank).count();
        queue.insert(at, opened);
        queue.drain(at - beaten..at);
    }
}

impl WindowState for Winners {
    fn line(&self) -> usize {
        self.line
    }

    fn grow(&mut self, slots: usize) {
        self.queues.grow(slots);
    }

    fn clear(&mut self, slot: u32) {
        *self.queues.get_mut(slot) = VecDeque::new();
    }

    fn insert(&mut self, records: &[Arrival], batches: &[&[LineInput]], position: i64, missed: &mut Vec<u32>) {
        for (record, position) in records.iter().zip(position..) {
            let input = &batches[record.batch as usize][self.line];
            let pane = self.window.pane(record.event_time);
            if self.window.leaves(pane) > record.time && input.keeps(record.row as usize) {
                let candidate = self.candidate(input, record.row as usize, position);
                self.put(record.slot, pane, candidate);
            } else {
                missed.push(record.slot);
            }
        }
    }

    fn advance(&mut self, asof: i64, left: &mut Left) {
        while self.timers.front().is_some_and(|(pane, _)| self.window.leaves(*pane) <= asof) {
            let (pane, slots) = self.timers.pop_front().expect("just seen");
            for slot in slots {
                let queue = self.queues.get_mut(slot);
                while queue.front().is_some_and(|(oldest, _)| *oldest <= pane) {
                    queue.pop_front();
                }
                left.changed.push(slot);
                if queue.is_empty() {
                    left.emptied.push(slot);
                }
            }
        }
    }

    fn next_leave(&self) -> i64 {
        self.timers.front().map_or(i64::MAX, |(pane, _)| self.window.leaves(*pane))
    }

    fn finish(&self, slot: Option<u32>, open: Option<u32>, row: &mut [Scalar]) {
        let closed = slot.and_then(|slot| self.queues.get(slot).front()).map(|(_, best)| best);
        let opened = open.and_then(|open| self.open[open as usize].front());
        row[self.answer] = match (closed, opened) {
            (Some(closed), Some(opened)) if self.rank.prefers(opened.rank.0, closed) => opened.value.clone(),
            (Some(closed), _) => closed.value.clone(),
            (None, Some(opened)) => opened.value.clone(),
            (None, None) => Scalar::Null,
        };
    }

    fn is_empty(&self, slot: u32) -> bool {
        self.queues.get(slot).is_empty()
    }

    fn grow_open(&mut self, slots: usize) {
        self.open.resize_with(slots, VecDeque::new);
    }

    fn open(&mut self, records: &[Arrival], batches: &[&[LineInput]], came: i64) {
        for (record, came) in records.iter().zip(came..) {
            let input = &batches[record.batch as usize][self.line];
            if self.window.takes(record) && input.keeps(record.row as usize) {
                let value = Scalar::of(input.values(), record.row as usize);
                let at = (record.time, came);
                self.put_open(record.slot, Opened { at, rank: self.rank.open(&value, at), value });
            }
        }
    }

    fn close(&mut self, records: &[Arrival], _: &[&[LineInput]]) {
        for record in records {
            let queue = &mut self.open[record.slot as usize];
            while queue.pop_front_if(|opened| opened.at.0 <= record.time).is_some() {}
        }
    }

    fn clear_open(&mut self, slot: u32) {
        self.open[slot as usize] = VecDeque::new();
    }

    fn save(&self) -> Encoder {
        let queues = self.queues.clone();
        Box::new(move || {
            let held: Vec<_> = (0u32..).zip(queues.iter()).filter(|(_, queue)| !queue.is_empty()).collect();
            encoded(&held)
        })
    }

    fn load(&mut self, bytes: &[u8], slots: &[Option<u32>]) -> Result<(), postcard::Error> {
        for (saved, queue) in postcard::from_bytes::<Vec<(u32, Vec<(i64, Candidate)>)>>(bytes)? {
            let Some(slot) = placed(slots, saved)? else { continue };
            queue.into_iter().for_each(|(pane, candidate)| self.put(slot, pane, candidate));
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let panes: usize = self.queues.iter().map(VecDeque::capacity).sum();
        let open: usize = self.open.iter().map(VecDeque::capacity).sum();
        let timers: usize = self.timers.iter().map(|(_, slots)| slots.capacity() * size_of::<u32>()).sum();
        panes * size_of::<(i64, Candidate)>()
            + self.queues.capacity() * size_of::<VecDeque<(i64, Candidate)>>()
            + open * size_of::<Opened>()
            + self.open.capacity() * size_of::<VecDeque<Opened>>()
            + timers
    }
}

/// Bytes an entity, and bytes a pane of it.
pub fn sizes() -> (usize, usize) {
    (size_of::<VecDeque<(i64, Candidate)>>(), size_of::<(i64, Candidate)>() + size_of::<u32>())
}
