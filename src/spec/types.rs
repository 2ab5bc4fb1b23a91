//! What a checked dataflow file says.

use crate::aggregate::{FeatureType, Op, Window};
use crate::expr::Expr;
use crate::model::ModelOptions;
use crate::value::{Column, Scalar, Schema};

/// A whole dataflow file, every name resolved to a position.
#[derive(Debug, Default)]
pub struct Spec {
    pub name: String,
    pub sources: Vec<Source>,
    pub tables: Vec<Table>,
    pub views: Vec<View>,
    pub groups: Vec<Group>,
    pub models: Vec<Model>,
}

impl Spec {
    /// The source or view of a name.
    pub fn stream(&self, name: &str) -> Option<StreamRef> {
        let source = self.sources.iter().position(|source| source.topic.name == name).map(StreamRef::Source);
        source.or_else(|| self.views.iter().position(|view| view.name == name).map(StreamRef::View))
    }

    /// Returns the topics of all sources, then those of all tables.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.sources.iter().map(|source| &source.topic).chain(self.tables.iter().map(|table| &table.topic))
    }

    pub fn stream_schema(&self, stream: StreamRef) -> &Schema {
        match stream {
            StreamRef::Source(at) => &self.sources[at].topic.schema,
            StreamRef::View(at) => &self.views[at].schema,
        }
    }

    pub fn stream_name(&self, stream: StreamRef) -> &str {
        match stream {
            StreamRef::Source(at) => &self.sources[at].topic.name,
            StreamRef::View(at) => &self.views[at].name,
        }
    }
}

/// What is common to sources and tables: where records come from and how they are read.
#[derive(Clone, Debug)]
pub struct Topic {
    pub name: String,
    pub topic: String,
    /// A name of [`crate::source::FORMATS`], or of a format that only files have.
    pub format: &'static str,
    pub schema: Schema,
    /// Columns of the message key; records of one key share a partition. May be empty for a source.
    pub key: Vec<usize>,
    /// The event-time column.
    pub time: usize,
    /// How far out of order a partition's records may come. Event ms.
    pub lateness_ms: i64,
}

/// A stream of records.
#[derive(Debug)]
pub struct Source {
    pub topic: Topic,
    /// The rest is counted as *filtered*. Over the source's columns.
    pub filter: Option<Expr>,
}

/// The newest row per key of an upsert topic.
#[derive(Debug)]
pub struct Table {
    pub topic: Topic,
}

/// A stream that others can be made from: a source or a view, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamRef {
    Source(usize),
    View(usize),
}

/// A derived stream: one SELECT over a stream, with table look-ups.
#[derive(Debug)]
pub struct View {
    pub name: String,
    pub from: StreamRef,
    pub joins: Vec<Join>,
    /// Over the joined columns: those of `from`, then those of each join's table, in order.
    pub filter: Option<Expr>,
    /// Over the joined columns.
    pub items: Vec<Item>,
    pub schema: Schema,
}

/// One output column of a view.
#[derive(Debug)]
pub struct Item {
    pub name: String,
    pub expr: Expr,
    /// Set where the item is nothing but a column of the driving stream, by position.
    pub column: Option<usize>,
}

/// A table look-up: the table's row as of the record's event time.
#[derive(Debug)]
pub struct Join {
    pub table: usize,
    /// One expression for each key column of the table, over the columns before this join.
    pub on: Vec<Expr>,
    /// LEFT JOIN: a record without a row is kept, with nulls.
    pub outer: bool,
}

/// A feature group: one entity, many aggregates.
#[derive(Debug)]
pub struct Group {
    pub name: String,
    pub from: StreamRef,
    /// Columns of `from`.
    pub entity: Vec<usize>,
    pub lines: Vec<Line>,
    /// All features, in the order of lines, then windows, then ops... the order of vectors, Parquet and JSON.
    pub features: Vec<GroupFeature>,
}

impl Group {
    /// The op that makes a feature.
    pub fn op(&self, feature: &GroupFeature) -> &Op {
        &self.lines[feature.line].ops[feature.op]
    }

    /// Its features as the columns of an example. A list or a map stands there with the type of its values; no input may
    /// read it.
    pub fn schema(&self) -> Schema {
        let column = |feature: &GroupFeature| {
            let (FeatureType::Scalar(ty) | FeatureType::List(ty) | FeatureType::Map(ty)) = feature.ty;
            Column::new(&feature.name, ty, self.op(feature).empty().is_null())
        };
        Schema::new(self.features.iter().map(column).collect())
    }

    /// The window of a feature.
    pub fn window(&self, feature: &GroupFeature) -> Window {
        self.lines[feature.line].windows[feature.window]
    }
}

/// One `aggregate` entry: an input, and the ops and windows over it.
#[derive(Debug)]
pub struct Line {
    /// Over the columns of `from`.
    pub of: Option<Expr>,
    pub filter: Option<Expr>,
    /// Decimal digits kept of a float: `X = round(x * 10^digits)`. 0 for an int.
    pub digits: u32,
    pub ops: Vec<Op>,
    pub windows: Vec<Window>,
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

/// A model: what it learns from and how.
#[derive(Debug)]
pub struct Model {
    pub name: String,
    pub examples: StreamRef,
    /// The groups that examples visit, in the order of the chain.
    pub lookups: Vec<Lookup>,
    /// Model inputs in order. Their expressions are over the example's columns: those of the stream, then each
    /// look-up's features, in the order of `lookups`.
    pub inputs: Vec<ModelInput>,
    pub label: Label,
    /// Length of a training window, and the shift of its edges from the UTC epoch. Event ms.
    pub window_ms: i64,
    pub offset_ms: i64,
    pub options: ModelOptions,
}

/// A visit to a feature group.
#[derive(Clone, Debug)]
pub struct Lookup {
    pub group: usize,
    /// The columns of the example's stream that hold the entity.
    pub entity: Vec<usize>,
    /// Which of the group's features the example takes, in order.
    pub features: Vec<usize>,
}

/// One input of a model: a column, a feature or an expression over both.
#[derive(Debug)]
pub struct ModelInput {
    /// As the example file and `features` of an answer name it: `distance`, `airport.delay_mean_3h`.
    pub name: String,
    pub expr: Expr,
}

/// The source of a model's labels.
#[derive(Debug)]
pub enum Label {
    /// The first record of `from` with the same `on`, within `within_ms` of the example, whose value is not null.
    Joined {
        from: StreamRef,
        /// Columns of `from`, and of the example's stream, that must agree.
        from_on: Vec<usize>,
        example_on: Vec<usize>,
        /// Over the columns of `from`. Bool or numeric; for classes, a string, an int or a bool.
        value: Expr,
        within_ms: i64,
        /// The label if none came, a float or the name of a class; without it the example is dropped and counted.
        otherwise: Option<Scalar>,
    },
    /// Known at once: an expression over the example's columns (as `ModelInput::expr`).
    Immediate { value: Expr },
    /// None: the kind of the model does without.
    Unlabelled,
}
