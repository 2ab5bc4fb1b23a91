//! The input of one `aggregate` line in a batch: its values, decoded once for all of the line's windows and ops.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};

use super::exact::{fixed, narrow};

/// The values of a line, row by row. The default is the input of a line that counts all records and reads nothing.
#[derive(Default)]
pub struct LineInput {
    /// Rows that count: the filter holds and the value is not null. `None`: all.
    keep: Option<BooleanBuffer>,
    scaled: Scaled,
    /// Rows whose value cannot be summed. `None`: no row.
    unsummable: Option<BooleanBuffer>,
    /// The values themselves, where an op needs them.
    values: Option<ArrayRef>,
}

/// Scaled values, where an op sums them.
#[derive(Default)]
enum Scaled {
    #[default]
    None,
    Narrow(ScalarBuffer<i64>),
    /// Values of which at least one leaves 64 bits.
    Wide(Vec<i128>),
}

impl LineInput {
    /// The input made of `of` and `filter` evaluated over a batch; a row counts where `filter` is true. Values of such
    /// rows that cannot be summed (beyond ±1e18) are null for the ops that sum, and are counted in `unsummable`.
    pub fn new(
        of: Option<&ArrayRef>,
        filter: Option<&ArrayRef>,
        digits: u32,
        needs: Needs,
        unsummable: &mut u64,
    ) -> Self {
        let mut keep = filter.map(|filter| {
            let filter = filter.as_boolean();
            match filter.nulls() {
                Some(valid) => filter.values() & valid.inner(),
                None => filter.values().clone(),
            }
        });
        let mut restrict = |valid: &BooleanBuffer| {
            keep = Some(match keep.take() {
                Some(keep) => &keep & valid,
                None => valid.clone(),
            });
        };
        if let Some(valid) = of.and_then(|of| of.nulls()) {
            restrict(valid.inner());
        }
        let mut input =
            LineInput { keep, scaled: Scaled::None, unsummable: None, values: of.filter(|_| needs.values).cloned() };
        if let (Some(of), true) = (of, needs.scaled) {
            match of.as_primitive_opt::<Int64Type>() {
                Some(ints) => input.scaled = Scaled::Narrow(ints.values().clone()),
                None => *unsummable += input.scale(of.as_primitive::<Float64Type>().values(), digits),
            }
        }
        input
    }

    /// Scales the values of a line; returns the number of rows that count and whose value cannot be summed.
    fn scale(&mut self, values: &[f64], digits: u32) -> u64 {
        if let Some(all) = values.iter().map(|x| narrow(*x, digits)).collect::<Option<Vec<i64>>>() {
            self.scaled = Scaled::Narrow(all.into());
            return 0;
        }
        let all: Vec<Option<i128>> = values.iter().map(|x| fixed(*x, digits)).collect();
        let unsummable = BooleanBuffer::collect_bool(all.len(), |row| all[row].is_none() && self.keeps(row));
        let count = unsummable.count_set_bits();
        self.unsummable = Some(unsummable).filter(|_| count > 0);
        self.scaled = Scaled::Wide(all.into_iter().map(Option::unwrap_or_default).collect());
        count as u64
    }

    /// Returns whether a row counts.
    pub fn keeps(&self, row: usize) -> bool {
        self.keep.as_ref().is_none_or(|keep| keep.value(row))
    }

    /// The scaled value of a row that counts; 0 where the line only counts, `None` where it cannot be summed.
    pub fn scaled(&self, row: usize) -> Option<i128> {
        let scaled = match &self.scaled {
            Scaled::None => 0,
            Scaled::Narrow(values) => values[row].into(),
            Scaled::Wide(values) => values[row],
        };
        self.unsummable.as_ref().is_none_or(|unsummable| !unsummable.value(row)).then_some(scaled)
    }

    /// The values, unscaled.
    ///
    /// # Panics
    /// If the line's `needs` left them out.
    pub fn values(&self) -> &dyn Array {
        self.values.as_ref().expect("a line that needs values keeps them")
    }
}

/// The forms of its input that an op or a line reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    pub scaled: bool,
    pub values: bool,
}

impl Needs {
    /// The forms that one or the other reads.
    pub fn or(self, other: Needs) -> Needs {
        Needs { scaled: self.scaled || other.scaled, values: self.values || other.values }
    }
}
