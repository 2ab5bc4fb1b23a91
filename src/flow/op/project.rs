//! Stateless steps: each batch becomes another.

use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;

use super::Records;
use crate::value::Batch;

/// Applies `logic` to each batch on its way. It may drop rows; it may not bring them before the batch's first time.
pub fn project<'scope>(
    stream: Records<'scope>,
    name: &str,
    mut logic: impl FnMut(Batch) -> Batch + 'static,
) -> Records<'scope> {
    stream.unary::<NoopBuilder<Batch>, _, _, _>(Pipeline, name, move |_, _| {
        move |input, output| {
            input.for_each(|capability, batch| {
                let mut projected = logic(std::mem::take(batch));
                if !projected.is_empty() {
                    output.session_with_builder(&capability).give_container(&mut projected);
                }
            });
        }
    })
}
