//! The rule by which labels belong to examples, and the counts of examples.

use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

use crate::flow::label_form::LabelForm;
use crate::flow::label_pairs::LabelPairs;
use crate::flow::record_order::RecordOrder;
use crate::spec::{LabelOp, LearnAt};
use crate::value::{KeyCodec, Scalar};

/// The rule by which a label belongs to an example.
#[derive(Clone, Debug)]
pub struct Attribution {
    /// Encodes the label's key.
    pub codec: KeyCodec,
    /// The types of the example's columns.
    pub types: Vec<DataType>,
    /// Columns of the example that hold the key.
    pub example_on: Vec<usize>,
    /// The order of examples and labels of equal times, if they have records of the same source. Otherwise, all labels are
    /// behind all examples.
    pub order: Option<RecordOrder>,
    /// The least time from an example to its label, in ms of event time.
    pub after_ms: i64,
    /// The longest time from an example to its label, in ms of event time.
    pub within_ms: i64,
    /// The time at which an example with a label is output.
    pub learn: LearnAt,
    /// The way in which the records of an example's horizon make its label.
    pub op: LabelOp,
    /// The label of a pair of a record and an example, if it depends on both; otherwise the label of a record is the column
    /// behind its key.
    pub pairs: Option<Box<LabelPairs>>,
    /// The form of the labels.
    pub form: LabelForm,
    /// The label of an example for which none came; `None` drops it.
    pub otherwise: Option<Scalar>,
    /// True if examples without a label are wanted: they are output with a null as label when their time is over.
    pub keep_unlabelled: bool,
}

/// Numbers of examples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExampleCounts {
    /// Examples that were made.
    pub made: u64,
    /// Examples that were dropped because no label came in time.
    pub unlabelled: u64,
}
