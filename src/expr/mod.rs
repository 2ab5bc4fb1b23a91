//! SQL scalar expressions: parsed, bound to columns, type-checked, evaluated over Arrow columns.
//!
//! The text of a `where`, an `of`, a `value`, a feature entry or a SELECT item is parsed by `sqlparser` (PostgreSQL's
//! dialect), bound to the columns of a [`Scope`] and checked, with the position of every mistake; after that,
//! evaluation cannot fail. PostgreSQL's rules hold (three-valued logic, int / int truncates, Sunday is 0), but for one:
//! a row for which there is no answer (a non-finite float, an int overflow, a division by zero, a text that a cast
//! cannot read) is NULL and counted in [`EvalStats`], where PostgreSQL would fail the query.
//!
//! Names are exact, quoted or not; keywords and functions are not case-sensitive. A result depends on the row alone:
//! never on its neighbours, the CPU or the system's libm.
//!
//! ```
//! use std::sync::Arc;
//! use arrow_array::{ArrayRef, Float64Array, cast::AsArray};
//! use tidemill::expr::{EvalStats, Expr, Scope};
//! use tidemill::value::{Column, Schema, Type};
//!
//! let schema = Schema::new(vec![Column::new("delay", Type::Float, true)]);
//! let expr = Expr::parse("(delay - 30) / 60", &Scope::of("departures", &schema)).unwrap();
//! let delay: ArrayRef = Arc::new(Float64Array::from(vec![Some(90.0), Some(600.0), None]));
//! let hours = expr.eval(&[delay], 3, &mut EvalStats::default());
//! assert_eq!(hours.as_ref(), &Float64Array::from(vec![Some(1.0), Some(9.5), None]) as &dyn arrow_array::Array);
//! ```

mod error;
mod eval_stats;
mod scope;
mod tree;

mod dialect;
mod limits;
mod parse;
mod place;

mod bind;
mod cast;
mod coerce;
mod interval;
mod invoke;
mod literal;

mod arithmetic;
mod choose;
mod compare;
mod eval;
mod operand;
mod pattern;

mod functions;

pub use bind::name_parts;
pub use error::{ExprError, nearest};
pub use eval_stats::EvalStats;
pub use functions::{FUNCTIONS, Function};
pub use limits::{with_stack, with_stack_for};
pub use parse::{Positions, parse_select};
pub use place::{start_of, start_of_item, start_of_name, start_of_query, start_of_set};
pub use scope::Scope;
pub use tree::Expr;
