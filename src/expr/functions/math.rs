//! Functions of numbers.
//!
//! Transcendental functions are those of `libm`, so that results have the same bits on every machine; the others are
//! exact.

use super::super::arithmetic;
use super::super::operand::{map1, map2, try_map1};
use super::{Arg, Expr, ExprError, Function, alike};
use crate::value::Type;

pub static FUNCTIONS: &[Function] = &[
    Function {
        name: "abs",
        signature: "abs(x)",
        summary: "Absolute value, of the type of x",
        arity: (1, 1),
        bind: abs,
    },
    Function { name: "sign", signature: "sign(x)", summary: "-1, 0 or 1, of the type of x", arity: (1, 1), bind: sign },
    Function {
        name: "round",
        signature: "round(x [, digits])",
        summary: "x rounded to digits decimals (by default 0); ties round to even",
        arity: (1, 2),
        bind: round,
    },
    Function {
        name: "floor",
        signature: "floor(x)",
        summary: "Greatest integer not above x, of the type of x",
        arity: (1, 1),
        bind: |args| whole("floor", args, f64::floor),
    },
    Function {
        name: "ceil",
        signature: "ceil(x)",
        summary: "Least integer not below x, of the type of x",
        arity: (1, 1),
        bind: |args| whole("ceil", args, f64::ceil),
    },
    Function {
        name: "mod",
        signature: "mod(a, b)",
        summary: "Remainder of a / b, with the sign of a; the same as a % b",
        arity: (2, 2),
        bind: remainder,
    },
    Function {
        name: "sqrt",
        signature: "sqrt(x)",
        summary: "Square root; NULL if x < 0",
        arity: (1, 1),
        bind: |args| float("sqrt", args, f64::sqrt),
    },
    Function {
        name: "exp",
        signature: "exp(x)",
        summary: "Exponential: e to the power of x",
        arity: (1, 1),
        bind: |args| float("exp", args, libm::exp),
    },
    Function {
        name: "ln",
        signature: "ln(x)",
        summary: "Natural logarithm; NULL if x <= 0",
        arity: (1, 1),
        bind: |args| float("ln", args, libm::log),
    },
    Function {
        name: "log10",
        signature: "log10(x)",
        summary: "Decimal logarithm; NULL if x <= 0",
        arity: (1, 1),
        bind: |args| float("log10", args, libm::log10),
    },
    Function {
        name: "log1p",
        signature: "log1p(x)",
        summary: "ln(1 + x), accurate for small x; NULL if x <= -1",
        arity: (1, 1),
        bind: |args| float("log1p", args, libm::log1p),
    },
    Function { name: "power", signature: "power(x, y)", summary: "x to the power of y", arity: (2, 2), bind: power },
    Function {
        name: "sin",
        signature: "sin(x)",
        summary: "Sine of x in radians",
        arity: (1, 1),
        bind: |args| float("sin", args, libm::sin),
    },
    Function {
        name: "cos",
        signature: "cos(x)",
        summary: "Cosine of x in radians",
        arity: (1, 1),
        bind: |args| float("cos", args, libm::cos),
    },
    Function {
        name: "pi",
        signature: "pi()",
        summary: "3.14159…",
        arity: (0, 0),
        bind: |_| Ok(Expr::float(std::f64::consts::PI)),
    },
];

/// Removes and returns the next argument.
fn next(args: &mut Vec<Arg>) -> Arg {
    args.remove(0)
}

fn float(name: &'static str, mut args: Vec<Arg>, f: fn(f64) -> f64) -> Result<Expr, ExprError> {
    let x = next(&mut args).float()?;
    Ok(Expr::call(name, Type::Float, true, vec![x], move |args, stats| map1(args[0].floats(), f).finite(stats)))
}

/// Builds a function that leaves ints as they are and keeps finite floats finite.
fn whole(name: &'static str, mut args: Vec<Arg>, f: fn(f64) -> f64) -> Result<Expr, ExprError> {
    let x = next(&mut args).number()?;
    if x.ty() == Type::Int {
        return Ok(x);
    }
    let nullable = x.nullable();
    Ok(Expr::call(name, Type::Float, nullable, vec![x], move |args, _| map1(args[0].floats(), f).floats()))
}

fn abs(mut args: Vec<Arg>) -> Result<Expr, ExprError> {
    let x = next(&mut args).number()?;
    if x.ty() == Type::Int {
        return Ok(Expr::call("abs", Type::Int, true, vec![x], |args, stats| {
            try_map1(args[0].ints(), i64::checked_abs, &mut stats.overflow).ints()
        }));
    }
    let nullable = x.nullable();
    Ok(Expr::call("abs", Type::Float, nullable, vec![x], |args, _| map1(args[0].floats(), f64::abs).floats()))
}

fn sign(mut args: Vec<Arg>) -> Result<Expr, ExprError> {
    let x = next(&mut args).number()?;
    let nullable = x.nullable();
    if x.ty() == Type::Int {
        return Ok(Expr::call("sign", Type::Int, nullable, vec![x], |args, _| {
            map1(args[0].ints(), i64::signum).ints()
        }));
    }
    let sign = |x: f64| if x == 0.0 { 0.0 } else { x.signum() };
    Ok(Expr::call("sign", Type::Float, nullable, vec![x], move |args, _| map1(args[0].floats(), sign).floats()))
}

fn round(mut args: Vec<Arg>) -> Result<Expr, ExprError> {
    if args.len() == 1 {
        return whole("round", args, f64::round_ties_even);
    }
    let x = next(&mut args).float()?;
    let digits = next(&mut args).int()?;
    let nullable = x.nullable() || digits.nullable();
    Ok(Expr::call("round", Type::Float, nullable, vec![x, digits], |args, _| {
        map2(args[0].floats(), args[1].ints(), round_to).floats()
    }))
}

/// Rounds `x` to `digits` decimal digits: `x` itself if a float holds no more digits than that, 0 if it holds none.
fn round_to(x: f64, digits: i64) -> f64 {
    let scale = libm::pow(10.0, digits.clamp(-400, 400).unsigned_abs() as f64);
    let rounded = match digits >= 0 {
        true => (x * scale).round_ties_even() / scale,
        false => (x / scale).round_ties_even() * scale,
    };
    match () {
        _ if rounded.is_finite() => rounded,
        _ if digits >= 0 => x,
        _ => 0.0,
    }
}

fn remainder(args: Vec<Arg>) -> Result<Expr, ExprError> {
    let mut numbers = Vec::with_capacity(2);
    for arg in args {
        let span = arg.span.clone();
        numbers.push(Arg { expr: arg.number()?, span });
    }
    let mut numbers = alike(numbers)?.into_iter();
    let (a, b) = (numbers.next().expect("two arguments"), numbers.next().expect("two arguments"));
    Ok(arithmetic::dyadic(&arithmetic::REMAINDER, a.ty(), a, b))
}

fn power(mut args: Vec<Arg>) -> Result<Expr, ExprError> {
    let x = next(&mut args).float()?;
    let y = next(&mut args).float()?;
    Ok(Expr::call("power", Type::Float, true, vec![x, y], |args, stats| {
        map2(args[0].floats(), args[1].floats(), libm::pow).finite(stats)
    }))
}
