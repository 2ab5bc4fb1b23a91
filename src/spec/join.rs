//! Joins of a view: every key column of the table equals something that stands before it.

use super::Join;
use super::checker::Checker;
use super::problem::Mistake;
use super::select::JoinShape;
use super::toml_text::Text;
use crate::expr::{Expr, Positions, Scope};

impl Checker<'_> {
    /// Binds ON; `before` are the columns that the table's key may be compared with, `all` has the table's too.
    pub fn join(
        &self,
        table: usize,
        join: &JoinShape,
        sql: &Text,
        before: &Scope,
        all: &Scope,
        positions: &Positions,
    ) -> Option<Join> {
        let topic = &self.spec.tables[table].topic;
        let mut on: Vec<Option<Expr>> = vec![None; topic.key.len()];
        let mut whole = true;
        for (left, right, span) in &join.equalities {
            let wrong = |message: String, expected: String| {
                self.problems.add_inside(sql, [Mistake::new(span.clone(), message).expected(expected)]);
            };
            let bind = |tree| Expr::bind(tree, all, positions).map_err(|e| self.problems.add_inside(sql, e)).ok();
            let (Some(left), Some(right)) = (bind(left), bind(right)) else {
                whole = false;
                continue;
            };
            let of_table = |expr: &Expr| expr.as_column().filter(|at| *at >= before.width());
            let earlier = |expr: &Expr| expr.columns().iter().all(|at| *at < before.width());
            let (column, other) = match (of_table(&left), of_table(&right)) {
                (Some(column), None) if earlier(&right) => (column - before.width(), right),
                (None, Some(column)) if earlier(&left) => (column - before.width(), left),
                _ => {
                    let name = &join.table.alias;
                    wrong(
                        "this does not compare a key of the table with what stands before it".to_owned(),
                        format!("{name}.key = an expression without {name}"),
                    );
                    whole = false;
                    continue;
                }
            };
            let declared = &topic.schema.columns[column];
            let Some(key) = topic.key.iter().position(|key| *key == column) else {
                let keys: Vec<&str> = topic.key.iter().map(|key| topic.schema.columns[*key].name.as_str()).collect();
                wrong(format!("'{}' is not a key of '{}'", declared.name, topic.name), keys.join(", "));
                whole = false;
                continue;
            };
            if other.ty() != declared.ty {
                let message = format!("'{}' is of type {}, this of type {}", declared.name, declared.ty, other.ty());
                wrong(message, "both of one type".to_owned());
            }
            if on[key].replace(other).is_some() {
                wrong(format!("'{}' is compared twice", declared.name), "each key once".to_owned());
            }
        }
        if whole {
            for (key, _) in topic.key.iter().zip(&on).filter(|(_, found)| found.is_none()) {
                let column = &topic.schema.columns[*key].name;
                let message = format!("the join does not say what '{}.{column}' equals", join.table.alias);
                let mistake = Mistake::new(join.table.span.clone(), message);
                self.problems.add_inside(sql, [mistake.expected("every key of the table in ON")]);
            }
        }
        Some(Join { table, on: on.into_iter().collect::<Option<_>>()?, outer: join.outer })
    }
}
