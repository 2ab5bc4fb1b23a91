//! Planning: from a checked spec to a [`Plan`].

use std::collections::HashMap;
use std::sync::Arc;

use super::label_form::LabelForm;
use super::label_pairs::LabelPairs;
use super::plan::{Asker, GroupPlan, LabelPlan, LineColumns, ModelPlan, Plan, TablePlan};
use super::record_order::RecordOrder;
use super::steps::steps;
use crate::example::{FeatureAssembler, FeatureLookup};
use crate::expr::Expr;
use crate::model::ModelKind;
use crate::relation::StreamId;
use crate::source::{Format, SourcePlan};
use crate::spec::{self, JoinedLabel, Label, Spec};
use crate::value::{Column, KeyCodec, Type};

impl Plan {
    /// Plans a checked spec.
    pub fn new(spec: Arc<Spec>) -> Plan {
        let groups = (0..spec.groups.len()).map(|index| Arc::new(plan_group(&spec, index)));
        let groups: Vec<_> = groups.collect();
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
                    time: table.topic.time.clone(),
                    lateness_ms: table.topic.lateness_ms,
                    filter: None,
                    is_table: true,
                    needs_order: true,
                    retention_ms: i64::MAX,
                }),
                key: table.topic.key.clone(),
                key_codec: KeyCodec::new(&types(&table.topic.key)),
                row_codec: KeyCodec::of_rows(&types(&(0..schema.len()).collect::<Vec<_>>())),
                schema,
            }
        });
        let tables: Vec<TablePlan> = tables.collect();
        Plan {
            sources: (0..spec.sources.len()).map(|index| Arc::new(plan_source(&spec, &groups, index))).collect(),
            models: spec.models.iter().map(|model| Arc::new(plan_model(&spec, &groups, model))).collect(),
            tables,
            groups,
            steps: steps(&spec),
            spec,
        }
    }
}

impl Plan {
    /// Returns the plans of all sources, then of all tables, by position.
    pub fn readers(&self) -> impl Iterator<Item = &Arc<SourcePlan>> {
        self.sources.iter().chain(self.tables.iter().map(|table| &table.reader))
    }

    /// Returns the time that the windows of all groups reach back, in ms; `None` if without end. A record that matters to an
    /// answer as of `a` has an event time after `a` less this.
    pub fn history_ms(&self) -> Option<i64> {
        let reaches: Option<Vec<i64>> = self.groups.iter().map(|group| self.history_of(group)).collect();
        let label = |model: &spec::Model| match &model.label {
            Label::Joined(label) => Some(label.from),
            Label::Immediate { .. } | Label::Unlabelled => None,
        };
        let mut streams = self.spec.models.iter().flat_map(|model| [Some(model.examples), label(model)]).flatten();
        let is_shifted = streams.any(|stream| self.spec.relations.is_shifted(stream));
        reaches.filter(|_| !is_shifted).map(|reaches| reaches.into_iter().max().unwrap_or(0))
    }

    /// Returns the same of one group. How long before its time a record of a view with `at` was read is not known. The
    /// windows of the groups that its records look up reach back from those records.
    pub fn history_of(&self, group: &GroupPlan) -> Option<i64> {
        let own = group.layout.history_ms().filter(|_| !self.spec.relations.is_shifted(group.from))?;
        let asked =
            self.spec.relations.groups(group.from).into_iter().map(|asked| self.history_of(&self.groups[asked]));
        let asked: Option<Vec<i64>> = asked.collect();
        Some(own.saturating_add(asked?.into_iter().max().unwrap_or(0)))
    }

    /// Returns the sources whose records a stream has, ascending.
    pub fn sources_of(&self, stream: StreamId) -> Vec<usize> {
        self.spec.relations.sources(stream)
    }

    /// Returns the source whose record an instance of a model is, both by position.
    pub fn driving_source(&self, model: usize) -> usize {
        driving_source(&self.spec, &self.spec.models[model])
    }
}

fn driving_source(spec: &Spec, model: &spec::Model) -> usize {
    let sources = spec.relations.sources(model.instance[0]);
    *sources.first().expect("the way of an instance begins with a source")
}

fn plan_source(spec: &Spec, groups: &[Arc<GroupPlan>], index: usize) -> SourcePlan {
    let source = &spec.sources[index];
    let reads = |stream| spec.relations.sources(stream).contains(&index);
    let fed = || groups.iter().filter(|group| reads(group.from));
    // A record that is late at its source need not be at the time to which a view moves it.
    let reach = |group: &Arc<GroupPlan>| group.layout.reach_ms().filter(|_| !spec.relations.is_shifted(group.from));
    let reaches: Option<Vec<i64>> = fed().map(reach).collect();
    let is_label = spec.models.iter().any(|model| matches!(&model.label, Label::Joined(label) if reads(label.from)));
    let is_example = spec.models.iter().any(|model| reads(model.examples));
    let is_ordered = fed().any(|group| group.is_ordered());
    // Examples and labels keep every record, as a window without end does.
    let reaches = reaches.filter(|_| !is_example && !is_label);
    SourcePlan {
        source: source.topic.name.clone(),
        topic: source.topic.topic.clone(),
        format: Format::named(source.topic.format),
        schema: source.topic.schema.clone(),
        key: source.topic.key.clone(),
        time: source.topic.time.clone(),
        lateness_ms: source.topic.lateness_ms,
        filter: source.filter.clone(),
        is_table: false,
        needs_order: is_example || is_label || is_ordered,
        retention_ms: reaches.map_or(i64::MAX, |reaches| reaches.into_iter().max().unwrap_or(0)),
    }
}

fn plan_group(spec: &Spec, index: usize) -> GroupPlan {
    let group = &spec.groups[index];
    let schema = spec.stream_schema(group.from);
    let entity = || group.entity.iter().map(|column| &schema.columns[*column]);
    let mut projection: Vec<Expr> =
        group.entity.iter().map(|column| Expr::column(*column, &schema.columns[*column])).collect();
    let mut place = |expr: Option<Expr>| {
        projection.push(expr?);
        Some(projection.len() - 1)
    };
    let read = |line: &spec::Line| LineColumns {
        of: place(line.of.clone()),
        with: place(line.with.as_ref().map(|with| with.expr.clone())),
        by: place(line.by.map(|column| Expr::column(column, &schema.columns[column]))),
        filter: place(line.filter.clone()),
    };
    let lines = group.lines.iter().map(read).collect();
    GroupPlan {
        name: group.name.clone(),
        from: group.from,
        codec: KeyCodec::new(&entity().map(|column| column.ty).collect::<Vec<_>>()),
        projection,
        lines,
        layout: group.layout(),
        bound: group.bound,
        entity_names: entity().map(|column| column.name.clone()).collect(),
        names: group.feature_names().map(str::to_owned).collect(),
        types: group.feature_types().collect(),
        forms: (0..group.feature_count()).map(|feature| group.form_at(feature)).collect(),
        derived: group.derived_features(),
        finished_by_readers: group.derived.iter().map(|derived| group.is_finished_by_readers(derived)).collect(),
        askers: askers(spec, index),
    }
}

/// The models, then the views that look a group up, in their order.
fn askers(spec: &Spec, group: usize) -> Vec<Asker> {
    let of_model = |(model, declared): (usize, &spec::Model)| {
        let lookup = declared.lookups.iter().find(|lookup| lookup.group == group)?;
        Some(Asker::Model { model, lookup: plan_lookup(spec, lookup, declared.examples) })
    };
    let models = spec.models.iter().enumerate().filter_map(of_model);
    let joins = spec.relations.group_joins().filter(|(_, join)| join.group == group);
    let views = joins.map(|(stream, join)| {
        let operator = spec.relations.node(stream).operator.clone();
        Asker::View { operator, join: join.clone() }
    });
    models.chain(views).collect()
}

fn plan_lookup(spec: &Spec, lookup: &spec::Lookup, examples: StreamId) -> Arc<FeatureLookup> {
    let asking = spec.stream_schema(examples);
    Arc::new(spec.feature_lookup(lookup.group, &lookup.features, lookup.entity.clone(), asking))
}

fn plan_model(spec: &Spec, groups: &[Arc<GroupPlan>], model: &spec::Model) -> ModelPlan {
    let stream = spec.stream_schema(model.examples);
    // All models' chains visit groups in one order, so that the graph has no cycle; the spec's expressions count
    // columns in the order in which the model names groups.
    let order = spec.group_order.sorted(groups.len());
    let mut lookups: Vec<&spec::Lookup> = model.lookups.iter().collect();
    lookups.sort_by_key(|lookup| order.iter().position(|group| *group == lookup.group));
    // The columns of complete examples, and the places that the expressions of the spec have among them.
    let mut columns = stream.clone();
    let mut feature_types = Vec::new();
    let mut places: HashMap<(usize, usize), usize> = HashMap::new();
    for lookup in &lookups {
        let group = &groups[lookup.group];
        for feature in &lookup.features {
            places.insert((lookup.group, *feature), columns.len());
            let name = format!("{}.{}", group.name, group.names[*feature]);
            columns.columns.push(Column::new(name, group.types[*feature].of_values(), true));
            feature_types.push(group.types[*feature]);
        }
    }
    let named = model.lookups.iter().flat_map(|lookup| lookup.features.iter().map(|feature| (lookup.group, *feature)));
    let moved: Vec<usize> = (0..stream.len()).chain(named.map(|place| places[&place])).collect();
    let to = |column: usize| moved[column];
    // The label, and the columns by which examples are told apart.
    let (label, identity) = match &model.label {
        Label::Joined(label) => (joined_label(spec, model.examples, label), label.example_on.clone()),
        Label::Immediate { value } => (LabelPlan::Immediate { value: value.remap(&to) }, identity_of(spec, model)),
        Label::Unlabelled => (LabelPlan::Unlabelled, identity_of(spec, model)),
    };
    let kind = ModelKind::of(&model.options.kind).expect("the spec has checked the kind");
    ModelPlan {
        name: model.name.clone(),
        examples: model.examples,
        instance: model.instance.clone(),
        lookups: lookups.into_iter().map(|lookup| plan_lookup(spec, lookup, model.examples)).collect(),
        stream_width: stream.len(),
        columns,
        feature_types,
        assembly: Arc::new(FeatureAssembler::new(
            model.inputs.iter().map(|input| (input.column(), input.expr.remap(&to))),
        )),
        label,
        weight: model.weight.clone(),
        labels: LabelForm::of(kind.task),
        identity,
        window_ms: model.window_ms,
        offset_ms: model.offset_ms,
        options: model.options.clone(),
        definition: spec.model_definition(model),
    }
}

/// Plans a label that is joined from a stream.
fn joined_label(spec: &Spec, examples: StreamId, label: &JoinedLabel) -> LabelPlan {
    let JoinedLabel { from, from_on, example_on, op, value, after_ms, within_ms, learn, otherwise } = label;
    let schema = spec.stream_schema(*from);
    let column = |column: &usize| Expr::column(*column, &schema.columns[*column]);
    let types: Vec<Type> = from_on.iter().map(|column| schema.columns[*column].ty).collect();
    let mut projection: Vec<Expr> = from_on.iter().map(column).collect();
    // Behind the stream's columns, the value counts those of the example.
    let (of_record, of_example): (Vec<usize>, Vec<usize>) =
        value.columns().into_iter().partition(|column| *column < schema.len());
    let pairs = (!of_example.is_empty()).then(|| {
        let read = [of_record.as_slice(), of_example.as_slice()].concat();
        let to = |column: usize| read.iter().position(|other| *other == column).expect("a column that is read");
        Box::new(LabelPairs {
            value: value.remap(&to),
            record_from: from_on.len(),
            example_columns: of_example.iter().map(|column| column - schema.len()).collect(),
        })
    });
    match pairs {
        Some(_) => projection.extend(of_record.iter().map(column)),
        None => projection.push(value.clone()),
    }
    LabelPlan::Joined {
        from: *from,
        projection,
        codec: KeyCodec::new(&types),
        example_on: example_on.clone(),
        order: RecordOrder::of(&spec.relations, examples, *from),
        after_ms: *after_ms,
        within_ms: *within_ms,
        learn: *learn,
        op: *op,
        pairs,
        otherwise: otherwise.clone(),
    }
}

/// Returns the columns that identify an example whose label is not joined: its source's key, or else all of them.
fn identity_of(spec: &Spec, model: &spec::Model) -> Vec<usize> {
    let stream = spec.stream_schema(model.examples);
    let topic = &spec.sources[driving_source(spec, model)].topic;
    let names = topic.key.iter().map(|column| topic.schema.columns[*column].name.as_str());
    let kept: Vec<usize> = names.filter_map(|name| stream.index_of(name)).collect();
    if kept.is_empty() { (0..stream.len()).collect() } else { kept }
}
