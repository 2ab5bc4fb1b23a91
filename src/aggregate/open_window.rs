//! Open answers of windows that are more than one accumulator and the record that looks up.

use std::any::Any;
use std::sync::Arc;

use super::feature::{Feature, OpenFeature};
use super::input::LineInput;
use crate::time::EventTime;
use crate::value::Scalar;

/// An answer to which the record that looks up is added from some asking time on.
#[derive(Clone, Debug)]
pub struct OwnAnswer {
    pub from: EventTime,
    pub answer: Arc<dyn OpenFeature>,
}

/// The answer of a window from which records may leave for the one that looks up.
#[derive(Clone, Debug)]
pub struct DisplacingAnswer {
    pub answer: Arc<dyn OpenFeature>,
    /// The same without the records that leave; `None` if none does.
    pub base: Option<OwnAnswer>,
}

/// The answers of a series, to the newest of which a record is added.
#[derive(Clone, Debug)]
pub struct OpenSeries {
    /// The values of the older steps, oldest first.
    pub older: Arc<[Scalar]>,
    pub newest: Arc<dyn OpenFeature>,
}

impl OpenFeature for DisplacingAnswer {
    fn counts(&self, input: &LineInput, row: usize) -> bool {
        self.answer.counts(input, row)
    }

    fn without(&self) -> Feature {
        self.answer.without()
    }

    fn with(&self, input: &LineInput, row: usize, asking: EventTime) -> Feature {
        match &self.base {
            Some(base) if asking >= base.from && self.counts(input, row) => base.answer.with(input, row, asking),
            _ => self.answer.with(input, row, asking),
        }
    }

    fn is_same(&self, other: &dyn OpenFeature) -> bool {
        let Some(other) = (other as &dyn Any).downcast_ref::<Self>() else { return false };
        let is_same_base = match (&self.base, &other.base) {
            (None, None) => true,
            (Some(one), Some(other)) => one.from == other.from && one.answer.is_same(&*other.answer),
            _ => false,
        };
        is_same_base && self.answer.is_same(&*other.answer)
    }

    fn encode(&self) -> Vec<u8> {
        let base = self.base.as_ref().map(|base| (base.from, base.answer.encode()));
        postcard::to_stdvec(&(self.answer.encode(), base)).expect("bytes have a binary form")
    }

    fn decode(&self, bytes: &[u8]) -> Result<Arc<dyn OpenFeature>, postcard::Error> {
        let (answer, base): (Vec<u8>, Option<(EventTime, Vec<u8>)>) = postcard::from_bytes(bytes)?;
        let base = match base {
            None => None,
            // Both are of one aggregate.
            Some((from, bytes)) => Some(OwnAnswer { from, answer: self.answer.decode(&bytes)? }),
        };
        Ok(Arc::new(DisplacingAnswer { answer: self.answer.decode(&answer)?, base }))
    }
}

impl OpenSeries {
    fn list(&self, newest: &Feature) -> Feature {
        let mut list = self.older.to_vec();
        append_step(&mut list, newest);
        Feature::List(list.into())
    }
}

impl OpenFeature for OpenSeries {
    fn counts(&self, input: &LineInput, row: usize) -> bool {
        self.newest.counts(input, row)
    }

    fn without(&self) -> Feature {
        self.list(&self.newest.without())
    }

    fn with(&self, input: &LineInput, row: usize, asking: EventTime) -> Feature {
        self.list(&self.newest.with(input, row, asking))
    }

    fn is_same(&self, other: &dyn OpenFeature) -> bool {
        let other = (other as &dyn Any).downcast_ref::<Self>();
        other.is_some_and(|other| self.older == other.older && self.newest.is_same(&*other.newest))
    }

    fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(&(&self.older, self.newest.encode())).expect("values and bytes have a binary form")
    }

    fn decode(&self, bytes: &[u8]) -> Result<Arc<dyn OpenFeature>, postcard::Error> {
        let (older, newest): (Arc<[Scalar]>, Vec<u8>) = postcard::from_bytes(bytes)?;
        if older.len() != self.older.len() {
            return Err(postcard::Error::DeserializeBadEncoding);
        }
        Ok(Arc::new(OpenSeries { older, newest: self.newest.decode(&newest)? }))
    }
}

/// Appends the answer of a step, which is one value or a list of them, without the record that looks up.
pub fn append_step(list: &mut Vec<Scalar>, answer: &Feature) {
    match answer {
        Feature::Value(answer) => list.push(answer.clone()),
        Feature::List(answers) => list.extend_from_slice(answers),
        Feature::Open(open) => append_step(list, &open.without()),
        other => panic!("no series is of an op with the answer {other:?}"),
    }
}
