//! Evaluation of a bound expression over Arrow columns.
//!
//! SQL evaluates a branch of CASE or coalesce only for the rows that reach it. Evaluating whole columns is faster and
//! gives the same values, since evaluation has no side effects; but a failure in a row that never reached the branch must
//! not be counted. So every branch is evaluated over all rows, and in the rare case that anything failed, the whole
//! expression is evaluated once more, each branch over the rows that reached it.

use arrow_array::{Array, ArrayRef, BooleanArray, UInt32Array, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_select::filter::filter;
use arrow_select::take::take;
use arrow_select::zip::zip;

use super::operand::Operand;
use super::tree::{Expr, ExprNode};
use super::{EvalStats, with_stack};

/// The rows over which an expression is evaluated.
#[derive(Clone, Copy)]
pub(super) struct EvalRows<'a> {
    columns: &'a [ArrayRef],
    count: usize,
    /// Set if a branch is evaluated over the rows that reach it only.
    narrows: bool,
}

impl EvalRows<'_> {
    /// One row without columns, for constants.
    pub const CONSTANT: EvalRows<'static> = EvalRows { columns: &[], count: 1, narrows: false };
}

impl Expr {
    /// Evaluates the expression for each of `rows` rows and adds what could not be computed to `stats`.
    ///
    /// # Panics
    /// If the columns are not those of the scope in which the expression was bound.
    pub fn eval(&self, columns: &[ArrayRef], rows: usize, stats: &mut EvalStats) -> ArrayRef {
        let all = EvalRows { columns, count: rows, narrows: false };
        let mut trial = EvalStats::default();
        let value = self.operand(all, &mut trial);
        if trial.is_clean() || !self.has_branches {
            stats.merge(trial);
            return value.into_rows(rows);
        }
        self.operand(EvalRows { narrows: true, ..all }, stats).into_rows(rows)
    }

    pub(super) fn operand(&self, rows: EvalRows, stats: &mut EvalStats) -> Operand {
        match &self.node {
            ExprNode::Column { index, .. } => Operand::Rows(rows.columns[*index].clone()),
            ExprNode::Literal(value) => Operand::Same(value.clone()),
            ExprNode::Null => unreachable!("binding gives every NULL a type"),
            ExprNode::Call { kernel, args, .. } => with_stack(|| match &**args {
                // One and two operands are the usual case and need no vector.
                [a] => kernel(&[a.operand(rows, stats)], stats),
                [a, b] => kernel(&[a.operand(rows, stats), b.operand(rows, stats)], stats),
                more => {
                    let operands: Vec<Operand> = more.iter().map(|arg| arg.operand(rows, stats)).collect();
                    kernel(&operands, stats)
                }
            }),
            ExprNode::Case(parts) => with_stack(|| case(parts, rows, stats)),
            ExprNode::Coalesce(args) => with_stack(|| coalesce(args, rows, stats)),
        }
    }
}

/// Evaluates `CASE WHEN … THEN … ELSE … END`.
fn case(parts: &[Expr], rows: EvalRows, stats: &mut EvalStats) -> Operand {
    let (otherwise, arms) = parts.split_last().expect("a CASE has a last result");
    let mut open = BooleanBuffer::new_set(rows.count);
    let mut chosen = Choices::default();
    for arm in arms.chunks_exact(2) {
        let holds = where_reached(&arm[0], &open, rows, stats).into_booleans(rows.count);
        let holds = match holds.nulls() {
            Some(nulls) => holds.values() & nulls.inner(),
            None => holds.values().clone(),
        };
        let reached = &open & &holds;
        open = &open & &!&holds;
        let value = where_reached(&arm[1], &reached, rows, stats);
        chosen.add(reached, value);
    }
    let last = where_reached(otherwise, &open, rows, stats);
    chosen.finish(open, last)
}

/// Evaluates `coalesce(…)`: the first value that is not null.
fn coalesce(args: &[Expr], rows: EvalRows, stats: &mut EvalStats) -> Operand {
    let (last, first) = args.split_last().expect("coalesce has an argument");
    let mut open = BooleanBuffer::new_set(rows.count);
    let mut chosen = Choices::default();
    for arg in first {
        let value = where_reached(arg, &open, rows, stats);
        // Of a branch that was evaluated over fewer rows, the others are null.
        if !value.is_same() && value.array().null_count() == 0 {
            return chosen.finish(open, value);
        }
        let array = value.clone().into_rows(rows.count);
        let valid = array.nulls().map_or_else(|| BooleanBuffer::new_set(rows.count), |nulls| nulls.inner().clone());
        let reached = &open & &valid;
        open = &open & &!&valid;
        chosen.add(reached, value);
    }
    let last = where_reached(last, &open, rows, stats);
    chosen.finish(open, last)
}

/// The values of the branches so far, in the rows that reached them. No row reaches two branches.
#[derive(Default)]
struct Choices {
    merged: Option<Operand>,
}

impl Choices {
    fn add(&mut self, reached: BooleanBuffer, value: Operand) {
        if reached.count_set_bits() == 0 {
            return;
        }
        self.merged = Some(match self.merged.take() {
            // The other rows have a value that no row reaches yet.
            None => value,
            Some(before) => merge(reached, value, before),
        });
    }

    /// Returns the values, one a row even where all rows took one constant branch: an operation on it that fails does so in
    /// each of them.
    fn finish(mut self, open: BooleanBuffer, last: Operand) -> Operand {
        let rows = open.len();
        self.add(open, last.clone());
        Operand::Rows(self.merged.unwrap_or(last).into_rows(rows))
    }
}

/// Returns one value in the rows that are set, and another in the others.
fn merge(set: BooleanBuffer, value: Operand, other: Operand) -> Operand {
    let rows = set.len();
    let mask = BooleanArray::new(set, None);
    // Arrow copies a single value beside a column row by row, so a column of a small one is faster.
    let is_small = value.array().data_type().is_primitive();
    let (value, other) = match value.is_same() != other.is_same() && is_small {
        true => (Operand::Rows(value.into_rows(rows)), Operand::Rows(other.into_rows(rows))),
        false => (value, other),
    };
    Operand::Rows(zip(&mask, &value, &other).expect("binding made the types equal"))
}

/// Evaluates an expression for the rows that reached it; the others may have any value.
fn where_reached(expr: &Expr, reached: &BooleanBuffer, rows: EvalRows, stats: &mut EvalStats) -> Operand {
    let count = reached.count_set_bits();
    if !rows.narrows || count == rows.count {
        return expr.operand(rows, stats);
    }
    if count == 0 {
        return Operand::Same(new_null_array(&expr.ty.arrow(), 1));
    }
    // The columns of the rows that reached it, and the results put back in their places.
    let mask = BooleanArray::new(reached.clone(), None);
    let mut narrow = rows.columns.to_vec();
    for index in expr.columns() {
        narrow[index] = filter(&rows.columns[index], &mask).expect("the mask has a bit a row");
    }
    let value = expr.operand(EvalRows { columns: &narrow, count, ..rows }, stats);
    if value.is_same() {
        return value;
    }
    let mut next = 0;
    let place = |reached: bool| {
        next += u32::from(reached);
        reached.then(|| next - 1)
    };
    let places: UInt32Array = reached.iter().map(place).collect();
    Operand::Rows(take(value.array(), &places, None).expect("each place is that of a result"))
}
