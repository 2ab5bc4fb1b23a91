//! The places of syntax trees in their text.
//!
//! The parser's own spans visit a whole tree, once again at each of its levels. A mistake needs no more than the place
//! where a tree begins, which is that of its leftmost leaf.

use sqlparser::ast::{self, Expr as Ast};
use sqlparser::tokenizer::Span;

/// Returns the span of the first part of an expression that has one; empty if the tree has no position.
pub fn start_of(tree: &Ast) -> Span {
    let mut leaf = tree;
    while let Some(left) = leftmost(leaf) {
        leaf = left;
    }
    match leaf {
        Ast::Identifier(ident) => ident.span,
        Ast::CompoundIdentifier(parts) => parts.first().map_or_else(Span::empty, |part| part.span),
        Ast::Value(value) => value.span,
        Ast::TypedString(typed) => typed.value.span,
        Ast::Function(call) => start_of_name(&call.name),
        Ast::Case { case_token, .. } => case_token.0.span,
        Ast::Wildcard(token) => token.0.span,
        Ast::QualifiedWildcard(name, _) => start_of_name(name),
        Ast::Subquery(query) | Ast::Exists { subquery: query, .. } => start_of_query(query),
        _ => Span::empty(),
    }
}

/// Returns the expression with which another one begins, `None` if it begins with a token of its own.
fn leftmost(tree: &Ast) -> Option<&Ast> {
    match tree {
        Ast::Array(array) => array.elem.first(),
        Ast::Tuple(items) => items.first(),
        Ast::Interval(interval) => Some(&interval.value),
        // Operators with two operands.
        Ast::IsDistinctFrom(left, _)
        | Ast::IsNotDistinctFrom(left, _)
        | Ast::BinaryOp { left, .. }
        | Ast::AnyOp { left, .. }
        | Ast::AllOp { left, .. } => Some(left),
        // Operators with one, or whose first operand is the expression.
        Ast::IsFalse(expr)
        | Ast::IsNotFalse(expr)
        | Ast::IsTrue(expr)
        | Ast::IsNotTrue(expr)
        | Ast::IsNull(expr)
        | Ast::IsNotNull(expr)
        | Ast::IsUnknown(expr)
        | Ast::IsNotUnknown(expr)
        | Ast::Nested(expr)
        | Ast::OuterJoin(expr)
        | Ast::Prior(expr)
        | Ast::IsNormalized { expr, .. }
        | Ast::InList { expr, .. }
        | Ast::InSubquery { expr, .. }
        | Ast::InUnnest { expr, .. }
        | Ast::Between { expr, .. }
        | Ast::Like { expr, .. }
        | Ast::ILike { expr, .. }
        | Ast::SimilarTo { expr, .. }
        | Ast::RLike { expr, .. }
        | Ast::UnaryOp { expr, .. }
        | Ast::Convert { expr, .. }
        | Ast::Cast { expr, .. }
        | Ast::AtTimeZone { timestamp: expr, .. }
        | Ast::Extract { expr, .. }
        | Ast::Ceil { expr, .. }
        | Ast::Floor { expr, .. }
        | Ast::Position { expr, .. }
        | Ast::Substring { expr, .. }
        | Ast::Trim { expr, .. }
        | Ast::Overlay { expr, .. }
        | Ast::Collate { expr, .. }
        | Ast::Prefixed { value: expr, .. }
        | Ast::JsonAccess { value: expr, .. }
        | Ast::CompoundFieldAccess { root: expr, .. } => Some(expr),
        _ => None,
    }
}

/// Returns the span of the first token of a query.
pub fn start_of_query(query: &ast::Query) -> Span {
    match &query.with {
        Some(with) => with.with_token.0.span,
        None => start_of_set(&query.body),
    }
}

/// Returns the span of the first token of the SELECTs that UNION and its like join.
pub fn start_of_set(body: &ast::SetExpr) -> Span {
    let mut at = body;
    loop {
        at = match at {
            ast::SetExpr::Select(select) => return select.select_token.0.span,
            ast::SetExpr::SetOperation { left, .. } => left,
            ast::SetExpr::Query(query) => match &query.with {
                Some(with) => return with.with_token.0.span,
                None => &query.body,
            },
            _ => return Span::empty(),
        }
    }
}

/// Returns the span of the first part of a SELECT item that has one.
pub fn start_of_item(item: &ast::SelectItem) -> Span {
    match item {
        ast::SelectItem::UnnamedExpr(expr)
        | ast::SelectItem::ExprWithAlias { expr, .. }
        | ast::SelectItem::ExprWithAliases { expr, .. } => start_of(expr),
        ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
            start_of_name(name)
        }
        ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::Expr(expr), _) => start_of(expr),
        ast::SelectItem::Wildcard(options) => options.wildcard_token.0.span,
    }
}

/// Returns the span of the first part of a name.
pub fn start_of_name(name: &ast::ObjectName) -> Span {
    name.0.first().and_then(|part| part.as_ident()).map_or_else(Span::empty, |ident| ident.span)
}
