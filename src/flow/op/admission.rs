//! Admission of labels: those that a model's kind cannot learn are taken out and counted by window and reason.

use std::collections::BTreeMap;

use arrow_array::Array;
use serde::{Deserialize, Serialize};

use crate::flow::plan::{LabelPlan, ModelPlan};
use crate::model::{LabelFault, LabelUse, Labels, ModelKind};
use crate::time::EventTime;
use crate::value::{Batch, Scalar};

/// Numbers of labels that were refused, by reason.
pub type RefusedLabels = BTreeMap<LabelFault, u64>;

/// The labels of a model so far. Saved with the model's trainer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LabelAdmission {
    /// Examples with a label, those included that were refused.
    pub received: u64,
    /// All refused labels.
    pub refused: RefusedLabels,
    /// Refused labels of windows that have not been reported, by the window's end.
    by_window: BTreeMap<EventTime, RefusedLabels>,
}

/// The refused labels of a window.
pub struct RefusedInWindow {
    pub window_end: EventTime,
    pub labels: RefusedLabels,
}

impl LabelAdmission {
    /// Takes the examples out of a batch whose labels, the last column, the model cannot learn; all labels are of the
    /// window that ends at `window_end`. If `keep`, the examples stay and have a null in place of such a label.
    pub fn admit(&mut self, plan: &ModelPlan, batch: Batch, window_end: EventTime, keep: bool) -> Batch {
        let label = batch.columns.len() - 1;
        let faults = faults(plan, &plan.labels.read(&batch.columns[label]));
        // A joined label is null where an example without a label is wanted.
        let is_unlabelled = |fault: &Option<LabelFault>| *fault == Some(LabelFault::Null) && is_joined(plan);
        self.received += faults.iter().filter(|fault| !is_unlabelled(fault)).count() as u64;
        let refused: Vec<LabelFault> = faults.iter().filter(|fault| !is_unlabelled(fault)).flatten().copied().collect();
        if refused.is_empty() {
            return batch;
        }
        let in_window = self.by_window.entry(window_end).or_default();
        for fault in refused {
            *in_window.entry(fault).or_default() += 1;
            *self.refused.entry(fault).or_default() += 1;
        }
        if !keep {
            let admitted = faults.iter().enumerate().filter(|(_, fault)| fault.is_none());
            return batch.take(&admitted.map(|(row, _)| row as u32).collect::<Vec<_>>().into());
        }
        let known = |(row, fault): (usize, &Option<LabelFault>)| match fault {
            Some(_) => Scalar::Null,
            None => Scalar::of(&batch.columns[label], row),
        };
        let labels: Vec<Scalar> = faults.iter().enumerate().map(known).collect();
        let mut columns = batch.columns.clone();
        columns[label] = plan.labels.column(labels.iter());
        batch.with_columns(columns)
    }

    /// Returns the refused labels of the windows that end by `upto` and have not been returned before.
    pub fn take_ended(&mut self, upto: EventTime) -> Vec<RefusedInWindow> {
        let mut ended = Vec::new();
        while let Some(first) = self.by_window.first_entry().filter(|first| *first.key() <= upto) {
            let (window_end, labels) = first.remove_entry();
            ended.push(RefusedInWindow { window_end, labels });
        }
        ended
    }
}

/// Returns whether labels come from another stream.
fn is_joined(plan: &ModelPlan) -> bool {
    matches!(plan.label, LabelPlan::Joined { .. })
}

/// Returns what is wrong with each label.
fn faults(plan: &ModelPlan, labels: &Labels) -> Vec<Option<LabelFault>> {
    let kind = ModelKind::of(&plan.options.kind).expect("the spec has checked the kind");
    let null = (kind.label == LabelUse::Required).then_some(LabelFault::Null);
    match labels {
        Labels::Numbers(labels) => {
            let fault = |label: &f64| if label.is_nan() { null } else { kind.labels.fault(*label) };
            labels.iter().map(fault).collect()
        }
        Labels::Classes(labels) => (0..labels.len()).map(|row| null.filter(|_| labels.is_null(row))).collect(),
    }
}
