//! Construction of a [`Program`]: every column gets a slot, every expression the slots that it reads.

use super::fields::{InstanceField, InstanceSchema};
use super::needs::{InputNeeds, prune};
use super::program::{LookupSource, Program};
use super::steps::{LookupColumn, LookupStep, OwnStep, ProgramStep};
use super::{FeatureAssembler, FeatureLookup, OwnRecord, RowLookup};
use crate::aggregate::Feature;
use crate::expr::Expr;
use crate::model::InputShape;
use crate::value::{Column, KeyCodec, Schema, TimeRules, Type};

/// Builds the program of a model, step by step along the way of an instance: [`ProgramBuilder::record`] first, then the
/// views from the innermost outwards, then the feature look-ups, and [`ProgramBuilder::finish`] last.
#[derive(Default)]
pub struct ProgramBuilder {
    slots: Vec<ProgramSlot>,
    /// Slot of each column of the relation reached so far.
    columns: Vec<usize>,
    steps: Vec<ProgramStep>,
    sources: Vec<LookupSource>,
    instance: InstanceSchema,
    /// Names of each view's columns and their slots, innermost view first.
    views: Vec<Vec<(String, usize)>>,
    /// Names of the features and their slots.
    features: Vec<(String, usize)>,
    /// The same of those that are looked up for themselves, and not to derive others.
    taken: Vec<(String, usize)>,
}

/// A cell of each row of a frame.
struct ProgramSlot {
    ty: Type,
    form: InputShape,
    /// The name under which a view passes the value on unchanged.
    name: Option<String>,
}

impl ProgramBuilder {
    /// Starts from the columns of the driving source's records; `time` is the position of the event time; `None` if
    /// that is an expression: then an instance has no time of its own but the columns that the expression reads.
    pub fn record(&mut self, schema: &Schema, time: Option<usize>) {
        for (position, column) in schema.columns.iter().enumerate() {
            let slot = self.slot(column.ty, Some(&column.name));
            self.columns.push(slot);
            self.instance.fields.add_column(column, slot);
            if Some(position) == time {
                self.instance.time = Some((slot, column.name.clone()));
            } else {
                self.instance.needed.push((position, slot));
                if !column.nullable {
                    self.instance.required.push((column.name.clone(), slot));
                }
            }
        }
        self.instance.fields.mark_shared();
    }

    /// Appends the columns of a table's row.
    pub fn look_up_row(&mut self, lookup: &RowLookup<'_>) {
        let key = self.slots_of(lookup.on.iter());
        let mut columns = Vec::new();
        for (position, column) in lookup.schema.columns.iter().enumerate() {
            let slot = self.slot(column.ty, Some(&column.name));
            columns.push(LookupColumn {
                position,
                slot,
                ty: column.ty,
                form: InputShape::Value,
                default: Feature::NULL,
                own: None,
            });
        }
        let slots: Vec<usize> = columns.iter().map(|column| column.slot).collect();
        self.look_up(LookupSource::Table(lookup.table.to_owned()), lookup.key, key, columns, Vec::new());
        self.columns.extend(slots);
    }

    /// Replaces the columns by a view's: `exprs` over the columns reached so far, declared by `schema`.
    pub fn project<'a>(&mut self, schema: &'a Schema, exprs: impl IntoIterator<Item = &'a Expr>) {
        let columns = self
            .place(schema.columns.iter().zip(exprs), |slot, column| slot.name.as_deref() == Some(column.name.as_str()));
        self.views.push(schema.names().map(str::to_owned).zip(columns.iter().copied()).collect());
        self.columns = columns;
    }

    /// Renames the columns reached so far to those of `schema`, by position.
    pub fn rename(&mut self, schema: &Schema) {
        let exprs: Vec<Expr> =
            schema.columns.iter().enumerate().map(|(position, column)| Expr::column(position, column)).collect();
        self.project(schema, &exprs);
    }

    /// Appends the columns of an entity, `on` over the columns reached so far, and then features of it.
    pub fn look_up_entity(&mut self, on: &[Expr], lookup: &FeatureLookup) {
        let mut entity = self.slots_of(on.iter());
        self.columns.append(&mut entity);
        self.look_up_features(lookup);
    }

    /// Appends features of an entity.
    pub fn look_up_features(&mut self, lookup: &FeatureLookup) {
        let entity = lookup.entity.iter().map(|column| self.columns[*column]).collect();
        let own: Vec<OwnStep> = lookup.own.iter().map(|own| self.own_step(own)).collect();
        // The features of the vector that are taken or read by derived ones, each once.
        let mut columns: Vec<LookupColumn> = Vec::new();
        let mut place = |builder: &mut Self, position: usize, ty: Type, form: InputShape| {
            if let Some(known) = columns.iter().find(|column| column.position == position) {
                return known.slot;
            }
            let slot = builder.feature_slot(&lookup.names[position], ty);
            builder.slots[slot].form = form;
            let own = lookup.own.iter().position(|own| own.features.contains(&position));
            columns.push(LookupColumn { position, slot, ty, form, default: lookup.empty[position].clone(), own });
            slot
        };
        let mut taken = Vec::with_capacity(lookup.features.len());
        let mut derivations = Vec::new();
        for (position, (ty, form)) in lookup.features.iter().zip(lookup.types.iter().zip(&lookup.forms)) {
            taken.push(match lookup.derived_at(*position) {
                None => place(self, *position, *ty, *form),
                Some(derived) => {
                    let slot_of =
                        |(position, ty): &(usize, Type)| (place(self, *position, *ty, InputShape::Value), *ty);
                    let reads = derived.reads().iter().map(slot_of).collect();
                    let slot = self.feature_slot(&lookup.names[*position], *ty);
                    derivations.push(ProgramStep::Compute { reads, outputs: vec![(derived.expr().clone(), slot)] });
                    slot
                }
            });
        }
        self.look_up(LookupSource::Group(lookup.group.clone()), &lookup.key, entity, columns, own);
        let names = lookup.features.iter().map(|position| lookup.names[*position].clone());
        self.taken.extend(names.zip(taken.iter().copied()));
        self.steps.append(&mut derivations);
        self.columns.append(&mut taken);
    }

    /// A slot for a feature, which an instance may set by its name.
    fn feature_slot(&mut self, name: &str, ty: Type) -> usize {
        let slot = self.slot(ty, Some(name));
        self.features.push((name.to_owned(), slot));
        slot
    }

    /// Adds the steps that compute what a line reads of the instance.
    fn own_step(&mut self, own: &OwnRecord) -> OwnStep {
        let mut slots = self.slots_of(own.columns.iter().flatten()).into_iter();
        let types = own.types();
        let slots = types.map(|ty| ty.and_then(|ty| Some((slots.next()?, ty))));
        OwnStep { record: own.clone(), slots }
    }

    /// The slots of expressions over the columns reached. Those that are columns need no step.
    fn slots_of<'a>(&mut self, exprs: impl Iterator<Item = &'a Expr>) -> Vec<usize> {
        let mut computed = Vec::new();
        let mut slots = Vec::new();
        for expr in exprs {
            slots.push(match expr.as_column() {
                Some(column) => self.columns[column],
                None => {
                    let slot = self.slot(expr.ty(), None);
                    computed.push((expr, slot));
                    slot
                }
            });
        }
        self.compute(computed);
        slots
    }

    /// Returns the program of the model `model`, whose inputs are assembled from the columns reached.
    pub fn finish(mut self, model: &str, assembler: &FeatureAssembler) -> Program {
        // An input that is nothing but a column is the same value, whatever it is called.
        let declared: Vec<Column> = assembler
            .names()
            .iter()
            .zip(assembler.types())
            .map(|(name, ty)| Column::new(name.clone(), ty, true))
            .collect();
        let inputs = self.place(declared.iter().zip(assembler.exprs()), |_, _| true);

        // The first name wins: the record's, then views' from the outermost in, then features, then inputs.
        let views = std::mem::take(&mut self.views).into_iter().rev().flatten();
        let features = std::mem::take(&mut self.features);
        let named_inputs = assembler.names().iter().cloned().zip(inputs.iter().copied());
        for (name, slot) in views.chain(features).chain(named_inputs) {
            let ProgramSlot { ty, form, .. } = self.slots[slot];
            let time = TimeRules::default();
            self.instance.fields.add(InstanceField { name, slot, ty, form, time, nullable: true, is_shared: false });
        }
        // Whatever no input is made from is neither computed nor asked for.
        let width = self.slots.len();
        let needed = InputNeeds { steps: &self.steps, inputs: &inputs, width }.slots(|_| false);
        self.instance.width = width;
        self.instance.keep_needed(&needed);
        Program {
            model: model.to_owned(),
            instance: self.instance,
            steps: self.steps.into_iter().filter_map(|step| prune(step, &needed)).collect(),
            sources: self.sources,
            features: self.taken.into_iter().filter(|(_, slot)| needed[*slot]).map(|(name, _)| name).collect(),
            inputs,
            declared: assembler.inputs(),
        }
    }

    fn slot(&mut self, ty: Type, name: Option<&str>) -> usize {
        self.slots.push(ProgramSlot { ty, form: InputShape::Value, name: name.map(str::to_owned) });
        self.slots.len() - 1
    }

    /// Returns a slot for the value of each expression over the columns reached, and adds the steps that fill it.
    ///
    /// An expression that is a column keeps that column's slot where `same` returns true; otherwise the value is
    /// copied, so that an override of the one does not change the other.
    fn place<'a>(
        &mut self,
        items: impl Iterator<Item = (&'a Column, &'a Expr)>,
        same: impl Fn(&ProgramSlot, &Column) -> bool,
    ) -> Vec<usize> {
        let mut computed = Vec::new();
        let mut placed = Vec::new();
        for (column, expr) in items {
            let known = expr.as_column().map(|position| self.columns[position]);
            let slot = match known.filter(|slot| same(&self.slots[*slot], column)) {
                Some(slot) => slot,
                None => self.slot(expr.ty(), Some(&column.name)),
            };
            match known {
                Some(from) if from != slot => self.steps.push(ProgramStep::Copy { from, to: slot }),
                Some(_) => {}
                None => computed.push((expr, slot)),
            }
            placed.push(slot);
        }
        self.compute(computed);
        placed
    }

    /// Adds one step for several expressions, so that the cells that they read become columns once.
    fn compute(&mut self, outputs: Vec<(&Expr, usize)>) {
        if outputs.is_empty() {
            return;
        }
        let mut reads: Vec<usize> =
            outputs.iter().flat_map(|(expr, _)| expr.columns()).map(|column| self.columns[column]).collect();
        reads.sort_unstable();
        reads.dedup();
        let to = |column: usize| reads.binary_search(&self.columns[column]).expect("all slots read were collected");
        let outputs = outputs.into_iter().map(|(expr, slot)| (expr.remap(&to), slot)).collect();
        let reads = reads.iter().map(|slot| (*slot, self.slots[*slot].ty)).collect();
        self.steps.push(ProgramStep::Compute { reads, outputs });
    }

    fn look_up(
        &mut self,
        source: LookupSource,
        key_types: &[Type],
        key: Vec<usize>,
        columns: Vec<LookupColumn>,
        own: Vec<OwnStep>,
    ) {
        let position = self.sources.len();
        self.sources.push(source);
        self.steps.push(ProgramStep::LookUp(LookupStep {
            source: position,
            codec: KeyCodec::new(key_types),
            key,
            columns,
            own,
        }));
    }
}
