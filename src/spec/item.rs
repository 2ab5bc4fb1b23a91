//! SELECT items of a view: a column, `*`, `alias.*` or `expression AS name`.

use sqlparser::ast;

use super::checker::Checker;
use super::problem::Mistake;
use super::topic::RESERVED;
use super::view_sql::ViewSql;
use crate::expr::{Expr, Positions, Scope, name_parts, start_of_item};
use crate::value::{Column, Schema, Type};

impl Checker<'_> {
    /// Binds items; returns the declared columns with their values. Columns have the names of `names`, by position, if
    /// that is given: it is for the SELECTs of a UNION ALL after the first.
    ///
    /// A wrong item whose name is known becomes a column that is marked broken; `None` if a wrong item has no name, so
    /// that the columns are not known.
    pub fn bind_items(
        &self,
        items: &[ast::SelectItem],
        scope: &Scope,
        sql: &ViewSql,
        names: Option<&Schema>,
    ) -> Option<Vec<(Column, Expr)>> {
        let mut bound: Vec<(Column, Expr)> = Vec::new();
        let mut complete = true;
        for item in items {
            // The columns of the item; a mistake leaves one that is broken.
            let columns = match columns_of(item, scope, &sql.positions, names.is_none()) {
                Ok(columns) => columns,
                Err(mistakes) => {
                    sql.report(self.problems, mistakes);
                    match item_name(item).filter(|_| names.is_none()) {
                        Some(name) => {
                            self.mark_broken(&name.value);
                            let column = Column::new(name.value.as_str(), Type::String, true);
                            let value = Expr::column(0, &column);
                            bound.push((column, value));
                        }
                        None => complete = false,
                    }
                    continue;
                }
            };
            // Their names, each only once.
            for (own, expr) in columns {
                let name = match names {
                    None => own,
                    Some(names) => match names.columns.get(bound.len()) {
                        Some(column) => column.name.clone(),
                        None => format!("column {}", bound.len() + 1),
                    },
                };
                if bound.iter().any(|(column, _)| column.name == name) {
                    let span = sql.positions.bytes(start_of_item(item)).unwrap_or(0..0);
                    let mistake = Mistake::new(span, format!("two items are named '{name}'"));
                    self.problems.add_inside(sql.text, [mistake.expected("another name by AS")]);
                    continue;
                }
                // A column that has such a name already is reported where it is declared.
                let is_new = expr.as_column().is_none_or(|column| scope.column_at(column).name != name);
                if is_new && RESERVED.contains(&name.as_str()) {
                    let span = sql.positions.bytes(start_of_item(item)).unwrap_or(0..0);
                    let mistake = Mistake::new(span, format!("'{name}' is a name of tidemill's own"));
                    self.problems.add_inside(sql.text, [mistake.expected("another name by AS")]);
                }
                bound.push((declaration(&name, &expr, scope), expr));
            }
        }
        complete.then_some(bound)
    }
}

/// Returns the columns of one SELECT item, by name. An expression without a name is a mistake if `needs_name` is set.
fn columns_of(
    item: &ast::SelectItem,
    scope: &Scope,
    positions: &Positions,
    needs_name: bool,
) -> Result<Vec<(String, Expr)>, Vec<Mistake>> {
    let bind = |tree| Expr::bind(tree, scope, positions);
    let wrong = |message: &str, expected: &str| {
        let span = positions.bytes(start_of_item(item)).unwrap_or_else(|| positions.all());
        vec![Mistake::new(span, message).expected(expected)]
    };
    match item {
        ast::SelectItem::ExprWithAlias { expr, alias } => Ok(vec![(alias.value.clone(), bind(expr)?)]),
        ast::SelectItem::UnnamedExpr(tree) => {
            let bound = bind(tree)?;
            match item_name(item) {
                Some(name) => Ok(vec![(name.value.clone(), bound)]),
                None if !needs_name => Ok(vec![(String::new(), bound)]),
                None => Err(wrong("this item has no name", "'AS name' behind it")),
            }
        }
        ast::SelectItem::Wildcard(options) if is_plain(options) => Ok(scope.columns(None).unwrap_or_default()),
        ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), options)
            if is_plain(options) =>
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

/// Returns the name of an item's column.
fn item_name(item: &ast::SelectItem) -> Option<&ast::Ident> {
    match item {
        ast::SelectItem::ExprWithAlias { alias, .. } => Some(alias),
        ast::SelectItem::UnnamedExpr(tree) => name_parts(tree)?.pop(),
        _ => None,
    }
}

/// Returns whether a wildcard has no EXCLUDE, RENAME and the like.
fn is_plain(options: &ast::WildcardAdditionalOptions) -> bool {
    options.opt_ilike.is_none()
        && options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_rename.is_none()
        && options.opt_alias.is_none()
}

/// Declares the column of an item; one that is nothing but a column keeps its resolution.
fn declaration(name: &str, expr: &Expr, scope: &Scope) -> Column {
    let resolution = expr.as_column().and_then(|at| scope.column_at(at).resolution);
    Column { resolution, ..Column::new(name, expr.ty(), expr.nullable()) }
}
