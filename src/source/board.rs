//! What partitions know of each other: how far each has come, which have ended or are idle, and the clock that files
//! are played by.
//!
//! One board a process, shared by all workers. A partition writes its own lane; the *input frontier* is the least
//! watermark of all. It is handed out under a lock ([`Board::grant`]), so that a snapshot can be cut exactly where no
//! operator has passed ([`Board::cut`]).

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arrow_array::UInt32Array;

use super::ledger::Tally;
use super::{Crossings, Grid, TopicReader};
use crate::time::{EventTime, Offset};
use crate::value::{Batch, Pending};

/// How fast files are played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as they can be read.
    Max,
    /// Event seconds per second.
    Times(f64),
    /// As far as [`Board::step_to`] says.
    Stepped,
}

/// What partitions without news may not hold back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleRule {
    /// How long a partition has nothing to read before it is idle.
    pub after_ms: i64,
    /// Whether event time follows the wall clock; else the newest event.
    pub wall: bool,
}

/// What a partition last said of its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub tally: Tally,
    pub in_flight: u64,
    /// The first offset that was never read.
    pub next: Offset,
    /// Every record at a lower offset that the online store is to show is shown, or was in the state at the start.
    pub shown: Offset,
    /// Records beyond those read, where the transport knows.
    pub lag: Option<u64>,
    pub overtaken: u64,
}

/// One partition as one source reads it, as the others see it.
#[derive(Debug)]
pub struct Lane {
    /// The source's or table's name in the dataflow file.
    pub source: String,
    pub topic: String,
    pub partition: u32,
    lateness_ms: i64,
    /// No record to come takes effect before this.
    watermark: AtomicI64,
    newest: AtomicI64,
    /// The newest effective time that the graph was given.
    given: AtomicI64,
    ended: AtomicBool,
    idle: AtomicBool,
    started: AtomicBool,
    live: AtomicBool,
    standing: Mutex<Standing>,
    crossings: Mutex<Crossings>,
    first: OnceLock<Batch>,
}

impl Lane {
    /// Says that there may be no record for long.
    pub fn set_live(&self) {
        self.live.store(true, SeqCst);
    }

    /// Says how far the partition has come.
    pub fn advance(&self, watermark: EventTime) {
        self.watermark.fetch_max(watermark, SeqCst);
    }

    /// Says that a record takes effect at this time.
    pub fn note(&self, time: EventTime) {
        self.newest.fetch_max(time, SeqCst);
    }

    /// Says that the graph was given a record of this time.
    pub fn give(&self, time: EventTime) {
        self.given.fetch_max(time, SeqCst);
    }

    /// Says that nothing will come any more.
    pub fn end(&self) {
        self.started.store(true, SeqCst);
        self.ended.store(true, SeqCst);
    }

    /// Says whether there has been nothing to read for long.
    pub fn set_idle(&self, idle: bool) {
        self.idle.store(idle, SeqCst);
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(SeqCst)
    }

    pub fn is_idle(&self) -> bool {
        self.idle.load(SeqCst)
    }

    pub fn watermark(&self) -> EventTime {
        self.watermark.load(SeqCst)
    }

    /// The newest event time that was read, of what is not held back by play: the watermark without its lateness.
    pub fn reached(&self) -> EventTime {
        match self.watermark() {
            EventTime::MIN => EventTime::MIN,
            watermark => watermark.saturating_add(self.lateness_ms),
        }
    }

    /// The newest effective time noted.
    pub fn newest(&self) -> EventTime {
        self.newest.load(SeqCst)
    }

    /// Publishes what became of the records.
    pub fn report(&self, standing: Standing) {
        *self.standing.lock().expect("no holder panics") = standing;
    }

    /// Publishes the first records of windows.
    pub fn report_crossings(&self, crossings: Crossings) {
        *self.crossings.lock().expect("no holder panics") = crossings;
    }

    /// The least offset of a record at or after a window's end; where there is none yet, the first never read.
    pub fn offset_at(&self, grid: Grid, end: EventTime) -> Offset {
        let crossed = self.crossings.lock().expect("no holder panics").at(grid, end);
        crossed.unwrap_or_else(|| self.standing().next)
    }

    /// Shows the first record that is given to the graph.
    pub fn show_first(&self, batch: &Batch) {
        if self.first.get().is_none() && !batch.is_empty() {
            // A copy: a slice would hold on to the whole batch.
            let first = batch.take(&UInt32Array::from_iter_values([0]));
            let _ = self.first.set(Batch { pending: Pending::default(), ..first });
        }
    }

    /// The first record that was given to the graph, as a batch.
    pub fn first(&self) -> Option<&Batch> {
        self.first.get()
    }

    /// What was last reported.
    pub fn standing(&self) -> Standing {
        *self.standing.lock().expect("no holder panics")
    }
}

#[derive(Debug)]
struct Play {
    started: Instant,
    event_start: EventTime,
    /// Whether it began with a live partition; then the first that is not begins it anew.
    live: bool,
}

/// All partitions of a job.
#[derive(Debug)]
pub struct Board {
    lanes: Mutex<Vec<Arc<Lane>>>,
    pace: Pace,
    /// Where outputs begin, if not with the first record.
    from: Option<EventTime>,
    /// Where outputs stop, if not at the newest event.
    until: Option<EventTime>,
    idle: Option<IdleRule>,
    play: Mutex<Option<Play>>,
    stepped: AtomicI64,
    open: AtomicBool,
    /// The newest frontier that was handed out.
    granted: Mutex<EventTime>,
}

impl Board {
    /// A board without partitions; nothing moves before it is opened.
    pub fn new(pace: Pace, from: Option<EventTime>, until: Option<EventTime>, idle: Option<IdleRule>) -> Arc<Self> {
        Arc::new(Board {
            lanes: Mutex::default(),
            pace,
            from,
            until,
            idle,
            play: Mutex::default(),
            stepped: AtomicI64::new(i64::MIN),
            open: AtomicBool::new(false),
            granted: Mutex::new(EventTime::MIN),
        })
    }

    /// A lane for a partition.
    pub fn join(&self, reader: &TopicReader, partition: u32) -> Arc<Lane> {
        let lane = Arc::new(Lane {
            source: reader.source.clone(),
            topic: reader.topic.clone(),
            partition,
            lateness_ms: reader.lateness_ms,
            watermark: AtomicI64::new(i64::MIN),
            newest: AtomicI64::new(i64::MIN),
            given: AtomicI64::new(i64::MIN),
            ended: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            started: AtomicBool::new(false),
            live: AtomicBool::new(false),
            standing: Mutex::default(),
            crossings: Mutex::default(),
            first: OnceLock::new(),
        });
        self.lanes.lock().expect("no holder panics").push(lane.clone());
        lane
    }

    /// Says that all partitions that are known at the start have joined.
    pub fn open(&self) {
        self.open.store(true, SeqCst);
    }

    pub fn is_open(&self) -> bool {
        self.open.load(SeqCst)
    }

    pub fn lanes(&self) -> Vec<Arc<Lane>> {
        self.lanes.lock().expect("no holder panics").clone()
    }

    /// The input frontier: the least watermark of the partitions that have not ended; once all have, the end of the
    /// job, which is `until` or just after the newest event. An idle partition stands no further back than its rule
    /// allows.
    pub fn frontier(&self) -> EventTime {
        if !self.is_open() {
            return i64::MIN;
        }
        let lanes = self.lanes.lock().expect("no holder panics");
        let newest = lanes.iter().map(|lane| lane.newest()).max().unwrap_or(i64::MIN);
        let watermark = |lane: &Arc<Lane>| match self.idle.filter(|_| lane.is_idle()) {
            None => lane.watermark(),
            Some(rule) => {
                let clock = if rule.wall { wall_clock() } else { newest };
                lane.watermark().max(clock.saturating_sub(lane.lateness_ms.max(rule.after_ms)))
            }
        };
        let open = lanes.iter().filter(|lane| !lane.has_ended()).map(watermark).min();
        let end = self.until.unwrap_or(newest.saturating_add(1));
        open.unwrap_or(end).min(self.until.unwrap_or(i64::MAX))
    }

    /// How far the partition has been read that is the furthest behind; one that has ended or is idle is not.
    pub fn slowest(&self) -> EventTime {
        let lanes = self.lanes.lock().expect("no holder panics");
        let reading = lanes.iter().filter(|lane| !lane.has_ended() && !lane.is_idle());
        reading.map(|lane| lane.reached()).min().unwrap_or(EventTime::MAX)
    }

    /// Hands out the input frontier, which never goes back, with what `wanted` says at that moment.
    pub fn grant<T>(&self, wanted: impl FnOnce() -> T) -> (EventTime, T) {
        let mut granted = self.granted.lock().expect("no holder panics");
        *granted = self.frontier().max(*granted);
        (*granted, wanted())
    }

    /// Gives the time that no operator has passed to `ask`, if there is one, before any operator can pass it.
    pub fn cut(&self, ask: impl FnOnce(EventTime)) -> Option<EventTime> {
        let granted = self.granted.lock().expect("no holder panics");
        let time = Some(*granted).filter(|time| *time != EventTime::MIN)?;
        ask(time);
        Some(time)
    }

    /// Starts from where everything before `time` is closed.
    pub fn start_from(&self, time: EventTime) {
        let mut granted = self.granted.lock().expect("no holder panics");
        *granted = time.max(*granted);
    }

    /// Whether every partition has ended.
    pub fn all_ended(&self) -> bool {
        let lanes = self.lanes.lock().expect("no holder panics");
        self.is_open() && lanes.iter().all(|lane| lane.has_ended())
    }

    /// Where outputs begin, if that was asked for.
    pub fn from(&self) -> Option<EventTime> {
        self.from
    }

    /// Where outputs stop, if that was asked for.
    pub fn until(&self) -> Option<EventTime> {
        self.until
    }

    /// For how long a partition has nothing to read before it is idle, if that matters.
    pub fn idle_rule(&self) -> Option<IdleRule> {
        self.idle
    }

    /// Says that a partition has read its first record, at this event time. Play begins with the last to say so, of
    /// those that are not live, or with the first of all if all are.
    pub fn begin(&self, lane: &Lane, time: EventTime) {
        if lane.started.swap(true, SeqCst) {
            return;
        }
        let mut play = self.play.lock().expect("no holder panics");
        let live = lane.live.load(SeqCst);
        let event_start = match &*play {
            Some(_) if live => return,
            Some(play) if !play.live => play.event_start.min(time),
            _ => time,
        };
        *play = Some(Play { started: Instant::now(), event_start, live });
    }

    /// How far in event time play has come; everything where the pace is `max`.
    pub fn now(&self) -> EventTime {
        let speed = match self.pace {
            Pace::Max => return EventTime::MAX,
            Pace::Stepped => return self.stepped.load(SeqCst),
            Pace::Times(speed) => speed,
        };
        let lanes = self.lanes.lock().expect("no holder panics");
        if !self.is_open() || lanes.iter().any(|lane| !lane.started.load(SeqCst) && !lane.live.load(SeqCst)) {
            return i64::MIN;
        }
        match &*self.play.lock().expect("no holder panics") {
            None => i64::MIN,
            Some(play) => play.event_start.saturating_add((play.started.elapsed().as_secs_f64() * 1e3 * speed) as i64),
        }
    }

    /// Lets a stepped board play on, up to this time.
    pub fn step_to(&self, time: EventTime) {
        self.stepped.fetch_max(time, SeqCst);
    }

    /// The newest effective time that the graph was given.
    pub fn given(&self) -> EventTime {
        let lanes = self.lanes.lock().expect("no holder panics");
        lanes.iter().map(|lane| lane.given.load(SeqCst)).max().unwrap_or(EventTime::MIN)
    }
}

fn wall_clock() -> EventTime {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64)
}
