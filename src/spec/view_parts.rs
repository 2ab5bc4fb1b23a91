//! The bound parts of a SELECT, and the relations that they become.
//!
//! Expressions are bound over everything that the SELECT could read: the columns of FROM, then for each join those of a
//! table's row, or of an entity with all features of its group. The relations append only the features that are read,
//! so the expressions are moved to the columns that there are.
//!
//! Joins are made in the order of the SQL, but a group that must answer before another comes before it if its ON allows
//! that.

use std::ops::Range;
use std::sync::Arc;

use super::checker::Checker;
use super::join::{JoinTarget, TargetKind};
use super::problem::Mistake;
use super::view_sql::ViewSql;
use crate::expr::Expr;
use crate::relation::{Filter, GroupJoin, Project, Relation, StreamId, TableJoin};
use crate::value::Column;

/// A SELECT whose names are resolved.
pub struct ViewParts {
    /// The stream of FROM.
    pub from: StreamId,
    pub joins: Vec<BoundJoin>,
    pub filter: Option<Expr>,
    pub items: Vec<(Column, Expr)>,
}

/// A join whose names are resolved.
pub struct BoundJoin {
    pub target: JoinTarget,
    /// Position of its first column.
    pub offset: usize,
    /// An expression for each column of the key; `None` after a mistake.
    pub on: Option<Vec<Expr>>,
    /// Its place in the SQL.
    pub span: Range<usize>,
}

impl BoundJoin {
    fn columns(&self) -> Range<usize> {
        self.offset..self.offset + self.target.schema.len()
    }

    /// The group that is joined, if it is one.
    fn group(&self) -> Option<usize> {
        match self.target.kind {
            TargetKind::Group(group) => Some(group),
            TargetKind::Table(_) => None,
        }
    }

    /// The positions in the target's schema of the columns that are appended, given those that the SELECT reads.
    fn appended(&self, read: &[usize]) -> Vec<usize> {
        let is_read = |column: &usize| read.contains(&(self.offset + column));
        match self.target.kind {
            TargetKind::Table(_) => (0..self.target.schema.len()).collect(),
            TargetKind::Group(_) => {
                let features = self.target.key.len()..self.target.schema.len();
                self.target.key.iter().copied().chain(features.filter(is_read)).collect()
            }
        }
    }
}

/// The relations of a SELECT while they are added.
struct SelectStream {
    /// The stream of FROM.
    from: StreamId,
    /// The stream so far.
    stream: StreamId,
    /// By column of the scope, its position in the stream; `None` if it has not been appended.
    places: Vec<Option<usize>>,
    /// Number of the stream's columns.
    width: usize,
}

impl SelectStream {
    /// The position of a column of the scope. An item with a mistake may read one that is not there.
    fn place(&self, column: usize) -> Option<usize> {
        self.places.get(column).copied().flatten()
    }

    /// The same expression over the columns of the stream.
    fn moved(&self, expr: &Expr) -> Expr {
        expr.remap(&|column| self.place(column).unwrap_or(column))
    }

    fn has(&self, exprs: &[Expr]) -> bool {
        exprs.iter().flat_map(Expr::columns).all(|column| self.place(column).is_some())
    }
}

impl Checker<'_> {
    /// Adds the relations of a SELECT; returns its stream. After a mistake in a join its columns are declared all the
    /// same. The names of their operators begin with `operator`.
    pub fn add_select(&mut self, parts: ViewParts, sql: &ViewSql, operator: &str) -> StreamId {
        let ViewParts { from, joins, filter, items } = parts;
        let width = self.spec.stream_schema(from).len();
        let on = joins.iter().flat_map(|join| &join.on).flatten();
        let exprs = on.chain(&filter).chain(items.iter().map(|(_, expr)| expr));
        let mut read: Vec<usize> = exprs.flat_map(Expr::columns).collect();
        read.sort_unstable();
        read.dedup();

        // Joins, in an order in which they can be made.
        let all = joins.last().map_or(width, |join| join.columns().end);
        let places = (0..all).map(|column| Some(column).filter(|column| *column < width)).collect();
        let mut select = SelectStream { from, stream: from, places, width };
        let mut open: Vec<BoundJoin> = joins;
        while !open.is_empty() {
            let join = open.remove(self.next_join(&open, &select));
            let appended = join.appended(&read);
            if let Some(relation) = self.join_relation(&join, &appended, &select, sql) {
                select.stream = self.spec.relations.add(format!("{operator}.{}", join.target.name), relation);
            }
            for column in appended {
                select.places[join.offset + column] = Some(select.width);
                select.width += 1;
            }
        }

        // WHERE, then items.
        if let Some(predicate) = filter {
            let filter = Relation::Filter(Filter { input: select.stream, predicate: select.moved(&predicate) });
            select.stream = self.spec.relations.add(format!("{operator}.where"), filter);
        }
        let items = items.into_iter().map(|(column, expr)| (column, select.moved(&expr))).collect();
        self.spec.relations.add(operator, Relation::Project(Project::new(select.stream, items)))
    }

    /// The position of the join to make next: the first one whose ON reads nothing that is missing, and whose group
    /// need not answer after that of another.
    fn next_join(&self, open: &[BoundJoin], select: &SelectStream) -> usize {
        let can_be_made = |join: &&BoundJoin| join.on.as_ref().is_none_or(|on| select.has(on));
        let is_early = |join: &BoundJoin| {
            let after = |other: &BoundJoin| {
                let groups = other.group().zip(join.group());
                groups.is_some_and(|(other, group)| self.spec.group_order.is_before(other, group))
            };
            !open.iter().any(after)
        };
        let first =
            |accepts: &dyn Fn(&BoundJoin) -> bool| open.iter().position(|join| can_be_made(&join) && accepts(join));
        first(&is_early).or_else(|| first(&|_| true)).expect("ON reads only what earlier joins append")
    }

    /// The relation of a join that appends columns of its target; `None` after a mistake.
    fn join_relation(
        &mut self,
        join: &BoundJoin,
        appended: &[usize],
        select: &SelectStream,
        sql: &ViewSql,
    ) -> Option<Relation> {
        let on: Vec<Expr> = join.on.as_ref()?.iter().map(|expr| select.moved(expr)).collect();
        match join.target.kind {
            TargetKind::Table(table) => Some(Relation::TableJoin(self.table_join(join, table, on, select))),
            TargetKind::Group(group) => {
                let keys = join.target.key.len();
                let features: Vec<usize> = appended[keys..].iter().map(|column| column - keys).collect();
                let mistakes = self.group_join_mistakes(join, group, &features, select, sql);
                if !mistakes.is_empty() {
                    sql.report(self.problems, mistakes);
                    return None;
                }
                Some(Relation::GroupJoin(self.group_join(join, group, on, &features, select)))
            }
        }
    }

    fn table_join(&self, join: &BoundJoin, table: usize, on: Vec<Expr>, select: &SelectStream) -> TableJoin {
        let topic = &self.spec.tables[table].topic;
        TableJoin {
            input: select.stream,
            width: select.width,
            table,
            table_name: topic.name.clone(),
            table_schema: topic.schema.clone(),
            key: topic.key.iter().map(|column| topic.schema.columns[*column].ty).collect(),
            on,
            outer: join.target.is_outer,
        }
    }

    fn group_join(
        &self,
        join: &BoundJoin,
        group: usize,
        on: Vec<Expr>,
        features: &[usize],
        select: &SelectStream,
    ) -> GroupJoin {
        let keys = join.target.key.len();
        let declared = &join.target.schema.columns;
        let key = declared.iter().zip(&on);
        let key = key.map(|(column, value)| Column { nullable: value.nullable(), ..column.clone() });
        let columns = key.chain(features.iter().map(|feature| declared[keys + feature].clone())).collect();
        let entity = (select.width..select.width + keys).collect();
        let asking = self.spec.stream_schema(select.from);
        let lookup = Arc::new(self.spec.feature_lookup(group, features, entity, asking));
        GroupJoin { input: select.stream, group, on, columns, lookup }
    }

    /// The mistakes of a join with a group, by the features that the SELECT reads and by what it has looked up before.
    fn group_join_mistakes(
        &mut self,
        join: &BoundJoin,
        group: usize,
        features: &[usize],
        select: &SelectStream,
        sql: &ViewSql,
    ) -> Vec<Mistake> {
        let asker = format!("view '{}'", sql.view);
        let mut mistakes = self.ask_group(select.stream, group, &asker, &join.span);
        let declared = &self.spec.groups[group];
        for feature in features {
            let (name, ty) = declared.feature_column(*feature);
            if ty.scalar().is_none() {
                let message = format!("'{}.{name}' is of type {ty}, which no column of a view can have", declared.name);
                let expected = "features that are neither lists nor maps, each by its name";
                mistakes.push(Mistake::new(join.span.clone(), message).expected(expected));
            }
        }
        let asking = (self.spec.stream_schema(select.from), self.spec.stream_name(select.from));
        mistakes.extend(self.own_mistakes(group, features, asking, &join.span));
        mistakes
    }
}
