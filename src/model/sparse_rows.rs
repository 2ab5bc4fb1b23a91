//! Prepared examples: sparse rows.
//!
//! A row is two plain slices. Usually all rows have the same number of entries, since each input is a fixed number of
//! them (a null has its indicator in place of its value), and no row pointers are kept. Only maps whose categories have
//! entries make rows of several widths.

use std::ops::Range;

/// Rows of entries, each a slot and the number by which its weight is multiplied.
#[derive(Clone, Debug, Default)]
pub struct SparseRows {
    width: usize,
    index: Vec<u32>,
    value: Vec<f64>,
    /// The end of each row; empty if all are of `width` entries.
    ends: Vec<usize>,
}

/// A row: `index` and `value` have the same length, and slots may repeat (two categories can share one).
#[derive(Clone, Copy, Debug)]
pub struct SparseRow<'a> {
    pub index: &'a [u32],
    pub value: &'a [f64],
}

impl SparseRows {
    pub fn len(&self) -> usize {
        if self.ends.is_empty() { self.index.len().checked_div(self.width).unwrap_or(0) } else { self.ends.len() }
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    pub fn row(&self, row: usize) -> SparseRow<'_> {
        let cells = match self.ends.get(row) {
            None => row * self.width..(row + 1) * self.width,
            Some(end) => self.start(row)..*end,
        };
        SparseRow { index: &self.index[cells.clone()], value: &self.value[cells] }
    }

    pub fn iter(&self) -> impl Iterator<Item = SparseRow<'_>> {
        let width = self.width.max(1);
        let of_one_width = if self.ends.is_empty() { self.index.len() } else { 0 };
        let rows = self.index[..of_one_width].chunks_exact(width).zip(self.value[..of_one_width].chunks_exact(width));
        let rows = rows.map(|(index, value)| SparseRow { index, value });
        rows.chain((0..self.ends.len()).map(|row| self.row(row)))
    }

    /// Returns the rows in runs of [`SparseRows::RUN`], each as the slots of all of its rows and the numbers of its rows. What
    /// the slots of a run stand for can be fetched before any of its rows is used: a wait for memory is then for all.
    pub fn runs(&self) -> impl Iterator<Item = (&[u32], Range<usize>)> {
        (0..self.len()).step_by(Self::RUN).map(|from| {
            let rows = from..self.len().min(from + Self::RUN);
            (&self.index[self.start(rows.start)..self.start(rows.end)], rows)
        })
    }

    /// Rows of a run.
    pub const RUN: usize = 16;

    /// Returns the position of the first entry of a row, or of the end.
    fn start(&self, row: usize) -> usize {
        if self.ends.is_empty() { row * self.width } else { row.checked_sub(1).map_or(0, |before| self.ends[before]) }
    }

    /// Makes room for `rows` rows of `width`, and returns their cells, all of which the caller must write.
    pub(super) fn reset(&mut self, width: usize, rows: usize) -> impl Iterator<Item = (&mut [u32], &mut [f64])> {
        self.width = width;
        self.ends.clear();
        self.index.resize(width * rows, 0);
        self.value.resize(width * rows, 0.0);
        self.index.chunks_exact_mut(width.max(1)).zip(self.value.chunks_exact_mut(width.max(1)))
    }

    /// The same as [`SparseRows::reset`], for rows of these widths.
    pub(super) fn reset_to(
        &mut self,
        widths: impl Iterator<Item = usize>,
    ) -> impl Iterator<Item = (&mut [u32], &mut [f64])> {
        self.ends.clear();
        self.ends.extend(widths.scan(0, |end, width| {
            *end += width;
            Some(*end)
        }));
        let cells = self.ends.last().copied().unwrap_or(0);
        self.index.resize(cells, 0);
        self.value.resize(cells, 0.0);
        let (mut index, mut value) = (self.index.as_mut_slice(), self.value.as_mut_slice());
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let width = *end - std::mem::replace(&mut start, *end);
            let row;
            (row, index) = std::mem::take(&mut index).split_at_mut(width);
            let numbers;
            (numbers, value) = std::mem::take(&mut value).split_at_mut(width);
            (row, numbers)
        })
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
        self.ends.clear();
    }
}
