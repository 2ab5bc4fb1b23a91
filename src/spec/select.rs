//! The SQL of a view, taken apart: one SELECT of a restricted form, or several joined by UNION ALL.

use std::ops::Range;

use sqlparser::ast::{self, BinaryOperator, JoinConstraint, JoinOperator, SetOperator, SetQuantifier, TableFactor};
use sqlparser::tokenizer::Span;

use super::problem::Mistake;
use crate::expr::{Positions, parse_select, start_of, start_of_name, start_of_query, start_of_set};

const FORM: &str = "SELECT items FROM stream [[LEFT] JOIN table ON its keys]… [LEFT JOIN group ON its entity]… [WHERE condition] [UNION ALL another SELECT]…";

/// The joins of a view.
const JOIN_FORM: &str = "[LEFT] JOIN table ON its keys, or LEFT JOIN group ON its entity";

/// `SELECT items FROM from joins WHERE filter`.
pub struct SelectShape {
    pub from: FromItem,
    pub joins: Vec<JoinShape>,
    pub filter: Option<ast::Expr>,
    pub items: Vec<ast::SelectItem>,
    /// Position in the SQL, in bytes.
    pub span: Range<usize>,
}

/// A name in FROM with its alias.
pub struct FromItem {
    pub name: String,
    /// The name by which items refer to it: AS, or else `name`.
    pub alias: String,
    /// Position in the SQL, in bytes.
    pub span: Range<usize>,
}

/// `[LEFT] JOIN table ON equalities`, or with a feature group in place of the table.
pub struct JoinShape {
    pub table: FromItem,
    /// LEFT JOIN.
    pub outer: bool,
    /// The conditions of ON, which are joined by AND.
    pub equalities: Vec<Equality>,
}

/// `left = right` in ON.
pub struct Equality {
    pub left: ast::Expr,
    pub right: ast::Expr,
    /// Position in the SQL, in bytes.
    pub span: Range<usize>,
}

impl SelectShape {
    /// The names in FROM: that of the stream, then those of the joins.
    pub fn named(&self) -> impl Iterator<Item = &FromItem> {
        std::iter::once(&self.from).chain(self.joins.iter().map(|join| &join.table))
    }

    /// Reads SQL: the SELECTs that UNION ALL joins, one or more.
    ///
    /// # Errors
    /// If it is not SQL; and everything in it that a view cannot have.
    pub fn read_all(sql: &str) -> Result<Vec<SelectShape>, Vec<Mistake>> {
        let positions = Positions::of(sql);
        let query = parse_select(sql, &positions).map_err(|mistake| vec![mistake])?;
        let mut reader = SelectReader { positions: &positions, mistakes: Vec::new() };
        let mut shapes = Vec::new();
        reader.query(*query, &mut shapes);
        if reader.mistakes.is_empty() { Ok(shapes) } else { Err(reader.mistakes) }
    }
}

/// Takes a syntax tree apart and collects the mistakes in it.
struct SelectReader<'a> {
    positions: &'a Positions<'a>,
    mistakes: Vec<Mistake>,
}

impl SelectReader<'_> {
    fn place(&self, span: Span) -> Range<usize> {
        self.positions.bytes(span).unwrap_or_else(|| self.positions.all())
    }

    fn refuse<T>(&mut self, span: Range<usize>, what: &str, expected: &str) -> Option<T> {
        self.mistakes.push(Mistake::new(span, format!("{what} is not supported in a view")).expected(expected));
        None
    }

    fn query(&mut self, query: ast::Query, shapes: &mut Vec<SelectShape>) {
        let whole = self.place(start_of_set(&query.body));
        let with = query.with.as_ref().map(|with| self.place(with.with_token.0.span));
        let order_by = query.order_by.as_ref().map(|order| self.place(start_of_order(order)));
        let limit = query.limit_clause.as_ref().map(|limit| self.place(start_of_limit(limit)));
        let other = query.fetch.is_some() || !query.locks.is_empty() || !query.pipe_operators.is_empty();
        for (span, what) in [(with, "WITH"), (order_by, "ORDER BY"), (limit, "LIMIT or OFFSET")] {
            if let Some(span) = span {
                self.refuse::<()>(span, what, FORM);
            }
        }
        if other || query.for_clause.is_some() || query.settings.is_some() || query.format_clause.is_some() {
            self.refuse::<()>(whole.clone(), "what follows the SELECT", FORM);
        }
        self.set_expr(*query.body, shapes);
    }

    /// The SELECTs of a body, from left to right. UNION ALL groups to the left.
    fn set_expr(&mut self, body: ast::SetExpr, shapes: &mut Vec<SelectShape>) {
        let mut open = vec![body];
        while let Some(body) = open.pop() {
            let span = self.place(start_of_set(&body));
            let refused = match body {
                ast::SetExpr::Select(select) => {
                    shapes.extend(self.select(*select));
                    continue;
                }
                ast::SetExpr::SetOperation { op: SetOperator::Union, set_quantifier, left, right } => {
                    if set_quantifier != SetQuantifier::All {
                        let what = format!("UNION {set_quantifier}");
                        self.refuse::<()>(span, what.trim_end(), "UNION ALL, which keeps every record");
                    }
                    open.extend([*right, *left]);
                    continue;
                }
                ast::SetExpr::SetOperation { op, .. } => op.to_string(),
                ast::SetExpr::Query(_) => "a SELECT in parentheses".to_owned(),
                _ => "this statement".to_owned(),
            };
            self.refuse::<()>(span, &refused, FORM);
        }
    }

    fn select(&mut self, select: ast::Select) -> Option<SelectShape> {
        // Clauses that no view may have.
        let whole = self.place(select.select_token.0.span);
        let groups = match &select.group_by {
            ast::GroupByExpr::All(_) => true,
            ast::GroupByExpr::Expressions(exprs, modifiers) => !exprs.is_empty() || !modifiers.is_empty(),
        };
        if groups {
            let first = match &select.group_by {
                ast::GroupByExpr::Expressions(exprs, _) => exprs.first().map(start_of),
                ast::GroupByExpr::All(_) => None,
            };
            let span = self.place(first.unwrap_or_else(Span::empty));
            self.refuse::<()>(span, "GROUP BY", "a feature group, [features.NAME], for aggregation");
        }
        if let Some(having) = &select.having {
            let span = self.place(start_of(having));
            self.refuse::<()>(span, "HAVING", "a feature group, [features.NAME], for aggregation");
        }
        if select.distinct.is_some() {
            self.refuse::<()>(whole.clone(), "DISTINCT", FORM);
        }
        let unusual = select.top.is_some()
            || select.into.is_some()
            || select.exclude.is_some()
            || select.prewhere.is_some()
            || select.qualify.is_some()
            || select.value_table_mode.is_some()
            || select.select_modifiers.is_some()
            || !select.lateral_views.is_empty()
            || !select.connect_by.is_empty()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || !select.named_window.is_empty();
        if unusual || select.flavor != ast::SelectFlavor::Standard {
            self.refuse::<()>(whole.clone(), "this form of SELECT", FORM);
        }
        // Clauses that every view must have.
        if select.projection.is_empty() {
            self.mistakes.push(Mistake::new(whole.clone(), "there are no SELECT items").expected(FORM));
        }
        let mut from = select.from;
        if from.len() != 1 {
            let what = if from.is_empty() { "a SELECT without FROM" } else { "more than one name in FROM" };
            let span = from.get(1).map_or(whole, |second| self.place(start_of_factor(&second.relation)));
            return self.refuse(span, what, FORM);
        }
        let from = from.remove(0);
        let driving = self.read_from_item(&from.relation);
        let joins: Vec<Option<JoinShape>> = from.joins.into_iter().map(|join| self.join(join)).collect();
        Some(SelectShape {
            from: driving?,
            joins: joins.into_iter().collect::<Option<_>>()?,
            filter: select.selection,
            items: select.projection,
            span: whole,
        })
    }

    fn read_from_item(&mut self, factor: &TableFactor) -> Option<FromItem> {
        let span = self.place(start_of_factor(factor));
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                version: None,
                with_ordinality: false,
                json_path: None,
                sample: None,
                with_hints,
                partitions,
                index_hints,
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
                let [ast::ObjectNamePart::Identifier(ident)] = name.0.as_slice() else {
                    return self.refuse(span, "a name of several parts", "a source, a view or a table");
                };
                let alias = match alias {
                    Some(alias) if !alias.columns.is_empty() => {
                        return self.refuse(span, "renaming columns in FROM", "'AS name' behind SELECT items");
                    }
                    Some(alias) => alias.name.value.clone(),
                    None => ident.value.clone(),
                };
                let span = self.positions.bytes(ident.span).unwrap_or(span);
                Some(FromItem { name: ident.value.clone(), alias, span })
            }
            TableFactor::Derived { .. } => self.refuse(span, "a subquery", "a view of its own, by name"),
            _ => self.refuse(span, "this in FROM", "a source, a view or a table, by name"),
        }
    }

    fn join(&mut self, join: ast::Join) -> Option<JoinShape> {
        let span = self.place(start_of_factor(&join.relation));
        let table = self.read_from_item(&join.relation);
        let (outer, constraint) = match join.join_operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (false, constraint),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (true, constraint),
            JoinOperator::CrossJoin(_) => return self.refuse(span, "CROSS JOIN", JOIN_FORM),
            _ => return self.refuse(span, "this kind of JOIN", JOIN_FORM),
        };
        match constraint {
            JoinConstraint::On(condition) => {
                let mut equalities = Vec::new();
                self.equalities(condition, &mut equalities)?;
                Some(JoinShape { table: table?, outer, equalities })
            }
            JoinConstraint::Using(_) => self.refuse(span, "USING", "ON table.key = stream.column"),
            _ => self.refuse(span, "a JOIN without ON", "ON table.key = stream.column"),
        }
    }

    /// Collects the equalities that ON joins by AND.
    fn equalities(&mut self, condition: ast::Expr, found: &mut Vec<Equality>) -> Option<()> {
        let mut all = Some(());
        let mut open = vec![condition];
        while let Some(condition) = open.pop() {
            let span = self.place(start_of(&condition));
            match condition {
                ast::Expr::Nested(inner) => open.push(*inner),
                ast::Expr::BinaryOp { left, op: BinaryOperator::And, right } => open.extend([*right, *left]),
                ast::Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                    found.push(Equality { left: *left, right: *right, span });
                }
                _ => all = self.refuse(span, "this join condition", "table.key = expression, joined by AND"),
            }
        }
        all
    }
}

fn start_of_order(order: &ast::OrderBy) -> Span {
    match &order.kind {
        ast::OrderByKind::Expressions(items) => items.first().map_or_else(Span::empty, |item| start_of(&item.expr)),
        ast::OrderByKind::All(_) => Span::empty(),
    }
}

fn start_of_limit(limit: &ast::LimitClause) -> Span {
    match limit {
        ast::LimitClause::LimitOffset { limit: Some(limit), .. } => start_of(limit),
        ast::LimitClause::LimitOffset { offset: Some(offset), .. } => start_of(&offset.value),
        ast::LimitClause::LimitOffset { .. } => Span::empty(),
        ast::LimitClause::OffsetCommaLimit { offset, .. } => start_of(offset),
    }
}

fn start_of_factor(factor: &TableFactor) -> Span {
    match factor {
        TableFactor::Table { name, .. } | TableFactor::Function { name, .. } => start_of_name(name),
        TableFactor::Derived { subquery, .. } => start_of_query(subquery),
        TableFactor::TableFunction { expr, .. } => start_of(expr),
        TableFactor::UNNEST { array_exprs, .. } => array_exprs.first().map_or_else(Span::empty, start_of),
        _ => Span::empty(),
    }
}
