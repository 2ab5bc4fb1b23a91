//! The input of one `aggregate` line in a batch: its values, decoded once for all of the line's windows and ops.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};

use super::exact::{fixed, narrow};

/// The columns of a batch that a line reads, and how it reads them. The default reads nothing.
#[derive(Clone, Copy, Default)]
pub struct InputColumns<'a> {
    /// The values.
    pub of: Option<&'a ArrayRef>,
    /// Digits after the point that a sum of them keeps.
    pub digits: u32,
    /// The second values.
    pub with: Option<&'a ArrayRef>,
    /// Digits after the point that a sum of them keeps.
    pub with_digits: u32,
    /// The categories.
    pub by: Option<&'a ArrayRef>,
    /// The condition: a row counts where it is true.
    pub filter: Option<&'a ArrayRef>,
    /// The forms of the values that the ops of the line read.
    pub needs: Needs,
}

/// The values of a line, row by row. The default is the input of a line that counts all records and reads nothing.
#[derive(Default)]
pub struct LineInput {
    /// Rows that count: the filter holds, and neither the value nor the category is null. `None`: all.
    keep: Option<BooleanBuffer>,
    scaled: ScaledColumn,
    /// The second values; null where the row has none.
    with: ScaledColumn,
    /// The values themselves, where an op needs them.
    values: Option<ArrayRef>,
    /// The category of each row.
    by: Option<ArrayRef>,
}

/// A column of scaled values, where an op sums them.
#[derive(Default)]
struct ScaledColumn {
    values: ScaledValues,
    /// Rows without a value that can be summed. `None`: no row.
    without: Option<BooleanBuffer>,
}

#[derive(Default)]
enum ScaledValues {
    #[default]
    None,
    Narrow(ScalarBuffer<i64>),
    /// Values of which at least one leaves 64 bits.
    Wide(Vec<i128>),
}

impl ScaledColumn {
    /// The scaled values of a column of numbers. Those of nulls are not defined.
    fn of(column: &ArrayRef, digits: u32) -> ScaledColumn {
        let Some(floats) = column.as_primitive_opt::<Float64Type>() else {
            let ints = column.as_primitive::<Int64Type>().values().clone();
            return ScaledColumn { values: ScaledValues::Narrow(ints), without: None };
        };
        let floats = floats.values();
        if let Some(all) = floats.iter().map(|x| narrow(*x, digits)).collect::<Option<Vec<i64>>>() {
            return ScaledColumn { values: ScaledValues::Narrow(all.into()), without: None };
        }
        let all: Vec<Option<i128>> = floats.iter().map(|x| fixed(*x, digits)).collect();
        let without = BooleanBuffer::collect_bool(all.len(), |row| all[row].is_none());
        let values = ScaledValues::Wide(all.into_iter().map(Option::unwrap_or_default).collect());
        ScaledColumn { values, without: Some(without).filter(|without| without.count_set_bits() > 0) }
    }

    /// The scaled value of a row; 0 of a column that is not there, `None` where it cannot be summed.
    fn get(&self, row: usize) -> Option<i128> {
        let scaled = match &self.values {
            ScaledValues::None => 0,
            ScaledValues::Narrow(values) => values[row].into(),
            ScaledValues::Wide(values) => values[row],
        };
        self.without.as_ref().is_none_or(|without| !without.value(row)).then_some(scaled)
    }

    /// Leaves out the rows in which the column is null.
    fn without_nulls(self, column: &ArrayRef) -> ScaledColumn {
        let Some(nulls) = column.nulls().map(|valid| !valid.inner()) else { return self };
        let without = match self.without {
            Some(without) => &without | &nulls,
            None => nulls,
        };
        ScaledColumn { without: Some(without), ..self }
    }

    /// The number of rows that count, have a value in `column` and cannot be summed.
    fn count_unsummable(&self, column: &ArrayRef, keeps: impl Fn(usize) -> bool) -> u64 {
        let Some(without) = &self.without else { return 0 };
        without.set_indices().filter(|row| column.is_valid(*row) && keeps(*row)).count() as u64
    }
}

impl LineInput {
    /// The input of a line in a batch. Values of rows that count which cannot be summed (beyond ±1e18) are null for the
    /// ops that sum, and are counted in `unsummable`.
    pub fn new(columns: &InputColumns<'_>, unsummable: &mut u64) -> Self {
        let mut keep = columns.filter.map(|filter| {
            let filter = filter.as_boolean();
            match filter.nulls() {
                Some(valid) => filter.values() & valid.inner(),
                None => filter.values().clone(),
            }
        });
        for valid in [columns.of, columns.by].into_iter().flatten().filter_map(|column| column.nulls()) {
            keep = Some(match keep.take() {
                Some(keep) => &keep & valid.inner(),
                None => valid.inner().clone(),
            });
        }
        let values = columns.of.filter(|_| columns.needs.values).cloned();
        let mut input = LineInput { keep, values, by: columns.by.cloned(), ..LineInput::default() };
        if let Some(of) = columns.of.filter(|_| columns.needs.scaled) {
            input.scaled = ScaledColumn::of(of, columns.digits);
            *unsummable += input.scaled.count_unsummable(of, |row| input.keeps(row));
        }
        if let Some(with) = columns.with {
            let scaled = ScaledColumn::of(with, columns.with_digits);
            *unsummable += scaled.count_unsummable(with, |row| input.keeps(row));
            input.with = scaled.without_nulls(with);
        }
        input
    }

    /// Returns whether a row counts.
    pub fn keeps(&self, row: usize) -> bool {
        self.keep.as_ref().is_none_or(|keep| keep.value(row))
    }

    /// The scaled value of a row that counts; 0 where the line only counts, `None` where it cannot be summed.
    pub fn scaled(&self, row: usize) -> Option<i128> {
        self.scaled.get(row)
    }

    /// The second value of a row, scaled; 0 where the line has none, `None` where it is null or cannot be summed.
    pub fn scaled_with(&self, row: usize) -> Option<i128> {
        self.with.get(row)
    }

    /// The categories.
    ///
    /// # Panics
    /// If the line has none.
    pub fn categories(&self) -> &dyn Array {
        self.by.as_ref().expect("a line with categories keeps them")
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

/// The parts of a record that an aggregate reads, and so which records it counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reads {
    pub needs: Needs,
    /// True if it counts records whose value cannot be summed, though it reads scaled values; others are rejected.
    pub counts_unsummable: bool,
    /// True if it reads a second value; records without one are rejected.
    pub paired: bool,
}

impl Reads {
    /// The value, scaled.
    pub const SCALED: Reads = Reads::of(Needs { scaled: true, values: false });
    /// The value itself.
    pub const VALUES: Reads = Reads::of(Needs { scaled: false, values: true });
    /// The event time alone.
    pub const TIMES: Reads = Reads::of(Needs { scaled: false, values: false });

    const fn of(needs: Needs) -> Reads {
        Reads { needs, counts_unsummable: false, paired: false }
    }

    /// Returns whether the record in a row of a line's input counts: the line counts it, and it has the values that are
    /// read.
    #[inline]
    pub fn counts(&self, input: &LineInput, row: usize) -> bool {
        let is_summable = || !self.needs.scaled || self.counts_unsummable || input.scaled(row).is_some();
        input.keeps(row) && is_summable() && (!self.paired || input.scaled_with(row).is_some())
    }
}
