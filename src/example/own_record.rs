//! An example's own record, as `current` lines read it.

use arrow_array::ArrayRef;

use crate::aggregate::{InputColumns, LineInput, Needs};
use crate::expr::Expr;
use crate::value::Type;

/// The columns of examples that a line of a feature group reads to count the example that looks it up.
#[derive(Clone, Debug)]
pub struct OwnRecord {
    /// Positions of the line's features in the group's vectors.
    pub features: Vec<usize>,
    pub columns: OwnColumns<Option<Expr>>,
    /// Digits after the point that sums of `of` and of `with` keep.
    pub digits: u32,
    pub with_digits: u32,
    pub needs: Needs,
}

/// The columns that a line reads, in some form.
#[derive(Clone, Debug, Default)]
pub struct OwnColumns<T> {
    pub of: T,
    pub with: T,
    pub by: T,
    pub filter: T,
}

impl<T> OwnColumns<T> {
    /// The same columns in another form.
    pub fn map<U>(&self, mut to: impl FnMut(&T) -> U) -> OwnColumns<U> {
        OwnColumns { of: to(&self.of), with: to(&self.with), by: to(&self.by), filter: to(&self.filter) }
    }

    /// All columns.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        [&self.of, &self.with, &self.by, &self.filter].into_iter()
    }
}

impl OwnRecord {
    /// The input that the line has in a batch of examples, given its columns. Values that cannot be summed are counted
    /// in `unsummable`.
    pub fn input(&self, columns: &OwnColumns<Option<ArrayRef>>, unsummable: &mut u64) -> LineInput {
        let columns = InputColumns {
            of: columns.of.as_ref(),
            digits: self.digits,
            with: columns.with.as_ref(),
            with_digits: self.with_digits,
            by: columns.by.as_ref(),
            filter: columns.filter.as_ref(),
            needs: self.needs,
        };
        LineInput::new(&columns, unsummable)
    }

    /// The types of the columns.
    pub fn types(&self) -> OwnColumns<Option<Type>> {
        self.columns.map(|expr| expr.as_ref().map(Expr::ty))
    }
}
