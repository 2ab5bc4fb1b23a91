//! Binding: a syntax tree becomes an expression. Names become positions, types are checked, constants are computed.

use std::ops::Range;

use sqlparser::ast::{self, BinaryOperator as Binary, Expr as Ast, UnaryOperator as Unary, Value};

use super::arithmetic::{ADD, DIVIDE, MULTIPLY, Operator, REMAINDER, SUBTRACT, dyadic, negate};
use super::compare::{self, CompareOperator};
use super::functions::{Arg, alike, join};
use super::tree::{Expr, ExprNode};
use super::{ExprError, Positions, Scope, literal, pattern, start_of, with_stack};
use crate::value::{Scalar, Type};

impl Expr {
    /// Binds and checks a tree; `positions` are those of the text that it was read from.
    ///
    /// # Errors
    /// Every mistake in the tree, with its position.
    pub fn bind(tree: &Ast, scope: &Scope, positions: &Positions) -> Result<Expr, Vec<ExprError>> {
        let mut binder = Binder { scope, positions, errors: Vec::new() };
        let bound = binder.bind(tree, &positions.all());
        if let Some(arg) = &bound
            && arg.expr.is_untyped_null()
        {
            let error = ExprError::new(arg.span.clone(), "NULL of no type");
            binder.errors.push(error.expected("a value, or cast(null AS type)"));
        }
        match bound {
            Some(arg) if binder.errors.is_empty() => Ok(arg.expr),
            _ => Err(binder.errors),
        }
    }
}

/// Returns the parts of a name, `None` if the tree is not a name. The parser reads some names, such as `user`, as
/// functions without parentheses; they count as names here.
pub fn name_parts(tree: &Ast) -> Option<Vec<&ast::Ident>> {
    match tree {
        Ast::Identifier(ident) => Some(vec![ident]),
        Ast::CompoundIdentifier(parts) => Some(parts.iter().collect()),
        Ast::Function(call) if matches!(call.args, ast::FunctionArguments::None) => {
            call.name.0.iter().map(|part| part.as_ident()).collect()
        }
        Ast::CompoundFieldAccess { root, access_chain } => {
            let mut parts = name_parts(root)?;
            for access in access_chain {
                match access {
                    ast::AccessExpr::Dot(part) => parts.extend(name_parts(part)?),
                    ast::AccessExpr::Subscript(_) => return None,
                }
            }
            Some(parts)
        }
        _ => None,
    }
}

/// Mistakes of one expression that are reported; the others are often consequences of the same one.
const MAX_ERRORS: usize = 100;

pub(super) struct Binder<'a> {
    scope: &'a Scope,
    pub positions: &'a Positions<'a>,
    pub errors: Vec<ExprError>,
}

impl Binder<'_> {
    pub fn fail<T>(&mut self, span: Range<usize>, message: impl Into<String>, expected: &str) -> Option<T> {
        self.keep(Err(ExprError::new(span, message).expected(expected)))
    }

    pub fn keep<T>(&mut self, result: Result<T, ExprError>) -> Option<T> {
        result.map_err(|error| self.report(error)).ok()
    }

    pub fn report(&mut self, error: ExprError) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        }
    }

    /// Binds a tree, and evaluates it if it is constant. `within` is the span of a tree that has none of its own.
    pub fn bind(&mut self, tree: &Ast, within: &Range<usize>) -> Option<Arg> {
        with_stack(|| {
            let span = self.positions.bytes(start_of(tree)).unwrap_or_else(|| within.clone());
            if let Ast::BinaryOp { .. } = tree {
                return self.chain(tree, &span);
            }
            let expr = self.node(tree, &span)?;
            self.folded(expr, span)
        })
    }

    fn folded(&mut self, expr: Expr, span: Range<usize>) -> Option<Arg> {
        match expr.folded() {
            (expr, true) => Some(Arg { expr, span }),
            (_, false) => self.fail(span, "this constant has no value", "a result that is finite and fits"),
        }
    }

    /// Binds several trees and reports the mistakes of all of them.
    pub fn bind_all<'t>(
        &mut self,
        trees: impl IntoIterator<Item = &'t Ast>,
        within: &Range<usize>,
    ) -> Option<Vec<Arg>> {
        let bound: Vec<Option<Arg>> = trees.into_iter().map(|tree| self.bind(tree, within)).collect();
        bound.into_iter().collect()
    }

    fn bind_two(&mut self, a: &Ast, b: &Ast, within: &Range<usize>) -> Option<(Arg, Arg)> {
        let (a, b) = (self.bind(a, within), self.bind(b, within));
        Some((a?, b?))
    }

    /// Binds operators of two operands. The left operand of each is the operator before it, so their chain is walked
    /// from its first operand on.
    fn chain(&mut self, tree: &Ast, span: &Range<usize>) -> Option<Arg> {
        let mut links = Vec::new();
        let mut first = tree;
        while let Ast::BinaryOp { left, op, right } = first {
            links.push((op, right));
            first = left;
        }
        let mut left = self.bind(first, span);
        for (op, right) in links.into_iter().rev() {
            if self.is_interval(right) {
                let shifted = self.shifted(left, op, right, span);
                left = shifted.and_then(|expr| self.folded(expr, span.clone()));
                continue;
            }
            let right = self.bind(right, span);
            left = match (left, right) {
                (Some(left), Some(right)) => {
                    let expr = self.binary(left, op, right, span);
                    expr.and_then(|expr| self.folded(expr, span.clone()))
                }
                _ => None,
            };
        }
        left
    }

    fn node(&mut self, tree: &Ast, span: &Range<usize>) -> Option<Expr> {
        // Names come first: they are identifiers, plain or compound, or look like a function without parentheses.
        if let Some(parts) = name_parts(tree) {
            return self.named(&parts, span);
        }
        match tree {
            Ast::Nested(inner) => Some(self.bind(inner, span)?.expr),
            Ast::Value(value) => self.value(&value.value, span),
            Ast::TypedString(typed) => self.typed_string(typed, span),
            Ast::UnaryOp { op, expr } => self.unary(op, expr, span),
            Ast::IsNull(inner) => self.null_test(inner, true, span),
            Ast::IsNotNull(inner) => self.null_test(inner, false, span),
            Ast::IsTrue(inner) => self.truth_test(inner, true, false, span),
            Ast::IsNotTrue(inner) => self.truth_test(inner, true, true, span),
            Ast::IsFalse(inner) => self.truth_test(inner, false, false, span),
            Ast::IsNotFalse(inner) => self.truth_test(inner, false, true, span),
            Ast::Between { expr, negated, low, high } => self.between(expr, low, high, *negated, span),
            Ast::InList { expr, list, negated } => self.in_list(expr, list, *negated, span),
            Ast::Like { negated, any: false, expr, pattern, escape_char: None } => {
                self.like(expr, pattern, *negated, false, span)
            }
            Ast::ILike { negated, any: false, expr, pattern, escape_char: None } => {
                self.like(expr, pattern, *negated, true, span)
            }
            Ast::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), span)
            }
            Ast::Cast { expr, data_type, array: false, format: None, .. } => self.cast(expr, data_type, span),
            Ast::Extract { field, expr, .. } => self.extract(&field.to_string(), expr, span),
            // Functions with a syntax of their own.
            Ast::Ceil { expr, field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) } => {
                self.call("ceil", [expr.as_ref()], span)
            }
            Ast::Floor { expr, field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) } => {
                self.call("floor", [expr.as_ref()], span)
            }
            Ast::Position { expr, r#in } => self.call("strpos", [r#in.as_ref(), expr.as_ref()], span),
            Ast::Substring { expr, substring_from: Some(from), substring_for, .. } => {
                self.call("substr", [expr, from].into_iter().chain(substring_for).map(AsRef::as_ref), span)
            }
            Ast::Trim { trim_where: None, trim_what: None, expr, trim_characters: None } => {
                self.call("trim", [expr.as_ref()], span)
            }
            Ast::Function(function) => self.function(function, span),
            other => self.unsupported(other, span),
        }
    }

    fn unsupported(&mut self, tree: &Ast, span: &Range<usize>) -> Option<Expr> {
        if let Ast::Interval(_) = tree {
            return self.fail(span.clone(), "an interval by itself", "one behind a timestamp: t + interval '6 hours'");
        }
        let what = match tree {
            Ast::Subquery(_) | Ast::Exists { .. } | Ast::InSubquery { .. } => "a subquery",
            Ast::Array(_) => "an array",
            Ast::Tuple(_) => "a tuple",
            Ast::Wildcard(_) | Ast::QualifiedWildcard(..) => "'*'",
            Ast::AtTimeZone { .. } => "a time zone (times are UTC)",
            Ast::Like { .. } | Ast::ILike { .. } | Ast::SimilarTo { .. } | Ast::RLike { .. } => "this kind of pattern",
            _ => "this SQL",
        };
        self.fail(span.clone(), format!("{what} is not supported in an expression"), "a scalar expression")
    }

    fn named(&mut self, parts: &[&ast::Ident], span: &Range<usize>) -> Option<Expr> {
        if self.scope.is_unknown() {
            return None;
        }
        let place = |ident: &ast::Ident| self.positions.bytes(ident.span).unwrap_or_else(|| span.clone());
        let found = match parts {
            [column] => self.scope.resolve(&column.value, place(column), column.quote_style.is_some()),
            [relation, column] => {
                self.scope.resolve_qualified((&relation.value, place(relation)), (&column.value, place(column)))
            }
            _ => return self.fail(span.clone(), "a name of too many parts", "'column' or 'name.column'"),
        };
        self.keep(found)
    }

    fn value(&mut self, value: &Value, span: &Range<usize>) -> Option<Expr> {
        match value {
            Value::Number(text, _) => match literal::number(text) {
                Some(expr) => Some(expr),
                None => self.fail(span.clone(), format!("the number {text} is too large"), "a finite number"),
            },
            Value::SingleQuotedString(text) => Some(Expr::string(text)),
            Value::Boolean(value) => Some(Expr::bool(*value)),
            Value::Null => Some(Expr::of(ExprNode::Null, Type::String, true)),
            other => self.fail(
                span.clone(),
                format!("{other} is not supported"),
                "a number, text in single quotes, true, false or null",
            ),
        }
    }

    fn unary(&mut self, op: &Unary, inner: &Ast, span: &Range<usize>) -> Option<Expr> {
        // The least int is one beyond the greatest, so it has no positive to be the negative of.
        if let (Unary::Minus, Ast::Value(value)) = (op, inner)
            && let Value::Number(text, _) = &value.value
        {
            return literal::number(&format!("-{text}")).or_else(|| self.value(&value.value, span));
        }
        let arg = self.bind(inner, span)?;
        match op {
            Unary::Minus => Some(negate(self.keep(arg.number())?)),
            Unary::Plus => self.keep(arg.number()),
            Unary::Not => Some(compare::negation(self.keep(arg.bool())?)),
            other => self.fail(span.clone(), format!("operator {other} is not supported"), "-, + or NOT"),
        }
    }

    fn binary(&mut self, a: Arg, op: &Binary, b: Arg, span: &Range<usize>) -> Option<Expr> {
        match op {
            Binary::Plus => self.arithmetic(&ADD, a, b),
            Binary::Minus => self.arithmetic(&SUBTRACT, a, b),
            Binary::Multiply => self.arithmetic(&MULTIPLY, a, b),
            Binary::Divide => self.arithmetic(&DIVIDE, a, b),
            Binary::Modulo => self.arithmetic(&REMAINDER, a, b),
            Binary::Eq => self.comparison(CompareOperator::Equal, a, b),
            Binary::NotEq => self.comparison(CompareOperator::NotEqual, a, b),
            Binary::Lt => self.comparison(CompareOperator::Less, a, b),
            Binary::LtEq => self.comparison(CompareOperator::LessOrEqual, a, b),
            Binary::Gt => self.comparison(CompareOperator::Greater, a, b),
            Binary::GtEq => self.comparison(CompareOperator::GreaterOrEqual, a, b),
            Binary::And => self.connective(compare::and, a, b),
            Binary::Or => self.connective(compare::or, a, b),
            Binary::StringConcat => {
                let (a, b) = (self.keep(a.text()), self.keep(b.text()));
                Some(join(a?, b?))
            }
            other => self.fail(
                span.clone(),
                format!("operator {other} is not supported"),
                "one of + - * / % = <> < <= > >= AND OR ||",
            ),
        }
    }

    fn arithmetic(&mut self, operator: &'static Operator, a: Arg, b: Arg) -> Option<Expr> {
        let whole = a.span.start..b.span.end;
        if operator.name == "-" && a.expr.ty() == Type::Timestamp && b.expr.ty() == Type::Timestamp {
            return self.fail(whole, "timestamps are not subtracted", "date_part('epoch', a) - date_part('epoch', b)");
        }
        let place = (a.span.clone(), b.span.clone());
        let (a, b) = (self.keep(a.number()), self.keep(b.number()));
        let (a, b) = (Arg { expr: a?, span: place.0 }, Arg { expr: b?, span: place.1 });
        let (a, b) = self.two_alike(a, b)?;
        Some(dyadic(operator, a.ty(), a, b))
    }

    fn comparison(&mut self, comparison: CompareOperator, a: Arg, b: Arg) -> Option<Expr> {
        let (a, b) = self.two_alike(a, b)?;
        Some(compare::compare(comparison, a, b))
    }

    fn connective(&mut self, connect: fn(Expr, Expr) -> Expr, a: Arg, b: Arg) -> Option<Expr> {
        let (a, b) = (self.keep(a.bool()), self.keep(b.bool()));
        Some(connect(a?, b?))
    }

    fn two_alike(&mut self, a: Arg, b: Arg) -> Option<(Expr, Expr)> {
        let text = [&a, &b].into_iter().find(|arg| matches!(arg.expr.constant(), Some(Scalar::String(_))));
        let time = [&a, &b].into_iter().any(|arg| arg.expr.ty() == Type::Timestamp);
        if let (Some(text), true) = (text, time)
            && text.expr.clone().coerced(Type::Timestamp).is_none()
        {
            return self.fail(text.span.clone(), "this is not a time", "RFC 3339, such as '2024-01-31T08:00:00Z'");
        }
        let mut both = self.keep(alike(vec![a, b]))?;
        let b = both.pop()?;
        Some((both.pop()?, b))
    }

    fn null_test(&mut self, inner: &Ast, null: bool, span: &Range<usize>) -> Option<Expr> {
        let arg = self.bind(inner, span)?;
        match arg.expr.is_untyped_null() {
            true => Some(Expr::bool(null)),
            false => Some(compare::null_test(arg.expr, null)),
        }
    }

    fn truth_test(&mut self, inner: &Ast, wanted: bool, negated: bool, span: &Range<usize>) -> Option<Expr> {
        let arg = self.bind(inner, span)?;
        let test = compare::truth_test(self.keep(arg.bool())?, wanted);
        Some(if negated { compare::negation(test) } else { test })
    }

    fn between(&mut self, value: &Ast, low: &Ast, high: &Ast, negated: bool, span: &Range<usize>) -> Option<Expr> {
        let all = self.bind_all([value, low, high], span)?;
        let mut all = self.keep(alike(all))?;
        let (high, low) = (all.pop()?, all.pop()?);
        let inside = compare::between(all.pop()?, low, high);
        Some(if negated { compare::negation(inside) } else { inside })
    }

    fn in_list(&mut self, value: &Ast, list: &[Ast], negated: bool, span: &Range<usize>) -> Option<Expr> {
        let args = self.bind_all(std::iter::once(value).chain(list), span)?;
        let mut exprs = self.keep(alike(args))?;
        let value = exprs.remove(0);
        let constants: Option<Vec<Scalar>> = exprs.iter().map(Expr::constant).collect();
        let found = match constants {
            Some(constants) => compare::in_constants(value, &constants),
            None => compare::in_any(value, exprs),
        };
        Some(if negated { compare::negation(found) } else { found })
    }

    fn like(&mut self, value: &Ast, like: &Ast, negated: bool, fold: bool, span: &Range<usize>) -> Option<Expr> {
        let (value, like) = self.bind_two(value, like, span)?;
        let (value, like) = (self.keep(value.text()), self.keep(like.text()));
        let matches = pattern::like(value?, like?, fold);
        Some(if negated { compare::negation(matches) } else { matches })
    }

    fn case(
        &mut self,
        operand: Option<&Ast>,
        arms: &[ast::CaseWhen],
        otherwise: Option<&Ast>,
        span: &Range<usize>,
    ) -> Option<Expr> {
        let conditions = match operand {
            None => {
                let bound: Vec<Option<Expr>> = arms
                    .iter()
                    .map(|arm| self.bind(&arm.condition, span).and_then(|arg| self.keep(arg.bool())))
                    .collect();
                bound.into_iter().collect::<Option<Vec<Expr>>>()
            }
            Some(operand) => {
                let trees = std::iter::once(operand).chain(arms.iter().map(|arm| &arm.condition));
                let values = self.bind_all(trees, span).and_then(|args| self.keep(alike(args)));
                values.map(|mut values| {
                    let subject = values.remove(0);
                    values.into_iter().map(|v| compare::compare(CompareOperator::Equal, subject.clone(), v)).collect()
                })
            }
        };
        let results = self.bind_all(arms.iter().map(|arm| &arm.result).chain(otherwise), span);
        let mut results = self.keep(alike(results?))?;
        let ty = results[0].ty();
        let last = if otherwise.is_some() { results.pop()? } else { Expr::null(ty) };
        let arms: Vec<(Expr, Expr)> = conditions?.into_iter().zip(results).collect();
        let nullable = last.nullable() || arms.iter().any(|(_, then)| then.nullable());
        let parts = arms.into_iter().flat_map(|(when, then)| [when, then]).chain([last]).collect();
        Some(Expr::of(ExprNode::Case(parts), ty, nullable))
    }
}
