//! The contents of a checked dataflow file.

use super::group_order::GroupOrder;
use super::problem::Problem;
use super::ranked_items::Recommend;
use super::test_case::TestCase;
use crate::aggregate::{AggregateSpec, EntityBound, FeatureType, Op, Window, WindowShape};
use crate::expr::Expr;
use crate::model::{InputColumn, InputShape, ModelOptions};
use crate::relation::{Relations, StreamId};
use crate::source::RecordTime;
use crate::value::{Column, Scalar, Schema, Type};

/// A whole dataflow file, every name resolved to a position.
#[derive(Debug, Default)]
pub struct Spec {
    pub name: String,
    pub sources: Vec<Source>,
    pub tables: Vec<Table>,
    /// The streams of sources and views, and the steps between them.
    pub relations: Relations,
    /// Each after those that it reads.
    pub views: Vec<View>,
    /// Each after those that the records of its stream look up.
    pub groups: Vec<Group>,
    /// The order in which groups answer.
    pub group_order: GroupOrder,
    pub models: Vec<Model>,
    pub tests: Vec<TestCase>,
    /// Problems that are no mistakes: of what is probably not meant.
    pub warnings: Vec<Problem>,
}

impl Spec {
    /// Returns the source or view of a name.
    pub fn stream(&self, name: &str) -> Option<StreamId> {
        self.relations.find(name)
    }

    /// Returns the topics of all sources, then those of all tables.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.sources.iter().map(|source| &source.topic).chain(self.tables.iter().map(|table| &table.topic))
    }

    /// Returns the columns of a stream.
    pub fn stream_schema(&self, stream: StreamId) -> &Schema {
        self.relations.schema(stream)
    }

    /// Returns the name of a source's or view's stream.
    pub fn stream_name(&self, stream: StreamId) -> &str {
        self.relations.node(stream).name.as_deref().unwrap_or_default()
    }
}

/// A topic of a source or table, and how its records are read.
#[derive(Clone, Debug)]
pub struct Topic {
    pub name: String,
    pub topic: String,
    /// A name of [`crate::source::FORMATS`], or of a format that only files have.
    pub format: &'static str,
    pub schema: Schema,
    /// Columns of the message key; records of one key share a partition. May be empty for a source.
    pub key: Vec<usize>,
    /// The event time.
    pub time: RecordTime,
    /// Allowed lateness of a partition's records, in event ms.
    pub lateness_ms: i64,
}

/// A stream of records.
#[derive(Debug)]
pub struct Source {
    pub topic: Topic,
    /// Condition over the source's columns; other records are counted as *filtered*.
    pub filter: Option<Expr>,
}

/// The newest row per key of an upsert topic.
#[derive(Debug)]
pub struct Table {
    pub topic: Topic,
}

/// A derived stream.
#[derive(Debug)]
pub struct View {
    pub name: String,
    /// Its records: the output of the last operator of its SQL.
    pub stream: StreamId,
}

/// A feature group: one entity, many aggregates.
#[derive(Debug)]
pub struct Group {
    pub name: String,
    pub from: StreamId,
    /// Columns of `from`.
    pub entity: Vec<usize>,
    pub lines: Vec<Line>,
    /// The most entities, beyond which those longest without a record are dropped.
    pub bound: Option<EntityBound>,
    /// All features, in the order of vectors, Parquet and JSON: by line, then window, then op.
    pub features: Vec<GroupFeature>,
    /// Features that are computed from those. Their positions follow.
    pub derived: Vec<DerivedColumn>,
}

impl Group {
    /// Returns the op of a feature.
    pub fn op(&self, feature: &GroupFeature) -> &Op {
        &self.lines[feature.line].ops[feature.op]
    }

    /// Returns the features as the columns of an example, derived ones last. A list or a map stands there with the type
    /// of its values; only an input that is nothing else may read it, see [`Group::form`].
    pub fn schema(&self) -> Schema {
        let column = |feature: &GroupFeature| {
            Column::new(
                &feature.name,
                feature.ty.of_values(),
                self.lines[feature.line].by.is_some() || self.op(feature).empty().is_null(),
            )
        };
        let derived = |derived: &DerivedColumn| Column::new(&derived.name, derived.expr.ty(), true);
        Schema::new(self.features.iter().map(column).chain(self.derived.iter().map(derived)).collect())
    }

    /// Returns the form in which a feature, by its position among all, is an input of a model.
    pub fn form_at(&self, position: usize) -> InputShape {
        self.features.get(position).map_or(InputShape::Value, |feature| self.form(feature))
    }

    /// Returns the form in which a feature is an input of a model.
    pub fn form(&self, feature: &GroupFeature) -> InputShape {
        match (feature.ty, self.window(feature).shape) {
            (FeatureType::Scalar(_), _) => InputShape::Value,
            (FeatureType::Map(_), _) => InputShape::Map,
            (FeatureType::List(_), window) => {
                let steps = if let WindowShape::Series(series) = window { series.steps } else { 1 };
                InputShape::List(steps * self.op(feature).greatest_length().unwrap_or(1))
            }
        }
    }

    /// The window of a feature.
    pub fn window(&self, feature: &GroupFeature) -> Window {
        self.lines[feature.line].windows[feature.window]
    }
}

/// One `aggregate` entry: an input, and the ops and windows over it.
#[derive(Debug)]
pub struct Line {
    /// The beginning of the names of its features: `as`, or the column that `of` is.
    pub stem: Option<String>,
    /// The input, over the columns of `from`.
    pub of: Option<Expr>,
    pub filter: Option<Expr>,
    /// Decimal digits kept of a float: `X = round(x * 10^digits)`. 0 for an int.
    pub digits: u32,
    pub with: Option<SecondInput>,
    /// The column of `from` that has the categories.
    pub by: Option<usize>,
    pub ops: Vec<Op>,
    pub windows: Vec<Window>,
    /// By op, the answer without counted records; empty without `default`.
    pub defaults: Vec<Scalar>,
    /// True if the record that looks up counts, too.
    pub current: bool,
}

/// The second input of a line.
#[derive(Debug)]
pub struct SecondInput {
    /// The expression, over the columns of `from`.
    pub expr: Expr,
    /// Decimal digits kept, as those of the line.
    pub digits: u32,
}

impl Line {
    /// Returns what the state of the line depends on, without windows and positions.
    pub fn layout(&self) -> AggregateSpec {
        AggregateSpec {
            digits: self.digits,
            with_digits: self.with.as_ref().map_or(0, |with| with.digits),
            integer: self.of.as_ref().is_none_or(|of| of.ty() == Type::Int),
            texts: self.of.as_ref().is_some_and(|of| of.ty() == Type::String),
            ops: self.ops.clone(),
            by: self.by.is_some(),
            current: self.current,
            defaults: self.defaults.clone(),
            ..AggregateSpec::default()
        }
    }
}

/// One feature of a group.
#[derive(Clone, Debug)]
pub struct GroupFeature {
    pub name: String,
    pub ty: FeatureType,
    /// Position in `Group::lines`, in that line's `windows`, in that line's `ops`.
    pub line: usize,
    pub window: usize,
    pub op: usize,
}

/// A derived feature of a group.
#[derive(Clone, Debug)]
pub struct DerivedColumn {
    pub name: String,
    /// The expression, over the features of the group's vectors, by position.
    pub expr: Expr,
}

/// A model: its examples, inputs and label, and the options of learning.
#[derive(Debug)]
pub struct Model {
    pub name: String,
    pub examples: StreamId,
    /// The way of an instance: from the source whose record it is to `examples`, both included.
    pub instance: Vec<StreamId>,
    /// The groups in which examples look features up.
    pub lookups: Vec<Lookup>,
    /// Model inputs in order. Their expressions are over the example's columns: those of the stream, then each
    /// look-up's features, in the order of `lookups`.
    pub inputs: Vec<ModelInput>,
    pub label: Label,
    /// The weight of an example, over the columns of its stream; `None` if all count once.
    pub weight: Option<Expr>,
    /// Length of a training window, in event ms.
    pub window_ms: i64,
    /// Shift of the windows' edges from the UTC epoch, in event ms.
    pub offset_ms: i64,
    pub options: ModelOptions,
    /// The items that it ranks, if it does.
    pub recommend: Option<Recommend>,
}

/// A look-up in a feature group.
#[derive(Clone, Debug)]
pub struct Lookup {
    pub group: usize,
    /// The columns of the example's stream that hold the entity.
    pub entity: Vec<usize>,
    /// Positions among the group's features, derived ones included, of those that the example takes, in order.
    pub features: Vec<usize>,
}

/// One input of a model: a column, a feature or an expression over both.
#[derive(Debug)]
pub struct ModelInput {
    /// Its name in example files and in `features` of an answer: `distance`, `airport.delay_mean_3h`.
    pub name: String,
    pub expr: Expr,
    /// The form of the feature that it is, if it is a list or a map.
    pub form: InputShape,
}

impl ModelInput {
    /// Returns it as the model declares it.
    pub fn column(&self) -> InputColumn {
        InputColumn { form: self.form, ..InputColumn::new(self.name.as_str(), self.expr.ty()) }
    }
}

/// Returns the type of a feature that is an input.
pub fn feature_type(input: &InputColumn) -> FeatureType {
    match input.form {
        InputShape::Value => FeatureType::Scalar(input.ty),
        InputShape::List(_) => FeatureType::List(input.ty),
        InputShape::Map => FeatureType::Map(input.ty),
    }
}

/// The time at which a joined label is learnt and scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LearnAt {
    /// The time of its record, or the horizon if none came.
    Known,
    /// The horizon, `within_ms` after the example, whatever the label is.
    Horizon,
}

impl LearnAt {
    /// All times, in the order of the reference.
    pub const ALL: [LearnAt; 2] = [LearnAt::Known, LearnAt::Horizon];

    /// Returns the spelling in dataflow files.
    pub fn name(self) -> &'static str {
        match self {
            LearnAt::Known => "known",
            LearnAt::Horizon => "horizon",
        }
    }
}

/// The way in which the records of an example's horizon make its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelOp {
    /// The value of the first in the total order that has one.
    First,
    /// The number of records.
    Count,
    /// The sum of their values.
    Sum,
    /// The greatest of their values.
    Max,
}

impl LabelOp {
    /// Operations over all records, which dataflow files write as calls.
    pub const TOTALS: [LabelOp; 3] = [LabelOp::Count, LabelOp::Sum, LabelOp::Max];

    /// Returns the name of the call in dataflow files.
    pub fn name(self) -> &'static str {
        match self {
            LabelOp::First => "first",
            LabelOp::Count => "count",
            LabelOp::Sum => "sum",
            LabelOp::Max => "max",
        }
    }
}

/// A label that is joined from a stream: of the records of `from` with the same `on`, from `after_ms` to `within_ms` after
/// the example, whose value is not null. A record that is the example itself, or before it in the total order, is not among
/// them.
#[derive(Debug)]
pub struct JoinedLabel {
    pub from: StreamId,
    /// Columns of `from` that must equal `example_on`.
    pub from_on: Vec<usize>,
    /// Columns of the example's stream.
    pub example_on: Vec<usize>,
    pub op: LabelOp,
    /// The value, over the columns of `from`, then those of the example's stream. Bool or numeric; for classes, a string, an
    /// int or a bool. True for a count.
    pub value: Expr,
    pub after_ms: i64,
    pub within_ms: i64,
    pub learn: LearnAt,
    /// The label if none came, a float or the name of a class; without it the example is dropped and counted.
    pub otherwise: Option<Scalar>,
}

impl JoinedLabel {
    /// Returns the value as written, with the name of a total around it.
    pub fn text(&self) -> String {
        self.called(self.value.text().trim())
    }

    /// Returns a stable text of the value.
    pub fn canonical(&self) -> String {
        self.called(&self.value.canonical())
    }

    fn called(&self, value: &str) -> String {
        match self.op {
            LabelOp::First => value.to_owned(),
            LabelOp::Count => "count(*)".to_owned(),
            LabelOp::Sum | LabelOp::Max => format!("{}({value})", self.op.name()),
        }
    }
}

/// The source of a model's labels.
#[derive(Debug)]
pub enum Label {
    Joined(JoinedLabel),
    /// Known at once: an expression over the example's columns (as `ModelInput::expr`).
    Immediate {
        value: Expr,
    },
    /// No label: the kind of the model does without.
    Unlabelled,
}
