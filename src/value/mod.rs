//! Values: the types of columns, and batches of records.
//!
//! Records travel as [`Batch`]es: Arrow columns beside the times at which the records take effect. A single value is a
//! [`Scalar`]; an entity, a row of a table or a message is identified by a [`Key`], whose bytes sort as its values do.
//! The module is free of I/O.
//!
//! ```
//! use tidemill::value::{ColumnBuilder, KeyCodec, Scalar, Type};
//! let mut column = ColumnBuilder::new(Type::Int);
//! [3, -1].map(|value| column.append(&Scalar::Int(value)));
//! let column = column.finish();
//! assert_eq!(Scalar::of(&column, 1), Scalar::Int(-1));
//! let codec = KeyCodec::new(&[Type::Int]);
//! let keys = codec.encode(&[column]);
//! assert!(keys.row(1) < keys.row(0));
//! ```

mod ack;
mod batch;
mod cell;
mod field_error;
mod json;
mod json_encoder;
mod json_plain;
mod json_shape;
mod key;
mod scalar;
mod schema;
mod separator;
mod time_rules;
mod tuple;

pub use ack::{AckToken, AckWatch};
pub use batch::{Batch, MOST_BATCH_BYTES, cut_by_bytes};
pub use cell::{CellRules, CellWriter, Found, ValueSeed};
pub use field_error::{FieldError, FieldFault};
pub use json::JsonDecoder;
pub use json_encoder::JsonEncoder;
pub use json_shape::DELETED;
pub use key::{Key, KeyCodec, complete_rows};
pub use scalar::{ColumnBuilder, Scalar, float_text};
pub use schema::{Column, Schema, Type};
pub use separator::Separator;
pub use time_rules::{TimeRules, TimeUnit};
