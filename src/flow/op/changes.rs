//! The closed changes of a feature group, as batches.

use arrow_array::ArrayRef;

use crate::aggregate::{Feature, FeatureColumn};
use crate::flow::plan::GroupPlan;
use crate::time::EventTime;
use crate::value::{AckToken, Batch, Key, KeyCodec};

/// Builds a batch of closed changes: entity columns, then features.
pub struct Changes {
    codec: KeyCodec,
    times: Vec<EventTime>,
    keys: Vec<Key>,
    features: Vec<FeatureColumn>,
}

impl Changes {
    pub fn new(plan: &GroupPlan) -> Self {
        let features = plan.types.iter().map(|ty| FeatureColumn::new(*ty)).collect();
        Changes { codec: plan.codec.clone(), times: Vec::new(), keys: Vec::new(), features }
    }

    /// Adds an entity's vector just after all records of `time`. What depends on the asking time is as of `time`.
    pub fn push(&mut self, time: EventTime, key: Key, row: &[Feature]) {
        self.times.push(time);
        self.keys.push(key);
        self.features.iter_mut().zip(row).for_each(|(column, feature)| column.append(feature, time));
    }

    /// The changes as a batch; `None` if there are none.
    pub fn finish(mut self) -> Option<Batch> {
        if self.keys.is_empty() {
            return None;
        }
        let mut columns: Vec<ArrayRef> = self.codec.decode(self.keys.iter().map(Key::as_bytes));
        columns.extend(self.features.iter_mut().map(FeatureColumn::finish));
        let sort_key = self.keys.iter().map(|key| Some(key.as_bytes())).collect();
        let times = arrow_buffer::ScalarBuffer::from(self.times);
        Some(Batch { event_times: times.clone(), times, sort_key, columns, ack: AckToken::default() })
    }
}
