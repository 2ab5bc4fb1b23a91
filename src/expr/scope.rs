//! Scopes: the columns that an expression may name.

use std::ops::Range;

use super::{Expr, ExprError, nearest};
use crate::value::{Column, Schema};

/// Named relations whose columns stand side by side, in order.
///
/// A column is named `relation.column`, or `column` where only one relation has it. Relations that are
/// [`Scope::qualified`] (feature groups beside an example's columns) are reached by the long form only.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    relations: Vec<ScopeRelation>,
    width: usize,
    /// Set if the columns are not known, because what declares them is wrong. Any name may be one then.
    unknown: bool,
}

#[derive(Clone, Debug)]
struct ScopeRelation {
    name: String,
    columns: Vec<Column>,
    offset: usize,
    /// Set for the right side of a LEFT JOIN: every column may be null.
    outer: bool,
    qualified: bool,
}

impl Scope {
    /// A scope of one relation.
    pub fn of(name: impl Into<String>, schema: &Schema) -> Self {
        Scope::default().with(name, schema)
    }

    /// A scope whose columns are not known. An expression over it cannot be bound, but has its mistakes reported, except
    /// those of columns and their types.
    pub fn undeclared() -> Self {
        Scope { unknown: true, ..Scope::default() }
    }

    /// Returns whether the columns are not known.
    pub(super) fn is_unknown(&self) -> bool {
        self.unknown
    }

    /// Returns the columns whose names are written in double quotes.
    pub(super) fn quoted_names(&self) -> impl Iterator<Item = &str> {
        let all = self.relations.iter().flat_map(|relation| &relation.columns);
        all.map(|column| column.name.as_str()).filter(|name| needs_quotes(name))
    }

    /// Adds a relation after those already here.
    pub fn with(self, name: impl Into<String>, schema: &Schema) -> Self {
        self.push(name.into(), schema, false, false)
    }

    /// Adds the right side of a LEFT JOIN: all its columns may be null.
    pub fn with_outer(self, name: impl Into<String>, schema: &Schema) -> Self {
        self.push(name.into(), schema, true, false)
    }

    /// Adds a relation whose columns are reached as `name.column` only.
    pub fn qualified(self, name: impl Into<String>, schema: &Schema) -> Self {
        self.push(name.into(), schema, false, true)
    }

    fn push(mut self, name: String, schema: &Schema, outer: bool, qualified: bool) -> Self {
        self.relations.push(ScopeRelation {
            name,
            columns: schema.columns.clone(),
            offset: self.width,
            outer,
            qualified,
        });
        self.width += schema.len();
        self
    }

    /// Returns the number of columns of all relations.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns whether there is a relation of this name.
    pub fn has(&self, relation: &str) -> bool {
        self.relations.iter().any(|r| r.name == relation)
    }

    /// Returns the names of the relations.
    pub fn relations(&self) -> impl Iterator<Item = &str> {
        self.relations.iter().map(|relation| relation.name.as_str())
    }

    /// Returns all columns of one relation, or of all, as `(name, expression)`; `None` if there is no such relation.
    pub fn columns(&self, relation: Option<&str>) -> Option<Vec<(String, Expr)>> {
        if relation.is_some_and(|name| !self.has(name)) {
            return None;
        }
        let chosen = self.relations.iter().filter(|r| relation.is_none_or(|name| r.name == name));
        let column = |r: &ScopeRelation, at: usize| (r.columns[at].name.clone(), r.column(at));
        Some(chosen.flat_map(|r| (0..r.columns.len()).map(move |at| column(r, at))).collect())
    }

    /// Returns the declaration of the column at a position.
    ///
    /// # Panics
    /// If the position is not one of this scope.
    pub fn column_at(&self, index: usize) -> &Column {
        let relation = self.relations.iter().rfind(|r| r.offset <= index).expect("positions come from this scope");
        &relation.columns[index - relation.offset]
    }

    /// Resolves `relation.column`.
    pub(super) fn resolve_qualified(
        &self,
        relation: (&str, Range<usize>),
        column: (&str, Range<usize>),
    ) -> Result<Expr, ExprError> {
        let Some(found) = self.relations.iter().find(|r| r.name == relation.0) else {
            let names: Vec<&str> = self.relations().collect();
            let error = ExprError::new(relation.1, format!("unknown name '{}'", relation.0))
                .suggest(nearest(relation.0, names.iter().copied()));
            return Err(error.expected(format!("one of {}", names.join(", "))));
        };
        match found.columns.iter().position(|c| c.name == column.0) {
            Some(at) => Ok(found.column(at)),
            None => {
                let names: Vec<&str> = found.columns.iter().map(|c| c.name.as_str()).collect();
                let suggestion = begins_quoted(column.0, &names).or_else(|| nearest(column.0, names.iter().copied()));
                let error = ExprError::new(column.1, format!("'{}' has no column '{}'", relation.0, column.0))
                    .suggest(suggestion);
                Err(error.expected(one_of(&names)))
            }
        }
    }

    /// Resolves a bare column name.
    pub(super) fn resolve(&self, name: &str, span: Range<usize>, quoted: bool) -> Result<Expr, ExprError> {
        let open = || self.relations.iter().filter(|r| !r.qualified);
        let mut found =
            open().filter_map(|r| r.columns.iter().position(|c| c.name == name).map(|at| (r, at))).collect::<Vec<_>>();
        match found.len() {
            1 => {
                let (relation, at) = found.remove(0);
                Ok(relation.column(at))
            }
            0 => Err(self.unknown(name, span, quoted)),
            _ => {
                let choices: Vec<String> = found.iter().map(|(r, _)| format!("{}.{name}", r.name)).collect();
                Err(ExprError::new(span, format!("column '{name}' is ambiguous"))
                    .expected(format!("one of {}", choices.join(", "))))
            }
        }
    }

    fn unknown(&self, name: &str, span: Range<usize>, quoted: bool) -> ExprError {
        let error = ExprError::new(span, format!("unknown column '{name}'"));
        let elsewhere = self.relations.iter().find(|r| r.qualified && r.columns.iter().any(|c| c.name == name));
        if let Some(relation) = elsewhere {
            return error.suggest(Some(format!("{}.{name}", relation.name)));
        }
        let open = self.relations.iter().filter(|r| !r.qualified);
        let names: Vec<&str> = open.flat_map(|r| r.columns.iter().map(|c| c.name.as_str())).collect();
        let suggestion = begins_quoted(name, &names).or_else(|| nearest(name, names.iter().copied()));
        match quoted {
            true if suggestion.is_none() => error.expected("a column; text is written in single quotes"),
            _ => error.expected(one_of(&names)).suggest(suggestion),
        }
    }
}

impl ScopeRelation {
    fn column(&self, at: usize) -> Expr {
        let column = &self.columns[at];
        let name = format!("{}.{}", self.name, column.name);
        Expr::input(self.offset + at, name, column.ty, column.nullable || self.outer)
    }
}

/// Returns whether a column of this name is written in double quotes.
fn needs_quotes(name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(part)
}

/// Returns the column that an unknown name begins, if only its first word was read because it has no quotes.
fn begins_quoted(name: &str, names: &[&str]) -> Option<String> {
    let begins = |column: &&&str| {
        needs_quotes(column)
            && column
                .strip_prefix(name)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    names.iter().find(begins).map(|column| in_quotes(column))
}

/// Returns the spelling of a column whose name needs quotes, for a suggestion.
pub(super) fn in_quotes(column: &str) -> String {
    format!("\"{}\", in double quotes", column.replace('"', "\"\""))
}

/// Lists the valid names, all of them if they are few enough to read.
fn one_of(names: &[&str]) -> String {
    match names.len() {
        0 => "no column, as there is none here".to_owned(),
        1..=12 => format!("one of {}", names.join(", ")),
        more => format!("one of {}, … ({more} in all)", names[..8].join(", ")),
    }
}
