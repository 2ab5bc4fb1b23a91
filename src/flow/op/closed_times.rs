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
use timely::dataflow::channels::pact::Pipeline;
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

    /// True if [`ClosedOperator::state_bytes`] is to be called.
    const IS_MEASURED: bool = false;

    /// Returns the memory that the state holds, in bytes.
    fn state_bytes(&self) -> usize {
        0
    }
}

/// The progress of an operator instance, and its part in checkpoints.
pub struct ClosedTimes {
    checkpoint: OperatorCheckpoint,
    /// The time before which everything is processed.
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

    /// Measures the state of the operator, unless that was done a short while ago.
    pub fn measure_state(&mut self, bytes: impl FnOnce() -> usize) {
        self.checkpoint.measure_state(bytes);
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

/// Builds an operator of one input, whose records stay on the worker that has them.
pub fn unary_local<'scope>(
    input: Records<'scope>,
    name: &str,
    checkpoint: OperatorCheckpoint,
    operator: impl ClosedOperator,
) -> Records<'scope> {
    let scope = input.scope();
    input.unary_frontier::<NoopBuilder<Batch>, _, _, _>(Pipeline, name, move |capability, info| {
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
        if O::IS_MEASURED {
            times.measure_state(|| operator.state_bytes());
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::checkpoint::CheckpointCoordinator;

    fn operator(coordinator: &Arc<CheckpointCoordinator>) -> ClosedTimes {
        let checkpoint = OperatorCheckpoint::new(coordinator, "operator");
        ClosedTimes { checkpoint, done: EventTime::MIN, current: None }
    }

    /// Advances to a frontier and returns the stretches, with whether each was saved after. One that ends at `stop` is
    /// interrupted.
    fn advance(times: &mut ClosedTimes, frontier: EventTime, stop: Option<EventTime>) -> Vec<(EventTime, bool)> {
        let mut stretches = Vec::new();
        let advanced = times.advance(frontier, |stretch| {
            if Some(stretch.until) == stop {
                return Err(Interrupted);
            }
            stretches.push((stretch.until, stretch.save_after));
            Ok(stretch.save_after.then(|| SavedPart::encoded(&stretch.until)))
        });
        assert_eq!(advanced.is_err(), stop.is_some());
        stretches
    }

    #[test]
    fn an_operator_stops_at_a_barrier_and_saves_once() {
        let coordinator = CheckpointCoordinator::fresh();
        let mut times = operator(&coordinator);
        assert_eq!(advance(&mut times, 5, None), [(5, false)]);
        assert_eq!(advance(&mut times, 5, None), [], "nothing has closed since");
        coordinator.trigger(10);
        assert_eq!(advance(&mut times, 8, None), [(8, false)], "the barrier is not reached");
        assert_eq!(advance(&mut times, 25, None), [(10, true), (25, false)]);
        assert_eq!(advance(&mut times, 30, None), [(30, false)]);
        assert_eq!(times.done(), 30);
        let (time, snapshot) = coordinator.collect().expect("the only operator has saved");
        let restored = CheckpointCoordinator::restoring(time, snapshot.encode().collect());
        assert_eq!((time, restored.load::<EventTime>("operator").unwrap()), (10, vec![10]));
    }

    #[test]
    fn a_barrier_where_everything_is_processed_is_saved_all_the_same() {
        let coordinator = CheckpointCoordinator::fresh();
        let mut times = operator(&coordinator);
        assert_eq!(advance(&mut times, 10, None), [(10, false)]);
        coordinator.trigger(10);
        assert_eq!(advance(&mut times, 10, None), [(10, true)]);
        assert!(coordinator.collect().is_some());
    }

    #[test]
    fn an_interrupted_stretch_comes_first_at_the_next_call() {
        let coordinator = CheckpointCoordinator::fresh();
        let mut times = operator(&coordinator);
        assert_eq!(advance(&mut times, 20, Some(20)), []);
        assert_eq!(times.done(), EventTime::MIN);
        coordinator.trigger(30);
        assert_eq!(advance(&mut times, 40, Some(30)), [(20, false)]);
        assert!(coordinator.collect().is_none(), "the barrier is reached and not processed");
        assert_eq!(advance(&mut times, 50, None), [(30, true), (50, false)]);
        assert!(coordinator.collect().is_some());
    }

    #[test]
    fn an_operator_that_has_failed_keeps_the_checkpoint_from_completing() {
        let coordinator = CheckpointCoordinator::fresh();
        let mut times = operator(&coordinator);
        coordinator.trigger(10);
        times.advance(20, |_| Ok(None)).unwrap();
        assert_eq!(times.done(), 20);
        assert!(coordinator.collect().is_none());
    }
}
