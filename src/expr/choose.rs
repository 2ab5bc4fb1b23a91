//! Choices: CASE, coalesce, nullif, greatest and least.
//!
//! SQL evaluates a branch only for the rows that reach it. Columns are faster evaluated whole, and that gives the same
//! values, since evaluation has no effects; but a failure in a row that never reached the branch must not be counted.
//! So a branch is evaluated whole, and again for the rows that reached it in the rare case that anything failed.

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBuffer;
use arrow_select::filter::filter;
use arrow_select::zip::zip;

use super::EvalStats;
use super::compare::{Comparison, compared};
use super::operand::{Operand, extent, map2};
use super::tree::Expr;
use crate::value::{ColumnBuilder, Scalar, Type};

/// `CASE WHEN … THEN … ELSE … END`.
pub fn case(
    arms: &[(Expr, Expr)],
    otherwise: &Expr,
    columns: &[ArrayRef],
    rows: usize,
    stats: &mut EvalStats,
) -> Operand {
    let mut open = BooleanBuffer::new_set(rows);
    let mut chosen = Vec::with_capacity(arms.len());
    for (when, then) in arms {
        let holds = where_reached(when, &open, columns, rows, stats).into_booleans(rows);
        let holds = match holds.nulls() {
            Some(nulls) => holds.values() & nulls.inner(),
            None => holds.values().clone(),
        };
        let reached = &open & &holds;
        open = &open & &!&holds;
        let value = where_reached(then, &reached, columns, rows, stats);
        chosen.push((reached, value));
    }
    let last = where_reached(otherwise, &open, columns, rows, stats);
    merge(chosen, last)
}

/// The first value that is not null.
pub fn coalesce(args: &[Expr], columns: &[ArrayRef], rows: usize, stats: &mut EvalStats) -> Operand {
    let (last, first) = args.split_last().expect("coalesce has an argument");
    let mut open = BooleanBuffer::new_set(rows);
    let mut chosen = Vec::with_capacity(first.len());
    for arg in first {
        let value = where_reached(arg, &open, columns, rows, stats);
        if !value.is_same() && value.array().null_count() == 0 {
            return merge(chosen, value);
        }
        let array = value.clone().into_rows(rows);
        let valid = array.nulls().map_or_else(|| BooleanBuffer::new_set(rows), |nulls| nulls.inner().clone());
        let reached = &open & &valid;
        open = &open & &!&valid;
        chosen.push((reached, value));
    }
    let last = where_reached(last, &open, columns, rows, stats);
    merge(chosen, last)
}

/// The value of the first choice whose rows hold it, else the last.
fn merge(chosen: Vec<(BooleanBuffer, Operand)>, last: Operand) -> Operand {
    chosen.into_iter().rev().fold(last, |rest, (reached, value)| {
        let mask = BooleanArray::new(reached, None);
        Operand::Rows(zip(&mask, &value, &rest).expect("binding made the types equal"))
    })
}

/// The values of every row; failures are counted for the reached rows only.
fn where_reached(
    expr: &Expr,
    reached: &BooleanBuffer,
    columns: &[ArrayRef],
    rows: usize,
    stats: &mut EvalStats,
) -> Operand {
    let mut trial = EvalStats::default();
    let value = expr.operand(columns, rows, &mut trial);
    if trial.is_clean() {
        return value;
    }
    let count = reached.count_set_bits();
    if count == rows {
        stats.merge(trial);
    } else if count > 0 {
        let mask = BooleanArray::new(reached.clone(), None);
        let mut narrow = columns.to_vec();
        for index in expr.columns() {
            narrow[index] = filter(&columns[index], &mask).expect("the mask has a bit a row");
        }
        expr.operand(&narrow, count, stats);
    }
    value
}

/// `nullif(a, b)`: null where the two are equal, else `a`. Both of one type.
pub fn null_if(a: Expr, b: Expr) -> Expr {
    let ty = a.ty;
    Expr::call("nullif", ty, true, vec![a, b], move |args, _| {
        let (rows, same) = extent(args);
        let equal = compared(Comparison::Equal, ty, &args[0], &args[1]).into_booleans(rows);
        let kept = arrow_select::nullif::nullif(&args[0].clone().into_rows(rows), &equal);
        Operand::new(kept.expect("the lengths agree"), same)
    })
}

/// The greatest or the least of some values of one type, nulls aside; null where all are.
pub fn extreme(args: Vec<Expr>, greatest: bool) -> Expr {
    let (ty, name) = (args[0].ty, if greatest { "greatest" } else { "least" });
    args.into_iter()
        .reduce(|a, b| {
            let nullable = a.nullable && b.nullable;
            Expr::call(name, ty, nullable, vec![a, b], move |args, _| extreme_of_two(args, ty, greatest))
        })
        .expect("there is an argument")
}

fn extreme_of_two(args: &[Operand], ty: Type, greatest: bool) -> Operand {
    let whole = args.iter().all(|arg| arg.array().null_count() == 0);
    let wins = |b: f64, a: f64| if greatest { b > a } else { b < a };
    if whole && ty == Type::Float {
        let pick = |a: f64, b: f64| if wins(b, a) { b } else { a };
        return map2(args[0].floats(), args[1].floats(), pick).floats();
    }
    if whole && matches!(ty, Type::Int | Type::Timestamp) {
        let pick = |a: i64, b: i64| if greatest { a.max(b) } else { a.min(b) };
        let picked = map2(args[0].ints(), args[1].ints(), pick);
        return if ty == Type::Int { picked.ints() } else { picked.timestamps() };
    }
    let (rows, same) = extent(args);
    let at = |arg: &Operand, row: usize| Scalar::of(arg.array(), if arg.is_same() { 0 } else { row });
    let mut column = ColumnBuilder::new(ty);
    for row in 0..rows {
        column.append(&match (at(&args[0], row), at(&args[1], row)) {
            (Scalar::Null, b) => b,
            (a, Scalar::Null) => a,
            (a, b) if second_wins(&a, &b, greatest) => b,
            (a, _) => a,
        });
    }
    Operand::new(column.finish(), same)
}

fn second_wins(a: &Scalar, b: &Scalar, greatest: bool) -> bool {
    let (less, more) = if greatest { (a, b) } else { (b, a) };
    match (less, more) {
        (Scalar::Bool(x), Scalar::Bool(y)) => x < y,
        (Scalar::Int(x), Scalar::Int(y)) | (Scalar::Timestamp(x), Scalar::Timestamp(y)) => x < y,
        (Scalar::Float(x), Scalar::Float(y)) => x < y,
        (Scalar::String(x), Scalar::String(y)) => x < y,
        _ => unreachable!("binding made the types equal"),
    }
}
