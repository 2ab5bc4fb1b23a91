//! Constants: one value, stored as a column of one row.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, new_null_array};

use super::tree::{Expr, ExprNode};
use crate::value::{ColumnBuilder, Scalar, Type};

impl Expr {
    /// A constant.
    pub(super) fn literal(value: ArrayRef) -> Self {
        let ty = Type::of_arrow(value.data_type()).expect("literals are made from tidemill's types");
        let nullable = value.is_null(0);
        Expr::of(ExprNode::Literal(value), ty, nullable)
    }

    pub(super) fn int(value: i64) -> Self {
        Expr::literal(Arc::new(Int64Array::from(vec![value])))
    }

    pub(super) fn float(value: f64) -> Self {
        Expr::literal(Arc::new(Float64Array::from(vec![value])))
    }

    pub(super) fn bool(value: bool) -> Self {
        Expr::literal(Arc::new(BooleanArray::from(vec![value])))
    }

    pub(super) fn string(value: &str) -> Self {
        Expr::literal(Arc::new(StringArray::from(vec![value])))
    }

    pub(super) fn timestamp(ms: i64) -> Self {
        let mut builder = ColumnBuilder::new(Type::Timestamp);
        builder.append(&Scalar::Timestamp(ms));
        Expr::literal(builder.finish())
    }

    /// NULL of a type.
    pub(super) fn null(ty: Type) -> Self {
        Expr::literal(new_null_array(&ty.arrow(), 1))
    }

    /// Returns the value of a constant, `None` if the expression is not one.
    pub(super) fn constant(&self) -> Option<Scalar> {
        match &self.node {
            ExprNode::Literal(value) => Some(Scalar::of(value, 0)),
            _ => None,
        }
    }

    /// Returns whether this is a `NULL` whose type is still open.
    pub(super) fn is_untyped_null(&self) -> bool {
        matches!(self.node, ExprNode::Null)
    }
}

/// Reads a number: an int if it is one and fits, else a float; `None` if it exceeds the range of floats.
pub fn number(text: &str) -> Option<Expr> {
    if let Ok(value) = text.parse() {
        return Some(Expr::int(value));
    }
    text.parse().ok().filter(|value: &f64| value.is_finite()).map(Expr::float)
}
