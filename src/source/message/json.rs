//! JSON messages: one object a message, columns at their paths.

use arrow_array::ArrayRef;

use super::MessageFormat;
use crate::value::{ColumnBuilder, FieldError, JsonDecoder, JsonEncoder, Schema};

/// The mark that some programs write before text in UTF-8.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The format `json`.
pub struct Json {
    decoder: JsonDecoder,
    encoder: JsonEncoder,
}

impl MessageFormat for Json {
    const NAME: &'static str = "json";
    const SUMMARY: &'static str = "one JSON object per message; each column is at its `path`";
    const NAMES_COLUMNS: bool = true;

    fn new(schema: &Schema) -> Self {
        Json { decoder: JsonDecoder::new(schema), encoder: JsonEncoder::new(schema) }
    }

    fn decode(
        &mut self,
        message: &[u8],
        columns: &mut [ColumnBuilder],
        present: &mut Vec<bool>,
    ) -> Result<(), FieldError> {
        self.decoder.decode(message.strip_prefix(BYTE_ORDER_MARK).unwrap_or(message), columns, present)
    }

    fn encode(&self, columns: &[ArrayRef], row: usize, message: &mut Vec<u8>) {
        self.encoder.encode(columns, row, message);
    }
}
