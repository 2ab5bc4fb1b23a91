//! Predictions: one or more numbers for each example.

/// Predictions of the same width, row by row.
///
/// ```
/// use tidemill::model::Predictions;
///
/// let mut predictions = Predictions::new(2);
/// predictions.values_mut().extend([0.25, 0.75, 0.5, 0.5]);
/// assert_eq!((predictions.len(), predictions.row(0)), (2, &[0.25, 0.75][..]));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    width: usize,
    values: Vec<f64>,
}

impl Default for Predictions {
    fn default() -> Self {
        Predictions::new(1)
    }
}

impl Predictions {
    /// No predictions yet, each to have `width` numbers.
    pub fn new(width: usize) -> Self {
        Predictions { width, values: Vec::new() }
    }

    /// Removes all predictions and sets the width of those to come; keeps the memory.
    pub fn reset(&mut self, width: usize) {
        self.width = width;
        self.values.clear();
    }

    /// Numbers a prediction.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the number of predictions.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns the numbers of one prediction.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.width.max(1))
    }

    /// All numbers, row-major.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// All numbers, row-major, to append rows to: `width` numbers each.
    pub fn values_mut(&mut self) -> &mut Vec<f64> {
        &mut self.values
    }
}
