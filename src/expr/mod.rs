//! SQL scalar expressions: parsed, bound to columns, checked, evaluated over Arrow columns.

/// A bound expression.
#[derive(Clone, Debug)]
pub struct Expr {
    pub ty: crate::value::Type,
    pub nullable: bool,
}
