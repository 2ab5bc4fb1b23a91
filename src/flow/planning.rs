//! Planning: how a checked spec becomes a [`Plan`].

use std::collections::HashMap;
use std::sync::Arc;

use super::label_form::LabelForm;
use super::plan::{GroupPlan, JoinPlan, LabelPlan, LineColumns, LookupPlan, ModelPlan, Plan, TablePlan, ViewPlan};
use crate::aggregate::{AggregateSpec, GroupLayout};
use crate::example::FeatureAssembler;
use crate::expr::Expr;
use crate::model::ModelKind;
use crate::source::{Format, SourcePlan};
use crate::spec::{self, Label, Spec, StreamRef};
use crate::value::{Column, KeyCodec, Type};

impl Plan {
    /// Plans a checked spec.
    pub fn new(spec: Arc<Spec>) -> Plan {
        let groups: Vec<_> = spec.groups.iter().map(|group| Arc::new(plan_group(&spec, group))).collect();
        let tables = spec.tables.iter().map(|table| {
            let schema = table.topic.schema.clone();
            let types = |columns: &[usize]| columns.iter().map(|column| schema.columns[*column].ty).collect::<Vec<_>>();
            TablePlan {
                name: table.topic.name.clone(),
                reader: Arc::new(SourcePlan {
                    source: table.topic.name.clone(),
                    topic: table.topic.topic.clone(),
                    format: Format::named(table.topic.format),
                    schema: SourcePlan::with_deletes(&schema),
                    key: table.topic.key.clone(),
                    time: table.topic.time,
                    lateness_ms: table.topic.lateness_ms,
                    filter: None,
                    is_table: true,
                    needs_order: true,
                    retention_ms: i64::MAX,
                }),
                key: table.topic.key.clone(),
                key_codec: KeyCodec::new(&types(&table.topic.key)),
                row_codec: KeyCodec::new(&types(&(0..schema.len()).collect::<Vec<_>>())),
                schema,
            }
        });
        let tables: Vec<TablePlan> = tables.collect();
        Plan {
            sources: (0..spec.sources.len()).map(|index| Arc::new(plan_source(&spec, &groups, index))).collect(),
            views: spec.views.iter().map(|view| plan_view(&spec, &tables, view)).collect(),
            models: spec.models.iter().map(|model| Arc::new(plan_model(&spec, &groups, model))).collect(),
            tables,
            groups,
            spec,
        }
    }
}

impl Plan {
    /// How each source and then each table is read, by its position.
    pub fn readers(&self) -> impl Iterator<Item = &Arc<SourcePlan>> {
        self.sources.iter().chain(self.tables.iter().map(|table| &table.reader))
    }

    /// The time that the windows of all groups reach back, in ms; `None` if without end. A record that is in a window as
    /// of `a` has an event time after `a` less this.
    pub fn reach_ms(&self) -> Option<i64> {
        let reaches: Option<Vec<i64>> = self.groups.iter().map(|group| group.layout.reach_ms()).collect();
        reaches.map(|reaches| reaches.into_iter().max().unwrap_or(0))
    }

    /// The source that the records of a stream come from.
    pub fn driver(&self, stream: StreamRef) -> usize {
        source_of(&self.spec, stream)
    }
}

fn source_of(spec: &Spec, stream: StreamRef) -> usize {
    match stream {
        StreamRef::Source(source) => source,
        StreamRef::View(view) => source_of(spec, spec.views[view].from),
    }
}

fn plan_source(spec: &Spec, groups: &[Arc<GroupPlan>], index: usize) -> SourcePlan {
    let source = &spec.sources[index];
    let reads = |stream| source_of(spec, stream) == index;
    let fed = || groups.iter().filter(|group| reads(group.from));
    let reaches: Option<Vec<i64>> = fed().map(|group| group.layout.reach_ms()).collect();
    let is_label = spec.models.iter().any(|model| matches!(&model.label, Label::Joined { from, .. } if reads(*from)));
    let is_example = spec.models.iter().any(|model| reads(model.examples));
    let is_ordered = fed().any(|group| group.layout.is_ordered());
    // Examples and labels keep every record, as a window without end does.
    let reaches = reaches.filter(|_| !is_example && !is_label);
    SourcePlan {
        source: source.topic.name.clone(),
        topic: source.topic.topic.clone(),
        format: Format::named(source.topic.format),
        schema: source.topic.schema.clone(),
        key: source.topic.key.clone(),
        time: source.topic.time,
        lateness_ms: source.topic.lateness_ms,
        filter: source.filter.clone(),
        is_table: false,
        needs_order: is_example || is_label || is_ordered,
        retention_ms: reaches.map_or(i64::MAX, |reaches| reaches.into_iter().max().unwrap_or(0)),
    }
}

fn plan_view(spec: &Spec, tables: &[TablePlan], view: &spec::View) -> ViewPlan {
    let mut width = spec.stream_schema(view.from).len();
    let joins = view.joins.iter().map(|join| {
        let table = &tables[join.table];
        let plan = JoinPlan {
            view: view.name.clone(),
            table: table.name.clone(),
            index: join.table,
            keys: join.on.clone(),
            on: (width..width + join.on.len()).collect(),
            key_codec: table.key_codec.clone(),
            row_codec: table.row_codec.clone(),
            outer: join.outer,
        };
        width += table.schema.len();
        plan
    });
    ViewPlan {
        name: view.name.clone(),
        from: view.from,
        joins: joins.collect(),
        filter: view.filter.clone(),
        items: view.items.iter().map(|item| item.expr.clone()).collect(),
        schema: view.schema.clone(),
    }
}

fn plan_group(spec: &Spec, group: &spec::Group) -> GroupPlan {
    let schema = spec.stream_schema(group.from);
    let entity = || group.entity.iter().map(|column| &schema.columns[*column]);
    let mut projection: Vec<Expr> =
        group.entity.iter().map(|column| Expr::column(*column, &schema.columns[*column])).collect();
    let mut place = |expr: &Option<Expr>| {
        expr.as_ref().map(|expr| {
            projection.push(expr.clone());
            projection.len() - 1
        })
    };
    let lines =
        group.lines.iter().map(|line| LineColumns { of: place(&line.of), filter: place(&line.filter) }).collect();
    let mut layout = GroupLayout { lines: Vec::new(), width: group.features.len() };
    for (index, line) in group.lines.iter().enumerate() {
        let mut positions = vec![vec![0; line.ops.len()]; line.windows.len()];
        for (position, feature) in group.features.iter().enumerate().filter(|(_, feature)| feature.line == index) {
            positions[feature.window][feature.op] = position;
        }
        layout.lines.push(AggregateSpec {
            digits: line.digits,
            integer: line.of.as_ref().is_none_or(|of| of.ty() == Type::Int),
            ops: line.ops.clone(),
            windows: line.windows.clone(),
            positions,
        });
    }
    GroupPlan {
        name: group.name.clone(),
        from: group.from,
        codec: KeyCodec::new(&entity().map(|column| column.ty).collect::<Vec<_>>()),
        projection,
        lines,
        layout,
        entity_names: entity().map(|column| column.name.clone()).collect(),
        names: group.features.iter().map(|feature| feature.name.clone()).collect(),
        types: group.features.iter().map(|feature| feature.ty).collect(),
    }
}

fn plan_model(spec: &Spec, groups: &[Arc<GroupPlan>], model: &spec::Model) -> ModelPlan {
    let stream = spec.stream_schema(model.examples);
    // All models' chains visit groups in one order, so that the graph has no cycle; the spec's expressions count
    // columns in the order in which the model names groups.
    let mut lookups: Vec<&spec::Lookup> = model.lookups.iter().collect();
    lookups.sort_by_key(|lookup| lookup.group);
    let mut columns = stream.clone();
    let mut places: HashMap<(usize, usize), usize> = HashMap::new();
    for lookup in &lookups {
        let group = &groups[lookup.group];
        for feature in &lookup.features {
            places.insert((lookup.group, *feature), columns.len());
            let name = format!("{}.{}", group.name, group.names[*feature]);
            columns.columns.push(Column::new(name, group.scalar_type(*feature), true));
        }
    }
    let named = model.lookups.iter().flat_map(|lookup| lookup.features.iter().map(|feature| (lookup.group, *feature)));
    let moved: Vec<usize> = (0..stream.len()).chain(named.map(|place| places[&place])).collect();
    let to = |column: usize| moved[column];
    let (label, identity) = match &model.label {
        Label::Joined { from, from_on, example_on, value, within_ms, otherwise } => {
            let schema = spec.stream_schema(*from);
            let on = from_on.iter().map(|column| Expr::column(*column, &schema.columns[*column]));
            let types: Vec<Type> = from_on.iter().map(|column| schema.columns[*column].ty).collect();
            let label = LabelPlan::Joined {
                from: *from,
                projection: on.chain([value.clone()]).collect(),
                codec: KeyCodec::new(&types),
                example_on: example_on.clone(),
                within_ms: *within_ms,
                otherwise: otherwise.clone(),
            };
            (label, example_on.clone())
        }
        Label::Immediate { value } => (LabelPlan::Immediate { value: value.remap(&to) }, identity_of(spec, model)),
        Label::Unlabelled => (LabelPlan::Unlabelled, identity_of(spec, model)),
    };
    let kind = ModelKind::find(&model.options.kind.name).expect("the spec has checked the kind");
    ModelPlan {
        name: model.name.clone(),
        examples: model.examples,
        lookups: lookups
            .iter()
            .map(|lookup| LookupPlan {
                group: lookup.group,
                entity: lookup.entity.clone(),
                features: lookup.features.clone(),
            })
            .collect(),
        stream_width: stream.len(),
        columns,
        assembly: Arc::new(FeatureAssembler::new(
            model.inputs.iter().map(|input| (input.name.clone(), input.expr.remap(&to))),
        )),
        label,
        labels: LabelForm::of(kind.task),
        identity,
        window_ms: model.window_ms,
        offset_ms: model.offset_ms,
        options: model.options.clone(),
        definition: spec.model_definition(model),
    }
}

/// Returns the columns that identify an example whose label is not joined: its source's key, or else all of them.
fn identity_of(spec: &Spec, model: &spec::Model) -> Vec<usize> {
    let stream = spec.stream_schema(model.examples);
    let topic = &spec.sources[source_of(spec, model.examples)].topic;
    let names = topic.key.iter().map(|column| topic.schema.columns[*column].name.as_str());
    let kept: Vec<usize> = names.filter_map(|name| stream.index_of(name)).collect();
    if kept.is_empty() { (0..stream.len()).collect() } else { kept }
}
