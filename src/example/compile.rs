//! From a serving plan to a pipeline: every column gets a slot, every expression the slots that it reads.

use super::fields::{InstanceField, InstanceFields};
use super::pipeline::{LookUp, LookupColumn, LookupSource, Pipeline, Step};
use super::{GroupLookup, ServingPlan, TableLookup, ViewSteps};
use crate::expr::Expr;
use crate::value::{Column, KeyCodec, Scalar, TimeUnit, Type};

pub(super) struct Compiler {
    slots: Vec<Slot>,
    /// The slot of each column of the relation reached.
    columns: Vec<usize>,
    steps: Vec<Step>,
    sources: Vec<LookupSource>,
    /// Names that may be given, by stage: the record first, then views from the innermost out, then features.
    stages: Vec<Vec<(String, usize)>>,
}

struct Slot {
    ty: Type,
    /// The name under which it can pass through a view and still be the same value.
    name: Option<String>,
}

impl Compiler {
    pub fn compile(plan: &ServingPlan) -> Pipeline {
        let mut compiler = Compiler {
            slots: Vec::new(),
            columns: Vec::new(),
            steps: Vec::new(),
            sources: Vec::new(),
            stages: Vec::new(),
        };
        let mut fields = InstanceFields::default();
        for column in &plan.stream.columns {
            let slot = compiler.slot(column.ty, Some(&column.name));
            compiler.columns.push(slot);
            fields.add_column(column, slot);
        }
        plan.views.iter().for_each(|view| compiler.view(view));
        // An outer view's column hides an inner one's of the same name.
        for (name, slot) in std::mem::take(&mut compiler.stages).into_iter().rev().flatten() {
            compiler.expose(&mut fields, name, slot);
        }
        for lookup in &plan.lookups {
            compiler.group(lookup);
        }
        let inputs = compiler.inputs(plan);
        for (name, slot) in std::mem::take(&mut compiler.stages).into_iter().flatten() {
            compiler.expose(&mut fields, name, slot);
        }
        let columns = plan.stream.columns.iter().enumerate();
        let required = columns.filter(|(slot, column)| !column.nullable && *slot != plan.time);
        Pipeline {
            width: compiler.slots.len(),
            fields,
            required: required.map(|(slot, column)| (column.name.clone(), slot)).collect(),
            time: (plan.time, plan.stream.columns[plan.time].name.clone()),
            steps: compiler.steps,
            sources: compiler.sources,
            inputs,
            names: plan.assembly.names().to_vec(),
        }
    }

    fn slot(&mut self, ty: Type, name: Option<&str>) -> usize {
        self.slots.push(Slot { ty, name: name.map(str::to_owned) });
        self.slots.len() - 1
    }

    fn expose(&self, fields: &mut InstanceFields, name: String, slot: usize) {
        let ty = self.slots[slot].ty;
        fields.add(InstanceField { name, slot, ty, unit: TimeUnit::default(), nullable: true });
    }

    fn view(&mut self, view: &ViewSteps) {
        view.joins.iter().for_each(|join| self.join(join));
        let placed = self.place(view.schema.columns.iter().zip(&view.items), |slot, column| {
            slot.name.as_deref() == Some(column.name.as_str())
        });
        self.stages.push(view.schema.names().map(str::to_owned).zip(placed.iter().copied()).collect());
        self.columns = placed;
    }

    /// Slots for the values of expressions over the columns reached. One that is a column keeps that column's slot
    /// where `same` says so; else it is copied, so that giving the one does not change the other.
    fn place<'a>(
        &mut self,
        items: impl Iterator<Item = (&'a Column, &'a Expr)>,
        same: impl Fn(&Slot, &Column) -> bool,
    ) -> Vec<usize> {
        let mut computed = Vec::new();
        let mut placed = Vec::new();
        for (column, expr) in items {
            let known = expr.as_column().map(|at| self.columns[at]);
            let slot = match known.filter(|slot| same(&self.slots[*slot], column)) {
                Some(slot) => slot,
                None => self.slot(expr.ty(), Some(&column.name)),
            };
            match known {
                Some(from) if from != slot => self.steps.push(Step::Copy { from, to: slot }),
                Some(_) => {}
                None => computed.push((expr, slot)),
            }
            placed.push(slot);
        }
        self.compute(computed);
        placed
    }

    /// Adds one step for several expressions, so that what they read is made into columns once.
    fn compute(&mut self, outputs: Vec<(&Expr, usize)>) {
        if outputs.is_empty() {
            return;
        }
        let mut reads: Vec<usize> =
            outputs.iter().flat_map(|(expr, _)| expr.columns()).map(|at| self.columns[at]).collect();
        reads.sort_unstable();
        reads.dedup();
        let to = |at: usize| reads.binary_search(&self.columns[at]).expect("all that is read was gathered");
        let outputs = outputs.into_iter().map(|(expr, slot)| (expr.remap(&to), slot)).collect();
        let reads = reads.iter().map(|slot| (*slot, self.slots[*slot].ty)).collect();
        self.steps.push(Step::Compute { reads, outputs });
    }

    fn join(&mut self, join: &TableLookup) {
        let mut computed = Vec::new();
        let mut on = Vec::new();
        for expr in &join.on {
            on.push(match expr.as_column() {
                Some(at) => self.columns[at],
                None => {
                    let slot = self.slot(expr.ty(), None);
                    computed.push((expr, slot));
                    slot
                }
            });
        }
        self.compute(computed);
        let mut picks = Vec::new();
        for (position, column) in join.schema.columns.iter().enumerate() {
            let slot = self.slot(column.ty, Some(&column.name));
            picks.push(LookupColumn { position, slot, ty: column.ty, otherwise: Scalar::Null });
        }
        self.look_up(LookupSource::Table(join.table.clone()), &join.key, on, picks);
    }

    fn group(&mut self, lookup: &GroupLookup) {
        let on = lookup.entity.iter().map(|at| self.columns[*at]).collect();
        let mut picks = Vec::new();
        for ((position, name), ty) in lookup.features.iter().zip(&lookup.names).zip(&lookup.types) {
            let slot = self.slot(*ty, Some(name));
            picks.push(LookupColumn { position: *position, slot, ty: *ty, otherwise: lookup.empty[*position].clone() });
        }
        let named = lookup.names.iter().cloned().zip(picks.iter().map(|pick| pick.slot));
        self.stages.push(named.collect());
        self.look_up(LookupSource::Group(lookup.group.clone()), &lookup.key, on, picks);
    }

    fn look_up(&mut self, shelving: LookupSource, key: &[Type], on: Vec<usize>, picks: Vec<LookupColumn>) {
        let shelf = self.sources.len();
        self.sources.push(shelving);
        self.columns.extend(picks.iter().map(|pick| pick.slot));
        self.steps.push(Step::LookUp(LookUp { shelf, codec: KeyCodec::new(key), on, picks }));
    }

    /// The slots of the model's inputs. What is nothing but a column is the same value, whatever it is called.
    fn inputs(&mut self, plan: &ServingPlan) -> Vec<usize> {
        let names = plan.assembly.names();
        let columns: Vec<Column> =
            names.iter().zip(plan.assembly.types()).map(|(name, ty)| Column::new(name.clone(), ty, true)).collect();
        let placed = self.place(columns.iter().zip(plan.assembly.exprs()), |_, _| true);
        self.stages.push(names.iter().cloned().zip(placed.iter().copied()).collect());
        placed
    }
}
