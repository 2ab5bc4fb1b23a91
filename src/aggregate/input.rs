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
    /// The input made of `of` and `filter` evaluated over a batch; a row counts where `filter` is true. Values that
    /// cannot be summed (beyond ±1e18) become nulls and are counted in `unsummable`.
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
        let mut scaled = Scaled::None;
        if let (Some(of), true) = (of, needs.scaled) {
            scaled = match of.as_primitive_opt::<Int64Type>() {
                Some(ints) => Scaled::Narrow(ints.values().clone()),
                None => {
                    let floats = of.as_primitive::<Float64Type>();
                    match floats.values().iter().map(|x| narrow(*x, digits)).collect::<Option<Vec<i64>>>() {
                        Some(all) => Scaled::Narrow(all.into()),
                        None => {
                            let all: Vec<Option<i128>> = floats.values().iter().map(|x| fixed(*x, digits)).collect();
                            let summable = BooleanBuffer::collect_bool(all.len(), |row| all[row].is_some());
                            let refused = |row: &usize| floats.is_valid(*row) && !summable.value(*row);
                            *unsummable += (0..all.len()).filter(refused).count() as u64;
                            restrict(&summable);
                            Scaled::Wide(all.into_iter().map(Option::unwrap_or_default).collect())
                        }
                    }
                }
            };
        }
        LineInput { keep, scaled, values: if needs.values { of.cloned() } else { None } }
    }

    /// Returns whether a row counts.
    pub fn keeps(&self, row: usize) -> bool {
        self.keep.as_ref().is_none_or(|keep| keep.value(row))
    }

    /// The scaled value of a row that counts; 0 where the line only counts.
    pub fn scaled(&self, row: usize) -> i128 {
        match &self.scaled {
            Scaled::None => 0,
            Scaled::Narrow(values) => values[row].into(),
            Scaled::Wide(values) => values[row],
        }
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
