//! The closed changes of a feature group, as batches, with its derived features.

use arrow_array::ArrayRef;

use crate::aggregate::{Feature, FeatureColumn};
use crate::example::DerivedFeature;
use crate::expr::EvalStats;
use crate::flow::plan::GroupPlan;
use crate::time::EventTime;
use crate::value::{AckToken, Batch, Key, KeyCodec, MOST_BATCH_BYTES};

/// Builds batches of closed changes: entity columns, then features. Each change has the whole vector, so large texts are
/// repeated: a batch is complete once it has [`MOST_BATCH_BYTES`] of them.
pub struct Changes {
    codec: KeyCodec,
    times: Vec<EventTime>,
    keys: Vec<Key>,
    /// Bytes of the keys.
    key_bytes: usize,
    features: Vec<FeatureColumn>,
    derived: Vec<DerivedFeature>,
    /// Counts the derived features that could not be computed.
    failed: EvalStats,
    complete: Vec<Batch>,
}

impl Changes {
    pub fn new(plan: &GroupPlan) -> Self {
        let features = plan.types[..plan.layout.width].iter().map(|ty| FeatureColumn::new(*ty)).collect();
        Changes {
            codec: plan.codec.clone(),
            times: Vec::new(),
            keys: Vec::new(),
            key_bytes: 0,
            features,
            derived: plan.derived.clone(),
            failed: EvalStats::default(),
            complete: Vec::new(),
        }
    }

    /// Adds an entity's vector just after all records of `time`. What depends on the asking time is as of `time`.
    pub fn push(&mut self, time: EventTime, key: Key, row: &[Feature]) {
        self.times.push(time);
        self.key_bytes += key.as_bytes().len();
        self.keys.push(key);
        self.features.iter_mut().zip(row).for_each(|(column, feature)| column.append(feature, time));
        if self.key_bytes + self.features.iter().map(FeatureColumn::text_bytes).sum::<usize>() >= MOST_BATCH_BYTES {
            self.complete_batch();
        }
    }

    /// The changes as batches: one unless their texts are large, none if there are no changes. The counts of derived features
    /// that could not be computed are added to `failed`.
    pub fn finish(mut self, failed: &mut EvalStats) -> Vec<Batch> {
        if !self.keys.is_empty() {
            self.complete_batch();
        }
        failed.merge(self.failed);
        self.complete
    }

    fn complete_batch(&mut self) {
        let keys = std::mem::take(&mut self.keys);
        let mut columns: Vec<ArrayRef> = self.codec.decode(keys.iter().map(Key::as_bytes));
        let entity = columns.len();
        columns.extend(self.features.iter_mut().map(FeatureColumn::finish));
        for derived in &self.derived {
            let feature = |position: usize| columns[entity + position].clone();
            let derived = derived.eval(feature, keys.len(), &mut self.failed);
            columns.push(derived);
        }
        let sort_key = keys.iter().map(|key| Some(key.as_bytes())).collect();
        let times = arrow_buffer::ScalarBuffer::from(std::mem::take(&mut self.times));
        self.key_bytes = 0;
        self.complete.push(Batch { event_times: times.clone(), times, sort_key, columns, ack: AckToken::default() });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::flow::Plan;
    use crate::value::Scalar;

    #[test]
    fn large_texts_that_are_repeated_in_each_change_are_cut_into_batches() {
        let spec = "name = \"demo\"\n[source.clicks]\ntopic = \"clicks\"\nformat = \"json\"\ntime = \"at\"\n\
                    columns = { user = \"string\", page = \"string\", at = \"timestamp\" }\n\
                    [features.user]\nfrom = \"clicks\"\nentity = \"user\"\n\
                    aggregate = [{ of = \"page\", op = \"last\", windows = [\"1h\"] }]\n";
        let plan = Plan::new(Arc::new(crate::spec::parse(spec, "demo.toml").unwrap()));
        let group = &plan.groups[0];
        let key = group.codec.encode_one(&[Scalar::String("u".into())]);
        let page = Feature::Value(Scalar::String("x".repeat(5_000_000).into()));
        let mut changes = Changes::new(group);
        (0..100).for_each(|time| changes.push(time, key.clone(), std::slice::from_ref(&page)));
        let batches = changes.finish(&mut EvalStats::default());
        let times: Vec<EventTime> = batches.iter().flat_map(|batch| batch.times.iter().copied()).collect();
        assert_eq!(times, (0..100).collect::<Vec<_>>());
        assert!(batches.iter().all(|batch| batch.bytes() < MOST_BATCH_BYTES + 6_000_000) && batches.len() == 2);
        assert!(Changes::new(group).finish(&mut EvalStats::default()).is_empty());
    }
}
