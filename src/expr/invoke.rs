//! Binding of function calls: by name, and in the special forms of SQL's grammar (EXTRACT, SUBSTRING …).

use std::ops::Range;

use sqlparser::ast::{self, Expr as Ast};

use super::bind::Binder;
use super::functions::{self, Arg};
use super::{Expr, ExprError, nearest};

/// SQL's aggregate functions, which get an error that points to feature groups.
static AGGREGATES: &[&str] = &["count", "sum", "avg", "min", "max", "stddev", "variance", "first_value", "lag"];

impl Binder<'_> {
    pub fn extract(&mut self, field: &str, inner: &Ast, span: &Range<usize>) -> Option<Expr> {
        let arg = self.bind(inner, span)?;
        let field = Arg { expr: Expr::string(field), span: span.clone() };
        let function = functions::find("date_part").expect("date_part is listed");
        self.keep((function.bind)(vec![field, arg]))
    }

    pub fn call<'t>(
        &mut self,
        name: &str,
        args: impl IntoIterator<Item = &'t Ast>,
        span: &Range<usize>,
    ) -> Option<Expr> {
        let function = functions::find(name).expect("the parser's own functions are listed");
        let args = self.bind_all(args, span)?;
        self.keep((function.bind)(args))
    }

    /// Reports the mistakes in the arguments of a call whose function is not known.
    fn bind_args_of_unknown(&mut self, call: &ast::Function, span: &Range<usize>) {
        let ast::FunctionArguments::List(list) = &call.args else { return };
        for arg in &list.args {
            if let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(tree)) = arg {
                self.bind(tree, span);
            }
        }
    }

    pub fn function(&mut self, call: &ast::Function, span: &Range<usize>) -> Option<Expr> {
        let name = call.name.to_string();
        let Some(function) = functions::find(&name) else {
            let names = || functions::FUNCTIONS.iter().copied().flatten().map(|f| f.name);
            let aggregate = AGGREGATES.iter().any(|known| known.eq_ignore_ascii_case(&name));
            let error =
                ExprError::new(span.clone(), format!("unknown function '{name}'")).suggest(nearest(&name, names()));
            self.report(match aggregate {
                true => error.expected("a scalar function; aggregates are the work of feature groups").suggest(None),
                false => error,
            });
            self.bind_args_of_unknown(call, span);
            return None;
        };
        let plain = call.over.is_none() && call.filter.is_none() && call.within_group.is_empty();
        let ast::FunctionArguments::List(list) = &call.args else {
            return self.fail(span.clone(), format!("{name} without arguments"), function.signature);
        };
        if !plain || list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
            return self.fail(span.clone(), format!("{name} takes plain arguments only"), function.signature);
        }
        let mut trees = Vec::with_capacity(list.args.len());
        for arg in &list.args {
            match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(tree)) => trees.push(tree),
                _ => return self.fail(span.clone(), format!("{name} takes plain arguments only"), function.signature),
            }
        }
        let args = self.bind_all(trees.iter().copied(), span);
        if !(function.arity.0..=function.arity.1).contains(&trees.len()) {
            let count = match trees.len() {
                0 => "no arguments".to_owned(),
                1 => "1 argument".to_owned(),
                more => format!("{more} arguments"),
            };
            return self.fail(span.clone(), format!("{} was given {count}", function.name), function.signature);
        }
        self.keep((function.bind)(args?))
    }
}
