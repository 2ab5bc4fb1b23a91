//! Inputs of a model: groups, features, columns and expressions over them, and the look-ups that they need.
//!
//! Entries are bound against the stream's columns and the features of *all* groups; the look-ups are then the groups
//! that were named, in the order of the entries that named them first (within one entry, in the order of the file),
//! each with the features that were used.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::DeValue;

use super::checker::Checker;
use super::keys::INPUT;
use super::look_up::{NamedColumns, group_entry};
use super::problem::Mistake;
use super::reader::{Fields, TomlValue, wrong};
use super::toml_text::Text;
use super::topic::RESERVED;
use super::{Label, Lookup, ModelInput};
use crate::expr::{Expr, Scope, nearest};
use crate::model::InputShape;
use crate::relation::StreamId;
use crate::value::Type;

/// The look-ups of a model, with its inputs and label over the columns that these add.
pub struct BoundInputs {
    pub lookups: Vec<Lookup>,
    pub inputs: Vec<ModelInput>,
    pub label: Label,
}

/// The entries of a model's `features`, bound over the stream's columns and then all features of all groups.
pub struct Entries {
    stream: StreamId,
    stream_name: String,
    inputs: Vec<ModelInput>,
    /// Each group that entries name, with the place of its first entry, in the order of the entries.
    visits: Vec<(usize, Range<usize>)>,
    /// The columns by which groups are looked up, as far as entries name them.
    named_columns: Vec<NamedColumns>,
}

impl Entries {
    /// The model's inputs, by name.
    pub fn named_types(&self) -> Vec<(String, Type)> {
        self.inputs.iter().map(|input| (input.name.clone(), input.expr.ty())).collect()
    }
}

impl<'a> Checker<'a> {
    /// The columns that expressions of a model may name: those of its examples, and `group.feature`.
    pub fn example_scope(&self, stream: StreamId, name: &str) -> Scope {
        let scope = Scope::of(name, self.spec.stream_schema(stream));
        self.spec.groups.iter().fold(scope, |scope, group| scope.qualified(group.name.as_str(), &group.schema()))
    }

    pub fn entries(
        &self,
        list: Vec<&'a TomlValue<'a>>,
        fields: &Fields<'a>,
        stream: StreamId,
        name: &str,
    ) -> Option<Entries> {
        // The entries that can be read make inputs; the others are reported.
        let scope = self.example_scope(stream, name);
        let before = self.problems.count();
        let mut skipped = false;
        let mut entries = Entries {
            stream,
            stream_name: name.to_owned(),
            inputs: Vec::new(),
            visits: Vec::new(),
            named_columns: Vec::new(),
        };
        if list.is_empty() {
            self.problems.expected(fields.span("features"), "this list is empty", "an input at least");
        }
        for value in list {
            let found = match group_entry(value, self.problems) {
                Some(fields) => self.group_entry(&fields, &scope, stream, name, &mut entries.named_columns),
                None => self.entry(value, &scope, name),
            };
            let Some((found, span)) = found else {
                skipped = true;
                continue;
            };
            // Look up what the inputs read.
            for mut input in found {
                input.form = self.form(&input.expr, stream);
                self.visit(&input.expr, input.form, span.clone(), &mut entries);
                if input.expr.ty() == Type::Timestamp {
                    let message = format!("'{}' is a timestamp", input.name);
                    self.problems.expected(
                        span.clone(),
                        message,
                        "a number, a string or a bool, such as date_part('hour', …)",
                    );
                }
                if let Some(what) = self.owner_of_name(&input, stream, name) {
                    let message = format!("'{}' is {what}, and this input is another value", input.name);
                    self.problems.expected(span.clone(), message, "another name by 'as'");
                }
                if entries.inputs.iter().any(|known| known.name == input.name) {
                    let message = format!("'{}' is an input already", input.name);
                    self.problems.expected(span.clone(), message, "each input once");
                }
                entries.inputs.push(input);
            }
        }
        (!skipped && self.problems.count() == before).then_some(entries)
    }

    /// Returns what has the name of an input in examples, if that is another value.
    fn owner_of_name(&self, input: &ModelInput, stream: StreamId, stream_name: &str) -> Option<String> {
        if RESERVED.contains(&input.name.as_str()) {
            return Some("a name of tidemill's own".to_owned());
        }
        let column = self.spec.stream_schema(stream).index_of(&input.name)?;
        (input.expr.as_column() != Some(column)).then(|| format!("a column of '{stream_name}'"))
    }

    /// Reports the mistakes of entries whose columns are not known.
    pub fn check_unbound_entries(&self, fields: &Fields<'a>) {
        for value in fields.list("features").into_iter().flatten() {
            match value.get_ref() {
                DeValue::String(text) if text.trim().ends_with(".*") => {
                    let text = Text { value: text, span: value.span() };
                    let group = text.value.trim().trim_end_matches(".*");
                    self.whole_group(group, &text, &Scope::undeclared(), "");
                }
                _ => match group_entry(value, self.problems).map(|fields| fields.text("group")) {
                    Some(group) => {
                        group.and_then(|group| self.whole_group(group.value, &group, &Scope::undeclared(), ""));
                    }
                    None => _ = self.entry(value, &Scope::undeclared(), ""),
                },
            }
        }
    }

    /// Checks one entry. Returns its inputs and its span.
    fn entry(&self, value: &'a TomlValue<'a>, scope: &Scope, stream: &str) -> Option<(Vec<ModelInput>, Range<usize>)> {
        match value.get_ref() {
            DeValue::String(text) => {
                let text = Text { value: text, span: value.span() };
                match text.value.trim().strip_suffix(".*") {
                    Some(group) => Some((self.whole_group(group, &text, scope, stream)?, text.span)),
                    None => {
                        let expr = self.expr(&text, scope)?;
                        let name = match expr.as_column() {
                            Some(column) => self.plain_name(column, scope, stream),
                            None => text.value.trim().to_owned(),
                        };
                        Some((vec![ModelInput { name, expr, form: InputShape::Value }], text.span))
                    }
                }
            }
            DeValue::Table(_) => {
                let fields = Fields::of(value, &INPUT, self.problems)?;
                let name = fields.text("as");
                let expr = self.expr(&fields.text("expr")?, scope)?;
                let name = name?;
                if name.value.is_empty() {
                    self.problems.expected(name.span.clone(), "this name is empty", "a name");
                }
                Some((vec![ModelInput { name: name.value.to_owned(), expr, form: InputShape::Value }], name.span))
            }
            other => wrong(self.problems, value.span(), other, "a feature, a column or an expression"),
        }
    }

    fn plain_name(&self, column: usize, scope: &Scope, stream: &str) -> String {
        let width = scope.columns(Some(stream)).map_or(0, |columns| columns.len());
        let name = &scope.column_at(column).name;
        match self.feature_at(column, width) {
            Some((group, _)) => format!("{}.{name}", self.spec.groups[group].name),
            None => name.clone(),
        }
    }

    pub(super) fn whole_group(&self, name: &str, text: &Text, scope: &Scope, stream: &str) -> Option<Vec<ModelInput>> {
        if self.spec.groups.iter().any(|group| group.name == name) {
            let columns = scope.columns(Some(name))?;
            let form = InputShape::Value;
            let input = |(feature, expr)| ModelInput { name: format!("{name}.{feature}"), expr, form };
            return Some(columns.into_iter().map(input).collect());
        }
        if !self.is_broken(name) {
            let mistake = match name == stream {
                true => Mistake::new(text.span.clone(), format!("'{name}' is not a feature group")),
                false => Mistake::new(text.span.clone(), format!("unknown feature group '{name}'")),
            };
            let names = self.spec.groups.iter().map(|group| group.name.as_str());
            let expected = "a feature group (columns of the examples are named one by one)";
            self.problems.add(mistake.expected(expected).suggest(nearest(name, names)));
        }
        None
    }

    /// Returns the form of an input: that of the feature, if it is nothing else.
    fn form(&self, expr: &Expr, stream: StreamId) -> InputShape {
        let width = self.spec.stream_schema(stream).len();
        let feature = expr.as_column().and_then(|column| self.feature_at(column, width));
        feature.map_or(InputShape::Value, |(group, feature)| self.spec.groups[group].form_at(feature))
    }

    /// Records the groups whose features an expression of some form reads. One of single values has no lists and maps.
    fn visit(&self, expr: &Expr, form: InputShape, span: Range<usize>, entries: &mut Entries) {
        let width = self.spec.stream_schema(entries.stream).len();
        for column in expr.columns() {
            let Some((group, feature)) = self.feature_at(column, width) else { continue };
            let declared = &self.spec.groups[group];
            let (name, ty) = declared.feature_column(feature);
            if form.is_value() && ty.scalar().is_none() {
                let message = format!("'{}.{name}' is of type {ty}", declared.name);
                self.problems.expected(
                    span.clone(),
                    message,
                    "a feature that is neither a list nor a map, or one that is an input by itself",
                );
            }
            if entries.visits.iter().all(|(known, _)| *known != group) {
                entries.visits.push((group, span.clone()));
            }
        }
    }

    /// Returns the group and feature of a column; `None` if it is a column of the stream.
    fn feature_at(&self, column: usize, width: usize) -> Option<(usize, usize)> {
        let mut at = column.checked_sub(width)?;
        for (group, declared) in self.spec.groups.iter().enumerate() {
            match at.checked_sub(declared.feature_count()) {
                Some(rest) => at = rest,
                None => return Some((group, at)),
            }
        }
        None
    }

    /// The look-ups that entries and a label take, and both over the columns that those give.
    pub fn look_ups(&self, mut entries: Entries, label: Label) -> Option<BoundInputs> {
        let width = self.spec.stream_schema(entries.stream).len();
        let immediate = match &label {
            Label::Immediate { value } => Some(value.clone()),
            Label::Joined { .. } | Label::Unlabelled => None,
        };
        if let Some(value) = &immediate {
            self.visit(value, InputShape::Value, 0..0, &mut entries);
        }
        let mut used: Vec<usize> = entries.inputs.iter().flat_map(|input| input.expr.columns()).collect();
        used.extend(immediate.iter().flat_map(Expr::columns));
        used.sort_unstable();
        used.dedup();
        let mut lookups = Vec::with_capacity(entries.visits.len());
        let mut places = BTreeMap::new();
        for (group, span) in &entries.visits {
            let mut features = Vec::new();
            for column in &used {
                if let Some((_, feature)) = self.feature_at(*column, width).filter(|(of, _)| of == group) {
                    places.insert(*column, width + places.len());
                    features.push(feature);
                }
            }
            let entity = self.entity(*group, &entries, span)?;
            let asking = (self.spec.stream_schema(entries.stream), entries.stream_name.as_str());
            self.own_mistakes(*group, &features, asking, span)
                .into_iter()
                .for_each(|mistake| self.problems.add(mistake));
            lookups.push(Lookup { group: *group, entity, features });
        }
        let to = |column: usize| places.get(&column).copied().unwrap_or(column);
        let inputs =
            entries.inputs.into_iter().map(|input| ModelInput { expr: input.expr.remap(&to), ..input }).collect();
        let label = match immediate {
            Some(value) => Label::Immediate { value: value.remap(&to) },
            None => label,
        };
        Some(BoundInputs { lookups, inputs, label })
    }

    /// The positions of a group's entity in the examples: of the columns that an entry names, else of those with the
    /// names of the entity's columns.
    fn entity(&self, group: usize, entries: &Entries, span: &Range<usize>) -> Option<Vec<usize>> {
        let named = entries.named_columns.iter().find(|named| named.group == group);
        let group = &self.spec.groups[group];
        let (from, to) = (self.spec.stream_schema(group.from), self.spec.stream_schema(entries.stream));
        let mut found = Vec::with_capacity(group.entity.len());
        for (position, column) in group.entity.iter().enumerate() {
            if let Some(at) = named.and_then(|named| named.columns[position]) {
                found.push(at);
                continue;
            }
            let column = &from.columns[*column];
            match to.index_of(&column.name) {
                Some(at) if to.columns[at].ty == column.ty || self.is_broken(&column.name) => found.push(at),
                at => {
                    let (stream, name) = (&entries.stream_name, &column.name);
                    let message = match at {
                        Some(at) => format!("'{stream}.{name}' is of type {}", to.columns[at].ty),
                        None => format!("'{stream}' has no column '{name}'"),
                    };
                    let message = format!("{message}, by which '{}' is looked up", group.name);
                    let by = format!("{{ group = \"{}\", on = {{ {name} = \"COLUMN\" }} }}", group.name);
                    let expected = format!("a column '{name}' of type {}, or {by}", column.ty);
                    self.problems.expected(span.clone(), message, expected);
                }
            }
        }
        (found.len() == group.entity.len()).then_some(found)
    }
}
