//! Answers that still lack the asking record.
//!
//! A line that is `current` answers with the accumulator of its window instead of a value: an example, or an instance at
//! serving, adds its own record and finishes it. A reader without a record, such as an offline file of features, reads
//! the value without one.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::algebra::{Aggregate, Observed, PROVISIONAL};
use super::answers::Answers;
use super::feature::{Feature, OpenFeature};
use super::input::LineInput;
use super::state_codec::{StateReader, StateWriter};
use crate::time::EventTime;

/// Writes the features of an accumulator into a vector.
pub type Finisher<T> = Box<dyn Fn(&T, &mut Answers<'_>) + Send + Sync>;

/// The answer of an op, with the accumulator that it is finished from.
pub struct OpenAnswer<A: Aggregate> {
    aggregate: A,
    acc: Arc<A::Acc>,
    /// The position of the answer in the vector that `finish` writes, and the length that this must have.
    position: usize,
    width: usize,
    finish: Arc<Finisher<A::Acc>>,
}

impl<A: Aggregate> OpenAnswer<A> {
    /// Writes open features of an accumulator at `positions`, which are finished by `finish`.
    pub fn write(aggregate: A, positions: Vec<usize>, finish: Finisher<A::Acc>) -> Finisher<A::Acc> {
        let finish = Arc::new(finish);
        let width = positions.iter().max().map_or(0, |last| last + 1);
        Box::new(move |acc, row| {
            let acc = Arc::new(acc.clone());
            for position in &positions {
                let answer =
                    OpenAnswer { aggregate, acc: acc.clone(), position: *position, width, finish: finish.clone() };
                row[*position] = Feature::Open(Arc::new(answer));
            }
        })
    }

    fn finished(&self, acc: &A::Acc) -> Feature {
        let mut row = vec![Feature::NULL; self.width];
        (self.finish)(acc, &mut Answers::new(&mut row));
        row.swap_remove(self.position)
    }
}

impl<A: Aggregate> OpenFeature for OpenAnswer<A> {
    fn counts(&self, input: &LineInput, row: usize) -> bool {
        self.aggregate.reads().counts(input, row)
    }

    fn without(&self) -> Feature {
        self.finished(&self.acc)
    }

    fn with(&self, input: &LineInput, row: usize, asking: EventTime) -> Feature {
        let Some(record) = Observed::of(self.aggregate.reads(), input, row, asking, PROVISIONAL) else {
            return self.without();
        };
        let mut own = A::Acc::default();
        self.aggregate.insert(&mut own, record);
        let mut acc = A::Acc::clone(&self.acc);
        self.aggregate.merge(&mut acc, &own);
        self.finished(&acc)
    }

    fn is_same(&self, other: &dyn OpenFeature) -> bool {
        let other = (other as &dyn Any).downcast_ref::<OpenAnswer<A>>();
        other.is_some_and(|other| self.acc == other.acc && self.position == other.position)
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = StateWriter::default();
        self.aggregate.write(&self.acc, &mut writer);
        writer.into_bytes()
    }

    fn decode(&self, bytes: &[u8]) -> Result<Arc<dyn OpenFeature>, postcard::Error> {
        let acc = self.aggregate.read(&mut StateReader::new(bytes))?;
        if !self.aggregate.admits(&acc) {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        Ok(Arc::new(OpenAnswer { acc: Arc::new(acc), finish: self.finish.clone(), ..*self }))
    }
}

impl<A: Aggregate> fmt::Debug for OpenAnswer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAnswer").field("acc", &self.acc).field("position", &self.position).finish_non_exhaustive()
    }
}
