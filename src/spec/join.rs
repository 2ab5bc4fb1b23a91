//! Joins of a view: ON compares every key column of a table, or every column of a group's entity, with an expression
//! over what stands before it.

use super::checker::Checker;
use super::problem::Mistake;
use super::select::{Equality, JoinShape};
use super::view_sql::ViewSql;
use crate::expr::{Expr, Scope, nearest};
use crate::value::{Column, Schema};

/// A table or feature group that a view joins.
pub struct JoinTarget {
    pub kind: TargetKind,
    pub name: String,
    /// The columns of a row; or those of an entity, then all features of the group.
    pub schema: Schema,
    /// Positions of the columns that ON compares.
    pub key: Vec<usize>,
    /// True if all columns are null of a record without a row. Every entity has a vector.
    pub is_outer: bool,
}

/// The kind of what a view joins, with its position.
#[derive(Clone, Copy, Debug)]
pub enum TargetKind {
    Table(usize),
    Group(usize),
}

impl TargetKind {
    /// Returns the words for one column that ON compares, and for all of them.
    fn key_words(self) -> [&'static str; 2] {
        match self {
            TargetKind::Table(_) => ["a key of the table", "every key of the table"],
            TargetKind::Group(_) => ["a column of the entity", "every column of the entity"],
        }
    }

    /// Returns the words for what a column that ON compares is to the target.
    fn role(self) -> &'static str {
        match self {
            TargetKind::Table(_) => "a key",
            TargetKind::Group(_) => "of the entity",
        }
    }
}

/// The names that an ON condition may use.
pub struct JoinScope<'a> {
    pub sql: &'a ViewSql<'a>,
    /// The columns before the table.
    pub before: &'a Scope,
    /// The columns before the JOIN, then the table's.
    pub all: &'a Scope,
}

/// One condition of ON: a column of the key, by its position in it, and the expression that it equals.
struct KeyCondition {
    key: usize,
    value: Expr,
}

impl Checker<'_> {
    /// Returns the table or group that a view joins; reports it if there is none.
    pub fn join_target(&self, join: &JoinShape, sql: &ViewSql, scope: &Scope) -> Option<JoinTarget> {
        let item = &join.table;
        let placed = |message: String| Mistake::new(item.span.clone(), message);
        if scope.has(&item.alias) {
            let message = format!("'{}' stands for something else in this view already", item.alias);
            self.problems.add_inside(sql.text, [placed(message).expected("another alias")]);
            return None;
        }
        let tables = || self.spec.tables.iter().map(|table| table.topic.name.as_str());
        let groups = || self.spec.groups.iter().map(|group| group.name.as_str());
        if let Some(table) = tables().position(|name| name == item.name) {
            let topic = &self.spec.tables[table].topic;
            let (kind, schema, key) = (TargetKind::Table(table), topic.schema.clone(), topic.key.clone());
            return Some(JoinTarget { kind, name: topic.name.clone(), schema, key, is_outer: join.outer });
        }
        if let Some(group) = groups().position(|name| name == item.name) {
            if !join.outer {
                let expected = "LEFT JOIN: every entity has a vector, one without records that of no records";
                let message = format!("an inner JOIN with the feature group '{}'", item.name);
                self.problems.add_inside(sql.text, [placed(message).expected(expected)]);
            }
            return Some(self.group_target(group));
        }
        if !self.is_broken(&item.name) {
            let mistake = match self.spec.stream(&item.name) {
                Some(_) => placed(format!("'{}' is a stream", item.name)),
                None => placed(format!("unknown table or feature group '{}'", item.name)),
            };
            let mistake = mistake.expected("a table or a feature group: a stream is joined with those only");
            self.problems.add_inside(sql.text, [mistake.suggest(nearest(&item.name, tables().chain(groups())))]);
        }
        None
    }

    fn group_target(&self, group: usize) -> JoinTarget {
        let declared = &self.spec.groups[group];
        let entity = self.spec.entity_columns(declared).map(|column| Column::new(&column.name, column.ty, true));
        let mut columns: Vec<Column> = entity.collect();
        let key = (0..columns.len()).collect();
        columns.extend(declared.schema().columns);
        let (kind, name) = (TargetKind::Group(group), declared.name.clone());
        JoinTarget { kind, name, schema: Schema::new(columns), key, is_outer: false }
    }

    /// Binds ON; returns an expression for each column of the key, over the columns before the join.
    pub fn bind_join(&self, target: &JoinTarget, join: &JoinShape, scope: &JoinScope) -> Option<Vec<Expr>> {
        let mut on: Vec<Option<Expr>> = vec![None; target.key.len()];
        let mut complete = true;
        for equality in &join.equalities {
            let Some(KeyCondition { key, value }) = self.key_condition(target, join, equality, scope) else {
                complete = false;
                continue;
            };
            let declared = &target.schema.columns[target.key[key]];
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
            let [_, every] = target.kind.key_words();
            for (key, _) in target.key.iter().zip(&on).filter(|(_, found)| found.is_none()) {
                let column = &target.schema.columns[*key].name;
                let message = format!("the join does not say what '{}.{column}' equals", join.table.alias);
                let mistake = Mistake::new(join.table.span.clone(), message);
                self.problems.add_inside(scope.sql.text, [mistake.expected(format!("{every} in ON"))]);
            }
        }
        on.into_iter().collect()
    }

    /// Binds one equality, whichever side the table's column is on.
    fn key_condition(
        &self,
        target: &JoinTarget,
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
                let [a_key, _] = target.kind.key_words();
                report(
                    format!("this does not compare {a_key} with what stands before it"),
                    format!("{name}.key = an expression without {name}"),
                );
                return None;
            }
        };
        let key = target.key.iter().position(|key| *key == column);
        // A key that is wrong has no columns, and is reported where it is declared.
        if key.is_none() && !target.key.is_empty() {
            let keys: Vec<&str> = target.key.iter().map(|key| target.schema.columns[*key].name.as_str()).collect();
            let name = &target.schema.columns[column].name;
            report(format!("'{name}' is not {} of '{}'", target.kind.role(), target.name), keys.join(", "));
        }
        Some(KeyCondition { key: key?, value })
    }
}
