//! Budgets of steps, by which long work is cut into pieces.
//!
//! When many entities cross a boundary at once, a window does one step for each. It does as many steps as the budget has
//! and continues where it stopped when it is called again, so that the caller can read the clock in between. Only the
//! number of calls depends on the budget.

/// The steps that a piece of work may still take.
#[derive(Debug)]
pub struct StepBudget {
    left: usize,
}

impl StepBudget {
    /// A budget of this many steps.
    ///
    /// # Panics
    /// If there are none: work would never end.
    pub fn new(steps: usize) -> Self {
        assert!(steps > 0, "a piece of work has at least one step");
        StepBudget { left: steps }
    }

    /// A budget that is never spent.
    pub fn unlimited() -> Self {
        StepBudget { left: usize::MAX }
    }

    /// Takes a step; returns false if none is left.
    pub fn take(&mut self) -> bool {
        self.take_up_to(1) == 1
    }

    /// Takes up to this many steps; returns how many.
    pub fn take_up_to(&mut self, steps: usize) -> usize {
        let taken = steps.min(self.left);
        self.left -= taken;
        taken
    }

    /// Returns whether no step is left, so that work may be left.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_once_its_steps_are_taken() {
        let mut budget = StepBudget::new(3);
        assert!(budget.take());
        assert_eq!((budget.take_up_to(5), budget.is_spent(), budget.take()), (2, true, false));
        assert!(!StepBudget::unlimited().is_spent());
    }
}
