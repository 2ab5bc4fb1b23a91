//! Prepared examples: sparse rows of one width.
//!
//! Every row has the same number of entries, since each input gives a fixed number of them (a null gives its
//! indicator in place of its value); so there is no row pointer to keep and a row is two plain slices.

/// Rows of `width` entries, each a slot and the number by which its weight is multiplied.
#[derive(Clone, Debug, Default)]
pub struct SparseRows {
    width: usize,
    index: Vec<u32>,
    value: Vec<f64>,
}

/// A row: `index` and `value` have the same length, and slots may repeat (two categories can share one).
#[derive(Clone, Copy, Debug)]
pub struct SparseRow<'a> {
    pub index: &'a [u32],
    pub value: &'a [f64],
}

impl SparseRows {
    pub fn len(&self) -> usize {
        self.index.len().checked_div(self.width).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Returns the number of entries of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    pub fn row(&self, row: usize) -> SparseRow<'_> {
        let cells = row * self.width..(row + 1) * self.width;
        SparseRow { index: &self.index[cells.clone()], value: &self.value[cells] }
    }

    pub fn iter(&self) -> impl Iterator<Item = SparseRow<'_>> {
        let width = self.width.max(1);
        self.index
            .chunks_exact(width)
            .zip(self.value.chunks_exact(width))
            .map(|(index, value)| SparseRow { index, value })
    }

    /// Makes room for `rows` rows of `width`, and returns their cells, all of which the caller must write.
    pub(super) fn reset(&mut self, width: usize, rows: usize) -> impl Iterator<Item = (&mut [u32], &mut [f64])> {
        self.width = width;
        self.index.resize(width * rows, 0);
        self.value.resize(width * rows, 0.0);
        self.index.chunks_exact_mut(width.max(1)).zip(self.value.chunks_exact_mut(width.max(1)))
    }

    /// Appends a row of the same width as those before it.
    pub fn push(&mut self, row: SparseRow<'_>) {
        debug_assert!(self.is_empty() || self.width == row.index.len());
        self.width = row.index.len();
        self.index.extend_from_slice(row.index);
        self.value.extend_from_slice(row.value);
    }

    pub fn clear(&mut self) {
        self.index.clear();
        self.value.clear();
    }
}
