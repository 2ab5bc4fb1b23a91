//! Entries of a model's `features` that name a group and the columns by which it is looked up.

use std::ops::Range;

use toml::de::DeValue;

use super::ModelInput;
use super::checker::Checker;
use super::keys::LOOK_UP;
use super::problem::Problems;
use super::reader::{Fields, TomlValue, entries, text, wrong};
use super::toml_text::Text;
use crate::expr::Scope;
use crate::relation::StreamId;

/// The columns of the examples by which a group is looked up.
pub struct NamedColumns {
    pub group: usize,
    /// For each column of the entity: that of the examples, `None` for the one of the same name.
    pub columns: Vec<Option<usize>>,
}

/// Opens an entry that is a table with a `group`.
pub fn group_entry<'a>(value: &'a TomlValue<'a>, problems: &'a Problems) -> Option<Fields<'a>> {
    match value.get_ref() {
        DeValue::Table(table) if table.contains_key("group") => Fields::of(value, &LOOK_UP, problems),
        _ => None,
    }
}

impl<'a> Checker<'a> {
    /// Checks an entry that names a group. Returns its inputs and its span, and adds the columns of `on` to `named`. The
    /// stream of the examples comes with its name.
    pub fn group_entry(
        &self,
        fields: &Fields<'a>,
        scope: &Scope,
        stream: StreamId,
        name: &str,
        named: &mut Vec<NamedColumns>,
    ) -> Option<(Vec<ModelInput>, Range<usize>)> {
        let group = fields.text("group")?;
        let mut inputs = self.whole_group(group.value, &group, scope, name)?;
        let position = self.spec.groups.iter().position(|known| known.name == group.value)?;
        if let Some(on) = fields.get("on") {
            let columns = self.columns_of_entity(on, position, stream, name)?;
            match named.iter().find(|known| known.group == position) {
                Some(known) if known.columns != columns => {
                    let message = format!("'{}' is looked up by other columns already", group.value);
                    let expected = "one look-up of a group; a second group of the same definition has another";
                    self.problems.expected(on.span(), message, expected);
                }
                Some(_) => {}
                None => named.push(NamedColumns { group: position, columns }),
            }
        }
        if let Some(chosen) = fields.texts("features") {
            inputs = self.chosen(&chosen, &group, inputs)?;
        }
        Some((inputs, group.span))
    }

    /// Returns the inputs that are named, in the order of the names.
    fn chosen(&self, names: &[Text], group: &Text, inputs: Vec<ModelInput>) -> Option<Vec<ModelInput>> {
        let position = self.spec.groups.iter().position(|known| known.name == group.value)?;
        let schema = self.spec.groups[position].schema();
        let places = self.columns(names, &schema, group.value)?;
        let mut inputs: Vec<Option<ModelInput>> = inputs.into_iter().map(Some).collect();
        places.into_iter().map(|at| inputs[at].take()).collect()
    }

    /// Reads `on`: for each column of a group's entity, the position of the examples' column that holds it.
    fn columns_of_entity(
        &self,
        on: &'a TomlValue<'a>,
        group: usize,
        stream: StreamId,
        name: &str,
    ) -> Option<Vec<Option<usize>>> {
        let DeValue::Table(table) = on.get_ref() else {
            return wrong(self.problems, on.span(), on.get_ref(), "a table such as { entity_column = \"column\" }");
        };
        let group = &self.spec.groups[group];
        let (from, to) = (self.spec.stream_schema(group.from), self.spec.stream_schema(stream));
        let entity: Vec<&str> = group.entity.iter().map(|at| from.columns[*at].name.as_str()).collect();
        let before = self.problems.count();
        let mut columns = vec![None; entity.len()];
        for (key, value) in entries(table) {
            let Some(position) = entity.iter().position(|column| *column == key.value) else {
                let message = format!("'{}' is not a column of the entity of '{}'", key.value, group.name);
                self.problems.expected(key.span, message, format!("one of {}", entity.join(", ")));
                continue;
            };
            let Some(column) = text(value, self.problems) else { continue };
            let Some(at) = self.column(&column, to, name) else { continue };
            let (theirs, ours) = (from.columns[group.entity[position]].ty, to.columns[at].ty);
            if theirs != ours && !self.is_broken(column.value) && !self.is_broken(key.value) {
                let message = format!("'{}' is of type {ours}, '{}' of type {theirs}", column.value, key.value);
                self.problems.expected(column.span, message, "both of one type");
            }
            columns[position] = Some(at);
        }
        (self.problems.count() == before).then_some(columns)
    }
}
