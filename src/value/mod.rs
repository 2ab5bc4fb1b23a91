//! Values: what a record is made of, column by column.
//!
//! Records travel as [`Batch`]es: Arrow columns beside the times at which the records take effect. A single value
//! taken out of one is a [`Scalar`]; what an entity or a message is known by is a [`Key`]. Nothing here does I/O.

mod batch;
mod cell;
mod json;
mod json_encoder;
mod key;
mod pending;
mod scalar;
mod schema;
mod tuple;

pub use batch::Batch;
pub use cell::{Cell, ValueSeed};
pub use json::{FieldError, FieldFault, JsonDecoder};
pub use json_encoder::JsonEncoder;
pub use key::{Key, KeyCodec};
pub use pending::{Pending, Watch};
pub use scalar::{ColumnBuilder, Scalar};
pub use schema::{Column, Schema, TimeUnit, Type};
