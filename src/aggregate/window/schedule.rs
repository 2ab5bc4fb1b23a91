//! Schedules: which slots have something of a pane, so that a boundary costs a step for each of them and no scan of all.
//!
//! A window that moves past the boundary takes them out one by one, as far as its budget of steps goes: a boundary at
//! which a million entities change is processed in pieces.

use std::collections::VecDeque;

use crate::aggregate::step_budget::StepBudget;

/// Slots by pane. A slot may be registered more than once.
#[derive(Default)]
pub struct PaneSchedule {
    /// By pane, ascending; none is empty.
    by_pane: VecDeque<(i64, Vec<u32>)>,
}

impl PaneSchedule {
    /// Registers that a slot has something of a pane.
    pub fn register(&mut self, pane: i64, slot: u32) {
        self.slots(pane).push(slot);
    }

    /// The slots of a pane, nearly always the newest.
    fn slots(&mut self, pane: i64) -> &mut Vec<u32> {
        let at = match self.by_pane.back() {
            Some((newest, _)) if *newest == pane => self.by_pane.len() - 1,
            Some((newest, _)) if *newest > pane => {
                let at = self.by_pane.partition_point(|(known, _)| *known < pane);
                if self.by_pane[at].0 != pane {
                    self.by_pane.insert(at, (pane, Vec::new()));
                }
                at
            }
            _ => {
                self.by_pane.push_back((pane, Vec::new()));
                self.by_pane.len() - 1
            }
        };
        &mut self.by_pane[at].1
    }

    /// Keeps the slots that still have something of a pane, each once.
    pub fn retain(&mut self, mut has: impl FnMut(i64, u32) -> bool) {
        for (pane, slots) in &mut self.by_pane {
            retain_once(slots, |slot| has(*pane, slot));
        }
        self.by_pane.retain(|(_, slots)| !slots.is_empty());
    }

    /// The oldest pane of which a slot has something.
    pub fn oldest(&self) -> Option<i64> {
        self.by_pane.front().map(|(pane, _)| *pane)
    }

    /// Takes out a slot of the oldest pane, for a step of the budget, if the pane fulfils a condition.
    pub fn pop_due(&mut self, budget: &mut StepBudget, is_due: impl Fn(i64) -> bool) -> Option<(i64, u32)> {
        let (pane, slots) = self.by_pane.front_mut().filter(|(pane, _)| is_due(*pane))?;
        if !budget.take() {
            return None;
        }
        let popped = slots.pop().map(|slot| (*pane, slot));
        if slots.is_empty() {
            self.by_pane.pop_front();
        }
        popped
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        let slots: usize = self.by_pane.iter().map(|(_, slots)| slots.capacity()).sum();
        slots * size_of::<u32>() + self.by_pane.capacity() * size_of::<(i64, Vec<u32>)>()
    }
}

/// Keeps the slots that fulfil a condition, each once, and frees the room of the others.
pub fn retain_once(slots: &mut Vec<u32>, mut keep: impl FnMut(u32) -> bool) {
    slots.retain(|slot| keep(*slot));
    slots.sort_unstable();
    slots.dedup();
    slots.shrink_to(slots.len() + slots.len() / 8);
}
