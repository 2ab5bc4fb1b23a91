//! The examples of a model that wait for a label, as they are saved.

use arrow_schema::ArrowError;
use serde::{Deserialize, Serialize};

use super::attribution::{Attribution, ExampleCounts};
use super::label_total::LabelTotal;
use crate::flow::saved_batch::SavedBatch;
use crate::value::{Batch, Scalar};

/// The saved state of a worker: its pending examples, and its counts so far.
#[derive(Serialize, Deserialize)]
pub struct SavedExamples {
    pub counts: ExampleCounts,
    pub batches: Vec<SavedPending>,
}

/// A batch of pending examples.
#[derive(Serialize, Deserialize)]
pub struct SavedPending {
    batch: SavedBatch,
    /// By row, what is known of the label.
    labels: Vec<SavedLabel>,
}

/// The state of the label of a pending example.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum SavedLabel {
    /// A label that is not known.
    Open,
    /// The label, which is learnt at the horizon.
    Known(Scalar),
    /// The total of the records so far.
    Total(LabelTotal),
}

impl SavedLabel {
    fn is_of(&self, plan: &Attribution) -> bool {
        match (self, LabelTotal::new(plan.op)) {
            (SavedLabel::Open, None) => true,
            (SavedLabel::Known(label), None) => plan.form.has(label),
            (SavedLabel::Total(total), Some(of_plan)) => total.is_like(&of_plan),
            _ => false,
        }
    }
}

impl SavedPending {
    /// Returns the examples, and by row what is known of the label.
    ///
    /// # Errors
    /// If they are not examples and labels of this plan.
    pub fn read(self, plan: &Attribution) -> Result<(Batch, Vec<SavedLabel>), ArrowError> {
        let batch = self.batch.batch(&plan.types)?;
        plan.order.as_ref().map_or(Ok(()), |order| order.check(&batch))?;
        if self.labels.len() != batch.len() || !self.labels.iter().all(|label| label.is_of(plan)) {
            return Err(ArrowError::ParseError("not as many labels as examples, or of another type".to_owned()));
        }
        Ok((batch, self.labels))
    }
}

/// The pending examples of one moment, to be encoded later.
pub struct ExamplesSnapshot {
    pub counts: ExampleCounts,
    pub batches: Vec<Batch>,
    /// By batch and row, what is known of the label.
    pub labels: Vec<Vec<SavedLabel>>,
}

impl ExamplesSnapshot {
    /// Encodes the snapshot.
    pub fn saved(self) -> SavedExamples {
        let saved = |(batch, labels)| SavedPending { batch: SavedBatch::of(batch), labels };
        SavedExamples { counts: self.counts, batches: self.batches.iter().zip(self.labels).map(saved).collect() }
    }
}
