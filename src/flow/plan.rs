//! The plan: everything about the graph that can be decided before it is built.
//!
//! A [`Spec`] declares what is computed; the plan lists the steps, with every name resolved and every expression bound.
//! [`build`](mod@crate::flow::build) renders it without deciding anything.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields};

use super::label_form::LabelForm;
use super::label_pairs::LabelPairs;
use super::record_order::RecordOrder;
use crate::aggregate::{EntityBound, Feature, FeatureType, GroupLayout, InputColumns, LineInput};
use crate::example::{DerivedFeature, FeatureAssembler, FeatureLookup};
use crate::expr::Expr;
use crate::model::{InputShape, ModelOptions};
use crate::relation::{GroupJoin, StreamId};
use crate::source::{SourcePlan, TumblingWindow};
use crate::spec::{self, LabelOp, LearnAt, Spec};
use crate::time::EventTime;
use crate::value::{Batch, KeyCodec, Scalar, Schema, Type};

/// All steps of a dataflow.
#[derive(Debug)]
pub struct Plan {
    pub spec: Arc<Spec>,
    /// Sources, in the order of the spec.
    pub sources: Vec<Arc<SourcePlan>>,
    /// Tables, in the order of the spec.
    pub tables: Vec<TablePlan>,
    /// Feature groups, in the order of the spec.
    pub groups: Vec<Arc<GroupPlan>>,
    /// Models, in the order of the spec.
    pub models: Vec<Arc<ModelPlan>>,
    /// Streams and groups, in the order in which they are rendered.
    pub steps: Vec<PlanStep>,
}

/// A stream or a feature group that is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanStep {
    /// The relation of a stream. `probed` is true of a view's: the run waits for it at the end of its inputs.
    Stream { stream: StreamId, probed: bool },
    /// A feature group, by position.
    Group(usize),
}

/// The reader of a table, and the encodings of its keys and rows.
#[derive(Debug)]
pub struct TablePlan {
    pub name: String,
    pub reader: Arc<SourcePlan>,
    /// Columns of the key.
    pub key: Vec<usize>,
    pub key_codec: KeyCodec,
    /// All declared columns.
    pub row_codec: KeyCodec,
    pub schema: Schema,
}

/// The steps of a feature group.
#[derive(Debug)]
pub struct GroupPlan {
    pub name: String,
    pub from: StreamId,
    pub codec: KeyCodec,
    /// Expressions over the stream's columns: the entity's columns, then what each line reads.
    pub projection: Vec<Expr>,
    /// Columns of the projection that each line reads.
    pub lines: Vec<LineColumns>,
    pub layout: GroupLayout,
    /// The most entities; `None` without a bound.
    pub bound: Option<EntityBound>,
    /// Names of the entity's columns.
    pub entity_names: Vec<String>,
    /// Names of the features: those of vectors in their order, then the derived ones.
    pub names: Vec<String>,
    /// Types of the features.
    pub types: Vec<FeatureType>,
    /// The forms in which models read them.
    pub forms: Vec<InputShape>,
    /// The derived features. Their positions follow those of vectors.
    pub derived: Vec<DerivedFeature>,
    /// By position among these, whether it depends on the asking time.
    pub finished_by_readers: Vec<bool>,
    /// The models and views whose records look this group up.
    pub askers: Vec<Asker>,
}

/// A model or a view that looks a group up.
#[derive(Clone, Debug)]
pub enum Asker {
    /// The examples of a model, by position.
    Model { model: usize, lookup: Arc<FeatureLookup> },
    /// A join of a view, with its operator.
    View { operator: String, join: GroupJoin },
}

impl Asker {
    /// Returns the look-up.
    pub fn lookup(&self) -> &FeatureLookup {
        match self {
            Asker::Model { lookup, .. } => lookup,
            Asker::View { join, .. } => &join.lookup,
        }
    }
}

/// The columns of a group's projection that a line reads.
#[derive(Clone, Copy, Debug)]
pub struct LineColumns {
    /// The values that are aggregated; `None` counts records.
    pub of: Option<usize>,
    /// The second values.
    pub with: Option<usize>,
    /// The categories.
    pub by: Option<usize>,
    /// The line's condition.
    pub filter: Option<usize>,
}

impl GroupPlan {
    /// Returns whether the order of records of equal time matters: to an answer, or to which entity is dropped.
    pub fn is_ordered(&self) -> bool {
        self.layout.is_ordered() || self.bound.is_some()
    }

    /// Returns the positions of the entity's columns in the projection.
    pub fn entity(&self) -> Vec<usize> {
        (0..self.codec.types().len()).collect()
    }

    /// Returns the derived feature at a position among all features, if it is one.
    pub fn derived_at(&self, position: usize) -> Option<&DerivedFeature> {
        self.derived.get(position.checked_sub(self.layout.width)?)
    }

    /// Returns a feature of a vector as of an asking time, or one that is derived from it, by its position among all.
    pub fn feature(&self, vector: &[Feature], position: usize, asking: EventTime) -> Feature {
        match self.derived_at(position) {
            Some(derived) => derived.of_vector(vector, asking).into(),
            None => vector[position].finished(asking),
        }
    }

    /// Returns the Arrow fields of the closed changes, after their time: the entity's columns, then the features.
    pub fn offline_fields(&self) -> Fields {
        let entity =
            self.entity_names.iter().zip(self.codec.types()).map(|(name, ty)| Field::new(name, ty.arrow(), true));
        let features = self.names.iter().zip(&self.types).map(|(name, ty)| Field::new(name, ty.arrow(), true));
        entity.chain(features).collect()
    }

    /// The input of each line in a batch of the projection, and the number of values that cannot be summed.
    pub fn inputs(&self, batch: &Batch) -> (Vec<LineInput>, u64) {
        let lines = self.lines.iter().zip(&self.layout.lines);
        let mut unsummable = 0;
        let inputs = lines
            .map(|(columns, layout)| {
                let column = |index: Option<usize>| index.map(|index| &batch.columns[index]);
                let columns = InputColumns {
                    of: column(columns.of),
                    digits: layout.digits,
                    with: column(columns.with),
                    with_digits: layout.with_digits,
                    by: column(columns.by),
                    filter: column(columns.filter),
                    needs: layout.needs(),
                };
                LineInput::new(&columns, &mut unsummable)
            })
            .collect();
        (inputs, unsummable)
    }
}

/// The steps of a model: look-ups, label, learning.
#[derive(Debug)]
pub struct ModelPlan {
    pub name: String,
    pub examples: StreamId,
    /// The way of an instance, from the driving source to `examples`.
    pub instance: Vec<StreamId>,
    /// The look-ups, in the order in which groups answer.
    pub lookups: Vec<Arc<FeatureLookup>>,
    /// The columns of an example: those of its stream, then the features looked up, a list or map with the type of its
    /// values.
    pub columns: Schema,
    /// The types of the features looked up.
    pub feature_types: Vec<FeatureType>,
    /// Number of the stream's columns among them.
    pub stream_width: usize,
    pub assembly: Arc<FeatureAssembler>,
    pub label: LabelPlan,
    /// The weight of an example, over its columns.
    pub weight: Option<Expr>,
    /// The form of its labels and scores.
    pub labels: LabelForm,
    /// Columns of the example whose hash decides the holdout and the shard.
    pub identity: Vec<usize>,
    pub window_ms: i64,
    pub offset_ms: i64,
    pub options: ModelOptions,
    /// SHA-256 of the model's definition.
    pub definition: String,
}

/// The steps that find labels.
#[derive(Debug)]
pub enum LabelPlan {
    Joined {
        from: StreamId,
        /// Expressions over the label records: the key's columns, then the value, or the columns that `pairs` reads.
        projection: Vec<Expr>,
        codec: KeyCodec,
        /// Columns of the example.
        example_on: Vec<usize>,
        /// The order of examples and labels, if they have records of the same source.
        order: Option<RecordOrder>,
        after_ms: i64,
        within_ms: i64,
        learn: LearnAt,
        op: LabelOp,
        /// The value, if it depends on the example.
        pairs: Option<Box<LabelPairs>>,
        otherwise: Option<Scalar>,
    },
    Immediate {
        value: Expr,
    },
    Unlabelled,
}

impl LabelPlan {
    /// Returns how long after an example its label may come, in event ms.
    pub fn within_ms(&self) -> i64 {
        match self {
            LabelPlan::Joined { within_ms, .. } => *within_ms,
            LabelPlan::Immediate { .. } | LabelPlan::Unlabelled => 0,
        }
    }
}

impl ModelPlan {
    /// Returns the training windows.
    pub fn training_window(&self) -> TumblingWindow {
        TumblingWindow { window_ms: self.window_ms, offset_ms: self.offset_ms }
    }

    /// Returns the inputs that are stored with an example beside the columns of its stream: features and expressions.
    pub fn kept_inputs(&self) -> impl Iterator<Item = usize> + '_ {
        let in_stream =
            |name: &String| self.columns.columns[..self.stream_width].iter().any(|column| column.name == *name);
        self.assembly.names().iter().enumerate().filter(move |(_, name)| !in_stream(name)).map(|(input, _)| input)
    }

    /// Returns the Arrow types of the columns of an example.
    pub fn column_types(&self) -> Vec<DataType> {
        let stream = self.columns.columns[..self.stream_width].iter().map(|column| column.ty.arrow());
        stream.chain(self.feature_types.iter().map(|ty| ty.arrow())).collect()
    }

    /// Returns the columns of the offline file of examples, after `_time`.
    pub fn kept_columns(&self) -> Fields {
        let column = |name: &str, ty: DataType| Field::new(name, ty, true);
        let time = || Type::Timestamp.arrow();
        let mut columns = vec![column("_known", time()), column("_window_end", time())];
        let stream = &self.columns.columns[..self.stream_width];
        columns.extend(stream.iter().map(|stream| column(&stream.name, stream.ty.arrow())));
        let inputs = self.assembly.inputs();
        columns.extend(
            self.kept_inputs().map(|input| column(&inputs[input].name, spec::feature_type(&inputs[input]).arrow())),
        );
        columns.push(column("_label", self.labels.label_type().arrow()));
        columns.push(column("_score", self.labels.score_type()));
        columns.push(column("_version", Type::Int.arrow()));
        columns.into()
    }
}
