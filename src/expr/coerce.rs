//! Conversions between types: SQL's implicit ones, and `cast`.
//!
//! Implicitly, an int becomes a float where a float is needed, a string constant a timestamp where one is needed, and
//! NULL any type. Every other conversion needs a `cast`.

use std::sync::Arc;

use arrow_array::BooleanArray;
use arrow_array::builder::StringBuilder;

use super::compare::null_rows;
use super::eval::EvalRows;
use super::operand::{Operand, extent, map1, try_map1};
use super::tree::{Expr, ExprNode};
use super::{EvalStats, literal};
use crate::time::{format_time, parse_time};
use crate::value::{Scalar, Type, float_text};

impl Expr {
    /// Converts the expression to another type, `None` if SQL has no such implicit conversion.
    pub(super) fn coerced(self, ty: Type) -> Option<Expr> {
        match (self.ty, ty) {
            _ if self.is_untyped_null() => Some(Expr::null(ty)),
            (from, to) if from == to => Some(self),
            (Type::Int, Type::Float) => Some(cast(self, Type::Float)?.folded().0),
            (Type::String, Type::Timestamp) => match self.constant()? {
                Scalar::String(text) => parse_time(&text).map(Expr::timestamp),
                _ => Some(Expr::null(Type::Timestamp)),
            },
            _ => None,
        }
    }

    /// Evaluates an expression that reads no column. Returns the resulting constant (else the expression itself), and
    /// false if evaluating it failed.
    pub(super) fn folded(self) -> (Expr, bool) {
        let leaf = matches!(self.node, ExprNode::Column { .. } | ExprNode::Literal(_) | ExprNode::Null);
        if leaf || self.reads_columns {
            return (self, true);
        }
        let mut stats = EvalStats::default();
        let value = self.eval(&[], 1, &mut stats);
        (Expr::literal(value), stats.is_clean())
    }
}

/// Returns the type to which all values convert implicitly, `None` if there is none (or if all are untyped NULLs).
pub fn common_type(values: &[&Expr]) -> Option<Type> {
    let mut types: Vec<Type> = values.iter().filter(|e| !e.is_untyped_null()).map(|e| e.ty).collect();
    types.dedup();
    let has = |ty| types.contains(&ty);
    let candidate = match () {
        _ if has(Type::Timestamp) => Type::Timestamp,
        _ if has(Type::Float) => Type::Float,
        _ => *types.first()?,
    };
    values.iter().all(|e| (*e).clone().coerced(candidate).is_some()).then_some(candidate)
}

/// Builds `cast(value AS ty)`, `None` if there is no such cast.
pub fn cast(value: Expr, ty: Type) -> Option<Expr> {
    if value.is_untyped_null() {
        return Some(Expr::null(ty));
    }
    let kernel: fn(&Operand, &mut EvalStats) -> Operand = match (value.ty, ty) {
        (from, to) if from == to => return Some(value),
        (Type::Int, Type::Float) => |a, _| map1(a.ints(), |x| x as f64).floats(),
        (Type::Float, Type::Int) => |a, stats| try_map1(a.floats(), to_int, &mut stats.overflow).ints(),
        (Type::Int, Type::Bool) => |a, _| map1(a.ints(), |x| x != 0).booleans(),
        (Type::Bool, Type::Int) => |a, _| choose_by_bool(a, Expr::int(1), Expr::int(0)),
        (Type::Bool, Type::Float) => |a, _| choose_by_bool(a, Expr::float(1.0), Expr::float(0.0)),
        (Type::String, _) => return Some(read_text(value, ty)),
        (_, Type::String) => return Some(write_text(value)),
        _ => return None,
    };
    let loses = (value.ty, ty) == (Type::Float, Type::Int);
    let nullable = value.nullable || loses;
    Some(Expr::call(ty.name(), ty, nullable, vec![value], move |args, stats| kernel(&args[0], stats)))
}

/// Rounds to the nearest int, ties to even; `None` if it does not fit.
pub(super) fn to_int(x: f64) -> Option<i64> {
    let rounded = x.round_ties_even();
    // -2^63 is a float, 2^63 is the first one beyond.
    (rounded >= i64::MIN as f64 && rounded < i64::MAX as f64).then_some(rounded as i64)
}

fn choose_by_bool(condition: &Operand, yes: Expr, no: Expr) -> Operand {
    let same = condition.is_same();
    let mask = condition.clone().into_booleans(condition.array().len());
    let pick = |expr: Expr| expr.operand(EvalRows::CONSTANT, &mut EvalStats::default());
    let chosen = arrow_select::zip::zip(&mask, &pick(yes), &pick(no)).expect("both branches have one type");
    let nulls = arrow_select::nullif::nullif(&chosen, &BooleanArray::new(null_rows(&mask), None));
    Operand::new(nulls.expect("the lengths agree"), same)
}

fn read_text(value: Expr, ty: Type) -> Expr {
    Expr::call(ty.name(), ty, true, vec![value], move |args, stats| {
        let (rows, same) = extent(args);
        let texts = args[0].texts();
        let mut column = crate::value::ColumnBuilder::new(ty);
        for row in 0..rows {
            match texts.at(row) {
                None => column.append_null(),
                Some(text) => {
                    let read = read(text.trim(), ty);
                    stats.unreadable += u64::from(read.is_null());
                    column.append(&read);
                }
            }
        }
        Operand::new(column.finish(), same)
    })
}

fn read(text: &str, ty: Type) -> Scalar {
    let read = match ty {
        Type::Int => text.parse().ok().map(Scalar::Int),
        Type::Float => text.parse().ok().filter(|x: &f64| x.is_finite()).map(Scalar::Float),
        Type::Timestamp => parse_time(text).map(Scalar::Timestamp),
        Type::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(Scalar::Bool(true)),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(Scalar::Bool(false)),
            _ => None,
        },
        Type::String => Some(Scalar::String(text.into())),
    };
    read.unwrap_or(Scalar::Null)
}

fn write_text(value: Expr) -> Expr {
    let nullable = value.nullable;
    Expr::call("string", Type::String, nullable, vec![value], |args, _| {
        let (rows, same) = extent(args);
        let mut column = StringBuilder::with_capacity(rows, rows * 8);
        for row in 0..rows {
            column.append_option(text_of(&Scalar::of(args[0].array(), row)));
        }
        Operand::new(Arc::new(column.finish()), same)
    })
}

/// Builds the cast to string: the shortest text that reads back to the same value.
pub fn text_of(value: &Scalar) -> Option<String> {
    match value {
        Scalar::Null => None,
        Scalar::Bool(value) => Some(value.to_string()),
        Scalar::Int(value) => Some(value.to_string()),
        Scalar::Float(value) => Some(float_text(*value)),
        Scalar::String(value) => Some(value.to_string()),
        Scalar::Timestamp(ms) => Some(format_time(*ms)),
    }
}

/// Finds a type by its SQL name or by tidemill's.
pub fn type_named(name: &str) -> Option<Type> {
    let lower = name.to_ascii_lowercase();
    let base = lower.split('(').next().unwrap_or_default().trim();
    match base {
        "string" | "text" | "varchar" | "character varying" => Some(Type::String),
        "int" | "integer" | "bigint" | "int8" => Some(Type::Int),
        "float" | "double" | "double precision" | "float8" => Some(Type::Float),
        "bool" | "boolean" => Some(Type::Bool),
        "timestamp" | "timestamp without time zone" => Some(Type::Timestamp),
        _ => None,
    }
}

/// Reads the constant `TYPE 'text'`, `None` if the text is no value of the type.
pub fn typed_text(text: &str, ty: Type) -> Option<Expr> {
    match (read(text.trim(), ty), ty) {
        (_, Type::String) => Some(Expr::string(text)),
        (Scalar::Int(_) | Scalar::Float(_), _) => literal::number(text.trim())?.coerced(ty),
        (Scalar::Bool(value), _) => Some(Expr::bool(value)),
        (Scalar::Timestamp(ms), _) => Some(Expr::timestamp(ms)),
        _ => None,
    }
}
