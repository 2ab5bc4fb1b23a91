//! Functions of expressions. A new one is one entry in one of the lists here; its row in the reference is generated.
//!
//! ```
//! use tidemill::expr::FUNCTIONS;
//! let round = FUNCTIONS.iter().copied().flatten().find(|function| function.name == "round").unwrap();
//! assert_eq!(round.signature, "round(x [, digits])");
//! ```

use std::ops::Range;

use super::tree::Expr;
use super::{ExprError, coerce};
use crate::value::Type;

mod choice;
mod math;
mod moment;
mod text;

pub(super) use text::join;

/// A function: its signature, and the binding of a call.
pub struct Function {
    pub name: &'static str,
    /// The form shown in the reference and in errors: `round(x [, digits])`.
    pub signature: &'static str,
    /// One line for the reference.
    pub summary: &'static str,
    /// Least and greatest number of arguments.
    pub arity: (usize, usize),
    pub(super) bind: fn(Vec<Arg>) -> Result<Expr, ExprError>,
}

/// Every function, in the order of the reference.
pub static FUNCTIONS: &[&[Function]] = &[math::FUNCTIONS, choice::FUNCTIONS, text::FUNCTIONS, moment::FUNCTIONS];

/// Finds a function by name, ignoring letter case.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().copied().flatten().find(|function| function.name.eq_ignore_ascii_case(name))
}

/// A bound argument and its position in the text.
pub(super) struct Arg {
    pub expr: Expr,
    pub span: Range<usize>,
}

impl Arg {
    fn error(&self, expected: &str) -> ExprError {
        let found = if self.expr.is_untyped_null() { "null" } else { self.expr.ty().name() };
        let article = if found == "int" { "an" } else { "a" };
        ExprError::new(self.span.clone(), format!("this is {article} {found}")).expected(expected)
    }

    /// Returns the argument as a number, an int or a float; NULL is a float.
    pub fn number(self) -> Result<Expr, ExprError> {
        match self.expr.ty() {
            _ if self.expr.is_untyped_null() => Ok(Expr::null(Type::Float)),
            Type::Int | Type::Float => Ok(self.expr),
            _ => Err(self.error("a number")),
        }
    }

    pub fn float(self) -> Result<Expr, ExprError> {
        let span = self.span.clone();
        Arg { expr: self.number()?, span }.of(Type::Float, "a number")
    }

    pub fn int(self) -> Result<Expr, ExprError> {
        self.of(Type::Int, "an int")
    }

    pub fn bool(self) -> Result<Expr, ExprError> {
        self.of(Type::Bool, "a bool")
    }

    pub fn text(self) -> Result<Expr, ExprError> {
        self.of(Type::String, "a string")
    }

    pub fn timestamp(self) -> Result<Expr, ExprError> {
        self.of(Type::Timestamp, "a timestamp")
    }

    fn of(self, ty: Type, expected: &str) -> Result<Expr, ExprError> {
        match self.expr.clone().coerced(ty) {
            Some(expr) => Ok(expr),
            None => Err(self.error(expected)),
        }
    }
}

/// Converts arguments to their common type.
pub(super) fn alike(args: Vec<Arg>) -> Result<Vec<Expr>, ExprError> {
    let exprs: Vec<&Expr> = args.iter().map(|arg| &arg.expr).collect();
    let Some(ty) = coerce::common_type(&exprs) else {
        let typed = || args.iter().filter(|arg| !arg.expr.is_untyped_null());
        let Some(first) = typed().next() else {
            let span = args.first().map_or(0..0, |arg| arg.span.clone());
            return Err(ExprError::new(span, "NULL of no type").expected("a value, or cast(null AS type)"));
        };
        let differs = |arg: &&Arg| coerce::common_type(&[&first.expr, &arg.expr]).is_none();
        let odd = typed().find(differs).unwrap_or(first);
        return Err(odd.error(&format!("a {}, as beside it", first.expr.ty())));
    };
    Ok(args.into_iter().map(|arg| arg.expr.coerced(ty).expect("the common type fits all")).collect())
}
