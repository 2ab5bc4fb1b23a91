//! The record that looks features up, which `current` lines count.

use std::collections::BTreeMap;
use std::ops::Range;

use super::checker::Checker;
use super::problem::Mistake;
use super::{Group, Line, Spec};
use crate::expr::Expr;
use crate::value::Schema;

impl Line {
    /// Returns the columns of its group's stream that the line reads.
    fn reads(&self) -> impl Iterator<Item = usize> + '_ {
        let with = self.with.as_ref().map(|with| &with.expr);
        let exprs = [self.of.as_ref(), with, self.filter.as_ref()];
        exprs.into_iter().flatten().flat_map(Expr::columns).chain(self.by)
    }
}

impl Group {
    /// Returns the `current` lines of which one of these features is, or is derived from.
    pub fn current_lines(&self, features: &[usize]) -> impl Iterator<Item = usize> + use<'_> {
        let read = self.read_by(features);
        let is_of = move |line: &usize| read.iter().any(|feature| self.features[*feature].line == *line);
        (0..self.lines.len()).filter(move |line| self.lines[*line].current && is_of(line))
    }
}

impl Spec {
    /// Returns, for each column that a line reads, the one of the same name and type among those of the record that
    /// looks up.
    ///
    /// # Errors
    /// The columns that are not among them.
    pub fn own_columns(
        &self,
        group: &Group,
        line: &Line,
        asking: &Schema,
    ) -> Result<BTreeMap<usize, usize>, Vec<usize>> {
        let from = self.stream_schema(group.from);
        let (mut found, mut missing) = (BTreeMap::new(), Vec::new());
        for column in line.reads() {
            let wanted = &from.columns[column];
            match asking.index_of(&wanted.name).filter(|at| asking.columns[*at].ty == wanted.ty) {
                Some(at) => _ = found.insert(column, at),
                None if missing.contains(&column) => {}
                None => missing.push(column),
            }
        }
        if missing.is_empty() { Ok(found) } else { Err(missing) }
    }
}

impl Checker<'_> {
    /// The mistakes of columns that records of a stream, with a name, lack to be counted by the `current` lines of
    /// features that they look up.
    pub fn own_mistakes(
        &self,
        group: usize,
        features: &[usize],
        asking: (&Schema, &str),
        span: &Range<usize>,
    ) -> Vec<Mistake> {
        let group = &self.spec.groups[group];
        let (to, stream) = asking;
        let from = self.spec.stream_schema(group.from);
        let mut mistakes = Vec::new();
        for number in group.current_lines(features) {
            let missing = self.spec.own_columns(group, &group.lines[number], to).err();
            let feature = group.features.iter().find(|feature| feature.line == number).expect("lines have features");
            for column in missing.into_iter().flatten().map(|column| &from.columns[column]) {
                if self.is_broken(&column.name) {
                    continue;
                }
                let what = match to.index_of(&column.name) {
                    Some(at) => format!("'{stream}.{}' is of type {}", column.name, to.columns[at].ty),
                    None => format!("'{stream}' has no column '{}'", column.name),
                };
                let message =
                    format!("{what}, which the 'current' aggregate of '{}.{}' reads", group.name, feature.name);
                let expected = format!("a column '{}' of type {}, or no 'current'", column.name, column.ty);
                mistakes.push(Mistake::new(span.clone(), message).expected(expected));
            }
        }
        mistakes
    }
}
