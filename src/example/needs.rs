//! The cells of a row that a program needs, and the steps that it can do without.
//!
//! A cell is needed if an input reads it, or if a needed cell is made from it: by a copy, an expression or the key of a
//! look-up. A cell that the instance sets is never needed, nor is what it would have been made from.

use super::steps::ProgramStep;

/// The inputs of a program and the steps that make them.
#[derive(Clone, Copy, Debug)]
pub(super) struct InputNeeds<'a> {
    /// Steps, in the order of their dependencies; each slot is written by one of them.
    pub steps: &'a [ProgramStep],
    /// Slots of the inputs.
    pub inputs: &'a [usize],
    /// Slots of a row.
    pub width: usize,
}

impl InputNeeds<'_> {
    /// Returns for each slot of a row whether it must be known to compute the inputs, given the slots that are set.
    pub fn slots(&self, is_set: impl Fn(usize) -> bool) -> Vec<bool> {
        let mut needed = vec![false; self.width];
        for input in self.inputs {
            needed[*input] = !is_set(*input);
        }
        let need = |slot: usize, needed: &mut Vec<bool>| needed[slot] |= !is_set(slot);
        for step in self.steps.iter().rev() {
            match step {
                ProgramStep::Copy { from, to } => {
                    if needed[*to] {
                        need(*from, &mut needed);
                    }
                }
                ProgramStep::Compute { reads, outputs } => {
                    let read = outputs.iter().filter(|(_, slot)| needed[*slot]).flat_map(|(expr, _)| expr.columns());
                    let read: Vec<usize> = read.collect();
                    read.into_iter().for_each(|column| need(reads[column].0, &mut needed));
                }
                ProgramStep::LookUp(step) => {
                    if step.columns.iter().any(|column| needed[column.slot]) {
                        step.key.iter().for_each(|slot| need(*slot, &mut needed));
                        let counts = |own: usize| {
                            step.columns.iter().any(|column| column.own == Some(own) && needed[column.slot])
                        };
                        let read = step.own.iter().enumerate().filter(|(own, _)| counts(*own));
                        let read: Vec<usize> =
                            read.flat_map(|(_, own)| own.slots.iter().flatten()).map(|(slot, _)| *slot).collect();
                        read.into_iter().for_each(|slot| need(slot, &mut needed));
                    }
                }
            }
        }
        needed
    }
}

/// Returns the part of a step that writes needed slots, `None` if it writes no such slot.
pub(super) fn prune(step: ProgramStep, needed: &[bool]) -> Option<ProgramStep> {
    match step {
        ProgramStep::Copy { to, .. } => needed[to].then_some(step),
        ProgramStep::Compute { reads, mut outputs } => {
            outputs.retain(|(_, slot)| needed[*slot]);
            let mut kept: Vec<usize> = outputs.iter().flat_map(|(expr, _)| expr.columns()).collect();
            kept.sort_unstable();
            kept.dedup();
            let to = |column: usize| kept.binary_search(&column).expect("all columns read were collected");
            let outputs: Vec<_> = outputs.into_iter().map(|(expr, slot)| (expr.remap(&to), slot)).collect();
            let reads = kept.iter().map(|column| reads[*column]).collect();
            (!outputs.is_empty()).then_some(ProgramStep::Compute { reads, outputs })
        }
        ProgramStep::LookUp(mut lookup) => {
            lookup.columns.retain(|column| needed[column.slot]);
            (!lookup.columns.is_empty()).then_some(ProgramStep::LookUp(lookup))
        }
    }
}
