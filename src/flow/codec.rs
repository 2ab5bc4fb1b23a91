//! Codec of batches: Arrow's IPC stream, with the times and the sort key as columns. Used between processes.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Field, Schema};

use crate::value::{AckToken, Batch};

/// Encodes a batch. The acknowledgement token is not part of it.
pub fn encode(batch: &Batch) -> Vec<u8> {
    let event_times: ArrayRef = Arc::new(arrow_array::Int64Array::new(batch.event_times.clone(), None));
    let mut columns: Vec<ArrayRef> = vec![batch.times_column(), event_times, Arc::new(batch.sort_key.clone())];
    columns.extend(batch.columns.iter().cloned());
    let fields: Vec<Field> = columns.iter().map(|column| Field::new("", column.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.len()));
    let records = RecordBatch::try_new_with_options(schema.clone(), columns, &options).expect("columns of one length");
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).expect("writing to memory cannot fail");
    writer.write(&records).expect("writing to memory cannot fail");
    writer.into_inner().expect("writing to memory cannot fail")
}

/// Decodes a batch.
///
/// # Errors
/// If the bytes are not one that [`encode`] wrote.
pub fn decode(bytes: &[u8]) -> Result<Batch, ArrowError> {
    let wrong = || ArrowError::ParseError("not a batch of records".to_owned());
    let records = StreamReader::try_new(bytes, None)?.next().ok_or_else(wrong)??;
    let [times, event_times, sort_key, columns @ ..] = records.columns() else { return Err(wrong()) };
    let time = |column: &ArrayRef| {
        column.as_primitive_opt::<Int64Type>().map(|times| times.values().clone()).ok_or_else(wrong)
    };
    Ok(Batch {
        times: time(times)?,
        event_times: time(event_times)?,
        sort_key: sort_key.as_binary_opt().ok_or_else(wrong)?.clone(),
        columns: columns.to_vec(),
        ack: AckToken::default(),
    })
}
