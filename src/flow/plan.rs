//! The plan: everything about the graph that can be decided before it is built.
//!
//! A [`crate::spec::Spec`] says what is computed; the plan says by which steps. Building the graph from it is a
//! straight line.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};

use crate::aggregate::{Layout, LineInput, LineLayout, SlidingWindow};
use crate::example::Assembly;
use crate::expr::{EvalStats, Expr};
use crate::model::ModelOptions;
use crate::source::TopicReader;
use crate::spec::{Label, Spec, StreamRef, Window};
use crate::value::{Batch, Column, KeyCodec, Schema, Type};

/// All steps of a dataflow.
#[derive(Debug)]
pub struct Plan {
    pub spec: Arc<Spec>,
    /// As `spec.sources`.
    pub sources: Vec<Arc<TopicReader>>,
    /// As `spec.tables`.
    pub tables: Vec<TablePlan>,
    /// As `spec.views`.
    pub views: Vec<ViewPlan>,
    /// As `spec.groups`.
    pub groups: Vec<Arc<GroupPlan>>,
    /// As `spec.models`.
    pub models: Vec<Arc<ModelPlan>>,
}

/// How a table is read, and what its keys and rows are made of.
#[derive(Debug)]
pub struct TablePlan {
    pub name: String,
    pub reader: Arc<TopicReader>,
    /// Columns of the key.
    pub key: Vec<usize>,
    pub key_codec: KeyCodec,
    /// All declared columns.
    pub row_codec: KeyCodec,
    pub schema: Schema,
}

/// The steps of a view: table look-ups, then filter and projection.
#[derive(Debug)]
pub struct ViewPlan {
    pub name: String,
    pub from: StreamRef,
    pub joins: Vec<JoinPlan>,
    /// Over the joined columns.
    pub filter: Option<Expr>,
    pub items: Vec<Expr>,
    pub schema: Schema,
}

/// One table look-up. The key expressions are appended to the record as columns, then replaced by the row.
#[derive(Clone, Debug)]
pub struct JoinPlan {
    pub view: String,
    pub table: String,
    pub index: usize,
    /// Over the columns before this join.
    pub keys: Vec<Expr>,
    /// Where the key columns are: after the columns before this join.
    pub on: Vec<usize>,
    pub key_codec: KeyCodec,
    pub row_codec: KeyCodec,
    pub outer: bool,
}

/// The steps of a feature group.
#[derive(Debug)]
pub struct GroupPlan {
    pub name: String,
    pub from: StreamRef,
    pub codec: KeyCodec,
    /// What records are narrowed to: the entity's columns, then each line's `of` and `where`.
    pub projection: Vec<Expr>,
    /// For each line, where its `of` and `where` are in the projection.
    pub lines: Vec<(Option<usize>, Option<usize>)>,
    pub layout: Layout,
    /// The entity's columns, by name.
    pub entity_names: Vec<String>,
    /// The features, by name and type, in the order of vectors.
    pub names: Vec<String>,
    pub types: Vec<Type>,
}

impl GroupPlan {
    /// The entity's columns in the projection.
    pub fn entity(&self) -> Vec<usize> {
        (0..self.codec.types().len()).collect()
    }

    /// Whether a record belongs to no entity.
    pub fn has_null_entity(&self, batch: &Batch, row: usize) -> bool {
        batch.columns[..self.codec.types().len()].iter().any(|column| column.is_null(row))
    }

    /// What each line takes from a batch of the projection.
    pub fn inputs(&self, batch: &Batch) -> Vec<LineInput> {
        let lines = self.lines.iter().zip(&self.layout.lines);
        let mut unsummable = 0;
        lines
            .map(|((of, filter), layout)| {
                let column = |index: &Option<usize>| index.map(|index| &batch.columns[index]);
                LineInput::new(column(of), column(filter), layout.digits, layout.needs(), &mut unsummable)
            })
            .collect()
    }
}

/// The steps of a model: look-ups, label, learning.
#[derive(Debug)]
pub struct ModelPlan {
    pub name: String,
    pub examples: StreamRef,
    pub lookups: Vec<LookupPlan>,
    /// The columns of an example: those of its stream, then the features looked up.
    pub columns: Schema,
    /// How many of them are the stream's.
    pub stream_width: usize,
    pub assembly: Arc<Assembly>,
    pub label: LabelPlan,
    /// Columns of the example by whose hash it is held out or put in a shard.
    pub identity: Vec<usize>,
    pub window_ms: i64,
    pub offset_ms: i64,
    pub options: ModelOptions,
    /// SHA-256 of what the model is made from.
    pub definition: String,
}

/// One visit to a feature group.
#[derive(Clone, Debug)]
pub struct LookupPlan {
    pub group: usize,
    pub entity: Vec<usize>,
    pub features: Vec<usize>,
}

/// Where labels come from.
#[derive(Debug)]
pub enum LabelPlan {
    Joined {
        from: StreamRef,
        /// What label records are narrowed to: the key's columns, then the value.
        projection: Vec<Expr>,
        codec: KeyCodec,
        /// Columns of the example.
        example_on: Vec<usize>,
        within_ms: i64,
        otherwise: Option<f64>,
    },
    Immediate {
        value: Expr,
    },
}

impl LabelPlan {
    /// How long after its time an example's label may come.
    pub fn within_ms(&self) -> i64 {
        match self {
            LabelPlan::Joined { within_ms, .. } => *within_ms,
            LabelPlan::Immediate { .. } => 0,
        }
    }
}

impl ModelPlan {
    /// The inputs that are kept with an example beside the columns of its stream: features and expressions.
    pub fn kept_inputs(&self) -> impl Iterator<Item = usize> + '_ {
        let in_stream =
            |name: &String| self.columns.columns[..self.stream_width].iter().any(|column| column.name == *name);
        self.assembly.names().iter().enumerate().filter(move |(_, name)| !in_stream(name)).map(|(input, _)| input)
    }

    /// What is kept of an example, after its time.
    pub fn kept_columns(&self) -> Schema {
        let column = |name: &str, ty, nullable| Column::new(name, ty, nullable);
        let mut columns = vec![column("_known", Type::Timestamp, false), column("_window_end", Type::Timestamp, false)];
        columns.extend_from_slice(&self.columns.columns[..self.stream_width]);
        let types: Vec<Type> = self.assembly.types().collect();
        columns.extend(self.kept_inputs().map(|input| column(&self.assembly.names()[input], types[input], true)));
        columns.push(column("_label", Type::Float, false));
        columns.push(column("_score", Type::Float, true));
        columns.push(column("_version", Type::Int, true));
        Schema::new(columns)
    }
}

impl Plan {
    /// Plans a checked spec.
    pub fn new(spec: Arc<Spec>) -> Plan {
        let groups: Vec<_> = spec.groups.iter().map(|group| Arc::new(plan_group(&spec, group))).collect();
        let tables = spec.tables.iter().map(|table| {
            let schema = table.topic.schema.clone();
            let types = |columns: &[usize]| columns.iter().map(|column| schema.columns[*column].ty).collect::<Vec<_>>();
            TablePlan {
                name: table.topic.name.clone(),
                reader: Arc::new(TopicReader {
                    topic: table.topic.topic.clone(),
                    schema: TopicReader::with_deletes(&schema),
                    key: table.topic.key.clone(),
                    time: table.topic.time,
                    lateness_ms: table.topic.lateness_ms,
                    filter: None,
                    upsert: true,
                    ordered: true,
                    reach_ms: i64::MAX,
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

fn plan_source(spec: &Spec, groups: &[Arc<GroupPlan>], index: usize) -> TopicReader {
    let source = &spec.sources[index];
    let reads = |stream| source_of(spec, stream) == index;
    let windows = spec.groups.iter().filter(|group| reads(group.from)).flat_map(|group| {
        group.lines.iter().flat_map(|line| {
            line.windows.iter().map(|window| {
                let Window::Sliding { size_ms, hop_ms } = window;
                size_ms + hop_ms
            })
        })
    });
    let is_label = spec.models.iter().any(|model| matches!(&model.label, Label::Joined { from, .. } if reads(*from)));
    let is_example = spec.models.iter().any(|model| reads(model.examples));
    let is_ordered = groups.iter().any(|group| reads(group.from) && group.layout.is_ordered());
    TopicReader {
        topic: source.topic.topic.clone(),
        schema: source.topic.schema.clone(),
        key: source.topic.key.clone(),
        time: source.topic.time,
        lateness_ms: source.topic.lateness_ms,
        filter: source.filter.clone(),
        upsert: false,
        ordered: is_example || is_label || is_ordered,
        reach_ms: if is_example || is_label { i64::MAX } else { windows.max().unwrap_or(0) },
    }
}

fn plan_view(spec: &Spec, tables: &[TablePlan], view: &crate::spec::View) -> ViewPlan {
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

fn plan_group(spec: &Spec, group: &crate::spec::Group) -> GroupPlan {
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
    let lines = group.lines.iter().map(|line| (place(&line.of), place(&line.filter))).collect();
    let mut layout = Layout { lines: Vec::new(), width: group.features.len() };
    for (index, line) in group.lines.iter().enumerate() {
        let mut positions = vec![vec![0; line.ops.len()]; line.windows.len()];
        for (position, feature) in group.features.iter().enumerate().filter(|(_, feature)| feature.line == index) {
            positions[feature.window][feature.op] = position;
        }
        layout.lines.push(LineLayout {
            digits: line.digits,
            integer: line.of.as_ref().is_none_or(|of| of.ty() == Type::Int),
            ops: line.ops.clone(),
            windows: line
                .windows
                .iter()
                .map(|Window::Sliding { size_ms, hop_ms }| SlidingWindow { size_ms: *size_ms, hop_ms: *hop_ms })
                .collect(),
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

fn plan_model(spec: &Spec, groups: &[Arc<GroupPlan>], model: &crate::spec::Model) -> ModelPlan {
    let stream = spec.stream_schema(model.examples);
    // All models' chains visit groups in one order, so that the graph has no cycle; the spec's expressions count
    // columns in the order in which the model names groups.
    let mut lookups: Vec<&crate::spec::Lookup> = model.lookups.iter().collect();
    lookups.sort_by_key(|lookup| lookup.group);
    let mut columns = stream.clone();
    let mut places: HashMap<(usize, usize), usize> = HashMap::new();
    for lookup in &lookups {
        let group = &groups[lookup.group];
        for feature in &lookup.features {
            places.insert((lookup.group, *feature), columns.len());
            let name = format!("{}.{}", group.name, group.names[*feature]);
            columns.columns.push(Column::new(name, group.types[*feature], true));
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
                otherwise: *otherwise,
            };
            (label, example_on.clone())
        }
        Label::Immediate { value } => {
            let key = &spec.sources[source_of(spec, model.examples)].topic;
            let names = key.key.iter().map(|column| key.schema.columns[*column].name.as_str());
            let kept: Vec<usize> = names.filter_map(|name| stream.index_of(name)).collect();
            let identity = if kept.is_empty() { (0..stream.len()).collect() } else { kept };
            (LabelPlan::Immediate { value: value.remap(&to) }, identity)
        }
    };
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
        assembly: Arc::new(Assembly::new(model.inputs.iter().map(|input| (input.name.clone(), input.expr.remap(&to))))),
        label,
        identity,
        window_ms: model.window_ms,
        offset_ms: model.offset_ms,
        options: model.options.clone(),
        definition: spec.model_definition(model),
    }
}

/// A value column as a label: true is 1.
pub fn label_values(value: &ArrayRef) -> Vec<Option<f64>> {
    use crate::value::Scalar;
    (0..value.len())
        .map(|row| match Scalar::of(value, row) {
            Scalar::Bool(value) => Some(f64::from(u8::from(value))),
            Scalar::Int(value) => Some(value as f64),
            Scalar::Float(value) => Some(value),
            Scalar::Null | Scalar::String(_) | Scalar::Timestamp(_) => None,
        })
        .collect()
}

/// Evaluates expressions over a batch: the batch with their values as its columns.
pub fn narrow(batch: &Batch, exprs: &[Expr], stats: &mut EvalStats) -> Batch {
    let columns = exprs.iter().map(|expr| expr.eval(&batch.columns, batch.len(), stats)).collect();
    batch.with_columns(columns)
}
