//! Checking of a whole file: its sections in the order in which they may name each other.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::Spec;
use super::keys::{FILE, Section};
use super::problem::{Mistake, Problems, SpecErrors};
use super::reader::{Fields, TomlValue, entries, wrong};
use super::toml_text::{self, Text};
use crate::disk;
use crate::expr::{Expr, Scope, nearest, with_stack_for};
use crate::relation::StreamId;
use crate::value::{Schema, Type};

/// Reads and checks a dataflow file.
///
/// # Errors
/// All problems of the file.
pub fn load(path: &Path) -> Result<Spec, SpecErrors> {
    let label = path.display().to_string();
    match disk::read_text(path) {
        Ok(text) => parse(&text, &label),
        Err(error) => Err(SpecErrors::unreadable(&label, &error)),
    }
}

/// Checks the text of a dataflow file; `path` is its name in error messages.
///
/// # Errors
/// All problems of the text.
pub fn parse(text: &str, path: &str) -> Result<Spec, SpecErrors> {
    let problems = Problems::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    report_syntax(&errors, text, &problems);
    let check = || if errors.is_empty() { Checker::new(&problems).file(table.get_ref()) } else { Spec::default() };
    let spec = with_stack_for(text.len(), check);
    let warnings = problems.warnings();
    problems.into_result(path).map(|()| Spec { warnings, ..spec })
}

/// Reports mistakes of TOML's syntax. Those that follow a key without quotes on its line are consequences.
fn report_syntax(errors: &[toml::de::Error], text: &str, problems: &Problems) {
    let line_of = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let mut explained = None;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let line = line_of(span.start);
        if explained == Some(line) {
            continue;
        }
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        let key = toml_text::key_without_quotes(text, span.start);
        explained = key.as_ref().map(|_| line);
        problems.add(Mistake::new(span, message).suggest(key.map(|key| format!("\"{key}\", in quotes"))));
    }
}

/// The declarations checked so far, and the names of those that are broken.
pub struct Checker<'a> {
    pub problems: &'a Problems<'a>,
    pub spec: Spec,
    /// Names of streams, tables and groups whose declaration is wrong in a way that matters to their users, and of
    /// columns whose type is unknown.
    broken: RefCell<BTreeSet<String>>,
    declared: Vec<(&'a str, &'static str)>,
}

impl<'a> Checker<'a> {
    fn new(problems: &'a Problems<'a>) -> Self {
        Checker { problems, spec: Spec::default(), broken: RefCell::default(), declared: Vec::new() }
    }

    fn file(mut self, table: &'a DeTable<'a>) -> Spec {
        let fields = Fields::open(table, &FILE, 0..0, self.problems);
        if let Some(name) = fields.text("name") {
            self.check_dataflow_name(&name);
            self.spec.name = name.value.to_owned();
        }
        for (name, table) in self.section(&fields, "source", &super::keys::SOURCE) {
            self.source(name, &table);
        }
        for (name, table) in self.section(&fields, "table", &super::keys::TABLE) {
            self.table(name, &table);
        }
        let views = self.section(&fields, "view", &super::keys::VIEW);
        let views = self.read_views(views);
        let groups = self.section(&fields, "features", &super::keys::FEATURES);
        groups.iter().for_each(|(name, _)| self.declare(name, "feature group"));
        self.bind_drafts(views, groups);
        for (name, table) in self.section(&fields, "model", &super::keys::MODEL) {
            self.model(name, &table);
        }
        self.tests(&fields);
        self.spec
    }

    /// Returns the named tables of a section, in the order of the file.
    fn section(&mut self, file: &Fields<'a>, key: &str, section: &'static Section) -> Vec<(Text<'a>, Fields<'a>)> {
        let Some(value) = file.get(key) else { return Vec::new() };
        let DeValue::Table(table) = value.get_ref() else {
            wrong::<()>(self.problems, value.span(), value.get_ref(), &format!("tables such as {}", section.title));
            return Vec::new();
        };
        entries(table).into_iter().filter_map(|(name, value)| self.named_table(name, value, section)).collect()
    }

    fn named_table(
        &mut self,
        name: Text<'a>,
        value: &'a TomlValue<'a>,
        section: &'static Section,
    ) -> Option<(Text<'a>, Fields<'a>)> {
        self.check_identifier(&name, "a name");
        match value.get_ref() {
            DeValue::Table(table) => {
                let fields = Fields::open(table, section, name.span.clone(), self.problems);
                Some((name, fields))
            }
            other => {
                self.mark_broken(name.value);
                wrong(self.problems, value.span(), other, &format!("a table, as in {}", section.title))
            }
        }
    }

    fn check_dataflow_name(&self, name: &Text) {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !name.value.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.value.chars().all(good) {
            let expected = "letters, digits, '_' and '-', with a letter or digit first";
            self.problems.expected(name.span.clone(), format!("'{}' cannot name a dataflow", name.value), expected);
        }
    }

    /// Checks a name that SQL, paths, metrics and Redis keys contain unquoted.
    pub fn check_identifier(&self, name: &Text, what: &str) {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.value.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.value.chars().all(good) {
            let expected = "letters, digits and '_', with a letter first";
            self.problems.expected(name.span.clone(), format!("'{}' is not {what}", name.value), expected);
        }
    }

    /// Registers a name; sources, tables, views and groups share one namespace.
    pub fn declare(&mut self, name: &Text<'a>, what: &'static str) {
        match self.declared.iter().find(|(known, _)| *known == name.value) {
            Some((_, first)) => {
                let message = format!("'{}' names a {first} already", name.value);
                self.problems.expected(name.span.clone(), message, "a name of its own");
            }
            None => self.declared.push((name.value, what)),
        }
    }

    pub fn mark_broken(&self, name: &str) {
        self.broken.borrow_mut().insert(name.to_owned());
    }

    pub fn is_broken(&self, name: &str) -> bool {
        self.broken.borrow().contains(name)
    }

    /// Returns whether an expression names something broken, in which case its mistakes may be consequences.
    pub fn touches_broken(&self, text: &str) -> bool {
        self.broken.borrow().iter().any(|name| text.contains(name))
    }

    /// Returns the source or view that a key names; reports it if there is none.
    pub fn stream(&self, name: &Text) -> Option<StreamId> {
        let found = self.stream_by_name(name.value);
        if let Err(Some(mistake)) = &found {
            self.problems.add(Mistake { span: name.span.clone(), ..mistake.clone() });
        }
        found.ok()
    }

    /// Returns the source or view of a name, else a mistake without position: `None` if it was reported before.
    pub fn stream_by_name(&self, name: &str) -> Result<StreamId, Option<Mistake>> {
        if let Some(found) = self.spec.stream(name) {
            return Ok(found);
        }
        if self.is_broken(name) {
            return Err(None);
        }
        let what = self.declared.iter().find(|(known, _)| *known == name).map(|(_, what)| *what);
        let mistake = match what {
            Some(what) => Mistake::new(0..0, format!("'{name}' is a {what}")),
            None => Mistake::new(0..0, format!("unknown stream '{name}'")),
        };
        let names = self.declared.iter().filter(|(_, what)| matches!(*what, "source" | "view")).map(|(name, _)| *name);
        Err(Some(mistake.expected("a source or a view").suggest(nearest(name, names))))
    }

    /// Returns the positions of columns by name; reports those that do not exist or are named twice.
    pub fn columns(&self, names: &[Text], schema: &Schema, of: &str) -> Option<Vec<usize>> {
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            match self.column(name, schema, of) {
                Some(at) if found.contains(&at) => {
                    let message = format!("column '{}' is named twice", name.value);
                    self.problems.expected(name.span.clone(), message, "each column once");
                }
                Some(at) => found.push(at),
                None => {}
            }
        }
        (found.len() == names.len()).then_some(found)
    }

    /// Returns the position of a column by name; reports it if there is none.
    pub fn column(&self, name: &Text, schema: &Schema, of: &str) -> Option<usize> {
        let found = schema.index_of(name.value);
        if found.is_none() {
            let mistake = Mistake::new(name.span.clone(), format!("'{of}' has no column '{}'", name.value))
                .expected(format!("one of {}", schema.names().collect::<Vec<_>>().join(", ")));
            self.problems.add(mistake.suggest(nearest(name.value, schema.names())));
        }
        found
    }

    /// Binds an expression. Of one that names something broken, the mistakes that may be consequences are not reported.
    pub fn expr(&self, text: &Text, scope: &Scope) -> Option<Expr> {
        match Expr::parse(text.value, scope) {
            Ok(expr) => Some(expr),
            Err(_) if self.touches_broken(text.value) => {
                let certain = Expr::parse(text.value, &Scope::undeclared()).err();
                self.problems.add_inside(text, certain.into_iter().flatten());
                None
            }
            Err(mistakes) => {
                self.problems.add_inside(text, mistakes);
                None
            }
        }
    }

    /// Binds an expression that must be true, false or null.
    pub fn condition(&self, text: &Text, scope: &Scope) -> Option<Expr> {
        let expr = self.expr(text, scope)?;
        if expr.ty() != Type::Bool && !self.touches_broken(text.value) {
            let message = format!("this is of type {}", expr.ty());
            self.problems.add_inside(text, [Mistake::new(0..0, message).expected("a condition: true or false")]);
            return None;
        }
        Some(expr)
    }
}
