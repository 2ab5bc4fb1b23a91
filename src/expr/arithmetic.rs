//! `+ - * / %` and the sign: int with int stays int, a float on either side makes a float.
//!
//! An int result that does not fit and a division by zero are NULL, counted; int / int truncates toward zero.

use super::operand::{map1, map2, try_map1, try_map2};
use super::tree::Expr;
use crate::value::Type;

/// An arithmetic operator of two operands.
#[derive(Clone, Copy)]
pub struct Operator {
    pub name: &'static str,
    int: fn(i64, i64) -> Option<i64>,
    float: fn(f64, f64) -> f64,
}

pub static ADD: Operator = Operator { name: "+", int: i64::checked_add, float: |a, b| a + b };
pub static SUBTRACT: Operator = Operator { name: "-", int: i64::checked_sub, float: |a, b| a - b };
pub static MULTIPLY: Operator = Operator { name: "*", int: i64::checked_mul, float: |a, b| a * b };
pub static DIVIDE: Operator = Operator { name: "/", int: i64::checked_div, float: |a, b| a / b };
/// `%`; the remainder has the sign of the dividend.
pub static REMAINDER: Operator =
    Operator { name: "%", int: |a, b| (b != 0).then(|| a.wrapping_rem(b)), float: |a, b| a % b };

/// Builds `a operator b`, both of the given numeric type.
pub fn dyadic(operator: &'static Operator, ty: Type, a: Expr, b: Expr) -> Expr {
    let args = vec![a, b];
    match (ty, operator.name) {
        (Type::Int, _) => Expr::call(operator.name, ty, true, args, |args, stats| {
            try_map2(args[0].ints(), args[1].ints(), operator.int, &mut stats.overflow).ints()
        }),
        // Spelt out where it counts, so that the loops are vectorised.
        (_, "+") => Expr::call("+", ty, true, args, |args, stats| {
            map2(args[0].floats(), args[1].floats(), |a, b| a + b).finite(stats)
        }),
        (_, "-") => Expr::call("-", ty, true, args, |args, stats| {
            map2(args[0].floats(), args[1].floats(), |a, b| a - b).finite(stats)
        }),
        (_, "*") => Expr::call("*", ty, true, args, |args, stats| {
            map2(args[0].floats(), args[1].floats(), |a, b| a * b).finite(stats)
        }),
        (_, "/") => Expr::call("/", ty, true, args, |args, stats| {
            map2(args[0].floats(), args[1].floats(), |a, b| a / b).finite(stats)
        }),
        _ => Expr::call(operator.name, ty, true, args, |args, stats| {
            map2(args[0].floats(), args[1].floats(), operator.float).finite(stats)
        }),
    }
}

/// Builds `-a` of a numeric expression.
pub fn negate(a: Expr) -> Expr {
    match a.ty {
        Type::Int => Expr::call("-", Type::Int, true, vec![a], |args, stats| {
            try_map1(args[0].ints(), i64::checked_neg, &mut stats.overflow).ints()
        }),
        _ => {
            let nullable = a.nullable;
            Expr::call("-", Type::Float, nullable, vec![a], |args, _| map1(args[0].floats(), |x| -x).floats())
        }
    }
}
