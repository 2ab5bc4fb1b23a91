//! `run`: a dataflow as a job that serves until it is told to stop.
//!
//! A [`LiveRun`] is opened, serves in ticks of at most [`TICK`], and is shut down. Its end goes through [`Shutdown`]: a
//! signal, or the end of bounded inputs, leads to a last checkpoint, after which the graph is stopped.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use crossbeam_channel::Receiver;

use super::args::{CommonArgs, RunOptions};
use super::checkpoints::{Checkpoints, RestoredState};
use super::dead_letters::DeadLetterSink;
use super::inputs::Inputs;
use super::job::{self, Control, OfflineLayout, PreparedJob};
use super::job_events::{JobEvents, VersionSink};
use super::letter_limit::DeadLetterLimit;
use super::locks::Locks;
use super::lost_folders::LostFolders;
use super::reload::{self, RunFiles};
use super::setup::{KAFKA, RunSetup};
use super::signals::Signals;
use super::status::TerminalStatus;
use super::{Failure, finish, late_records, online, print_err, watchdog};
use crate::flow::Job;
use crate::flow::build::JobEvent;
use crate::model::Decision;
use crate::serve::Server;
use crate::store::redis::RedisWriter;
use crate::threads::Thread;
use crate::time::{format_duration, format_time};

/// The longest time that a tick waits for an event of the graph.
const TICK: Duration = Duration::from_millis(20);

/// The interval at which the status line and the gauges are updated.
const REFRESH: Duration = Duration::from_secs(1);

/// The time by which event time may be ahead of the wall clock and of all records, in ms.
const MOST_AHEAD_MS: i64 = 60_000;

/// The longest time that the shutdown writes pending entities to Redis, or waits for a registry or brokers that cannot be
/// reached.
const DRAIN: Duration = Duration::from_secs(5);

/// The parts of a shutdown's time. Together they are less than all of it, beyond which the watchdog ends the process.
#[derive(Clone, Copy, Debug)]
struct ShutdownTimes {
    /// The longest time that it waits for the last checkpoint.
    checkpoint: Duration,
    /// The longest time that it waits for the brokers to acknowledge dead letters.
    letters: Duration,
    /// The longest time of each other wait.
    drain: Duration,
}

impl ShutdownTimes {
    fn new(total: Duration) -> Self {
        ShutdownTimes { checkpoint: total / 2, letters: total / 4, drain: DRAIN.min(total / 12) }
    }
}

/// Runs a dataflow until it is told to stop or, with `until_end`, until its inputs are used up.
///
/// # Errors
/// If the dataflow file or the config is wrong, or the job fails.
pub fn run(file: &Path, common: &CommonArgs, options: RunOptions) -> Result<(), Failure> {
    let mut run = LiveRun::open(file, common, options)?;
    let served = run.serve();
    let restarts = run.files.restarts;
    run.shut_down(served)?;
    if restarts { reload::restart() } else { Ok(()) }
}

/// A live run whose graph has been started.
struct LiveRun {
    files: RunFiles,
    options: RunOptions,
    setup: RunSetup,
    signals: Signals,
    checkpoints: Checkpoints,
    server: Server,
    inputs: Inputs,
    redis: Option<RedisWriter>,
    job: Arc<Job>,
    job_events: JobEvents,
    events: Receiver<JobEvent>,
    control: Arc<Control>,
    graph: Thread<anyhow::Result<()>>,
    status: TerminalStatus,
    /// The time at which the status line and the gauges were last updated.
    refreshed: Instant,
    shutdown: Shutdown,
    /// The error of Kafka that ends the job.
    refused: Option<Failure>,
    /// The Kafka error that has been reported and still holds.
    kafka_error: Option<String>,
    lost: LostFolders,
    /// Dropped last: no other run may use the folders before this one is done with them.
    locks: Locks,
}

/// The stages of the end of a run.
#[derive(Clone, Copy, Debug)]
enum Shutdown {
    /// The end has not been requested.
    Running,
    /// The end was requested at `since`. A checkpoint in progress has an earlier time; it is completed first.
    Draining { since: Instant },
    /// The last checkpoint has been triggered.
    Final { since: Instant },
}

impl LiveRun {
    /// Opens all parts of a run and starts its graph. The order matters; each step says why it is where it is.
    fn open(file: &Path, common: &CommonArgs, options: RunOptions) -> Result<Self, Failure> {
        let setup = RunSetup::load(file, common)?;
        let signals = Signals::install(setup.config.shutdown_timeout)?;
        // The locks are first: another run may be writing what the next steps read.
        let mut locks = setup.lock()?;
        // Checkpoints come before the inputs, as they say where reading resumes.
        let (mut checkpoints, restored) = Checkpoints::open(&setup.plan, &setup.config, &options)?;
        // The port is bound before anything of an earlier run is moved: if it is in use, nothing has changed.
        let server = setup.start_server()?;
        // Inputs, outputs and Redis are the last that the config or the brokers can refuse.
        let layout = if checkpoints.is_enabled() { OfflineLayout::Segments } else { OfflineLayout::SingleFile };
        let RestoredState { coordinator, journal, job_events: saved_events, message } = restored;
        let PreparedJob { job, events, inputs } = setup.prepare(coordinator, journal, layout, options.until_end)?;
        let redis = online::start_mirror(&setup.config, &job, &setup.metrics)?;
        // Only now, with everything accepted, is the state of an earlier run moved out of the way.
        checkpoints.reopen(&job)?;
        if message.is_none() {
            setup.archive_previous(&mut checkpoints, &mut locks)?;
        }
        message.iter().for_each(print_err);
        // The registry is opened again, as its folder may have been moved. Its models serve until the graph makes new ones.
        let registry = setup.registry()?;
        if message.is_some() {
            setup.restore_models(&registry, &job.coordinator, saved_events.as_deref())?;
        }
        // Dead letters are opened before the graph, which may send some at once.
        let letters = DeadLetterSink::open(&setup.home, &setup.config, &job, &inputs)?;
        let _ = writeln!(std::io::stdout(), "listening on {}", server.url()); // stdout may be closed
        let versions = VersionSink { registry, keep: setup.config.registry.keep };
        let limit = DeadLetterLimit::new(setup.config.max_dead_letters);
        let mut job_events = JobEvents::new(&job, &setup.metrics, versions, &setup.live, letters, limit)?;
        job_events.board = Some(setup.letters.clone());
        job_events.journal = checkpoints.is_enabled().then(|| checkpoints.journal()).transpose()?;
        saved_events.map_or(Ok(()), |bytes| job_events.restore(&bytes))?;
        // The graph is last: everything that it needs is there.
        let control = Arc::new(Control::default());
        let graph = job::start(&job, setup.config.workers, &setup.metrics, &control);
        setup.readiness.started();
        job::update_gauges(&job, &setup.metrics);
        Ok(LiveRun {
            status: setup.status(server.url(), common.quiet, options.until_end),
            files: RunFiles::new(file, common),
            options,
            setup,
            signals,
            checkpoints,
            server,
            inputs,
            redis,
            job,
            job_events,
            events,
            control,
            graph,
            refreshed: Instant::now(),
            shutdown: Shutdown::Running,
            refused: None,
            kafka_error: None,
            lost: LostFolders::default(),
            locks,
        })
    }

    /// Ticks until no worker of the graph runs any more.
    fn serve(&mut self) -> anyhow::Result<()> {
        while self.tick()? {
            self.check_letters()?;
        }
        self.check_letters()
    }

    /// Ends the run if a source has too many dead letters, with those that have been sent kept.
    fn check_letters(&mut self) -> anyhow::Result<()> {
        self.job_events.check_letters().or_else(|_| {
            while let Ok(event) = self.events.try_recv() {
                self.handle(event)?;
            }
            self.job_events.flush_letters(self.times().letters)?;
            self.job_events.check_letters()
        })
    }

    /// Handles at most one event of the graph, and everything that is due. Returns false once the graph has ended.
    fn tick(&mut self) -> anyhow::Result<bool> {
        self.refused = self.refused.take().or_else(|| self.inputs.kafka()?.failed());
        if self.refused.is_some() {
            self.control.stop();
        }
        self.report_kafka();
        match self.events.recv_timeout(TICK) {
            Ok(event) => self.handle(event)?,
            Err(_) if self.control.is_finished() => return Ok(false),
            Err(_) => {}
        }
        self.take_checkpoints()?;
        self.reload();
        self.advance_shutdown();
        if self.refreshed.elapsed() >= REFRESH {
            self.refreshed = Instant::now();
            watchdog::stand_in();
            job::update_gauges(&self.job, &self.setup.metrics);
            self.report_event_time();
            self.lost.report(&self.locks, &self.setup.readiness);
            self.status.refresh(&self.job, self.control.has_ended(self.setup.config.workers));
        }
        Ok(true)
    }

    fn handle(&mut self, event: JobEvent) -> anyhow::Result<()> {
        if let Some((model, version)) = self.job_events.handle(event)? {
            if version.decision == Decision::Published {
                self.setup.settle_model(model);
            }
            self.status.version(&self.job, model, &version);
        }
        for first in self.job_events.take_first_letters() {
            print_err(format_args!("warning: {first}"));
        }
        Ok(())
    }

    /// Triggers a checkpoint if it is time, and moves the one in progress on.
    fn take_checkpoints(&mut self) -> anyhow::Result<()> {
        self.checkpoints.trigger_if_due(&self.job);
        if self.checkpoints.collect(&self.job) {
            // The events of everything before the barrier are in the channel by now; they belong to the checkpoint.
            while let Ok(event) = self.events.try_recv() {
                self.handle(event)?;
            }
            self.job_events.mark_checkpoint()?;
        }
        self.checkpoints.write(&self.job_events, &self.inputs)?;
        self.checkpoints.complete(&self.job, &self.setup.metrics);
        Ok(())
    }

    /// Restarts with the files as they are now, if that was requested and nothing is lost by it.
    fn reload(&mut self) {
        let is_running = matches!(self.shutdown, Shutdown::Running);
        if self.signals.take_reload() && is_running {
            let keeps_state = self.checkpoints.is_enabled() && !self.checkpoints.is_paused();
            self.files.reload(&self.setup.plan.spec, &self.setup.config, keeps_state);
            if self.files.restarts {
                self.signals.request_end();
            }
        }
    }

    /// Requests the end if it is time, triggers the last checkpoint, and stops the graph after it.
    fn advance_shutdown(&mut self) {
        let at_end = self.options.until_end && self.control.has_ended(self.setup.config.workers);
        if matches!(self.shutdown, Shutdown::Running) && (at_end || self.signals.is_end_requested()) {
            self.shutdown = Shutdown::Draining { since: Instant::now() };
        }
        if let Shutdown::Draining { since } = self.shutdown
            && !self.checkpoints.is_in_progress()
        {
            self.checkpoints.trigger(&self.job);
            self.shutdown = Shutdown::Final { since };
        }
        let (since, is_complete) = match self.shutdown {
            Shutdown::Running => return,
            Shutdown::Draining { since } => (since, false),
            Shutdown::Final { since } => (since, !self.checkpoints.is_in_progress()),
        };
        // While the registry or the brokers cannot be reached no checkpoint completes; the one before it stays current.
        let is_stuck = self.job_events.last_error().is_some() || is_away(&self.inputs);
        let times = self.times();
        if is_complete || since.elapsed() >= if is_stuck { times.drain } else { times.checkpoint } {
            self.control.stop();
        }
    }

    /// Stops the graph, flushes what it has sent, and closes the files of a bounded job.
    fn shut_down(mut self, served: anyhow::Result<()>) -> Result<(), Failure> {
        let times = self.times();
        self.control.stop();
        self.graph.join().expect("the graph's thread catches panics")?;
        served?;
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        for event in self.events.try_iter() {
            self.job_events.handle(event)?;
        }
        self.job_events.flush_letters(if is_away(&self.inputs) { times.drain } else { times.letters })?;
        self.redis.map(|redis| redis.finish(times.drain));
        self.server.drain_within(times.drain);
        late_records::warnings(&job::tallies(&self.job)).iter().for_each(print_err);
        self.status.end(&self.job, &self.setup.live);
        // The process ends next. Its memory is returned as a whole, which is faster than vector by vector.
        std::mem::forget(self.job.online.clone());
        // A run that was interrupted continues from its checkpoint, so its files stay open; any other is complete.
        if self.options.until_end && !self.signals.is_end_requested() || !self.checkpoints.is_enabled() {
            let outputs = finish::outputs(&self.job, self.job_events, None, None)?;
            if self.job.offline.is_some() {
                outputs.write(&self.setup.offline())?;
            }
        }
        // Last, so that everything else is complete.
        match self.checkpoints.failure() {
            None => Ok(()),
            Some(why) if self.files.restarts => {
                print_err(format_args!("warning: {why}"));
                Ok(())
            }
            Some(why) => Err(Failure::Runtime(anyhow!(why))),
        }
    }

    /// Reports that event time has run ahead, or no longer is: in the log, on stderr and in the readiness of the
    /// endpoint. As long as it is ahead, no checkpoint is taken, so that the newest is from before, or those before it
    /// are kept.
    fn report_event_time(&mut self) {
        let ahead_ms = self.job.frontier.ahead_ms();
        let is_ahead = ahead_ms > MOST_AHEAD_MS;
        if is_ahead {
            let (ahead, until) = (format_duration(ahead_ms / 1000 * 1000), format_time(self.job.frontier.watermark()));
            let what = format!(
                "event time is {ahead} ahead of the wall clock and of all records, after the wall clock was: records before {until} take effect then; to undo this, stop the run and start it with --checkpoint from before"
            );
            if !self.checkpoints.is_paused() {
                print_err(format_args!("warning: {what}"));
                tracing::error!("{what}");
            }
            self.setup.readiness.block("event time", what);
        } else if self.checkpoints.is_paused() {
            print_err("event time is no longer ahead of the wall clock");
            self.setup.readiness.clear("event time");
        }
        self.checkpoints.pause(is_ahead);
    }

    fn times(&self) -> ShutdownTimes {
        ShutdownTimes::new(self.setup.config.shutdown_timeout)
    }

    /// Reports a change of the connection to Kafka: on stderr and in the readiness of the endpoint.
    fn report_kafka(&mut self) {
        let error = self.inputs.kafka().and_then(|kafka| kafka.error());
        if error == self.kafka_error {
            return;
        }
        match &error {
            Some(error) => {
                print_err(error);
                self.setup.readiness.block(KAFKA, error.clone());
            }
            None => {
                print_err("kafka: connected");
                self.setup.readiness.clear(KAFKA);
            }
        }
        self.kafka_error = error;
    }
}

/// Returns whether the brokers cannot be reached.
fn is_away(inputs: &Inputs) -> bool {
    inputs.kafka().is_some_and(|kafka| kafka.error().is_some())
}
