//! A topic as a stream: reads the partitions that are this worker's, as far as back pressure and the clock allow.
//!
//! - A partition may read while fewer than `max_in_flight` of its records are not closed, or if the graph has worked
//!   off all that is closed and this partition holds the frontier back: so what is in flight is bounded, and the
//!   slowest can always go on.
//! - The capability follows the least watermark of this worker's partitions; once they have ended, the board's.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use timely::container::NoopBuilder;
use timely::dataflow::Scope;
use timely::dataflow::operators::generic::source;

use super::Records;
use crate::source::{Board, DeadLetter, InFlight, Intake, Intaken, Lane, Partition, Progress, SourceError, Tally};
use crate::time::EventTime;
use crate::value::Batch;

/// Records taken from a partition in one go.
const READ: usize = 8192;

/// How long to wait for more where there is nothing to do.
const IDLE: Duration = Duration::from_millis(2);

/// One partition to be read by this worker.
pub struct Feed {
    pub partition: Box<dyn Partition>,
    pub intake: Intake,
    pub lane: Arc<Lane>,
}

/// What sources share on a worker.
#[derive(Clone)]
pub struct Intakes {
    pub board: Arc<Board>,
    /// How far this worker's part of the graph has worked off what was read.
    pub worked_off: Rc<Cell<EventTime>>,
    pub max_in_flight: u64,
    /// Everything before this is in the state that the graph starts from.
    pub resume: EventTime,
    /// Where dead letters and failures go.
    pub letters: Rc<dyn Fn(Result<Vec<DeadLetter>, SourceError>)>,
}

/// A partition being read.
struct Reading {
    feed: Feed,
    /// Read but ahead of the clock.
    waiting: VecDeque<Batch>,
    in_flight: InFlight,
    tally: Tally,
    ended: bool,
}

/// The stream of a topic's records.
pub fn records<'scope>(
    scope: Scope<'scope, EventTime>,
    name: &str,
    feeds: Vec<Feed>,
    intakes: Intakes,
) -> Records<'scope> {
    source::<_, NoopBuilder<Batch>, _, _>(scope, &format!("source.{name}"), move |capability, info| {
        let activator = scope.activator_for(info.address.clone());
        let mut readings: Vec<Reading> = feeds.into_iter().map(Reading::new).collect();
        let mut capability = Some(capability);
        move |output| {
            let Some(held) = &mut capability else { return };
            let frontier = intakes.board.frontier();
            let mut busy = false;
            for reading in &mut readings {
                busy |= reading.read(&intakes, frontier);
                while let Some(mut batch) = reading.release(intakes.board.now()) {
                    busy = true;
                    output.session_with_builder(held).give_container(&mut batch);
                }
                reading.report(intakes.board.frontier());
            }
            let own = readings.iter().filter(|reading| !reading.is_done()).map(Reading::watermark).min();
            let upto =
                own.unwrap_or_else(|| intakes.board.frontier()).min(intakes.board.until().unwrap_or(EventTime::MAX));
            if upto > *held.time() {
                held.downgrade(&upto);
                busy = true;
            }
            if busy { activator.activate() } else { activator.activate_after(IDLE) }
        }
    })
}

impl Reading {
    fn new(feed: Feed) -> Self {
        Reading {
            feed,
            waiting: VecDeque::new(),
            in_flight: InFlight::default(),
            tally: Tally::default(),
            ended: false,
        }
    }

    /// Reads on if that is allowed now; says whether it did.
    fn read(&mut self, intakes: &Intakes, frontier: EventTime) -> bool {
        let Feed { partition, intake, lane } = &mut self.feed;
        if self.ended || !self.waiting.is_empty() {
            return false;
        }
        let slowest = lane.watermark() <= frontier && intakes.worked_off.get() >= frontier;
        if self.in_flight.len() >= intakes.max_in_flight && !slowest {
            return false;
        }
        match partition.read(READ, intake) {
            Err(error) => {
                (intakes.letters)(Err(error));
                self.ended = true;
            }
            Ok(Progress::End) => self.ended = true,
            Ok(Progress::More | Progress::Idle) => {}
        }
        let progressed = !intake.is_empty() || self.ended;
        if !intake.is_empty() {
            let Intaken { batch, tally, late, letters } = intake.take();
            self.take_in(intakes, batch, tally, &late);
            if !letters.is_empty() {
                (intakes.letters)(Ok(letters));
            }
        }
        progressed
    }

    /// Counts a batch and queues it. What is in the graph's state already is passed over, and so is what lies at or
    /// after the end that was asked for; neither is counted.
    fn take_in(&mut self, intakes: &Intakes, batch: Batch, mut tally: Tally, late: &[EventTime]) {
        let board = &intakes.board;
        let end = board.until().unwrap_or(EventTime::MAX);
        let (batch, beyond) = batch.split(end);
        let (known, batch) = batch.split(intakes.resume);
        tally.read -= (beyond.len() + known.len()) as u64;
        self.ended |= !beyond.is_empty();
        self.tally.add(&tally);
        let taken = intakes.resume..end;
        let late: Vec<EventTime> = late.iter().copied().filter(|time| taken.contains(time)).collect();
        self.in_flight.push(batch.times.clone(), &late);
        if let Some(newest) = batch.times.last().or(known.times.last()) {
            self.feed.lane.note(*newest);
        }
        if let Some(first) = batch.times.first() {
            board.begin(&self.feed.lane, *first);
            self.waiting.push_back(batch);
        }
    }

    /// The next records that the clock allows.
    fn release(&mut self, now: EventTime) -> Option<Batch> {
        let batch = self.waiting.pop_front()?;
        let (ready, ahead) = if now == EventTime::MAX { (batch, Batch::default()) } else { batch.split(now) };
        if !ahead.is_empty() {
            self.waiting.push_front(ahead);
        }
        if let Some(newest) = ready.times.last() {
            self.feed.lane.give(*newest);
        }
        Some(ready).filter(|ready| !ready.is_empty())
    }

    fn is_done(&self) -> bool {
        self.ended && self.waiting.is_empty()
    }

    /// No record to come takes effect before this.
    fn watermark(&self) -> EventTime {
        let ahead = self.waiting.front().map_or(EventTime::MAX, |batch| batch.times[0]);
        let read = if self.ended { EventTime::MAX } else { self.feed.intake.watermark().time() };
        ahead.min(read)
    }

    /// Tells the others how far this partition is.
    fn report(&mut self, frontier: EventTime) {
        let lane = &self.feed.lane;
        if self.is_done() {
            lane.end();
        } else {
            lane.advance(self.watermark());
        }
        self.in_flight.close(frontier, &mut self.tally);
        lane.report(self.tally, self.in_flight.len());
    }
}
