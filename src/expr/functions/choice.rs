//! Functions that choose among their arguments.

use super::super::choose;
use super::super::tree::{ExprNode, Parts};
use super::{Arg, Expr, ExprError, Function, alike};

const MANY: usize = usize::MAX;

pub static FUNCTIONS: &[Function] = &[
    Function {
        name: "coalesce",
        signature: "coalesce(a, b, …)",
        summary: "The first value that is not null; NULL if all are",
        arity: (1, MANY),
        bind: coalesce,
    },
    Function {
        name: "nullif",
        signature: "nullif(a, b)",
        summary: "NULL if a = b, else a",
        arity: (2, 2),
        bind: null_if,
    },
    Function {
        name: "greatest",
        signature: "greatest(a, b, …)",
        summary: "The greatest value; nulls are skipped; NULL if all are null",
        arity: (1, MANY),
        bind: |args| Ok(choose::extreme(alike(args)?, true)),
    },
    Function {
        name: "least",
        signature: "least(a, b, …)",
        summary: "The least value; nulls are skipped; NULL if all are null",
        arity: (1, MANY),
        bind: |args| Ok(choose::extreme(alike(args)?, false)),
    },
];

fn coalesce(args: Vec<Arg>) -> Result<Expr, ExprError> {
    let args = alike(args)?;
    let nullable = args.iter().all(Expr::nullable);
    let ty = args[0].ty();
    Ok(Expr::of(ExprNode::Coalesce(Parts::new(args)), ty, nullable))
}

fn null_if(args: Vec<Arg>) -> Result<Expr, ExprError> {
    let mut args = alike(args)?;
    let b = args.pop().expect("two arguments");
    Ok(choose::null_if(args.pop().expect("two arguments"), b))
}
