//! A topic as a stream: reads the partitions that are this worker's, as far as back pressure and the clock allow.
//!
//! - A partition may read while fewer than `max_in_flight` of its records are not closed. It may also if the graph has
//!   worked off all that is closed, and fewer than that are ahead of what the slowest partition has read, or it is the
//!   slowest itself. So what is in flight is bounded but for what lateness keeps open, and the slowest can always go on.
//! - The capability follows the input frontier that the board hands out, which is that of all partitions of all
//!   topics: so no operator is ever past a time at which a snapshot can be cut.
//! - As of a snapshot, each partition saves its [`Position`]; a restart reads on from there.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use timely::container::NoopBuilder;
use timely::dataflow::Scope;
use timely::dataflow::operators::generic::source;

use super::{Feeds, Records};
use crate::checkpoint::{OperatorCheckpoint, Overtaken, SavedPart};
use crate::source::{
    Ahead, Board, DeadLetter, Grid, InFlight, Intake, Intaken, Lane, Marks, Partition, Position, Progress, SourceError,
    Standing, Tally, Unshown,
};
use crate::time::{EventTime, Offset};
use crate::value::Batch;

/// Records taken from a partition in one go.
const READ: usize = 8192;

/// How long to wait for more where there is nothing to do.
const IDLE: Duration = Duration::from_millis(2);

/// How often, at least, a partition is looked at before it is idle; a process that was held up for as long as that takes
/// begins anew. So the time does not pass for time without news: there may be some that has not come here yet.
const LOOKS: u32 = 4;

/// One partition to be read by a worker.
pub struct Feed {
    pub partition: Box<dyn Partition>,
    pub intake: Intake,
    pub lane: Arc<Lane>,
    /// Where it stood as of the state that the graph starts from; the partition reads on from there.
    pub position: Option<Position>,
}

impl Feed {
    /// A partition read from its beginning.
    pub fn new(partition: Box<dyn Partition>, intake: Intake, lane: Arc<Lane>) -> Self {
        if partition.is_live() {
            lane.set_live();
        }
        Feed { partition, intake, lane, position: None }
    }

    /// A partition that reads on from where it stood.
    #[must_use]
    pub fn resuming(mut self, position: Position) -> Self {
        self.intake.resume(&position);
        self.lane.note(position.newest_effective);
        self.lane.give(position.newest_effective);
        self.position = Some(position);
        self
    }

    /// A partition some of whose records were overtaken in an earlier run, and take effect as then.
    #[must_use]
    pub fn repeating(mut self, journal: BTreeMap<Offset, EventTime>) -> Self {
        self.intake.repeat(journal);
        self
    }
}

/// What a source tells beside its records.
pub enum Notice {
    Letters(Vec<DeadLetter>),
    /// Records that came below the frontier, with the times at which they were folded in.
    Overtaken(Vec<Overtaken>),
    Failed(SourceError),
}

/// What sources share on a worker.
#[derive(Clone)]
pub struct Intakes {
    pub board: Arc<Board>,
    pub feeds: Arc<Feeds>,
    /// This worker, of how many.
    pub share: (usize, usize),
    /// How far this worker's part of the graph has worked off what was read.
    pub processed_frontier: Rc<Cell<EventTime>>,
    pub max_in_flight: u64,
    /// Everything before this is in the state that the graph starts from.
    pub resume: EventTime,
    /// The windows of the models, whose ends are looked out for.
    pub grids: Rc<[Grid]>,
    pub notices: Rc<dyn Fn(Notice)>,
}

/// A partition being read.
struct Reading {
    feed: Feed,
    /// Read but ahead of the clock.
    waiting: VecDeque<Batch>,
    in_flight: InFlight,
    ahead: Ahead,
    marks: Marks,
    unshown: Unshown,
    tally: Tally,
    overtaken: u64,
    ended: bool,
    failed: bool,
    /// For how long there has been nothing to read, by when it was looked for.
    nothing_for: Option<Duration>,
    looked: Instant,
}

/// The stream of a topic's records; `topic` is its position in the plan.
pub fn records<'scope>(
    scope: Scope<'scope, EventTime>,
    name: &str,
    topic: usize,
    intakes: Intakes,
    mut checkpoint: OperatorCheckpoint,
) -> Records<'scope> {
    source::<_, NoopBuilder<Batch>, _, _>(scope, &format!("source.{name}"), move |capability, info| {
        let activator = scope.activator_for(info.address.clone());
        let mut readings: Vec<Reading> = Vec::new();
        let mut seen = 0;
        let mut capability = capability;
        move |output| {
            let board = &intakes.board;
            if intakes.feeds.added() != seen {
                seen = intakes.feeds.added();
                readings.extend(
                    intakes.feeds.take(topic, intakes.share).into_iter().map(|feed| Reading::new(feed, &intakes)),
                );
            }
            let (frontier, slowest) = (*capability.time(), board.slowest());
            let mut busy = false;
            for reading in &mut readings {
                busy |= reading.may_read(&intakes, frontier, slowest) && reading.read(&intakes, frontier);
                while let Some(mut batch) = reading.release(board.now()) {
                    busy = true;
                    output.session_with_builder(&capability).give_container(&mut batch);
                }
                reading.advance(board);
            }
            let (frontier, wanted) = board.grant(|| checkpoint.barrier());
            if let Some(time) = wanted.filter(|time| *time <= frontier) {
                let positions: Vec<Position> = readings.iter_mut().map(|reading| reading.position(time)).collect();
                checkpoint.save(time, SavedPart::encoded(&positions));
            }
            readings.iter_mut().for_each(|reading| reading.close(frontier));
            if frontier > *capability.time() {
                capability.downgrade(&frontier);
                busy = true;
            }
            if busy { activator.activate() } else { activator.activate_after(IDLE) }
        }
    })
}

/// For how long a partition has nothing to read before it is idle, if it ever is.
fn idle_after(board: &Board) -> Duration {
    let after_ms = board.idle_rule().map_or(i64::MAX, |rule| rule.after_ms);
    Duration::from_millis(u64::try_from(after_ms).unwrap_or(0))
}

impl Reading {
    fn new(mut feed: Feed, intakes: &Intakes) -> Self {
        feed.intake.look_out_for(&intakes.grids);
        feed.intake.end_at(intakes.board.until().unwrap_or(EventTime::MAX));
        let (tally, overtaken) =
            feed.position.map_or_else(Default::default, |position| (position.tally, position.overtaken));
        Reading {
            feed,
            waiting: VecDeque::new(),
            in_flight: InFlight::default(),
            ahead: Ahead::new(intakes.max_in_flight),
            marks: Marks::default(),
            unshown: Unshown::default(),
            tally,
            overtaken,
            ended: false,
            failed: false,
            nothing_for: None,
            looked: Instant::now(),
        }
    }

    /// Whether reading on is allowed now, where the slowest partition has been read up to `slowest`.
    fn may_read(&mut self, intakes: &Intakes, frontier: EventTime, slowest: EventTime) -> bool {
        let most = intakes.max_in_flight;
        let ahead = self.ahead.of(slowest);
        let is_slowest = self.feed.lane.reached() <= slowest;
        let is_worked_off = intakes.processed_frontier.get() >= frontier;
        !(self.ended || self.failed)
            && self.waiting.is_empty()
            && (self.in_flight.len() < most || is_worked_off && (ahead < most || is_slowest))
    }

    /// Reads on; says whether there was anything.
    fn read(&mut self, intakes: &Intakes, frontier: EventTime) -> bool {
        let Feed { partition, intake, lane, .. } = &mut self.feed;
        intake.raise_floor(frontier.max(intakes.resume));
        let newest = intake.watermark().newest();
        match partition.read(READ, intake) {
            Err(error) => {
                // It holds the others back until the job has been ended: nothing is known of what it would have had.
                (intakes.notices)(Notice::Failed(error));
                self.failed = true;
            }
            Ok(Progress::End) => self.ended = true,
            Ok(Progress::More | Progress::Idle) => self.ended = intake.has_ended(),
        }
        let since = std::mem::replace(&mut self.looked, Instant::now());
        if intake.is_empty() {
            let nothing_more = partition.behind() == Some(0);
            let (passed, idle_after) = (self.looked.duration_since(since), idle_after(&intakes.board));
            let before = self.nothing_for.filter(|_| passed < idle_after);
            let passed = passed.min(idle_after / LOOKS);
            self.nothing_for = nothing_more.then(|| before.map_or(Duration::ZERO, |before| before + passed));
            return self.ended;
        }
        self.nothing_for = None;
        if let Some(crossings) = intake.crossings() {
            lane.report_crossings(crossings.clone());
        }
        let intaken = intake.take();
        self.take_in(intakes, newest, intaken);
        // Nothing is given to the graph before it is said to be read.
        self.report();
        true
    }

    /// Counts a batch and queues it. What is in the graph's state already is passed over and not counted again.
    fn take_in(&mut self, intakes: &Intakes, newest: EventTime, intaken: Intaken) {
        let Intaken { batch, tally, late, letters, first, last, overtaken } = intaken;
        if !letters.is_empty() {
            (intakes.notices)(Notice::Letters(letters));
        }
        let lane = &self.feed.lane;
        if !overtaken.is_empty() {
            self.overtaken += overtaken.len() as u64;
            let record = |(offset, time)| Overtaken {
                source: lane.source.clone(),
                topic: lane.topic.clone(),
                partition: lane.partition,
                offset,
                time,
            };
            (intakes.notices)(Notice::Overtaken(overtaken.into_iter().map(record).collect()));
        }
        let board = &intakes.board;
        if let (Some(first), Some(last)) = (first, last) {
            self.marks.push(first, newest, last);
        }
        let (_, mut batch) = batch.split(intakes.resume);
        self.tally.add(&tally);
        let late: Vec<EventTime> = late.iter().copied().filter(|time| *time >= intakes.resume).collect();
        self.in_flight.push(batch.times.clone(), &late);
        if let Some(newest) = last {
            // What is filtered counts, too: the end of a job does not hang on who saw it last.
            lane.note(newest);
            self.ahead.push(newest, batch.len() as u64);
        }
        if let (Some(time), Some(offset)) = (batch.times.first(), first) {
            board.begin(lane, *time);
            lane.show_first(&batch);
            batch.pending = self.unshown.push(offset);
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
    fn advance(&mut self, board: &Board) {
        let lane = &self.feed.lane;
        if self.is_done() {
            lane.end();
        } else {
            lane.advance(self.watermark());
        }
        if board.idle_rule().is_some() {
            lane.set_idle(self.nothing_for.is_some_and(|time| time >= idle_after(board)));
        }
    }

    /// Where the partition stands as of a time that is not closed here yet.
    fn position(&mut self, time: EventTime) -> Position {
        self.in_flight.close(time, &mut self.tally);
        let Feed { intake, lane, .. } = &self.feed;
        let next = intake.next_offset();
        let (resume, newest) = self.marks.resume(time).unwrap_or((next, intake.watermark().newest()));
        Position {
            partition: lane.partition,
            resume,
            next,
            newest,
            newest_effective: lane.newest(),
            tally: self.tally,
            overtaken: self.overtaken,
        }
    }

    /// Closes what is below the frontier, and reports.
    fn close(&mut self, frontier: EventTime) {
        self.in_flight.close(frontier, &mut self.tally);
        self.marks.close(frontier);
        self.report();
    }

    /// What was counted before a restart and is not read again yet is in flight too.
    fn report(&mut self) {
        let Feed { partition, intake, lane, .. } = &self.feed;
        let shown = self.unshown.first().unwrap_or(if self.ended { Offset::MAX } else { intake.at() });
        lane.report(Standing {
            tally: self.tally,
            in_flight: if intake.is_catching_up() { self.tally.undecided() } else { self.in_flight.len() },
            next: intake.next_offset(),
            shown,
            lag: partition.behind(),
            overtaken: self.overtaken,
        });
    }
}
