//! The event time of a record: one of its columns, or an expression over them.
//!
//! A column's time is known as soon as a record is decoded. An expression is evaluated over whole columns, as everywhere
//! else: the records of a read wait until the read ends, their times are computed together, and then they are judged
//! one by one in offset order ([`super::Ingest`]). A record for which the expression is NULL becomes a dead letter. The
//! times that result are those that evaluating record by record would give, so verdicts do not depend on the reads.
//!
//! ```
//! use tidemill::expr::{Expr, Scope};
//! use tidemill::source::RecordTime;
//! use tidemill::value::{Column, Scalar, Schema, Type};
//! let schema = Schema::new(vec![Column::new("id", Type::String, false), Column::new("epoch", Type::Int, false)]);
//! let time = RecordTime::computed(Expr::parse("to_timestamp(epoch)", &Scope::of("clicks", &schema)).unwrap());
//! assert_eq!(time.text(&schema), "to_timestamp(epoch)");
//! assert_eq!(time.of_row(|column| [Scalar::Null, Scalar::Int(1_700_000_000)][column].clone()), Some(1_700_000_000_000));
//! ```

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array, ArrayRef, TimestampMillisecondArray};

use crate::expr::{EvalStats, Expr};
use crate::time::EventTime;
use crate::value::{ColumnBuilder, Scalar, Schema};

/// The rule by which the records of a topic have their event times.
#[derive(Clone, Debug)]
pub enum RecordTime {
    /// The value of the column at a position: a timestamp, not null.
    Column(usize),
    /// The value of an expression: a timestamp, or null if the record has no time.
    Computed(ComputedTime),
}

/// An event time by expression.
#[derive(Clone, Debug)]
pub struct ComputedTime {
    /// The expression, over the columns of the topic.
    expr: Expr,
    /// Positions of the columns that it reads, ascending.
    reads: Vec<usize>,
    /// The same expression over these columns alone.
    of_reads: Expr,
}

impl Default for RecordTime {
    fn default() -> Self {
        RecordTime::Column(0)
    }
}

impl RecordTime {
    /// Returns the rule of an expression over a topic's columns, which gives a timestamp.
    pub fn computed(expr: Expr) -> Self {
        let reads = expr.columns();
        let of_reads =
            expr.remap(&|column| reads.binary_search(&column).expect("the columns that it reads were collected"));
        RecordTime::Computed(ComputedTime { expr, reads, of_reads })
    }

    /// Returns the position of the column that is the event time; `None` if an expression is.
    pub fn column(&self) -> Option<usize> {
        match self {
            RecordTime::Column(column) => Some(*column),
            RecordTime::Computed(_) => None,
        }
    }

    /// Returns whether the event time depends on the column at a position.
    pub fn reads(&self, column: usize) -> bool {
        match self {
            RecordTime::Column(time) => *time == column,
            RecordTime::Computed(computed) => computed.reads.contains(&column),
        }
    }

    /// Returns the name of the column, or the expression as written.
    pub fn text<'a>(&'a self, schema: &'a Schema) -> Cow<'a, str> {
        match self {
            RecordTime::Column(column) => schema.columns[*column].name.as_str().into(),
            RecordTime::Computed(computed) => computed.expr.text(),
        }
    }

    /// Returns a stable text: equal for rules that say the same.
    pub fn canonical(&self) -> String {
        match self {
            RecordTime::Column(column) => column.to_string(),
            RecordTime::Computed(computed) => computed.expr.canonical(),
        }
    }

    /// Returns the event time of a record, given by its values; `None` if it has none.
    pub fn of_row(&self, value: impl Fn(usize) -> Scalar) -> Option<EventTime> {
        let time = match self {
            RecordTime::Column(column) => value(*column),
            RecordTime::Computed(computed) => {
                let column = |(read, ty): (&usize, _)| {
                    let mut builder = ColumnBuilder::new(ty);
                    builder.append(&value(*read));
                    builder.finish()
                };
                let types = computed.of_reads.column_types();
                let columns: Vec<ArrayRef> = computed.reads.iter().zip(types).map(column).collect();
                let times = computed.of_reads.eval(&columns, 1, &mut EvalStats::default());
                Scalar::of(&times, 0)
            }
        };
        match time {
            Scalar::Timestamp(time) => Some(time),
            _ => None,
        }
    }
}

impl ComputedTime {
    /// Returns the positions of the columns that the expression reads, ascending.
    pub fn columns(&self) -> &[usize] {
        &self.reads
    }

    /// Returns the expression as written.
    pub fn text(&self) -> Cow<'_, str> {
        self.expr.text()
    }

    /// Returns the event times of `rows` records, null for one that has none. `columns` are those that the expression
    /// reads, in the order of [`ComputedTime::columns`].
    pub fn eval(&self, columns: &[ArrayRef], rows: usize) -> TimestampMillisecondArray {
        let times = self.of_reads.eval(columns, rows, &mut EvalStats::default());
        debug_assert_eq!(times.len(), rows);
        times.as_primitive::<TimestampMillisecondType>().clone()
    }
}
