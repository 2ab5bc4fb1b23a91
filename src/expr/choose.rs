//! Expressions that choose a value: nullif, greatest and least. (CASE and coalesce are nodes of the tree, see
//! [`super::eval`].)

use arrow_array::Array;

use super::compare::{CompareOperator, compared};
use super::operand::{Operand, extent, map2};
use super::tree::Expr;
use crate::value::{ColumnBuilder, Scalar, Type};

/// Builds `nullif(a, b)`: null where the two are equal, else `a`. Both of one type.
pub fn null_if(a: Expr, b: Expr) -> Expr {
    let ty = a.ty;
    Expr::call("nullif", ty, true, vec![a, b], move |args, _| {
        let (rows, same) = extent(args);
        let equal = compared(CompareOperator::Equal, ty, &args[0], &args[1]).into_booleans(rows);
        let kept = arrow_select::nullif::nullif(&args[0].clone().into_rows(rows), &equal);
        Operand::new(kept.expect("the lengths agree"), same)
    })
}

/// Builds `greatest(…)` or `least(…)` of values of one type. Nulls are skipped; null where all are null.
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
