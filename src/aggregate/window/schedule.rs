//! Schedules: which slots have something of a pane, so that a boundary costs a step for each of them and no scan of all.
//!
//! A window takes all slots of a pane at once when it moves past the boundary, so a boundary at which a million entities
//! change is one long step. To take them in slices, a window would take some of a pane's slots at a time.

use std::collections::VecDeque;

/// Slots by pane. A slot may be registered more than once.
#[derive(Default)]
pub struct PaneSchedule {
    /// By pane, ascending.
    by_pane: VecDeque<(i64, Vec<u32>)>,
}

impl PaneSchedule {
    /// Registers that a slot has something of a pane.
    pub fn register(&mut self, pane: i64, slot: u32) {
        self.slots(pane).push(slot);
    }

    /// Registers many slots of a pane.
    pub fn extend(&mut self, pane: i64, slots: Vec<u32>) {
        match self.slots(pane) {
            known if known.is_empty() => *known = slots,
            known => known.extend(slots),
        }
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

    /// Takes out the oldest pane, if it fulfils a condition, with its slots.
    pub fn pop_if(&mut self, is_due: impl Fn(i64) -> bool) -> Option<(i64, Vec<u32>)> {
        self.by_pane.pop_front_if(|(pane, _)| is_due(*pane))
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
