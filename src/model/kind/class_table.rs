//! The classes that a learner knows, in the order in which they joined.

use std::collections::HashMap;
use std::sync::Arc;

use super::class_states::class_order;
use crate::model::tensor::{self, Tensor};
use crate::model::{Classes, ModelError, Tensors};

/// The names of the classes, as a tensor.
const CLASSES: &str = "classes";

/// Names of classes, and their positions by the trainer's numbers.
#[derive(Clone, Debug)]
pub(super) struct ClassTable {
    names: Vec<Arc<str>>,
    /// Positions by the trainer's numbers, as far as they were looked up.
    positions: HashMap<u32, Option<usize>>,
    most: usize,
}

impl ClassTable {
    /// A table of no class yet, and of at most `most`.
    pub fn new(most: usize) -> Self {
        ClassTable { names: Vec::new(), positions: HashMap::new(), most }
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// Returns the position of a class, which joins if it is new. None if there are too many.
    pub fn position(&mut self, number: u32, classes: &Classes) -> Option<usize> {
        if let Some(position) = self.positions.get(&number) {
            return *position;
        }
        let position = self.join(classes.name(number));
        self.positions.insert(number, position);
        position
    }

    /// Returns the position of a name, which joins if it is new. None if there are too many.
    pub fn join(&mut self, name: &Arc<str>) -> Option<usize> {
        let known = self.names.iter().position(|known| known == name);
        if known.is_none() && self.names.len() < self.most {
            self.names.push(Arc::clone(name));
            // A class that was turned away may be this one.
            self.positions.clear();
            return Some(self.names.len() - 1);
        }
        known
    }

    /// Returns the positions of the classes in their ascending order.
    pub fn ascending(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_by(|one, other| class_order(&self.names[*one], &self.names[*other]));
        order
    }

    /// Adds the names as a tensor.
    pub fn save(&self, tensors: &mut Tensors) {
        save_names(&self.names, tensors);
    }

    /// Replaces the names by those that [`ClassTable::save`] added.
    ///
    /// # Errors
    /// If there is no such tensor, or it holds too many names or one twice.
    pub fn load(&mut self, tensors: &Tensors) -> Result<(), ModelError> {
        let names = tensor::texts(tensors, CLASSES)?;
        let mut table = ClassTable::new(self.most);
        if names.iter().enumerate().any(|(at, name)| table.join(name) != Some(at)) {
            return Err(tensor::misfit(CLASSES, "it lists a class twice, or too many"));
        }
        *self = table;
        Ok(())
    }
}

/// Adds the names of a version's classes, which are ascending, as a tensor.
pub(super) fn save_names(names: &[Arc<str>], tensors: &mut Tensors) {
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    tensors.insert(CLASSES.to_owned(), Tensor::texts(&names));
}

/// Reads the names of a version's classes.
///
/// # Errors
/// If there is no such tensor, or its names are not ascending.
pub(super) fn load_names(tensors: &Tensors) -> Result<Vec<Arc<str>>, ModelError> {
    let names = tensor::texts(tensors, CLASSES)?;
    let ascending = names.is_sorted_by(|one, other| class_order(one, other).is_lt());
    if ascending && !names.is_empty() {
        Ok(names)
    } else {
        Err(tensor::misfit(CLASSES, "its classes are not ascending"))
    }
}
