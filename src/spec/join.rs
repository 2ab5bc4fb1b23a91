//! Joins of a view: ON compares every key column of the table with an expression over what stands before it.

use super::checker::Checker;
use super::problem::Mistake;
use super::select::{Equality, JoinShape};
use super::types::Topic;
use super::view_sql::ViewSql;
use crate::expr::{Expr, Scope};

/// The names that an ON condition may use.
pub struct JoinScope<'a> {
    pub sql: &'a ViewSql<'a>,
    /// The columns before the table.
    pub before: &'a Scope,
    /// Those, then the table's.
    pub all: &'a Scope,
}

/// One condition of ON: a key column of the table, by its position in the key, and the expression that it equals.
struct KeyCondition {
    key: usize,
    value: Expr,
}

impl Checker<'_> {
    /// Binds ON; returns an expression for each column of the table's key, over the columns before the table.
    pub fn bind_join(&self, topic: &Topic, join: &JoinShape, scope: &JoinScope) -> Option<Vec<Expr>> {
        let mut on: Vec<Option<Expr>> = vec![None; topic.key.len()];
        let mut complete = true;
        for equality in &join.equalities {
            let Some(KeyCondition { key, value }) = self.key_condition(topic, join, equality, scope) else {
                complete = false;
                continue;
            };
            let declared = &topic.schema.columns[topic.key[key]];
            let report = |message: String, expected: &str| {
                self.problems
                    .add_inside(scope.sql.text, [Mistake::new(equality.span.clone(), message).expected(expected)]);
            };
            if value.ty() != declared.ty {
                let message = format!("'{}' is of type {}, this of type {}", declared.name, declared.ty, value.ty());
                report(message, "both of one type");
            }
            if on[key].replace(value).is_some() {
                report(format!("'{}' is compared twice", declared.name), "each key once");
            }
        }
        if complete {
            for (key, _) in topic.key.iter().zip(&on).filter(|(_, found)| found.is_none()) {
                let column = &topic.schema.columns[*key].name;
                let message = format!("the join does not say what '{}.{column}' equals", join.table.alias);
                let mistake = Mistake::new(join.table.span.clone(), message);
                self.problems.add_inside(scope.sql.text, [mistake.expected("every key of the table in ON")]);
            }
        }
        on.into_iter().collect()
    }

    /// Binds one equality, whichever side the table's column is on.
    fn key_condition(
        &self,
        topic: &Topic,
        join: &JoinShape,
        equality: &Equality,
        scope: &JoinScope,
    ) -> Option<KeyCondition> {
        let report = |message: String, expected: String| {
            self.problems.add_inside(scope.sql.text, [Mistake::new(equality.span.clone(), message).expected(expected)]);
        };
        let bind = |tree| {
            let bound = Expr::bind(tree, scope.all, &scope.sql.positions);
            bound.map_err(|mistakes| self.problems.add_inside(scope.sql.text, mistakes)).ok()
        };
        let (left, right) = (bind(&equality.left), bind(&equality.right));
        let (left, right) = (left?, right?);
        let width = scope.before.width();
        let of_table = |expr: &Expr| expr.as_column().filter(|column| *column >= width);
        let is_before = |expr: &Expr| expr.columns().iter().all(|column| *column < width);
        let (column, value) = match (of_table(&left), of_table(&right)) {
            (Some(column), None) if is_before(&right) => (column - width, right),
            (None, Some(column)) if is_before(&left) => (column - width, left),
            _ => {
                let name = &join.table.alias;
                report(
                    "this does not compare a key of the table with what stands before it".to_owned(),
                    format!("{name}.key = an expression without {name}"),
                );
                return None;
            }
        };
        let key = topic.key.iter().position(|key| *key == column);
        if key.is_none() {
            let keys: Vec<&str> = topic.key.iter().map(|key| topic.schema.columns[*key].name.as_str()).collect();
            let name = &topic.schema.columns[column].name;
            report(format!("'{name}' is not a key of '{}'", topic.name), keys.join(", "));
        }
        Some(KeyCondition { key: key?, value })
    }
}
