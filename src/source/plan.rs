//! Plan of a source: how the records of a topic are decoded, timed, filtered and ordered.

use super::RecordTime;
use super::message::{DELETED, Format};
use crate::expr::Expr;
use crate::value::{Column, Schema, Type};

/// All that reading a topic as one source or table depends on.
#[derive(Debug)]
pub struct SourcePlan {
    /// The source's or table's name in the dataflow file.
    pub source: String,
    pub topic: String,
    /// The format of the topic's messages; `None` if it has one that only files have, and so must be bound to files.
    pub format: Option<&'static Format>,
    /// The columns to decode: the declared ones and, for a table, `_deleted`.
    pub schema: Schema,
    /// Columns of the message key.
    pub key: Vec<usize>,
    /// The event time.
    pub time: RecordTime,
    pub lateness_ms: i64,
    /// The source's `where`: records for which it is not true are filtered out.
    pub filter: Option<Expr>,
    /// True if the topic is an upsert topic: a delete then needs only its key and time.
    pub is_table: bool,
    /// True if any operator depends on the order of records of equal time.
    pub needs_order: bool,
    /// Event ms for which a record can matter to a window, a join or a label; one that is later is refused.
    pub retention_ms: i64,
}

impl SourcePlan {
    /// Returns a plan that reads the same records whatever the dataflow makes of them.
    pub fn for_reading_all(&self) -> SourcePlan {
        SourcePlan {
            source: self.source.clone(),
            topic: self.topic.clone(),
            format: self.format,
            schema: self.schema.clone(),
            key: self.key.clone(),
            time: self.time.clone(),
            lateness_ms: i64::MAX / 4,
            filter: None,
            is_table: self.is_table,
            needs_order: false,
            retention_ms: i64::MAX,
        }
    }

    /// Returns the schema by which records of a table are decoded: its columns and `_deleted`.
    pub fn with_deletes(schema: &Schema) -> Schema {
        let mut schema = schema.clone();
        schema.columns.push(Column::new(DELETED, Type::Bool, true));
        schema
    }
}
