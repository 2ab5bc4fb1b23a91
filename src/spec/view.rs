//! Views: the order in which they are read, and the relations of their SQL.

use sqlparser::ast;

use super::View;
use super::checker::Checker;
use super::join::JoinScope;
use super::problem::Mistake;
use super::reader::Fields;
use super::select::{FromItem, SelectShape};
use super::toml_text::Text;
use super::view_sql::ViewSql;
use crate::expr::{Expr, Positions, Scope, nearest, start_of, start_of_item};
use crate::relation::{ColumnMismatch, Filter, Project, Relation, Shift, StreamId, TableJoin, Union};
use crate::value::{Schema, Type};

/// A view whose SQL has been read but not bound.
struct Draft<'a> {
    name: Text<'a>,
    sql: Text<'a>,
    /// The SELECTs that UNION ALL joins.
    selects: Vec<SelectShape>,
    /// The expression of the time at which its records take effect.
    at: Option<Text<'a>>,
}

impl<'a> Checker<'a> {
    /// Reads all views, each after those that it reads.
    pub fn views(&mut self, views: Vec<(Text<'a>, Fields<'a>)>) {
        let mut open: Vec<Draft> = Vec::with_capacity(views.len());
        for (name, fields) in views {
            self.declare(&name, "view");
            let Some(sql) = fields.text("sql") else {
                self.mark_broken(name.value);
                continue;
            };
            match SelectShape::read_all(sql.value) {
                Ok(selects) => open.push(Draft { name, sql, selects, at: fields.text("at") }),
                Err(mistakes) => {
                    self.problems.add_inside(&sql, mistakes);
                    self.mark_broken(name.value);
                }
            }
        }
        while !open.is_empty() {
            match open.iter().position(|draft| awaited(draft, &open).is_none()) {
                Some(next) => {
                    let draft = open.remove(next);
                    self.view(&draft);
                }
                None => {
                    self.report_cycle(&open);
                    open.clear();
                }
            }
        }
    }

    /// Reports views that wait for each other.
    fn report_cycle(&self, drafts: &[Draft<'a>]) {
        for draft in drafts {
            let Some(from) = awaited(draft, drafts) else { continue };
            let message = format!("view '{}' is made from itself by way of '{}'", draft.name.value, from.name);
            let mistake =
                Mistake::new(from.span.clone(), message).expected("a source, or a view that does not lead back here");
            self.problems.add_inside(&draft.sql, [mistake]);
            self.mark_broken(draft.name.value);
        }
    }

    fn view(&mut self, draft: &Draft<'a>) {
        let name = draft.name.value;
        let stream = self.bind_view(draft);
        match stream.and_then(|stream| self.shifted(draft, stream)) {
            Some(stream) => {
                self.spec.relations.set_name(stream, name);
                self.spec.views.push(View { name: name.to_owned(), stream });
            }
            None => {
                // What does not depend on the columns is reported all the same.
                draft.selects.iter().for_each(|select| self.check_unbound(select, &draft.sql));
                if let (Some(at), None) = (&draft.at, stream) {
                    self.expr(at, &Scope::undeclared());
                }
                self.mark_broken(name);
            }
        }
    }

    /// Adds the relation that moves the records of a view to its `at`, if it has one; returns the view's stream.
    fn shifted(&mut self, draft: &Draft<'a>, stream: StreamId) -> Option<StreamId> {
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
    fn check_unbound(&self, select: &SelectShape, text: &Text) {
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
        let sql = ViewSql::new(text, false);
        for join in &select.joins {
            self.joined_table(&join.table, &sql, &Scope::default());
        }
    }

    /// Adds the relations of a view; returns its stream.
    fn bind_view(&mut self, draft: &Draft<'a>) -> Option<StreamId> {
        let sql = ViewSql::new(&draft.sql, self.touches_broken(draft.sql.value));
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
        let mut stream = self.resolve_from(&select.from, sql)?;
        let mut scope = Scope::of(select.from.alias.as_str(), self.spec.stream_schema(stream));

        // Joins: the scope grows by each table. After a mistake in ON the others are still checked.
        for shape in &select.joins {
            let table = self.joined_table(&shape.table, sql, &scope)?;
            let topic = &self.spec.tables[table].topic;
            let before = scope.clone();
            scope = match shape.outer {
                true => scope.with_outer(shape.table.alias.as_str(), &topic.schema),
                false => scope.with(shape.table.alias.as_str(), &topic.schema),
            };
            let join_scope = JoinScope { sql, before: &before, all: &scope };
            let Some(on) = self.bind_join(topic, shape, &join_scope) else { continue };
            let join = TableJoin {
                input: stream,
                width: before.width(),
                table,
                table_name: topic.name.clone(),
                table_schema: topic.schema.clone(),
                key: topic.key.iter().map(|column| topic.schema.columns[*column].ty).collect(),
                on,
                outer: shape.outer,
            };
            let name = format!("{operator}.{}", topic.name);
            stream = self.spec.relations.add(name, Relation::TableJoin(join));
        }

        // WHERE, then items.
        if let Some(tree) = &select.filter
            && let Some(predicate) = self.bind_condition(tree, &scope, sql)
        {
            let filter = Relation::Filter(Filter { input: stream, predicate });
            stream = self.spec.relations.add(format!("{operator}.where"), filter);
        }
        let items = self.bind_items(&select.items, &scope, sql, names)?;
        Some(self.spec.relations.add(operator, Relation::Project(Project::new(stream, items))))
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

    /// Returns the position of a joined table; reports it if there is none.
    fn joined_table(&self, item: &FromItem, sql: &ViewSql, scope: &Scope) -> Option<usize> {
        let placed = |message: String| Mistake::new(item.span.clone(), message);
        if scope.has(&item.alias) {
            let message = format!("'{}' stands for something else in this view already", item.alias);
            self.problems.add_inside(sql.text, [placed(message).expected("another alias")]);
            return None;
        }
        let tables = || self.spec.tables.iter().map(|table| table.topic.name.as_str());
        let found = tables().position(|name| name == item.name);
        if found.is_none() && !self.is_broken(&item.name) {
            let mistake = match self.spec.stream(&item.name) {
                Some(_) => placed(format!("'{}' is a stream", item.name)),
                None => placed(format!("unknown table '{}'", item.name)),
            };
            let mistake = mistake.expected("a table: a stream is joined with tables only");
            self.problems.add_inside(sql.text, [mistake.suggest(nearest(&item.name, tables()))]);
        }
        found
    }
}

/// Returns the name in FROM that a view waits for: that of a view which has not been read.
fn awaited<'d>(draft: &'d Draft, open: &[Draft]) -> Option<&'d FromItem> {
    let is_open = |from: &&FromItem| open.iter().any(|other| other.name.value == from.name);
    draft.selects.iter().map(|select| &select.from).find(is_open)
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
