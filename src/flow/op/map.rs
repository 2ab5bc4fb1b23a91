//! Stateless operators: a function of batches.

use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;

use super::Records;
use crate::value::Batch;

/// Applies `logic` to each batch. It may drop rows; it may not give one a time before the batch's first.
pub fn map<'scope>(
    stream: Records<'scope>,
    name: &str,
    mut logic: impl FnMut(Batch) -> Batch + 'static,
) -> Records<'scope> {
    stream.unary::<NoopBuilder<Batch>, _, _, _>(Pipeline, name, move |_, _| {
        move |input, output| {
            input.for_each(|capability, batch| {
                let mut mapped = logic(std::mem::take(batch));
                if !mapped.is_empty() {
                    output.session_with_builder(&capability).give_container(&mut mapped);
                }
            });
        }
    })
}
