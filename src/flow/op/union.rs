//! Merging of streams into one.

use timely::container::NoopBuilder;
use timely::dataflow::Scope;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::operate::FrontierInterest;

use super::Records;
use crate::time::EventTime;
use crate::value::Batch;

/// Passes on the batches of all inputs, in whatever order they arrive. As timely's `concatenate`, but under a name.
pub fn concatenate<'scope>(
    scope: Scope<'scope, EventTime>,
    inputs: Vec<Records<'scope>>,
    name: &str,
) -> Records<'scope> {
    let mut builder = OperatorBuilder::new(name.to_owned(), scope);
    let mut handles: Vec<_> = inputs.into_iter().map(|input| builder.new_input(input, Pipeline)).collect();
    // Frontiers need no action: timely moves the output's on by itself.
    (0..handles.len()).for_each(|input| builder.set_notify_for(input, FrontierInterest::Never));
    let (output, stream) = builder.new_output();
    let mut output = OutputBuilder::<_, NoopBuilder<Batch>>::from(output);
    builder.build(move |_capabilities| {
        move |_frontiers| {
            let mut output = output.activate();
            for input in &mut handles {
                input.for_each(|capability, batch| {
                    output.session_with_builder(&capability).give_container(batch);
                });
            }
        }
    });
    stream
}
