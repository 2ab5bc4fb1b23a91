//! Feature groups: entities, aggregates, and the features that they make.

use std::collections::BTreeMap;
use std::ops::Range;

use super::checker::Checker;
use super::derived::derived_entry;
use super::keys::AGGREGATE;
use super::problem::Mistake;
use super::reader::{Fields, TomlValue};
use super::request_windows::FeatureName;
use super::toml_text::Text;
use super::topic::RESERVED;
use super::{Group, GroupFeature, Line, format_bytes};
use crate::aggregate::{EntityBound, FeatureType, KINDS, MAX_DIGITS, Op, OpError};
use crate::expr::{Expr, Scope, nearest};
use crate::relation::StreamId;
use crate::value::{Schema, Type};

/// The holder of the name of a feature.
const FEATURE: &str = "a feature";

impl<'a> Checker<'a> {
    /// Binds a feature group.
    pub fn group(&mut self, name: &Text<'a>, fields: &Fields<'a>) {
        let before = self.problems.count();
        let group = self.read_group(name, fields);
        match group {
            Some(group) if self.problems.count() == before => self.add_group(group),
            _ => self.mark_broken(name.value),
        }
    }

    fn read_group(&self, name: &Text, fields: &Fields<'a>) -> Option<Group> {
        let from_name = fields.text("from");
        let from = from_name.as_ref().and_then(|from| self.stream(from));
        let entity = fields.texts("entity");
        let lines = fields.list("aggregate");
        let (Some(from), Some(from_name)) = (from, from_name) else {
            // The checks that need no columns are made all the same.
            for value in lines.into_iter().flatten().filter(|value| derived_entry(value, self.problems).is_none()) {
                self.line(value, None);
            }
            return None;
        };
        // The entity, and the features of each line.
        let lines = lines?;
        let schema = self.spec.stream_schema(from);
        let entity = entity.and_then(|names| self.columns(&names, schema, from_name.value));
        if lines.is_empty() {
            self.problems.expected(fields.span("aggregate"), "this list is empty", "an aggregate at least");
        }
        let mut group = Group {
            name: name.value.to_owned(),
            from,
            entity: entity?,
            lines: Vec::new(),
            bound: None,
            features: Vec::new(),
            derived: Vec::new(),
        };
        // The offline file has the entity beside the features.
        let mut names: BTreeMap<String, &str> =
            RESERVED.iter().map(|name| ((*name).to_owned(), "a name of tidemill's own")).collect();
        names
            .extend(group.entity.iter().map(|column| (schema.columns[*column].name.clone(), "a column of the entity")));
        let mut derived = Vec::new();
        for value in lines {
            if let Some(fields) = derived_entry(value, self.problems) {
                derived.push(fields);
                continue;
            }
            let Some((line, features)) = self.line(value, Some((from, from_name.value))) else { continue };
            for (feature, place) in features {
                self.take_name(&feature.name, place.span, &mut names);
                group.features.push(GroupFeature { line: group.lines.len(), ..feature });
            }
            group.lines.push(line);
        }
        // Options of the whole group, then features derived from those of its lines.
        self.keep_panes(fields, &mut group);
        group.bound = self.bound(fields, &group);
        for (derived, place) in self.derived(derived, &group) {
            self.take_name(&derived.name, place.span, &mut names);
            group.derived.push(derived);
        }
        Some(group)
    }

    /// Takes the name of a feature; reports it if it is taken. `names` says of each name what has it.
    fn take_name(&self, name: &str, span: Range<usize>, names: &mut BTreeMap<String, &str>) {
        let message = match names.insert(name.to_owned(), FEATURE) {
            None => return,
            Some(FEATURE) => format!("two features are named '{name}'"),
            Some(what) => format!("'{name}' is {what}"),
        };
        self.problems.expected(span, message, "another name by 'as'");
    }

    /// The bound of a group, in entities or in bytes.
    fn bound(&self, fields: &Fields<'a>, group: &Group) -> Option<EntityBound> {
        let entities = fields.int("max_entities", 1..i64::MAX);
        let bytes = fields.int("max_bytes", 1..i64::MAX);
        if fields.get("max_entities").is_some() && fields.get("max_bytes").is_some() {
            self.problems.expected(fields.span("max_bytes"), "'max_entities' is a bound already", "one of the two");
        }
        if let Some(entities) = entities {
            return Some(EntityBound::new(entities as u64));
        }
        let entity = group.bytes_for_bound();
        let entities = bytes? as u64 / entity as u64;
        if entities == 0 && !group.lines.is_empty() {
            let message = format!("an entity takes {}", format_bytes(entity));
            self.problems.expected(fields.span("max_bytes"), message, format!("at least {entity}"));
        }
        Some(EntityBound::new(entities))
    }

    /// One `aggregate` entry; each feature with the op that it is named by. The stream comes with its name, `None` if it is
    /// not known.
    fn line(
        &self,
        value: &'a TomlValue<'a>,
        from: Option<(StreamId, &str)>,
    ) -> Option<(Line, Vec<(GroupFeature, Text<'a>)>)> {
        // The keys of the entry, each read whatever is wrong with the others.
        let fields = Fields::of(value, &AGGREGATE, self.problems)?;
        let unknown = Schema::new(Vec::new());
        let schema = from.map_or(&unknown, |(from, _)| self.spec.stream_schema(from));
        let scope = from.map_or_else(Scope::undeclared, |(_, name)| Scope::of(name, schema));
        let of_text = fields.text("of");
        let of = of_text.as_ref().and_then(|text| self.expr(text, &scope));
        let filter = fields.text("where").and_then(|text| self.condition(&text, &scope));
        let ops = fields.texts("op").and_then(|names| self.ops(&names));
        let windows: Option<Vec<_>> = fields.list("windows").and_then(|list| {
            let windows: Vec<_> = list.into_iter().map(|window| self.window(window)).collect();
            windows.into_iter().collect()
        });
        let windows = windows.and_then(|windows| self.lagging(&fields, windows));
        if windows.as_ref().is_some_and(Vec::is_empty) {
            self.problems.expected(fields.span("windows"), "this list is empty", "a window at least");
        }
        let alias = fields.text("as");
        if let Some(alias) = &alias {
            self.check_identifier(alias, "a name for features");
        }
        if let (None, Some(ops)) = (&of_text, &ops) {
            self.check_input(ops, None, None);
        }
        if of_text.is_some() && of.is_none() {
            return None;
        }
        let suspect = of_text.as_ref().is_some_and(|text| self.touches_broken(text.value));
        if suspect {
            return None;
        }
        // What depends on the type of the input and on the ops.
        let chosen = self.resolution(&fields, of.as_ref().map(Expr::ty));
        let digits = of.as_ref().map_or(0, |of| digits(of, schema, chosen));
        let stem = self.stem(alias.as_ref(), of_text.as_ref(), of.as_ref(), schema);
        let ops = ops?;
        let with = self.second_input(&fields, &scope, schema, &ops);
        let by = fields.text("by").and_then(|name| self.category(&name, schema, from?.1, &ops));
        if fields.get("by").is_some() && by.is_none() {
            return None;
        }
        let ty = of.as_ref().map(Expr::ty);
        if of_text.is_some() {
            self.check_input(&ops, ty, of_text.as_ref());
        }
        let defaults = self.defaults(&fields, &ops, ty);
        let (windows, stem) = (windows?, stem?);
        self.check_series(&ops, &windows, ty, by.is_some());
        let current = self.current(&fields, &windows);
        let suffixes: Vec<String> = windows.iter().map(|(_, suffix)| suffix.clone()).collect();
        let (places, ops): (Vec<Text>, Vec<Op>) = ops.into_iter().map(|(op, place)| (place, op)).unzip();
        let windows = windows.into_iter().map(|(window, _)| window).collect();
        let line = Line { stem, of, filter, digits, with, by, ops, windows, defaults, current };
        let features = name_features(&line, &suffixes, schema);
        let placed = features.into_iter().map(|feature| {
            let place = places[feature.op].clone();
            (feature, place)
        });
        Some((line, placed.collect()))
    }

    /// The beginning of the names of a line's features: `as`, or the column that `of` is.
    fn stem(
        &self,
        alias: Option<&Text>,
        of_text: Option<&Text>,
        of: Option<&Expr>,
        schema: &Schema,
    ) -> Option<Option<String>> {
        if let Some(alias) = alias {
            return Some(Some(alias.value.to_owned()));
        }
        match (of_text, of.and_then(Expr::as_column)) {
            (Some(_), Some(column)) => Some(Some(schema.columns[column].name.clone())),
            (Some(text), None) => {
                self.problems.expected(
                    text.span.clone(),
                    "the features of this expression have no name",
                    "a name in 'as'",
                );
                None
            }
            (None, _) => Some(None),
        }
    }

    fn ops(&self, names: &[Text<'a>]) -> Option<Vec<(Op, Text<'a>)>> {
        let mut ops: Vec<(Op, Text)> = Vec::with_capacity(names.len());
        for name in names {
            match Op::parse(name.value) {
                Ok(op) => ops.push((op, name.clone())),
                Err(error) => {
                    let known = || KINDS.iter().map(|kind| kind.name);
                    let all = || format!("one of {}", known().collect::<Vec<_>>().join(", "));
                    let mistake = Mistake::new(name.span.clone(), error.to_string());
                    let mistake = mistake.expected(error.expected().unwrap_or_else(all));
                    self.problems.add(match &error {
                        OpError::Unknown(found) => mistake.suggest(nearest(found, known())),
                        _ => mistake,
                    });
                }
            }
        }
        (ops.len() == names.len()).then_some(ops)
    }

    fn check_input(&self, ops: &[(Op, Text)], ty: Option<Type>, of: Option<&Text>) {
        for (op, place) in ops {
            let kind = op.kind;
            if kind.accepts(ty) {
                continue;
            }
            match (ty, of) {
                (Some(ty), Some(of)) => {
                    let takes = Type::ALL.into_iter().filter(|ty| kind.accepts(Some(*ty)));
                    let takes: Vec<&str> = takes.map(Type::name).collect();
                    let message = format!("op '{}' does not take type {ty}", kind.name);
                    self.problems.expected(of.span.clone(), message, takes.join(" or "));
                }
                _ => {
                    let message = format!("op '{}' needs 'of'", kind.name);
                    self.problems.expected(place.span.clone(), message, "a column or an expression in 'of'");
                }
            }
        }
    }
}

/// A feature for each op of a line in each window, by the ends of their names.
fn name_features(line: &Line, suffixes: &[String], schema: &Schema) -> Vec<GroupFeature> {
    let of = line.of.as_ref().map(Expr::ty);
    let names: Vec<FeatureName> = line.names(schema).collect();
    let mut features = Vec::with_capacity(line.ops.len() * suffixes.len());
    for (window, suffix) in suffixes.iter().enumerate() {
        for (at, op) in line.ops.iter().enumerate() {
            let name = names[at].in_window(suffix);
            let ty = match line.windows[window].output(op.output(of)) {
                FeatureType::Scalar(ty) if line.by.is_some() => FeatureType::Map(ty),
                other => other,
            };
            features.push(GroupFeature { name, ty, line: 0, window, op: at });
        }
    }
    features
}

/// Decimal digits that sums keep: all of an int, so none after the point; of a float, as the line or its column says.
pub fn digits(of: &Expr, schema: &Schema, chosen: Option<u32>) -> u32 {
    if of.ty() != Type::Float {
        return 0;
    }
    let column = || of.as_column().and_then(|column| schema.columns[column].resolution);
    chosen.or_else(|| column().map(|step| -libm::round(libm::log10(step)) as u32)).unwrap_or(MAX_DIGITS)
}
