//! Derived features: expressions over the other features of a group.

use toml::de::DeValue;

use super::checker::Checker;
use super::keys::DERIVED;
use super::problem::Problems;
use super::reader::{Fields, TomlValue};
use super::toml_text::Text;
use super::types::DerivedColumn;
use super::{Group, GroupFeature};
use crate::aggregate::FeatureType;
use crate::example::DerivedFeature;
use crate::expr::{Expr, Scope};
use crate::value::{Column, Schema, Type};

/// Opens an entry of `aggregate` that is a derived feature.
pub fn derived_entry<'a>(value: &'a TomlValue<'a>, problems: &'a Problems) -> Option<Fields<'a>> {
    match value.get_ref() {
        DeValue::Table(table) if table.contains_key("expr") => Fields::of(value, &DERIVED, problems),
        _ => None,
    }
}

impl Group {
    /// Returns the number of features, derived ones included.
    pub fn feature_count(&self) -> usize {
        self.features.len() + self.derived.len()
    }

    /// Returns the names of all features: those of vectors, then the derived ones.
    pub fn feature_names(&self) -> impl Iterator<Item = &str> + Clone {
        let derived = self.derived.iter().map(|derived| derived.name.as_str());
        self.features.iter().map(|feature| feature.name.as_str()).chain(derived)
    }

    /// Returns the types of all features, in the order of their names.
    pub fn feature_types(&self) -> impl Iterator<Item = FeatureType> {
        let derived = self.derived.iter().map(|derived| FeatureType::Scalar(derived.expr.ty()));
        self.features.iter().map(|feature| feature.ty).chain(derived)
    }

    /// Returns the name and type of a feature, by its position among all.
    ///
    /// # Panics
    /// If there is no such feature.
    pub fn feature_column(&self, position: usize) -> (&str, FeatureType) {
        self.feature_names().zip(self.feature_types()).nth(position).expect("positions are those of features")
    }

    /// Returns the derived feature at a position among all features, if it is one.
    pub fn derived_at(&self, position: usize) -> Option<&DerivedColumn> {
        self.derived.get(position.checked_sub(self.features.len())?)
    }

    /// Returns the features of vectors that some features are, or are derived from; ascending.
    pub fn read_by(&self, features: &[usize]) -> Vec<usize> {
        let read = |feature: &usize| match self.derived_at(*feature) {
            Some(derived) => derived.expr.columns(),
            None => vec![*feature],
        };
        let mut read: Vec<usize> = features.iter().flat_map(read).collect();
        read.sort_unstable();
        read.dedup();
        read
    }

    /// Returns the derived features, over the features of vectors that they read.
    pub fn derived_features(&self) -> Vec<DerivedFeature> {
        let ty = |position: usize| self.features[position].ty.scalar().expect("check_derived refuses lists and maps");
        self.derived.iter().map(|derived| DerivedFeature::new(&derived.expr, ty)).collect()
    }

    /// Returns whether a derived feature depends on the asking time.
    pub fn is_finished_by_readers(&self, derived: &DerivedColumn) -> bool {
        let depends = |feature: &GroupFeature| self.op(feature).kind.family.depends_on_asking(self.window(feature));
        derived.expr.columns().into_iter().any(|position| depends(&self.features[position]))
    }
}

impl<'a> Checker<'a> {
    /// Reads the derived features of a group whose other features have been read. Each comes with the place of its name.
    pub fn derived(&self, entries: Vec<Fields<'a>>, group: &Group) -> Vec<(DerivedColumn, Text<'a>)> {
        // A derived feature is found as a column, too, to say that it cannot be read.
        let others = entries.iter().filter_map(|fields| fields.text_if_any("as"));
        let others = others.filter(|name| group.features.iter().all(|feature| feature.name != name.value));
        let schema = group.schema();
        let scope = Scope::of(group.name.as_str(), &schema);
        let others = others.map(|name| Column::new(name.value, Type::Float, true));
        let schema = Schema::new(schema.columns.into_iter().chain(others).collect());
        let all = Scope::of(group.name.as_str(), &schema);
        let known = group.features.len();
        let read = |fields: Fields<'a>| {
            let name = fields.text("as");
            let text = fields.text("expr")?;
            let expr = Expr::parse(text.value, &all).ok().or_else(|| self.expr(&text, &scope));
            let name = name?;
            self.check_identifier(&name, "a name for a feature");
            let expr = expr?;
            self.check_derived(&expr, &text, group, &schema, known).then_some(())?;
            Some((DerivedColumn { name: name.value.to_owned(), expr }, name))
        };
        entries.into_iter().filter_map(read).collect()
    }

    /// Reports what a derived feature cannot read. Returns whether it reads only what it can.
    fn check_derived(&self, expr: &Expr, text: &Text, group: &Group, schema: &Schema, known: usize) -> bool {
        let mut reads_well = true;
        for column in expr.columns() {
            let name = &schema.columns[column].name;
            let (what, expected) = match group.features.get(column).map(|feature| feature.ty) {
                Some(FeatureType::Scalar(_)) => continue,
                Some(ty) => (format!("of type {ty}"), "features that are neither lists nor maps"),
                None => ("a derived feature, which no other can read".to_owned(), "its expression in its place"),
            };
            self.problems.expected(text.span.clone(), format!("'{name}' is {what}"), expected);
            reads_well = false;
        }
        if expr.columns().iter().all(|column| *column >= known) && reads_well {
            self.problems.expected(
                text.span.clone(),
                "this expression reads no feature",
                "a feature of this group in it",
            );
            reads_well = false;
        }
        reads_well
    }
}
