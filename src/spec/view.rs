//! Views: which of them comes first, and what their SELECT items are.

use sqlparser::ast::{self, Spanned};

use super::checker::Checker;
use super::problem::Mistake;
use super::reader::Fields;
use super::select::{FromItem, SelectShape};
use super::toml_text::Text;
use super::{Item, View};
use crate::expr::{Expr, Positions, Scope, name_parts};
use crate::value::{Column, Schema, Type};

/// A view whose SQL has been read but not bound.
struct Draft<'a> {
    name: Text<'a>,
    sql: Text<'a>,
    shape: SelectShape,
}

impl<'a> Checker<'a> {
    /// Reads all views, each after those that it is made from.
    pub fn views(&mut self, views: Vec<(Text<'a>, Fields<'a>)>) {
        let mut open: Vec<Draft> = Vec::with_capacity(views.len());
        for (name, fields) in views {
            self.declare(&name, "view");
            let Some(sql) = fields.text("sql") else {
                self.mark_broken(name.value);
                continue;
            };
            match SelectShape::read(sql.value) {
                Ok(shape) => open.push(Draft { name, sql, shape }),
                Err(mistakes) => {
                    self.problems.add_inside(&sql, mistakes);
                    self.mark_broken(name.value);
                }
            }
        }
        while !open.is_empty() {
            let waits = |draft: &Draft| open.iter().any(|other| other.name.value == draft.shape.from.name);
            match open.iter().position(|draft| !waits(draft)) {
                Some(next) => {
                    let draft = open.remove(next);
                    self.view(&draft);
                }
                None => self.cycle(std::mem::take(&mut open)),
            }
        }
    }

    /// Views that wait for each other.
    fn cycle(&mut self, drafts: Vec<Draft<'a>>) {
        for draft in drafts {
            let from = &draft.shape.from;
            let message = format!("view '{}' is made from itself by way of '{}'", draft.name.value, from.name);
            let mistake =
                Mistake::new(from.span.clone(), message).expected("a source, or a view that does not lead back here");
            self.problems.add_inside(&draft.sql, [mistake]);
            self.mark_broken(draft.name.value);
        }
    }

    fn view(&mut self, draft: &Draft<'a>) {
        match self.bind_view(draft) {
            Some(view) => self.spec.views.push(view),
            None => self.mark_broken(draft.name.value),
        }
    }

    fn bind_view(&self, draft: &Draft<'a>) -> Option<View> {
        let Draft { name, sql, shape } = draft;
        let positions = Positions::of(sql.value);
        let from = match self.stream_by_name(&shape.from.name) {
            Ok(from) => from,
            Err(mistake) => {
                let placed = mistake.map(|mistake| Mistake { span: shape.from.span.clone(), ..mistake });
                self.problems.add_inside(sql, placed);
                return None;
            }
        };
        let mut scope = Scope::of(shape.from.alias.as_str(), self.spec.stream_schema(from));
        let mut joins = Vec::with_capacity(shape.joins.len());
        for join in &shape.joins {
            let table = self.joined_table(&join.table, sql, &scope)?;
            let schema = &self.spec.tables[table].topic.schema;
            let before = scope.clone();
            scope = match join.outer {
                true => scope.with_outer(join.table.alias.as_str(), schema),
                false => scope.with(join.table.alias.as_str(), schema),
            };
            joins.extend(self.join(table, join, sql, &before, &scope, &positions));
        }
        // What names something broken may be wrong for that alone.
        let suspect = self.touches_broken(sql.value);
        let report = |mistakes: Vec<Mistake>| {
            if !suspect {
                self.problems.add_inside(sql, mistakes);
            }
        };
        let filter = shape.filter.as_ref().and_then(|tree| {
            let filter = Expr::bind(tree, &scope, &positions).map_err(report).ok()?;
            if filter.ty() != Type::Bool {
                let span = positions.bytes(tree.span()).unwrap_or(0..0);
                let mistake = Mistake::new(span, format!("this is of type {}", filter.ty()));
                report(vec![mistake.expected("a condition: true or false")]);
            }
            Some(filter)
        });
        let mut view =
            View { name: name.value.to_owned(), from, joins, filter, items: Vec::new(), schema: Schema::default() };
        let mut whole = true;
        for item in &shape.items {
            let span = positions.bytes(item.span()).unwrap_or(0..0);
            let items = match items_of(item, &scope, &positions) {
                Ok(items) => items,
                Err(mistakes) => {
                    report(mistakes);
                    match item_name(item) {
                        Some(name) => {
                            self.mark_broken(&name.value);
                            view.schema.columns.push(Column::new(name.value.as_str(), Type::String, true));
                        }
                        None => whole = false,
                    }
                    continue;
                }
            };
            for (name, expr) in items {
                if view.schema.index_of(&name).is_some() {
                    let mistake = Mistake::new(span.clone(), format!("two items are named '{name}'"));
                    self.problems.add_inside(sql, [mistake.expected("another name by AS")]);
                    continue;
                }
                let width = self.spec.stream_schema(from).len();
                let column = expr.as_column().filter(|column| *column < width);
                view.schema.columns.push(declaration(&name, &expr, &scope));
                view.items.push(Item { name, expr, column });
            }
        }
        whole.then_some(view)
    }

    fn joined_table(&self, relation: &FromItem, sql: &Text, scope: &Scope) -> Option<usize> {
        let place = |message: String| Mistake::new(relation.span.clone(), message);
        if scope.has(&relation.alias) {
            let message = format!("'{}' stands for something else in this view already", relation.alias);
            self.problems.add_inside(sql, [place(message).expected("another alias")]);
            return None;
        }
        let tables = || self.spec.tables.iter().map(|table| table.topic.name.as_str());
        let found = tables().position(|name| name == relation.name);
        if found.is_none() && !self.is_broken(&relation.name) {
            let mistake = match self.spec.stream(&relation.name) {
                Some(_) => place(format!("'{}' is a stream", relation.name)),
                None => place(format!("unknown table '{}'", relation.name)),
            };
            let mistake = mistake.expected("a table: a stream is joined with tables only");
            self.problems.add_inside(sql, [mistake.suggest(crate::expr::nearest(&relation.name, tables()))]);
        }
        found
    }
}

/// The columns that one SELECT item makes.
fn items_of(item: &ast::SelectItem, scope: &Scope, positions: &Positions) -> Result<Vec<(String, Expr)>, Vec<Mistake>> {
    let bind = |tree| Expr::bind(tree, scope, positions);
    let wrong = |message: &str, expected: &str| {
        let span = positions.bytes(item.span()).unwrap_or_else(|| positions.all());
        vec![Mistake::new(span, message).expected(expected)]
    };
    match item {
        ast::SelectItem::ExprWithAlias { expr, alias } => Ok(vec![(alias.value.clone(), bind(expr)?)]),
        ast::SelectItem::UnnamedExpr(tree) => {
            let bound = bind(tree)?;
            match item_name(item) {
                Some(name) => Ok(vec![(name.value.clone(), bound)]),
                None => Err(wrong("this item has no name", "'AS name' behind it")),
            }
        }
        ast::SelectItem::Wildcard(options) if plain(options) => Ok(scope.columns(None).unwrap_or_default()),
        ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), options)
            if plain(options) =>
        {
            let relation = name.to_string();
            scope.columns(Some(&relation)).ok_or_else(|| {
                let names: Vec<&str> = scope.relations().collect();
                wrong(&format!("unknown name '{relation}'"), &format!("one of {}", names.join(", ")))
            })
        }
        _ => Err(wrong("this item is not supported in a view", "a column, 'alias.*' or 'expression AS name'")),
    }
}

/// The name that an item gives its column.
fn item_name(item: &ast::SelectItem) -> Option<&ast::Ident> {
    match item {
        ast::SelectItem::ExprWithAlias { alias, .. } => Some(alias),
        ast::SelectItem::UnnamedExpr(tree) => name_parts(tree)?.pop(),
        _ => None,
    }
}

fn plain(options: &ast::WildcardAdditionalOptions) -> bool {
    options.opt_ilike.is_none()
        && options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_rename.is_none()
        && options.opt_alias.is_none()
}

/// The column that an item makes; one that is a column already keeps what was declared of it.
fn declaration(name: &str, expr: &Expr, scope: &Scope) -> Column {
    let resolution = expr.as_column().and_then(|at| scope.column_at(at).resolution);
    Column { resolution, ..Column::new(name, expr.ty(), expr.nullable()) }
}
