//! Views: the relations of their SQL.

use sqlparser::ast;

use super::View;
use super::checker::Checker;
use super::drafts::ViewDraft;
use super::join::JoinScope;
use super::problem::Mistake;
use super::reader::Fields;
use super::select::{FromItem, SelectShape};
use super::toml_text::Text;
use super::view_parts::{BoundJoin, ViewParts};
use super::view_sql::ViewSql;
use crate::expr::{Expr, Positions, Scope, start_of, start_of_item};
use crate::relation::{ColumnMismatch, Relation, Shift, StreamId, Union};
use crate::value::{Schema, Type};

impl<'a> Checker<'a> {
    /// Reads the SQL of all views.
    pub fn read_views(&mut self, views: Vec<(Text<'a>, Fields<'a>)>) -> Vec<ViewDraft<'a>> {
        let mut drafts: Vec<ViewDraft> = Vec::with_capacity(views.len());
        for (name, fields) in views {
            self.declare(&name, "view");
            let Some(sql) = fields.text("sql") else {
                self.mark_broken(name.value);
                continue;
            };
            match SelectShape::read_all(sql.value) {
                Ok(selects) => drafts.push(ViewDraft { name, sql, selects, at: fields.text("at") }),
                Err(mistakes) => {
                    self.problems.add_inside(&sql, mistakes);
                    self.mark_broken(name.value);
                }
            }
        }
        drafts
    }

    /// Binds a view.
    pub fn view(&mut self, draft: &ViewDraft<'a>) {
        let name = draft.name.value;
        let stream = self.bind_view(draft);
        match stream.and_then(|stream| self.shifted(draft, stream)) {
            Some(stream) => {
                self.spec.relations.set_name(stream, name);
                self.spec.views.push(View { name: name.to_owned(), stream });
            }
            None => {
                // The checks that need no columns are made all the same.
                draft.selects.iter().for_each(|select| self.check_unbound(select, draft));
                if let (Some(at), None) = (&draft.at, stream) {
                    self.expr(at, &Scope::undeclared());
                }
                self.mark_broken(name);
            }
        }
    }

    /// Adds the relation that moves the records of a view to its `at`, if it has one; returns the view's stream.
    fn shifted(&mut self, draft: &ViewDraft<'a>, stream: StreamId) -> Option<StreamId> {
        let Some(text) = &draft.at else { return Some(stream) };
        let name = draft.name.value;
        let at = self.expr(text, &Scope::of(name, self.spec.stream_schema(stream)))?;
        if at.ty() != Type::Timestamp {
            let message = format!("this is of type {}", at.ty());
            let expected = "a timestamp, such as \"sent_at + interval '6 hours'\"";
            self.problems.add_inside(text, [Mistake::new(0..0, message).expected(expected)]);
            return None;
        }
        Some(self.spec.relations.add(format!("view.{name}.at"), Relation::Shift(Shift { input: stream, at })))
    }

    /// Reports the mistakes of a SELECT that do not depend on columns.
    fn check_unbound(&self, select: &SelectShape, draft: &ViewDraft) {
        let text = &draft.sql;
        let positions = Positions::of(text.value);
        let items = select.items.iter().filter_map(|item| match item {
            ast::SelectItem::UnnamedExpr(tree) | ast::SelectItem::ExprWithAlias { expr: tree, .. } => Some(tree),
            _ => None,
        });
        let conditions = select.joins.iter().flat_map(|join| &join.equalities);
        let trees = items.chain(&select.filter).chain(conditions.flat_map(|on| [&on.left, &on.right]));
        for tree in trees {
            let mistakes = Expr::bind(tree, &Scope::undeclared(), &positions).err();
            self.problems.add_inside(text, mistakes.into_iter().flatten());
        }
        let sql = ViewSql::new(draft.name.value, text, false);
        for join in &select.joins {
            self.join_target(join, &sql, &Scope::default());
        }
    }

    /// Adds the relations of a view; returns its stream.
    fn bind_view(&mut self, draft: &ViewDraft<'a>) -> Option<StreamId> {
        let sql = ViewSql::new(draft.name.value, &draft.sql, self.touches_broken(draft.sql.value));
        let operator = format!("view.{}", draft.name.value);
        if let [only] = draft.selects.as_slice() {
            return self.select(only, &sql, &operator, None);
        }
        // All SELECTs are bound before any is given up, so that the mistakes of all are reported.
        let mut names: Option<Schema> = None;
        let mut inputs = Vec::with_capacity(draft.selects.len());
        for (select, number) in draft.selects.iter().zip(1..) {
            let input = self.select(select, &sql, &format!("{operator}.{number}"), names.as_ref());
            names = names.or_else(|| input.map(|input| self.spec.stream_schema(input).clone()));
            inputs.push(input);
        }
        let inputs: Vec<StreamId> = inputs.into_iter().collect::<Option<_>>()?;
        for (select, input) in draft.selects.iter().zip(&inputs).skip(1) {
            let (first, other) = (self.spec.stream_schema(inputs[0]), self.spec.stream_schema(*input));
            if let Some(mismatch) = Union::mismatch(first, other) {
                sql.report(self.problems, [mismatch_in(&mismatch, select, first, &sql)]);
                return None;
            }
        }
        let union = Union::new(&self.spec.relations, inputs);
        Some(self.spec.relations.add(operator, Relation::Union(union)))
    }

    /// Adds the relations of one SELECT; returns its stream. The names of their operators begin with `operator`;
    /// `names` are the columns whose names it takes, if not its own.
    fn select(
        &mut self,
        select: &SelectShape,
        sql: &ViewSql,
        operator: &str,
        names: Option<&Schema>,
    ) -> Option<StreamId> {
        let stream = self.resolve_from(&select.from, sql)?;
        let mut scope = Scope::of(select.from.alias.as_str(), self.spec.stream_schema(stream));

        // Joins: the scope grows by each. After a mistake in ON the others are still checked.
        let mut joins = Vec::with_capacity(select.joins.len());
        for shape in &select.joins {
            let target = self.join_target(shape, sql, &scope)?;
            let before = scope.clone();
            scope = match target.is_outer {
                true => scope.with_outer(shape.table.alias.as_str(), &target.schema),
                false => scope.with(shape.table.alias.as_str(), &target.schema),
            };
            let on = self.bind_join(&target, shape, &JoinScope { sql, before: &before, all: &scope });
            joins.push(BoundJoin { target, offset: before.width(), on, span: shape.table.span.clone() });
        }

        // WHERE, then items.
        let filter = select.filter.as_ref().and_then(|tree| self.bind_condition(tree, &scope, sql));
        let items = self.bind_items(&select.items, &scope, sql, names)?;
        Some(self.add_select(ViewParts { from: stream, joins, filter, items }, sql, operator))
    }

    fn bind_condition(&self, tree: &ast::Expr, scope: &Scope, sql: &ViewSql) -> Option<Expr> {
        let report = |mistakes| sql.report(self.problems, mistakes);
        let predicate = Expr::bind(tree, scope, &sql.positions).map_err(report).ok()?;
        if predicate.ty() != Type::Bool {
            let span = sql.positions.bytes(start_of(tree)).unwrap_or(0..0);
            let mistake = Mistake::new(span, format!("this is of type {}", predicate.ty()));
            sql.report(self.problems, [mistake.expected("a condition: true or false")]);
        }
        Some(predicate)
    }

    /// Returns the stream of FROM; reports it if there is none.
    fn resolve_from(&self, from: &FromItem, sql: &ViewSql) -> Option<StreamId> {
        let found = self.stream_by_name(&from.name);
        if let Err(Some(mistake)) = &found {
            self.problems.add_inside(sql.text, [Mistake { span: from.span.clone(), ..mistake.clone() }]);
        }
        found.ok()
    }
}

/// The mistake of a SELECT whose columns do not fit those of the first SELECT of its union.
fn mismatch_in(mismatch: &ColumnMismatch, select: &SelectShape, first: &Schema, sql: &ViewSql) -> Mistake {
    match mismatch {
        ColumnMismatch::Count { expected, found } => {
            let names: Vec<&str> = first.names().collect();
            let message = format!("this SELECT of a UNION ALL has {found} columns, the first has {expected}");
            Mistake::new(select.span.clone(), message).expected(format!("one for each of {}", names.join(", ")))
        }
        ColumnMismatch::Type { position, expected, found } => {
            // Where there is an item for each column, the item itself is wrong.
            let item = select.items.get(*position).filter(|_| select.items.len() == first.len());
            let span = item.and_then(|item| sql.positions.bytes(start_of_item(item)));
            let (number, name) = (position + 1, &first.columns[*position].name);
            let message = format!("column {number} of this SELECT is of type {found}, of the first of type {expected}");
            Mistake::new(span.unwrap_or_else(|| select.span.clone()), message)
                .expected(format!("a value for '{name}' of type {expected}, by CAST if need be"))
        }
    }
}
