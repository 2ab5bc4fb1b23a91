//! `recommend` of a model: the items that it ranks for a user.

use super::checker::Checker;
use super::keys::RECOMMEND;
use super::problem::Mistake;
use super::reader::{Fields, TomlValue};
use super::toml_text::Text;
use super::{FeatureRef, ItemColumn, Recommend, Table};
use crate::aggregate::FeatureType;
use crate::expr::nearest;
use crate::model::{ModelKind, Task};
use crate::relation::StreamId;
use crate::value::{Schema, Type};

impl<'a> Checker<'a> {
    /// Checks the `recommend` of a model whose instances are records of `record`. `None` if there is none, or it is wrong.
    pub fn recommend(
        &self,
        value: &'a TomlValue<'a>,
        record: Option<StreamId>,
        kind: Option<&'static ModelKind>,
    ) -> Option<Recommend> {
        let fields = Fields::of(value, &RECOMMEND, self.problems)?;
        if let Some(kind) = kind.filter(|kind| !matches!(kind.task, Task::Regression | Task::Binary)) {
            let message = format!("models of kind '{}' do not rank: they predict no single value", kind.name);
            self.problems.expected(value.span(), message, "a kind with the task regression or binary");
        }
        let table = fields.text("items").and_then(|name| self.item_table(&name));
        let (seen, popularity) = (fields.text("seen"), fields.text("popularity"));
        let record = self.spec.stream_schema(record?);
        let table = table?;
        let columns = self.item_columns(&self.spec.tables[table], record, &fields)?;
        let keys: Vec<&ItemColumn> = columns.iter().filter(|column| column.is_key).collect();
        let user = |name: &str| record.index_of(name).is_some() && keys.iter().all(|key| key.name != name);
        let item = |name: &str| keys.iter().any(|key| key.name == name);
        if let (Some(popularity), None) = (&popularity, &seen) {
            let message = "'popularity' without 'seen', which tells the users that are new";
            self.problems.expected(popularity.span.clone(), message, "'seen' as well");
        }
        let of_seen = |ty: &FeatureType| match keys.as_slice() {
            [key] => *ty == FeatureType::List(key.ty),
            _ => false,
        };
        let expected = match keys.as_slice() {
            [key] => format!("a list of the items' '{}', each a {}", key.name, key.ty),
            _ => "a table of items with one key column".to_owned(),
        };
        let seen = match seen {
            Some(text) => Some(self.feature_ref(&text, record, &user, ("users", &expected), &of_seen)?),
            None => None,
        };
        let of_number = |ty: &FeatureType| matches!(ty, FeatureType::Scalar(Type::Int | Type::Float));
        let popularity = match popularity {
            Some(text) => Some(self.feature_ref(&text, record, &item, ("items", "a number"), &of_number)?),
            None => None,
        };
        Some(Recommend { table, columns, seen, popularity })
    }

    /// Returns the position of the table of items.
    fn item_table(&self, name: &Text) -> Option<usize> {
        let names = || self.spec.tables.iter().map(|table| table.topic.name.as_str());
        let found = names().position(|known| known == name.value);
        if found.is_none() && !self.is_broken(name.value) {
            let mistake = Mistake::new(name.span.clone(), format!("unknown table '{}'", name.value));
            self.problems
                .add(mistake.expected("a table, whose rows are the items").suggest(nearest(name.value, names())));
        }
        found
    }

    /// Returns the columns of the items' table that records have; reports key columns that they lack.
    fn item_columns(&self, table: &Table, record: &Schema, fields: &Fields<'a>) -> Option<Vec<ItemColumn>> {
        let mut columns = Vec::new();
        let mut complete = true;
        for (position, column) in table.topic.schema.columns.iter().enumerate() {
            let is_key = table.topic.key.contains(&position);
            let of_record = record.index_of(&column.name).map(|at| record.columns[at].ty);
            if of_record == Some(column.ty) {
                let (name, ty) = (column.name.clone(), column.ty);
                columns.push(ItemColumn { position, name, ty, is_key });
            } else if is_key {
                complete = false;
                let (name, ty) = (&column.name, column.ty);
                let message = format!("'{}' has the key '{name}', a {ty}, which records do not have", table.topic.name);
                let expected = "a table whose key columns are columns of the records that requests contain";
                self.problems.expected(fields.span("items"), message, expected);
            }
        }
        complete.then_some(columns)
    }

    /// Finds `group.feature`. `is_entity` tells the columns that its group's entity may have, which are those of `whose`;
    /// `fits` the types that it may be of.
    fn feature_ref(
        &self,
        text: &Text,
        record: &Schema,
        is_entity: &dyn Fn(&str) -> bool,
        (whose, expected): (&str, &str),
        fits: &dyn Fn(&FeatureType) -> bool,
    ) -> Option<FeatureRef> {
        let (name, feature) = text.value.split_once('.').unwrap_or((text.value, ""));
        let wrong = |message: String| Mistake::new(text.span.clone(), message);
        let names = || self.spec.groups.iter().map(|group| group.name.as_str());
        let Some(position) = names().position(|known| known == name) else {
            if !self.is_broken(name) {
                let mistake = wrong(format!("unknown feature group '{name}'"));
                self.problems.add(mistake.expected("\"group.feature\"").suggest(nearest(name, names())));
            }
            return None;
        };
        let group = &self.spec.groups[position];
        let names = || group.features.iter().map(|feature| feature.name.as_str());
        let Some(at) = names().position(|known| known == feature) else {
            let mistake = wrong(format!("'{name}' has no feature '{feature}'")).expected("\"group.feature\"");
            self.problems.add(mistake.suggest(nearest(feature, names())));
            return None;
        };
        let of = self.spec.stream_schema(group.from);
        let mut entity = group.entity.iter().map(|column| &of.columns[*column]);
        let unfit = entity.find(|column| {
            let of_record = record.index_of(&column.name).map(|at| record.columns[at].ty);
            !is_entity(&column.name) || of_record != Some(column.ty)
        });
        if let Some(column) = unfit {
            let message = format!("'{name}' has features of each '{}', which is not a column of {whose}", column.name);
            self.problems.add(wrong(message).expected(format!("a group whose entity is columns of {whose}")));
            return None;
        }
        if !fits(&group.features[at].ty) {
            let message = format!("'{}' is a {}", text.value, group.features[at].ty);
            self.problems.add(wrong(message).expected(expected.to_owned()));
            return None;
        }
        Some(FeatureRef { group: position, feature: at })
    }
}
