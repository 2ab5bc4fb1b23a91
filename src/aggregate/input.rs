//! What one `aggregate` line takes from a batch: its values, decoded once for all of the line's windows and ops.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::BooleanBuffer;

use super::exact::fixed;
use crate::value::Type;

/// The values of a line, row by row.
pub struct LineInput {
    /// Rows that count: the filter holds and the value is not null. `None`: all.
    keep: Option<BooleanBuffer>,
    /// Scaled values, where the line has moments of values; else empty.
    scaled: Vec<i128>,
    /// The values themselves, where the line has picks.
    values: Option<ArrayRef>,
}

impl LineInput {
    /// `of` and `filter` evaluated over a batch; a row counts where `filter` is true. Values that cannot be summed
    /// (beyond ±1e18) are nulls, counted in `unsummable`.
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
        let mut narrow = |valid: &BooleanBuffer| {
            keep = Some(match keep.take() {
                Some(keep) => &keep & valid,
                None => valid.clone(),
            });
        };
        if let Some(valid) = of.and_then(|of| of.nulls()) {
            narrow(valid.inner());
        }
        let mut scaled = Vec::new();
        if let (Some(of), true) = (of, needs.scaled) {
            match Type::of_arrow(of.data_type()) {
                Some(Type::Int) => {
                    scaled.extend(of.as_primitive::<Int64Type>().values().iter().map(|x| i128::from(*x)))
                }
                _ => {
                    let floats = of.as_primitive::<Float64Type>();
                    let mut refused = false;
                    scaled.extend(floats.values().iter().map(|x| {
                        fixed(*x, digits).unwrap_or_else(|| {
                            refused = true;
                            0
                        })
                    }));
                    if refused {
                        let summable =
                            BooleanBuffer::collect_bool(floats.len(), |row| fixed(floats.value(row), digits).is_some());
                        *unsummable += (0..floats.len())
                            .filter(|row| floats.is_valid(*row) && !summable.value(*row))
                            .count() as u64;
                        narrow(&summable);
                    }
                }
            }
        }
        LineInput { keep, scaled, values: if needs.values { of.cloned() } else { None } }
    }

    /// Whether a row counts.
    pub fn keeps(&self, row: usize) -> bool {
        self.keep.as_ref().is_none_or(|keep| keep.value(row))
    }

    /// The scaled value of a row that counts; 0 where the line only counts.
    pub fn scaled(&self, row: usize) -> i128 {
        self.scaled.get(row).copied().unwrap_or(0)
    }

    /// The values as they are.
    ///
    /// # Panics
    /// If the line was said to need none.
    pub fn values(&self) -> &dyn Array {
        self.values.as_ref().expect("lines with picks keep their values")
    }
}

/// Which forms of its input a line reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    pub scaled: bool,
    pub values: bool,
}
