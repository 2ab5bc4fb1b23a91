//! The classes that a learner knows, and what it has learnt of each.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use crate::model::Classes;

/// Names and states of classes, in the order in which they joined.
#[derive(Clone)]
pub(super) struct ClassStates<T> {
    most: usize,
    names: Vec<Arc<str>>,
    states: Vec<T>,
    /// Positions by the trainer's numbers, as far as they were looked up.
    positions: HashMap<u32, usize>,
}

impl<T> ClassStates<T> {
    /// No classes yet, and `most` at most.
    pub fn new(most: usize) -> Self {
        ClassStates { most, names: Vec::new(), states: Vec::new(), positions: HashMap::new() }
    }

    /// Returns the position of a class, which joins in the state `new` if it is not known. None if there are too many.
    pub fn position(&mut self, number: u32, classes: &Classes, new: impl FnOnce() -> T) -> Option<usize> {
        if let Some(position) = self.positions.get(&number) {
            return Some(*position);
        }
        let name = classes.name(number);
        let position = match self.find(name) {
            Some(position) => position,
            None if self.names.len() >= self.most => return None,
            None => {
                self.push(Arc::clone(name), new());
                self.names.len() - 1
            }
        };
        self.positions.insert(number, position);
        Some(position)
    }

    /// Returns the position of a class by its name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| **known == *name)
    }

    /// Adds a class that is not known.
    pub fn push(&mut self, name: Arc<str>, state: T) {
        self.names.push(name);
        self.states.push(state);
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    pub fn states(&self) -> &[T] {
        &self.states
    }

    pub fn states_mut(&mut self) -> &mut [T] {
        &mut self.states
    }

    /// Returns the classes in the order that they have in a version.
    pub fn ascending(&self) -> Vec<NamedClass<'_, T>> {
        let both = self.names.iter().zip(&self.states);
        let mut classes: Vec<_> = both.map(|(name, state)| NamedClass { name, state }).collect();
        classes.sort_by(|one, other| class_order(one.name, other.name));
        classes
    }
}

/// A class and its state.
pub(super) struct NamedClass<'a, T> {
    pub name: &'a Arc<str>,
    pub state: &'a T,
}

/// The order of classes in a version: ints by value, before other text by its bytes.
pub(super) fn class_order(one: &str, other: &str) -> Ordering {
    let number = |text: &str| text.parse::<i64>().ok();
    let key = |text: &str| (number(text).is_none(), number(text));
    key(one).cmp(&key(other)).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_in_the_order_of_numbers_or_else_of_bytes() {
        let mut classes = ["b", "10", "-3", "B", "9", ""];
        classes.sort_by(|one, other| class_order(one, other));
        assert_eq!(classes, ["-3", "9", "10", "", "B", "b"]);
    }

    #[test]
    fn a_class_joins_once_and_only_while_there_is_room() {
        let mut seen = Classes::default();
        let numbers = ["a", "b", "c"].map(|name| seen.number(name));
        let mut states = ClassStates::new(2);
        let found = [1, 0, 1, 2].map(|at: usize| states.position(numbers[at], &seen, || at));
        assert_eq!(found, [Some(0), Some(1), Some(0), None]);
        let ascending: Vec<_> = states.ascending().iter().map(|class| (&**class.name, *class.state)).collect();
        assert_eq!(ascending, [("a", 0), ("b", 1)]);
    }
}
