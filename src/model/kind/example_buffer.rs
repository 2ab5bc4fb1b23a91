//! Kept examples: raw observations with their targets, for kinds that learn at a window's end.
//!
//! They are kept in pieces that copies share, so copying a buffer costs no more than a list of its pieces.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::ModelError;
use crate::model::Tensors;
use crate::model::preparation::{Observation, SlotLayout};
use crate::model::tensor::{self, Tensor};

/// Examples of a full piece.
const PIECE: usize = 4096;

/// The sizes of an example: how many numbers and categories it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExampleShape {
    pub numbers: usize,
    pub categories: usize,
}

impl ExampleShape {
    /// Returns the shape of the examples of a layout.
    pub fn of(layout: &SlotLayout) -> Self {
        ExampleShape { numbers: layout.number_count(), categories: layout.category_count() }
    }

    /// Returns how many inputs there are.
    pub fn inputs(self) -> usize {
        self.numbers + self.categories
    }
}

/// Examples in the order in which they were added.
#[derive(Clone, Debug)]
pub(super) struct ExampleBuffer {
    shape: ExampleShape,
    pieces: VecDeque<Arc<BufferPiece>>,
    len: usize,
}

/// Some consecutive examples, row-major.
#[derive(Clone, Debug, Default)]
pub(super) struct BufferPiece {
    numbers: Vec<f64>,
    categories: Vec<u64>,
    targets: Vec<f64>,
}

impl BufferPiece {
    pub fn targets(&self) -> &[f64] {
        &self.targets
    }

    /// Returns a column of numbers; NaN is null.
    pub fn numbers(&self, shape: ExampleShape, column: usize) -> impl Iterator<Item = f64> {
        self.numbers.iter().skip(column).step_by(shape.numbers.max(1)).copied()
    }

    /// Returns a column of hashed categories.
    pub fn categories(&self, shape: ExampleShape, column: usize) -> impl Iterator<Item = u64> {
        self.categories.iter().skip(column).step_by(shape.categories.max(1)).copied()
    }

    /// Returns one example.
    pub fn example(&self, shape: ExampleShape, row: usize) -> Observation<'_> {
        Observation {
            numbers: &self.numbers[row * shape.numbers..(row + 1) * shape.numbers],
            categories: &self.categories[row * shape.categories..(row + 1) * shape.categories],
        }
    }
}

impl ExampleBuffer {
    pub fn new(shape: ExampleShape) -> Self {
        ExampleBuffer { shape, pieces: VecDeque::new(), len: 0 }
    }

    pub fn shape(&self) -> ExampleShape {
        self.shape
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn pieces(&self) -> impl Iterator<Item = &BufferPiece> {
        self.pieces.iter().map(|piece| &**piece)
    }

    /// Returns a piece by its position.
    pub fn piece(&self, at: usize) -> Option<&BufferPiece> {
        self.pieces.get(at).map(|piece| &**piece)
    }

    /// Returns all targets, in order.
    pub fn targets(&self) -> impl Iterator<Item = f64> {
        self.pieces().flat_map(|piece| piece.targets.iter().copied())
    }

    /// Adds an example.
    pub fn push(&mut self, example: Observation<'_>, target: f64) {
        if self.pieces.back().is_none_or(|piece| piece.targets.len() >= PIECE) {
            self.pieces.push_back(Arc::default());
        }
        let piece = Arc::make_mut(self.pieces.back_mut().expect("a piece with room was just added"));
        piece.numbers.extend_from_slice(example.numbers);
        piece.categories.extend_from_slice(example.categories);
        piece.targets.push(target);
        self.len += 1;
    }

    /// Adds all examples of `other`, whose targets are changed by `target`; those without one are left out.
    pub fn append(&mut self, other: &ExampleBuffer, target: impl Fn(f64) -> Option<f64>) {
        for piece in &other.pieces {
            if piece.targets.iter().all(|own| target(*own) == Some(*own)) {
                self.len += piece.targets.len();
                self.pieces.push_back(Arc::clone(piece));
                continue;
            }
            for (row, own) in piece.targets.iter().enumerate() {
                if let Some(target) = target(*own) {
                    self.push(piece.example(self.shape, row), target);
                }
            }
        }
    }

    /// Forgets the oldest pieces as long as `most` examples are left without them.
    pub fn forget_beyond(&mut self, most: usize) {
        while let Some(oldest) = self.pieces.front().filter(|oldest| self.len - oldest.targets.len() >= most) {
            self.len -= oldest.targets.len();
            self.pieces.pop_front();
        }
    }

    /// Takes the oldest `count` pieces off. None if there are fewer.
    pub fn split_front(&mut self, count: usize) -> Option<ExampleBuffer> {
        let mut front = ExampleBuffer::new(self.shape);
        for _ in 0..count {
            let piece = self.pieces.pop_front()?;
            self.len -= piece.targets.len();
            front.len += piece.targets.len();
            front.pieces.push_back(piece);
        }
        Some(front)
    }

    pub fn piece_count(&self) -> usize {
        self.pieces.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds the tensors `{prefix}.numbers`, in which a null is infinite, `.categories` of pairs of the high and the low
    /// half of a hash, `.targets` and `.ends` of the pieces.
    pub fn save(&self, prefix: &str, tensors: &mut Tensors) {
        let numbers = self.pieces().flat_map(|piece| &piece.numbers);
        let numbers = numbers.map(|x| if x.is_nan() { f64::INFINITY } else { *x }).collect();
        let hashes = self.pieces().flat_map(|piece| &piece.categories);
        let halves = hashes.flat_map(|hash| [(hash >> 32) as u32, *hash as u32]).collect();
        let ends = self.pieces().scan(0, |end, piece| {
            *end += piece.targets.len() as u32;
            Some(*end)
        });
        tensors.insert(format!("{prefix}.numbers"), Tensor::vector(numbers));
        tensors.insert(format!("{prefix}.categories"), Tensor::indices(halves));
        tensors.insert(format!("{prefix}.targets"), Tensor::vector(self.targets().collect()));
        tensors.insert(format!("{prefix}.ends"), Tensor::indices(ends.collect()));
    }

    /// Reads the tensors that [`ExampleBuffer::save`] added.
    ///
    /// # Errors
    /// If a tensor is missing, does not fit the others, or holds a number that is neither finite nor a null.
    pub fn load(shape: ExampleShape, prefix: &str, tensors: &Tensors) -> Result<Self, ModelError> {
        let targets = tensor::floats(tensors, &format!("{prefix}.targets"), None)?;
        let rows = targets.len();
        let numbers = tensor::floats(tensors, &format!("{prefix}.numbers"), Some(rows * shape.numbers))?;
        let name = format!("{prefix}.categories");
        let halves = tensor::integers(tensors, &name, Some(rows * shape.categories * 2))?;
        let is_number = |x: &f64| x.is_finite() || *x == f64::INFINITY;
        if !numbers.iter().all(is_number) || !targets.iter().all(|target| target.is_finite()) {
            return Err(tensor::misfit(prefix, "a number is not finite"));
        }
        let mut buffer = ExampleBuffer::new(shape);
        let name = format!("{prefix}.ends");
        let mut start = 0;
        for end in tensor::integers(tensors, &name, None)? {
            let end = *end as usize;
            if end <= start || end > rows || end - start > PIECE {
                return Err(tensor::misfit(&name, "its ends are not ascending, or a piece is too long"));
            }
            let numbers = &numbers[start * shape.numbers..end * shape.numbers];
            let halves = &halves[start * shape.categories * 2..end * shape.categories * 2];
            buffer.pieces.push_back(Arc::new(BufferPiece {
                numbers: numbers.iter().map(|x| if x.is_infinite() { f64::NAN } else { *x }).collect(),
                categories: halves.chunks_exact(2).map(|half| u64::from(half[0]) << 32 | u64::from(half[1])).collect(),
                targets: targets[start..end].to_vec(),
            }));
            start = end;
        }
        buffer.len = start;
        if start == rows { Ok(buffer) } else { Err(tensor::misfit(&name, "its pieces do not hold every example")) }
    }
}
