//! Operands of a kernel: a column, or one value that stands for every row.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Datum, Float64Array, Int64Array, StringArray, TimestampMillisecondArray, UInt32Array,
};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use arrow_select::take::take;

use super::EvalStats;

#[derive(Clone, Debug)]
pub enum Operand {
    /// An array with one value a row.
    Rows(ArrayRef),
    /// An array of length one: the same value in every row.
    Same(ArrayRef),
}

impl Datum for Operand {
    fn get(&self) -> (&dyn Array, bool) {
        (self.array().as_ref(), self.is_same())
    }
}

impl Operand {
    pub fn new(array: ArrayRef, same: bool) -> Self {
        if same { Operand::Same(array) } else { Operand::Rows(array) }
    }

    pub fn array(&self) -> &ArrayRef {
        match self {
            Operand::Rows(array) | Operand::Same(array) => array,
        }
    }

    pub fn is_same(&self) -> bool {
        matches!(self, Operand::Same(_))
    }

    /// Returns the operand as a column of `rows` rows.
    pub fn into_rows(self, rows: usize) -> ArrayRef {
        match self {
            Operand::Rows(array) => array,
            Operand::Same(array) if rows == 1 => array,
            Operand::Same(array) => {
                take(&array, &UInt32Array::from(vec![0; rows]), None).expect("row 0 of a constant exists")
            }
        }
    }

    pub fn floats(&self) -> Numbers<'_, f64> {
        let array = self.array().as_primitive::<Float64Type>();
        Numbers { values: array.values(), nulls: array.nulls(), same: self.is_same() }
    }

    /// Returns the numbers of an int column, or the ms of a timestamp column.
    pub fn ints(&self) -> Numbers<'_, i64> {
        let array = self.array();
        let values = match array.data_type() {
            DataType::Int64 => array.as_primitive::<Int64Type>().values(),
            _ => array.as_primitive::<TimestampMillisecondType>().values(),
        };
        Numbers { values, nulls: array.nulls(), same: self.is_same() }
    }

    pub fn texts(&self) -> Texts<'_> {
        Texts { array: self.array().as_string(), same: self.is_same() }
    }

    /// Returns the validity of each of `rows` rows.
    pub fn validity(&self, rows: usize) -> Option<NullBuffer> {
        validity(self.array().nulls(), self.is_same(), rows)
    }

    /// Returns a bool operand as a column of `rows` rows.
    pub fn into_booleans(self, rows: usize) -> BooleanArray {
        self.into_rows(rows).as_boolean().clone()
    }
}

/// Numbers of an operand.
#[derive(Clone, Copy)]
pub struct Numbers<'a, T> {
    pub values: &'a [T],
    pub nulls: Option<&'a NullBuffer>,
    pub same: bool,
}

impl<T: Copy> Numbers<'_, T> {
    pub fn at(&self, row: usize) -> Option<T> {
        let row = if self.same { 0 } else { row };
        self.nulls.is_none_or(|nulls| nulls.is_valid(row)).then(|| self.values[row])
    }

    fn validity(&self, rows: usize) -> Option<NullBuffer> {
        validity(self.nulls, self.same, rows)
    }
}

/// Returns the validity of each of `rows` rows, given that of the array behind them.
fn validity(nulls: Option<&NullBuffer>, same: bool, rows: usize) -> Option<NullBuffer> {
    match nulls {
        Some(nulls) if same => nulls.is_null(0).then(|| NullBuffer::new_null(rows)),
        nulls => nulls.cloned(),
    }
}

/// Texts of an operand.
#[derive(Clone, Copy)]
pub struct Texts<'a> {
    array: &'a StringArray,
    same: bool,
}

impl<'a> Texts<'a> {
    pub fn at(&self, row: usize) -> Option<&'a str> {
        let row = if self.same { 0 } else { row };
        self.array.is_valid(row).then(|| self.array.value(row))
    }
}

/// Returns the length of a result, and whether it is one value that stands for every row.
pub fn extent(args: &[Operand]) -> (usize, bool) {
    match args.iter().find(|arg| !arg.is_same()) {
        Some(arg) => (arg.array().len(), false),
        None => (1, true),
    }
}

/// A result under construction: a value for every row, null or not.
pub struct Mapped<R> {
    values: Vec<R>,
    nulls: Option<NullBuffer>,
    same: bool,
}

/// Applies `f` to each value, those under a null included.
pub fn map1<A: Copy, R>(a: Numbers<A>, mut f: impl FnMut(A) -> R) -> Mapped<R> {
    Mapped { values: a.values.iter().map(|x| f(*x)).collect(), nulls: a.nulls.cloned(), same: a.same }
}

/// Applies `f` to each pair of values, those under a null included; the result is null where either is.
pub fn map2<A: Copy, B: Copy, R>(a: Numbers<A>, b: Numbers<B>, mut f: impl FnMut(A, B) -> R) -> Mapped<R> {
    let values: Vec<R> = match (a.same, b.same) {
        (false, true) => {
            let y = b.values[0];
            a.values.iter().map(|x| f(*x, y)).collect()
        }
        (true, false) => {
            let x = a.values[0];
            b.values.iter().map(|y| f(x, *y)).collect()
        }
        _ => a.values.iter().zip(b.values).map(|(x, y)| f(*x, *y)).collect(),
    };
    let rows = values.len();
    let nulls = NullBuffer::union(a.validity(rows).as_ref(), b.validity(rows).as_ref());
    Mapped { values, nulls, same: a.same && b.same }
}

/// Applies a fallible `f` to each value; a row without a result is NULL and counted in `failed`.
pub fn try_map1<A: Copy>(a: Numbers<A>, f: impl Fn(A) -> Option<i64>, failed: &mut u64) -> Mapped<i64> {
    let mut whole = true;
    let or_zero = |answer: Option<i64>, whole: &mut bool| answer.unwrap_or_else(|| (*whole = false, 0).1);
    let mapped = map1(a, |x| or_zero(f(x), &mut whole));
    if whole { mapped } else { mapped.without(map1(a, |x| f(x).is_some()).values, failed) }
}

/// Applies a fallible `f` to each pair of values; a row without a result is NULL and counted in `failed`.
pub fn try_map2(
    a: Numbers<i64>,
    b: Numbers<i64>,
    f: impl Fn(i64, i64) -> Option<i64>,
    failed: &mut u64,
) -> Mapped<i64> {
    let mut whole = true;
    let or_zero = |answer: Option<i64>, whole: &mut bool| answer.unwrap_or_else(|| (*whole = false, 0).1);
    let mapped = map2(a, b, |x, y| or_zero(f(x, y), &mut whole));
    if whole { mapped } else { mapped.without(map2(a, b, |x, y| f(x, y).is_some()).values, failed) }
}

impl<R> Mapped<R> {
    /// Sets the rows without a result to NULL, and counts those that were not NULL before.
    fn without(self, answered: Vec<bool>, failed: &mut u64) -> Self {
        let before = self.nulls.as_ref().map_or(0, NullBuffer::null_count);
        let nulls = NullBuffer::union(self.nulls.as_ref(), Some(&NullBuffer::from(answered)));
        *failed += (nulls.as_ref().map_or(0, NullBuffer::null_count) - before) as u64;
        Mapped { nulls, ..self }
    }
}

impl Mapped<f64> {
    /// Returns the floats; a non-finite one is NULL and counted.
    pub fn finite(mut self, stats: &mut EvalStats) -> Operand {
        if !self.values.iter().fold(true, |all, x| all & x.is_finite()) {
            let answered: Vec<bool> = self.values.iter().map(|x| x.is_finite()).collect();
            self.values.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = 0.0);
            self = self.without(answered, &mut stats.non_finite);
        }
        self.floats()
    }

    /// Returns floats that are known to be finite.
    pub fn floats(self) -> Operand {
        Operand::new(Arc::new(Float64Array::new(self.values.into(), self.nulls)), self.same)
    }
}

impl Mapped<i64> {
    pub fn ints(self) -> Operand {
        Operand::new(Arc::new(Int64Array::new(self.values.into(), self.nulls)), self.same)
    }

    pub fn timestamps(self) -> Operand {
        Operand::new(Arc::new(TimestampMillisecondArray::new(self.values.into(), self.nulls)), self.same)
    }
}

impl Mapped<bool> {
    pub fn booleans(self) -> Operand {
        let values = BooleanBuffer::from(self.values);
        Operand::new(Arc::new(BooleanArray::new(values, self.nulls)), self.same)
    }
}
