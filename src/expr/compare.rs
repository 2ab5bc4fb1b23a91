//! Comparisons and SQL's three-valued logic.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};

use super::operand::{Numbers, Operand, extent, map2};
use super::tree::Expr;
use crate::value::{Scalar, Type};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOperator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl CompareOperator {
    pub fn name(self) -> &'static str {
        match self {
            CompareOperator::Equal => "=",
            CompareOperator::NotEqual => "<>",
            CompareOperator::Less => "<",
            CompareOperator::LessOrEqual => "<=",
            CompareOperator::Greater => ">",
            CompareOperator::GreaterOrEqual => ">=",
        }
    }
}

/// Builds `a operator b`, both of one type. Strings compare by their bytes, false is before true, -0.0 equals 0.0.
pub fn compare(comparison: CompareOperator, a: Expr, b: Expr) -> Expr {
    let nullable = a.nullable || b.nullable;
    let ty = a.ty;
    Expr::call(comparison.name(), Type::Bool, nullable, vec![a, b], move |args, _| {
        compared(comparison, ty, &args[0], &args[1])
    })
}

/// Compares two operands of one type, see [`compare`].
pub fn compared(comparison: CompareOperator, ty: Type, a: &Operand, b: &Operand) -> Operand {
    match ty {
        Type::Float => compared_numbers(comparison, a.floats(), b.floats()),
        Type::Int | Type::Timestamp => compared_numbers(comparison, a.ints(), b.ints()),
        Type::String => {
            let (a_texts, b_texts) = (a.array().as_string::<i32>(), b.array().as_string::<i32>());
            compared_rows(comparison, a, b, |row| a_texts.value(row), |row| b_texts.value(row))
        }
        Type::Bool => {
            let (a_truth, b_truth) = (a.array().as_boolean(), b.array().as_boolean());
            compared_rows(comparison, a, b, |row| a_truth.value(row), |row| b_truth.value(row))
        }
    }
}

fn compared_numbers<T: Copy + PartialOrd>(comparison: CompareOperator, a: Numbers<T>, b: Numbers<T>) -> Operand {
    match comparison {
        CompareOperator::Equal => map2(a, b, |a, b| a == b),
        CompareOperator::NotEqual => map2(a, b, |a, b| a != b),
        CompareOperator::Less => map2(a, b, |a, b| a < b),
        CompareOperator::LessOrEqual => map2(a, b, |a, b| a <= b),
        CompareOperator::Greater => map2(a, b, |a, b| a > b),
        CompareOperator::GreaterOrEqual => map2(a, b, |a, b| a >= b),
    }
    .booleans()
}

/// Compares the values that `a_value` and `b_value` return for each row of their arrays, those under a null included.
fn compared_rows<T: PartialOrd>(
    comparison: CompareOperator,
    a: &Operand,
    b: &Operand,
    a_value: impl Fn(usize) -> T,
    b_value: impl Fn(usize) -> T,
) -> Operand {
    let rows = if a.is_same() { b.array().len() } else { a.array().len() };
    let x = |row| a_value(if a.is_same() { 0 } else { row });
    let y = |row| b_value(if b.is_same() { 0 } else { row });
    let values = match comparison {
        CompareOperator::Equal => BooleanBuffer::collect_bool(rows, |row| x(row) == y(row)),
        CompareOperator::NotEqual => BooleanBuffer::collect_bool(rows, |row| x(row) != y(row)),
        CompareOperator::Less => BooleanBuffer::collect_bool(rows, |row| x(row) < y(row)),
        CompareOperator::LessOrEqual => BooleanBuffer::collect_bool(rows, |row| x(row) <= y(row)),
        CompareOperator::Greater => BooleanBuffer::collect_bool(rows, |row| x(row) > y(row)),
        CompareOperator::GreaterOrEqual => BooleanBuffer::collect_bool(rows, |row| x(row) >= y(row)),
    };
    let nulls = NullBuffer::union(a.validity(rows).as_ref(), b.validity(rows).as_ref());
    Operand::new(Arc::new(BooleanArray::new(values, nulls)), a.is_same() && b.is_same())
}

/// Builds `a BETWEEN low AND high`, all of one type.
pub fn between(a: Expr, low: Expr, high: Expr) -> Expr {
    let nullable = a.nullable || low.nullable || high.nullable;
    let ty = a.ty;
    Expr::call("between", Type::Bool, nullable, vec![a, low, high], move |args, _| {
        let above = compared(CompareOperator::GreaterOrEqual, ty, &args[0], &args[1]);
        let below = compared(CompareOperator::LessOrEqual, ty, &args[0], &args[2]);
        connected(&[above, below], and_kleene)
    })
}

/// Builds `a IN (items)`, all of one type.
pub fn in_any(a: Expr, items: Vec<Expr>) -> Expr {
    let nullable = a.nullable || items.iter().any(|item| item.nullable);
    let ty = a.ty;
    let args = std::iter::once(a).chain(items).collect();
    Expr::call("in", Type::Bool, nullable, args, move |args, _| {
        let (a, items) = args.split_first().expect("IN has a left side");
        let hits: Vec<Operand> = items.iter().map(|item| compared(CompareOperator::Equal, ty, a, item)).collect();
        connected(&hits, or_kleene)
    })
}

fn truth(operand: &Operand) -> BooleanArray {
    operand.clone().into_booleans(1)
}

/// Builds `a AND b`: false where either is false, else null where either is null.
pub fn and(a: Expr, b: Expr) -> Expr {
    connective("and", a, b, and_kleene)
}

/// Builds `a OR b`: true where either is true, else null where either is null.
pub fn or(a: Expr, b: Expr) -> Expr {
    connective("or", a, b, or_kleene)
}

/// Returns `a AND b` row by row.
fn and_kleene(a: &BooleanArray, b: &BooleanArray) -> BooleanArray {
    let is_true = &rows_of(a, true) & &rows_of(b, true);
    let is_false = &rows_of(a, false) | &rows_of(b, false);
    BooleanArray::new(is_true.clone(), Some(NullBuffer::new(&is_true | &is_false)))
}

/// Returns `a OR b` row by row.
fn or_kleene(a: &BooleanArray, b: &BooleanArray) -> BooleanArray {
    let is_true = &rows_of(a, true) | &rows_of(b, true);
    let is_false = &rows_of(a, false) & &rows_of(b, false);
    BooleanArray::new(is_true.clone(), Some(NullBuffer::new(&is_true | &is_false)))
}

/// Returns the rows that are `wanted`, and not null.
fn rows_of(truth: &BooleanArray, wanted: bool) -> BooleanBuffer {
    let hits = if wanted { truth.values().clone() } else { !truth.values() };
    match truth.nulls() {
        Some(valid) => &hits & valid.inner(),
        None => hits,
    }
}

/// Returns the rows of a column that are null.
pub(super) fn null_rows(array: &dyn Array) -> BooleanBuffer {
    array.nulls().map_or_else(|| BooleanBuffer::new_unset(array.len()), |valid| !valid.inner())
}

type Connective = fn(&BooleanArray, &BooleanArray) -> BooleanArray;

fn connective(name: &'static str, a: Expr, b: Expr, f: Connective) -> Expr {
    let nullable = a.nullable || b.nullable;
    Expr::call(name, Type::Bool, nullable, vec![a, b], move |args, _| connected(args, f))
}

fn connected(args: &[Operand], f: Connective) -> Operand {
    let (rows, same) = extent(args);
    let sides = args.iter().map(|arg| arg.clone().into_booleans(rows));
    let all = sides.reduce(|a, b| f(&a, &b)).expect("there is a side");
    Operand::new(Arc::new(all), same)
}

/// Builds `NOT a`.
pub fn negation(a: Expr) -> Expr {
    let nullable = a.nullable;
    Expr::call("not", Type::Bool, nullable, vec![a], |args, _| {
        let truth = truth(&args[0]);
        let negated = BooleanArray::new(!truth.values(), truth.nulls().cloned());
        Operand::new(Arc::new(negated), args[0].is_same())
    })
}

/// Builds `a IS NULL`, or `a IS NOT NULL`.
pub fn null_test(a: Expr, null: bool) -> Expr {
    let name = if null { "is null" } else { "is not null" };
    Expr::call(name, Type::Bool, false, vec![a], move |args, _| {
        let nulls = null_rows(args[0].array());
        let answer = if null { nulls } else { !&nulls };
        Operand::new(Arc::new(BooleanArray::new(answer, None)), args[0].is_same())
    })
}

/// Builds `a IS TRUE`, or `a IS FALSE`; the result is never null.
pub fn truth_test(a: Expr, wanted: bool) -> Expr {
    let name = if wanted { "is true" } else { "is false" };
    Expr::call(name, Type::Bool, false, vec![a], move |args, _| {
        let hits = rows_of(&truth(&args[0]), wanted);
        Operand::new(Arc::new(BooleanArray::new(hits, None)), args[0].is_same())
    })
}

/// Builds `a IN (constants)`: null where `a` is null, and where `a` is not found and one of the constants is NULL.
pub fn in_constants(a: Expr, list: &[Scalar]) -> Expr {
    let any_null = list.iter().any(Scalar::is_null);
    let nullable = a.nullable || any_null;
    let name = format!("in{:?}", sorted_texts(list));
    let answer = move |found: Option<bool>| match found {
        Some(false) if any_null => None,
        found => found,
    };
    match a.ty {
        Type::String => {
            let set: HashSet<Arc<str>> = list.iter().filter_map(|v| text(v).cloned()).collect();
            Expr::call(name, Type::Bool, nullable, vec![a], move |args, _| {
                let texts = args[0].texts();
                membership(args, |row| answer(texts.at(row).map(|value| set.contains(value))))
            })
        }
        Type::Float => {
            // Adding zero makes -0.0 equal to 0.0.
            let set: HashSet<u64> = list.iter().filter_map(float).map(|x| (x + 0.0).to_bits()).collect();
            Expr::call(name, Type::Bool, nullable, vec![a], move |args, _| {
                let floats = args[0].floats();
                membership(args, |row| answer(floats.at(row).map(|x| set.contains(&(x + 0.0).to_bits()))))
            })
        }
        Type::Bool => {
            let has = [false, true].map(|value| list.contains(&Scalar::Bool(value)));
            Expr::call(name, Type::Bool, nullable, vec![a], move |args, _| {
                let truth = truth(&args[0]);
                let same = args[0].is_same();
                let at = |row: usize| if same { 0 } else { row };
                membership(args, |row| answer(truth.is_valid(at(row)).then(|| has[usize::from(truth.value(at(row)))])))
            })
        }
        Type::Int | Type::Timestamp => {
            let set: HashSet<i64> = list.iter().filter_map(int).collect();
            Expr::call(name, Type::Bool, nullable, vec![a], move |args, _| {
                let ints = args[0].ints();
                membership(args, |row| answer(ints.at(row).map(|x| set.contains(&x))))
            })
        }
    }
}

fn membership(args: &[Operand], answer: impl Fn(usize) -> Option<bool>) -> Operand {
    let (rows, same) = extent(args);
    Operand::new(Arc::new((0..rows).map(answer).collect::<BooleanArray>()), same)
}

fn sorted_texts(list: &[Scalar]) -> Vec<String> {
    let mut texts: Vec<String> = list.iter().map(|value| format!("{value:?}")).collect();
    texts.sort();
    texts.dedup();
    texts
}

fn text(value: &Scalar) -> Option<&Arc<str>> {
    match value {
        Scalar::String(text) => Some(text),
        _ => None,
    }
}

fn int(value: &Scalar) -> Option<i64> {
    match value {
        Scalar::Int(value) | Scalar::Timestamp(value) => Some(*value),
        _ => None,
    }
}

fn float(value: &Scalar) -> Option<f64> {
    match value {
        Scalar::Float(value) => Some(*value),
        _ => None,
    }
}
