//! Evaluation of a bound expression over Arrow columns.
//!
//! SQL evaluates a branch of CASE or coalesce only for the rows that reach it. Evaluating whole columns is faster and
//! gives the same values, since evaluation has no side effects; but a failure in a row that never reached the branch must
//! not be counted. So a branch is evaluated over all rows, and a second time over the rows that reached it in the rare
//! case that anything failed.

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBuffer;
use arrow_select::filter::filter;
use arrow_select::zip::zip;

use super::EvalStats;
use super::operand::Operand;
use super::tree::{Expr, ExprNode};

impl Expr {
    /// Evaluates the expression for each of `rows` rows and adds what could not be computed to `stats`.
    ///
    /// # Panics
    /// If the columns are not those of the scope in which the expression was bound.
    pub fn eval(&self, columns: &[ArrayRef], rows: usize, stats: &mut EvalStats) -> ArrayRef {
        self.operand(columns, rows, stats).into_rows(rows)
    }

    pub(super) fn operand(&self, columns: &[ArrayRef], rows: usize, stats: &mut EvalStats) -> Operand {
        match &self.node {
            ExprNode::Column { index, .. } => Operand::Rows(columns[*index].clone()),
            ExprNode::Literal(value) => Operand::Same(value.clone()),
            ExprNode::Null => unreachable!("binding gives every NULL a type"),
            ExprNode::Call { kernel, args, .. } => match args.as_slice() {
                // One and two operands are the usual case and need no vector.
                [a] => kernel(&[a.operand(columns, rows, stats)], stats),
                [a, b] => kernel(&[a.operand(columns, rows, stats), b.operand(columns, rows, stats)], stats),
                more => {
                    let operands: Vec<Operand> = more.iter().map(|arg| arg.operand(columns, rows, stats)).collect();
                    kernel(&operands, stats)
                }
            },
            ExprNode::Case { arms, otherwise } => case(arms, otherwise, columns, rows, stats),
            ExprNode::Coalesce(args) => coalesce(args, columns, rows, stats),
        }
    }
}

/// Evaluates `CASE WHEN … THEN … ELSE … END`.
fn case(arms: &[(Expr, Expr)], otherwise: &Expr, columns: &[ArrayRef], rows: usize, stats: &mut EvalStats) -> Operand {
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

/// Evaluates `coalesce(…)`: the first value that is not null.
fn coalesce(args: &[Expr], columns: &[ArrayRef], rows: usize, stats: &mut EvalStats) -> Operand {
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

/// Merges the choices: each row takes the value of the first choice that it reached, else `last`.
fn merge(chosen: Vec<(BooleanBuffer, Operand)>, last: Operand) -> Operand {
    chosen.into_iter().rev().fold(last, |rest, (reached, value)| {
        let mask = BooleanArray::new(reached, None);
        Operand::Rows(zip(&mask, &value, &rest).expect("binding made the types equal"))
    })
}

/// Evaluates an expression for every row; counts failures of the reached rows only.
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
