//! Advice on the declaration of a source, from the first records of a partition.

use super::{AbsentAdvice, SourcePlan, UnitAdvice};
use crate::time::EventTime;

/// Advice on the declaration of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The part of the declaration. Partitions may give the same advice on it in other words.
    pub subject: &'static str,
    pub text: String,
}

/// Looks at the first records of a partition.
#[derive(Debug)]
pub(super) struct SourceAdvice {
    /// `None` if the event time is no column.
    unit: Option<UnitAdvice>,
    absent: AbsentAdvice,
}

impl SourceAdvice {
    /// Returns the advice on a source.
    pub fn new(plan: &SourcePlan) -> Self {
        // The numbers from which an expression makes a time have no declared unit.
        let unit = plan.time.column().map(|time| UnitAdvice::new(&plan.source, &plan.schema.columns[time]));
        SourceAdvice { unit, absent: AbsentAdvice::new(&plan.source, &plan.schema) }
    }

    /// Observes the event time of the next record, if it is known yet, and which columns it has.
    #[inline]
    pub fn observe(&mut self, time: Option<EventTime>, present: &[bool]) {
        if let (Some(unit), Some(time)) = (&mut self.unit, time) {
            unit.observe(time);
        }
        self.absent.observe(present);
    }

    /// Returns the advice that there is, each once. `is_end` says that no further record will come.
    pub fn take(&mut self, is_end: bool) -> Vec<Advice> {
        let unit = self.unit.as_mut().and_then(|unit| unit.take(is_end)).map(|text| Advice { subject: "unit", text });
        let absent = self.absent.take(is_end).map(|text| Advice { subject: "columns", text });
        unit.into_iter().chain(absent).collect()
    }
}
