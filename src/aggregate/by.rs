//! Aggregates by category: an accumulator of their own for the records of each category.
//!
//! A category has an entry as long as it has records, so the state is a function of the records in the window, and is
//! empty when there are none. Whatever the aggregate can do is done entry by entry: accumulators by category merge and
//! subtract as those of the aggregate do, in every window and with provisional records.
//!
//! The feature of an op is a map from the text of each category to the answer for its records, and null without records.

use std::sync::Arc;

use super::algebra::{Aggregate, Invertible, Observed};
use super::answers::Answers;
use super::assumed_records::{AssumedRecords, TEXT_BYTES};
use super::feature::Feature;
use super::heap::{grown, sum_of};
use super::input::Reads;
use super::state_codec::{StateReader, StateWriter};
use super::value_key::ValueKey;

/// An aggregate of the records of each category.
#[derive(Clone, Copy, Debug)]
pub struct By<A>(pub A);

/// The categories that have records, ascending, and the accumulator of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Categories<T>(Vec<(ValueKey, T)>);

impl<T> Default for Categories<T> {
    fn default() -> Self {
        Categories(Vec::new())
    }
}

impl<T: Default> Categories<T> {
    /// The accumulator of a category, which gets an empty one if it has none.
    fn entry(&mut self, category: ValueKey) -> &mut T {
        let at = self.0.binary_search_by(|(known, _)| known.cmp(&category)).unwrap_or_else(|at| {
            self.0.insert(at, (category, T::default()));
            at
        });
        &mut self.0[at].1
    }

    /// The accumulator of a category, if it has records.
    fn get(&self, category: &ValueKey) -> Option<&T> {
        self.0.binary_search_by(|(known, _)| known.cmp(category)).ok().map(|at| &self.0[at].1)
    }

    /// Writes maps into a vector at `positions`, from the text of each category to what `finish` writes there of its
    /// accumulator.
    pub fn finish(&self, positions: &[usize], finish: &dyn Fn(&T, &mut Answers<'_>), row: &mut Answers<'_>) {
        let width = positions.iter().max().map_or(0, |last| last + 1);
        let mut answers = vec![Feature::NULL; width];
        let mut maps: Vec<Vec<(Arc<str>, Feature)>> = vec![Vec::with_capacity(self.0.len()); positions.len()];
        for (category, acc) in &self.0 {
            let text: Arc<str> = category.to_string().into();
            let mut written = Answers::new(&mut answers);
            finish(acc, &mut written);
            row.add_overflows(written.overflows());
            for (map, position) in maps.iter_mut().zip(positions) {
                map.push((text.clone(), std::mem::replace(&mut answers[*position], Feature::NULL)));
            }
        }
        for (mut map, position) in maps.into_iter().zip(positions) {
            map.sort_by(|(one, _), (other, _)| one.cmp(other));
            row[*position] = Feature::map(map);
        }
    }
}

impl<A: Aggregate> Aggregate for By<A> {
    type Acc = Categories<A::Acc>;

    fn reads(&self) -> Reads {
        self.0.reads()
    }

    fn insert(&self, acc: &mut Self::Acc, record: Observed<'_>) {
        self.0.insert(acc.entry(record.category()), record);
    }

    fn merge(&self, acc: &mut Self::Acc, later: &Self::Acc) {
        for (category, more) in &later.0 {
            self.0.merge(acc.entry(category.clone()), more);
        }
    }

    fn is_empty(&self, acc: &Self::Acc) -> bool {
        acc.0.is_empty()
    }

    fn write(&self, acc: &Self::Acc, to: &mut StateWriter) {
        to.all(acc.0.iter(), |to, (category, acc)| {
            to.value(category);
            self.0.write(acc, to);
        });
    }

    fn read(&self, from: &mut StateReader<'_>) -> Result<Self::Acc, postcard::Error> {
        Ok(Categories(from.all(|from| Ok((from.value()?, self.0.read(from)?)))?))
    }

    fn supersedes(&self, later: &Self::Acc, earlier: &Self::Acc) -> bool {
        let is_superseded = |(category, acc): &(ValueKey, A::Acc)| {
            later.get(category).is_some_and(|later| self.0.supersedes(later, acc))
        };
        earlier.0.iter().all(is_superseded)
    }

    /// Returns those of one category.
    fn kept_panes(&self, panes: usize, records: usize) -> usize {
        self.0.kept_panes(panes, records)
    }

    fn heap_bytes(&self, acc: &Self::Acc) -> usize {
        let entry = |(category, acc): &(ValueKey, A::Acc)| category.value().heap_bytes() + self.0.heap_bytes(acc);
        acc.0.capacity() * size_of::<(ValueKey, A::Acc)>() + acc.0.iter().map(entry).sum::<usize>()
    }

    /// Returns those of one category, a text.
    fn estimated_heap(&self, records: &AssumedRecords) -> usize {
        let entry = [TEXT_BYTES, self.0.estimated_heap(records), grown::<(ValueKey, A::Acc)>(1)];
        if records.count() == 0 { 0 } else { sum_of(entry) }
    }

    fn admits(&self, saved: &Self::Acc) -> bool {
        let is_entry = |(category, acc): &(ValueKey, A::Acc)| {
            !category.value().is_null() && self.0.admits(acc) && !self.0.is_empty(acc)
        };
        let is_alike = |pair: &[(ValueKey, A::Acc)]| {
            pair[0].0.is_alike(&pair[1].0) && pair[0].0 < pair[1].0 && self.0.are_alike(&pair[0].1, &pair[1].1)
        };
        saved.0.iter().all(is_entry) && saved.0.windows(2).all(is_alike)
    }

    fn are_alike(&self, one: &Self::Acc, other: &Self::Acc) -> bool {
        match (one.0.first(), other.0.first()) {
            (Some(one), Some(other)) => one.0.is_alike(&other.0) && self.0.are_alike(&one.1, &other.1),
            _ => true,
        }
    }
}

impl<A: Invertible> Invertible for By<A> {
    fn remove(&self, acc: &mut Self::Acc, leaving: &Self::Acc) {
        for (category, gone) in &leaving.0 {
            let Ok(at) = acc.0.binary_search_by(|(known, _)| known.cmp(category)) else { continue };
            self.0.remove(&mut acc.0[at].1, gone);
            if self.0.is_empty(&acc.0[at].1) {
                acc.0.remove(at);
            }
        }
    }
}
