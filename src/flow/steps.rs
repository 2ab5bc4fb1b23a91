//! The order in which streams and feature groups are rendered.

use std::collections::BTreeSet;

use super::plan::PlanStep;
use crate::relation::{RelationOp, StreamId};
use crate::spec::Spec;

/// Returns the steps of a dataflow, each after those that it needs: a stream after its inputs and the group that answers
/// it, a group after the streams that it is made from and asked by. Streams come as early as they can.
pub fn steps(spec: &Spec) -> Vec<PlanStep> {
    let mut steps = Vec::new();
    let (mut streams, mut groups) = (BTreeSet::new(), BTreeSet::new());
    add_streams(spec, &groups, &mut streams, &mut steps);
    for group in spec.group_order.sorted(spec.groups.len()) {
        steps.push(PlanStep::Group(group));
        groups.insert(group);
        add_streams(spec, &groups, &mut streams, &mut steps);
    }
    steps
}

/// Adds the streams that can be rendered after some groups.
fn add_streams(spec: &Spec, groups: &BTreeSet<usize>, streams: &mut BTreeSet<StreamId>, steps: &mut Vec<PlanStep>) {
    // Each relation comes after its inputs.
    for (stream, node) in spec.relations.iter() {
        let is_answered = node.relation.waits_for().is_none_or(|group| groups.contains(&group));
        let is_free = is_answered && node.relation.inputs().iter().all(|input| streams.contains(input));
        if is_free && streams.insert(stream) {
            steps.push(PlanStep::Stream { stream, probed: node.is_view() });
        }
    }
}
