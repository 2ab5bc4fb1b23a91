//! Prepared examples: sparse rows of one width.
//!
//! Every row has the same number of entries, since each input gives a fixed number of them (a null gives its
//! indicator in place of its value); so there is no row pointer to keep and a row is two plain slices.

/// Rows of `width` entries: the slot of a weight, and what it is multiplied by.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    width: usize,
    index: Vec<u32>,
    value: Vec<f64>,
}

/// One row: `index` and `value` have the same length, and slots may repeat (two categories can share one).
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub index: &'a [u32],
    pub value: &'a [f64],
}

impl Rows {
    pub fn len(&self) -> usize {
        self.index.len().checked_div(self.width).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Entries a row.
    pub fn width(&self) -> usize {
        self.width
    }

    pub fn row(&self, row: usize) -> Row<'_> {
        let cells = row * self.width..(row + 1) * self.width;
        Row { index: &self.index[cells.clone()], value: &self.value[cells] }
    }

    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let width = self.width.max(1);
        self.index.chunks_exact(width).zip(self.value.chunks_exact(width)).map(|(index, value)| Row { index, value })
    }

    /// Makes room for `rows` rows of `width`, whose cells are then all to be written.
    pub(super) fn reset(&mut self, width: usize, rows: usize) -> impl Iterator<Item = (&mut [u32], &mut [f64])> {
        self.width = width;
        self.index.resize(width * rows, 0);
        self.value.resize(width * rows, 0.0);
        self.index.chunks_exact_mut(width.max(1)).zip(self.value.chunks_exact_mut(width.max(1)))
    }

    /// Adds one row of the same width as those before it.
    pub fn push(&mut self, row: Row<'_>) {
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
