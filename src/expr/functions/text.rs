//! Functions of strings. Positions count characters from 1, as in PostgreSQL.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{BooleanArray, Int64Array};

use super::super::coerce::cast;
use super::super::operand::{Operand, extent};
use super::{Arg, Expr, ExprError, Function};
use crate::value::Type;

pub static FUNCTIONS: &[Function] = &[
    Function { name: "length", signature: "length(s)", summary: "Number of characters", arity: (1, 1), bind: length },
    Function {
        name: "lower",
        signature: "lower(s)",
        summary: "s in lower case",
        arity: (1, 1),
        bind: |args| map("lower", args, |s, out| out.push_str(&s.to_lowercase())),
    },
    Function {
        name: "upper",
        signature: "upper(s)",
        summary: "s in upper case",
        arity: (1, 1),
        bind: |args| map("upper", args, |s, out| out.push_str(&s.to_uppercase())),
    },
    Function {
        name: "trim",
        signature: "trim(s)",
        summary: "s without the spaces at both ends",
        arity: (1, 1),
        bind: |args| map("trim", args, |s, out| out.push_str(s.trim_matches(' '))),
    },
    Function {
        name: "concat",
        signature: "concat(a, b, …)",
        summary: "Concatenation of values of any type; nulls are skipped (a || b is NULL if either is)",
        arity: (1, usize::MAX),
        bind: concat_values,
    },
    Function {
        name: "substr",
        signature: "substr(s, start [, count])",
        summary: "Substring from character start (the first is 1), of at most count characters",
        arity: (2, 3),
        bind: substr,
    },
    Function {
        name: "strpos",
        signature: "strpos(s, part)",
        summary: "Position of the first character of part in s; 0 if s does not contain it",
        arity: (2, 2),
        bind: strpos,
    },
    Function {
        name: "starts_with",
        signature: "starts_with(s, prefix)",
        summary: "Whether s starts with prefix",
        arity: (2, 2),
        bind: starts_with,
    },
    Function {
        name: "replace",
        signature: "replace(s, from, to)",
        summary: "s with every from replaced by to",
        arity: (3, 3),
        bind: replace,
    },
];

/// Returns all arguments as strings.
fn texts(args: Vec<Arg>) -> Result<Vec<Expr>, ExprError> {
    args.into_iter().map(Arg::text).collect()
}

fn any_nullable(args: &[Expr]) -> bool {
    args.iter().any(Expr::nullable)
}

/// Builds a column of strings: `write` appends to the text of a row, or returns `None` if it is null.
fn write_rows(args: &[Operand], write: impl Fn(usize, &mut String) -> Option<()>) -> Operand {
    let (rows, same) = extent(args);
    let mut column = StringBuilder::with_capacity(rows, rows * 8);
    let mut text = String::new();
    for row in 0..rows {
        text.clear();
        column.append_option(write(row, &mut text).map(|()| text.as_str()));
    }
    Operand::new(Arc::new(column.finish()), same)
}

fn map(name: &'static str, args: Vec<Arg>, write: fn(&str, &mut String)) -> Result<Expr, ExprError> {
    let args = texts(args)?;
    Ok(Expr::call(name, Type::String, any_nullable(&args), args, move |args, _| {
        let s = args[0].texts();
        write_rows(args, |row, out| {
            write(s.at(row)?, out);
            Some(())
        })
    }))
}

fn length(args: Vec<Arg>) -> Result<Expr, ExprError> {
    let args = texts(args)?;
    Ok(Expr::call("length", Type::Int, any_nullable(&args), args, |args, _| {
        let s = args[0].texts();
        ints(args, |row| Some(s.at(row)?.chars().count() as i64))
    }))
}

fn ints(args: &[Operand], value: impl Fn(usize) -> Option<i64>) -> Operand {
    let (rows, same) = extent(args);
    Operand::new(Arc::new((0..rows).map(value).collect::<Int64Array>()), same)
}

/// Builds `a || b` of two strings.
pub fn join(a: Expr, b: Expr) -> Expr {
    let nullable = a.nullable() || b.nullable();
    Expr::call("||", Type::String, nullable, vec![a, b], |args, _| {
        let (a, b) = (args[0].texts(), args[1].texts());
        write_rows(args, |row, out| {
            let (a, b) = (a.at(row)?, b.at(row)?);
            out.push_str(a);
            out.push_str(b);
            Some(())
        })
    })
}

fn concat_values(args: Vec<Arg>) -> Result<Expr, ExprError> {
    let text = |arg: Arg| cast(arg.expr, Type::String).expect("everything can be written as text").folded().0;
    let args: Vec<Expr> = args.into_iter().map(text).collect();
    Ok(Expr::call("concat", Type::String, false, args, |args, _| {
        let parts: Vec<_> = args.iter().map(Operand::texts).collect();
        write_rows(args, |row, out| {
            parts.iter().filter_map(|part| part.at(row)).for_each(|text| out.push_str(text));
            Some(())
        })
    }))
}

fn substr(args: Vec<Arg>) -> Result<Expr, ExprError> {
    let mut args = args.into_iter();
    let mut bound = vec![args.next().expect("two arguments at least").text()?];
    for arg in args {
        bound.push(arg.int()?);
    }
    Ok(Expr::call("substr", Type::String, any_nullable(&bound), bound, |args, _| {
        let s = args[0].texts();
        write_rows(args, |row, out| {
            let start = args[1].ints().at(row)?;
            let end = match args.get(2) {
                Some(count) => start.saturating_add(count.ints().at(row)?),
                None => i64::MAX,
            };
            let from = start.max(1);
            let count = end.saturating_sub(from).max(0) as usize;
            out.extend(s.at(row)?.chars().skip((from - 1) as usize).take(count));
            Some(())
        })
    }))
}

fn strpos(args: Vec<Arg>) -> Result<Expr, ExprError> {
    let args = texts(args)?;
    Ok(Expr::call("strpos", Type::Int, any_nullable(&args), args, |args, _| {
        let (s, part) = (args[0].texts(), args[1].texts());
        ints(args, |row| {
            let text = s.at(row)?;
            Some(text.find(part.at(row)?).map_or(0, |at| text[..at].chars().count() as i64 + 1))
        })
    }))
}

fn starts_with(args: Vec<Arg>) -> Result<Expr, ExprError> {
    let args = texts(args)?;
    Ok(Expr::call("starts_with", Type::Bool, any_nullable(&args), args, |args, _| {
        let (rows, same) = extent(args);
        let (s, prefix) = (args[0].texts(), args[1].texts());
        let answers: BooleanArray = (0..rows).map(|row| Some(s.at(row)?.starts_with(prefix.at(row)?))).collect();
        Operand::new(Arc::new(answers), same)
    }))
}

fn replace(args: Vec<Arg>) -> Result<Expr, ExprError> {
    let args = texts(args)?;
    Ok(Expr::call("replace", Type::String, any_nullable(&args), args, |args, _| {
        let (s, from, to) = (args[0].texts(), args[1].texts(), args[2].texts());
        write_rows(args, |row, out| {
            let (text, from, to) = (s.at(row)?, from.at(row)?, to.at(row)?);
            match from.is_empty() {
                true => out.push_str(text),
                false => out.push_str(&text.replace(from, to)),
            }
            Some(())
        })
    }))
}
