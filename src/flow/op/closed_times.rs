//! The loop of an operator that changes its state for closed times only.
//!
//! An input is closed before its frontier. When the frontier moves from `done` to a later time, the operator processes
//! that stretch at once, or in two parts where the barrier of a checkpoint lies on the way: it stops at the barrier,
//! saves its state as of then, and goes on. So its state as of any time T is a function of the records before T, and the
//! saved states of all operators agree without stopping the graph.
//!
//! [`ClosedTimes`] owns what every such operator would otherwise repeat: how far it has processed, the barrier, the save,
//! and the waker that schedules it when a checkpoint is triggered while it has no input. [`unary`] and [`binary`] build
//! an operator of batches around it, and hold its output at the time up to which it has processed.

use timely::container::NoopBuilder;
use timely::dataflow::Scope;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::{Operator, OperatorInfo, OutputBuilderSession};
use timely::scheduling::Activator;

use super::{Records, frontier_of};
use crate::checkpoint::{OperatorCheckpoint, SavedPart, Stretch};
use crate::flow::exchange::Route;
use crate::time::EventTime;
use crate::value::Batch;

/// The reason why an operator returns before its stretch is processed: it gives other operators their turn.
#[derive(Debug)]
pub struct Interrupted;

/// An operator of batches that changes its state for closed times only.
pub trait ClosedOperator: 'static {
    /// Accepts a batch of an input. Its records may be processed only once their times are closed.
    fn push(&mut self, input: usize, batch: Batch);

    /// Processes everything before `stretch.until`, appends the output, and returns the state as of then if
    /// `stretch.save_after`. `None` instead of it means that the operator has failed: the checkpoint never completes.
    ///
    /// # Errors
    /// [`Interrupted`], to be called again with the same stretch at the next activation.
    fn run(&mut self, stretch: Stretch, output: &mut Vec<Batch>) -> Result<Option<SavedPart>, Interrupted>;
}

/// The progress of an operator instance, and its part in checkpoints.
pub struct ClosedTimes {
    checkpoint: OperatorCheckpoint,
    /// Everything before this time is processed.
    done: EventTime,
    /// The stretch that was interrupted, to be finished first.
    current: Option<Stretch>,
}

impl ClosedTimes {
    /// Starts before all times; from now on the operator is scheduled when a checkpoint is triggered.
    pub fn new(scope: Scope<'_, EventTime>, info: &OperatorInfo, checkpoint: OperatorCheckpoint) -> Self {
        let waker = scope.worker().sync_activator_for(info.address.to_vec());
        checkpoint.on_trigger(move || _ = waker.activate());
        ClosedTimes { checkpoint, done: EventTime::MIN, current: None }
    }

    /// The time before which everything is processed.
    pub fn done(&self) -> EventTime {
        self.done
    }

    /// Calls `run` for each stretch to `frontier`, and saves what it returns. See [`ClosedOperator::run`].
    ///
    /// # Errors
    /// If `run` was interrupted; its stretch comes first at the next call.
    pub fn advance(
        &mut self,
        frontier: EventTime,
        mut run: impl FnMut(Stretch) -> Result<Option<SavedPart>, Interrupted>,
    ) -> Result<(), Interrupted> {
        if let Some(stretch) = self.current.take() {
            self.process(stretch, &mut run)?;
        }
        for stretch in self.checkpoint.stretches(frontier) {
            if stretch.until > self.done || stretch.save_after {
                self.process(stretch, &mut run)?;
            }
        }
        Ok(())
    }

    fn process(
        &mut self,
        stretch: Stretch,
        run: &mut impl FnMut(Stretch) -> Result<Option<SavedPart>, Interrupted>,
    ) -> Result<(), Interrupted> {
        let part = run(stretch).inspect_err(|_| self.current = Some(stretch))?;
        if let Some(part) = part {
            self.checkpoint.save(stretch.until, part);
        }
        self.done = stretch.until;
        Ok(())
    }
}

/// Builds an operator of one input.
pub fn unary<'scope>(
    input: Records<'scope>,
    route: Route,
    name: &str,
    checkpoint: OperatorCheckpoint,
    operator: impl ClosedOperator,
) -> Records<'scope> {
    let scope = input.scope();
    input.unary_frontier::<NoopBuilder<Batch>, _, _, _>(route.pact(), name, move |capability, info| {
        let mut instance = Instance::new(scope, &info, capability, checkpoint, operator);
        move |(input, frontier), output| {
            input.for_each(|_, batch| instance.operator.push(0, std::mem::take(batch)));
            instance.advance(frontier_of(frontier), output);
        }
    })
}

/// Builds an operator of two inputs, which processes what is closed in both.
pub fn binary<'scope>(
    inputs: [(Records<'scope>, Route); 2],
    name: &str,
    checkpoint: OperatorCheckpoint,
    operator: impl ClosedOperator,
) -> Records<'scope> {
    let [(first, first_route), (second, second_route)] = inputs;
    let scope = first.scope();
    let (first_pact, second_pact) = (first_route.pact(), second_route.pact());
    first.binary_frontier::<_, NoopBuilder<Batch>, _, _, _, _>(
        second,
        first_pact,
        second_pact,
        name,
        move |capability, info| {
            let mut instance = Instance::new(scope, &info, capability, checkpoint, operator);
            move |(first, first_frontier), (second, second_frontier), output| {
                first.for_each(|_, batch| instance.operator.push(0, std::mem::take(batch)));
                second.for_each(|_, batch| instance.operator.push(1, std::mem::take(batch)));
                instance.advance(frontier_of(first_frontier).min(frontier_of(second_frontier)), output);
            }
        },
    )
}

/// An operator on one worker.
struct Instance<O> {
    times: ClosedTimes,
    operator: O,
    /// Held at the time up to which the operator has processed; dropped at the end of time.
    capability: Option<Capability<EventTime>>,
    activator: Activator,
    /// Batches to be sent; empty between activations.
    batches: Vec<Batch>,
}

impl<O: ClosedOperator> Instance<O> {
    fn new(
        scope: Scope<'_, EventTime>,
        info: &OperatorInfo,
        capability: Capability<EventTime>,
        checkpoint: OperatorCheckpoint,
        operator: O,
    ) -> Self {
        Instance {
            times: ClosedTimes::new(scope, info, checkpoint),
            operator,
            capability: Some(capability),
            activator: scope.activator_for(info.address.clone()),
            batches: Vec::new(),
        }
    }

    fn advance(&mut self, frontier: EventTime, output: &mut OutputBuilderSession<'_, EventTime, NoopBuilder<Batch>>) {
        let Instance { times, operator, capability, activator, batches } = self;
        if times.advance(frontier, |stretch| operator.run(stretch, batches)).is_err() {
            activator.activate();
        }
        let Some(held) = capability else { return };
        for mut batch in batches.drain(..) {
            output.session_with_builder(&*held).give_container(&mut batch);
        }
        match times.done() {
            EventTime::MAX => *capability = None,
            done => held.downgrade(&done),
        }
    }
}
