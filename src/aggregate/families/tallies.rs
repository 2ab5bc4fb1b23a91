//! Tallies: aggregates of how many records there are by a key of their values.
//!
//! A tally is a commutative group, so a window subtracts what leaves it. The memory of an entity grows with its distinct
//! keys, in a window and once more in each pane.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Debug;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::aggregate::algebra::{Aggregate, Invertible, Observed};
use crate::aggregate::answers::Answers;
use crate::aggregate::assumed_records::AssumedRecords;
use crate::aggregate::estimate::StateEstimate;
use crate::aggregate::family::{Family, OpsInWindow, PlacedOp};
use crate::aggregate::feature::Feature;
use crate::aggregate::heap::{sum_of, tree};
use crate::aggregate::input::Reads;
use crate::aggregate::op::{Op, OpParameters};
use crate::aggregate::state_codec::{StateReader, StateWriter};
use crate::aggregate::value_key::ValueKey;
use crate::aggregate::window::WindowState;

/// The key by which records are counted.
pub trait Tallied: Clone + Debug + Ord + Send + Sync + Serialize + DeserializeOwned + 'static {
    fn of(record: Observed<'_>) -> Self;

    /// Returns the bytes that the key holds outside itself.
    fn heap_bytes(&self) -> usize;
}

impl Tallied for ValueKey {
    fn of(record: Observed<'_>) -> ValueKey {
        ValueKey::of(record.value())
    }

    fn heap_bytes(&self) -> usize {
        self.value().heap_bytes()
    }
}

/// The aggregate that counts records by key.
#[derive(Debug)]
pub struct TallyBy<K>(PhantomData<K>);

impl<K> Clone for TallyBy<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for TallyBy<K> {}

impl<K> Default for TallyBy<K> {
    fn default() -> Self {
        TallyBy(PhantomData)
    }
}

/// The number of records of each key that has any, by key, ascending.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "K: Ord + DeserializeOwned"))]
pub struct Tally<K>(BTreeMap<K, i64>);

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Tally(BTreeMap::new())
    }
}

impl<K: Ord + Clone> Tally<K> {
    /// The keys and their counts, ascending by key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, i64)> {
        self.0.iter().map(|(key, count)| (key, *count))
    }

    /// The number of distinct keys.
    pub fn distinct(&self) -> usize {
        self.0.len()
    }

    /// The number of records.
    pub fn total(&self) -> i64 {
        self.0.values().sum()
    }

    fn add(&mut self, key: &K, count: i64) {
        match self.0.get_mut(key) {
            Some(known) => *known += count,
            None => _ = self.0.insert(key.clone(), count),
        }
    }

    fn take(&mut self, key: &K, count: i64) {
        if let Entry::Occupied(mut known) = self.0.entry(key.clone()) {
            *known.get_mut() -= count;
            if *known.get() == 0 {
                known.remove();
            }
        }
    }
}

impl<K: Tallied> Aggregate for TallyBy<K> {
    type Acc = Tally<K>;

    fn reads(&self) -> Reads {
        Reads::VALUES
    }

    fn insert(&self, acc: &mut Tally<K>, record: Observed<'_>) {
        *acc.0.entry(K::of(record)).or_default() += 1;
    }

    fn merge(&self, acc: &mut Tally<K>, later: &Tally<K>) {
        later.iter().for_each(|(key, count)| acc.add(key, count));
    }

    fn admits(&self, saved: &Tally<K>) -> bool {
        saved.iter().all(|(_, count)| (1..=1 << 48).contains(&count))
    }

    fn heap_bytes(&self, acc: &Tally<K>) -> usize {
        tree::<K, i64>(acc.0.len()) + acc.0.keys().map(K::heap_bytes).sum::<usize>()
    }

    fn estimated_heap(&self, records: &AssumedRecords) -> usize {
        sum_of([tree::<K, i64>(records.count()), records.count().saturating_mul(records.value_heap)])
    }

    fn is_empty(&self, acc: &Tally<K>) -> bool {
        acc.0.is_empty()
    }

    fn write(&self, acc: &Self::Acc, to: &mut StateWriter) {
        to.value(acc);
    }

    fn read(&self, from: &mut StateReader<'_>) -> Result<Self::Acc, postcard::Error> {
        from.value()
    }
}

impl<K: Tallied> Invertible for TallyBy<K> {
    fn remove(&self, acc: &mut Tally<K>, leaving: &Tally<K>) {
        leaving.iter().for_each(|(key, count)| acc.take(key, count));
    }
}

/// The family of ops that are functions of the counts of distinct values.
#[derive(Debug)]
pub struct ValueTallyOp {
    /// The feature of a tally that is not empty.
    pub finish: fn(&Tally<ValueKey>, &OpParameters) -> Feature,
}

impl Family for ValueTallyOp {
    fn build(&self, ops: &OpsInWindow<'_>) -> Vec<Box<dyn WindowState>> {
        let answer = |placed: &PlacedOp<'_>| {
            let finish = placed.op.kind.family_as::<ValueTallyOp>().finish;
            (placed.position, finish, placed.op.parameters.clone(), placed.op.empty())
        };
        let answers: Vec<_> = ops.ops.iter().map(answer).collect();
        let finish = move |tally: &Tally<ValueKey>, row: &mut Answers<'_>| {
            for (position, finish, parameters, empty) in &answers {
                row[*position] = if tally.0.is_empty() { empty.clone() } else { finish(tally, parameters) };
            }
        };
        vec![ops.erased_invertible(TallyBy::<ValueKey>::default(), finish)]
    }

    fn bytes(&self, _ops: &[&Op], estimate: &StateEstimate) -> usize {
        estimate.erased_invertible(TallyBy::<ValueKey>::default())
    }

    fn reads(&self) -> Reads {
        TallyBy::<ValueKey>::default().reads()
    }

    fn is_ordered(&self) -> bool {
        false
    }
}
