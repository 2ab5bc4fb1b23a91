//! Message formats: how one message, such as the value of a Kafka record, encodes the columns of a source.
//!
//! A dataflow file names a topic's format; [`FORMATS`] lists all. Adding one is a file with a [`MessageFormat`] and its
//! type in the list `formats!` below: parsing, documentation and the round-trip test follow from it.
//! Files are told apart by their extension instead ([`super::FILE_FORMATS`]); one with a message a line or a record uses
//! the formats here.
//!
//! ```
//! use tidemill::source::FORMATS;
//! assert!(FORMATS.iter().any(|format| format.name == "json"));
//! ```

mod csv;
mod json;

use arrow_array::ArrayRef;

pub use self::csv::{Csv, append_text};
pub use self::json::{BYTE_ORDER_MARK, Json};
pub use crate::value::DELETED;
use crate::value::{ColumnBuilder, FieldError, Schema};

/// A format of messages, made for the columns of one schema.
///
/// Law: `decode` reads what `encode` has written back to the same values.
pub trait MessageFormat: Send + Sized + 'static {
    /// The spelling in a dataflow file.
    const NAME: &'static str;
    /// One line for the reference.
    const SUMMARY: &'static str;
    /// True if a message names its columns. If not, all who read a topic must declare the same ones.
    const NAMES_COLUMNS: bool;

    /// Returns the format for messages with these columns.
    fn new(schema: &Schema) -> Self;

    /// Appends the row of a message to `columns`, and sets `present` for the columns that have a value. One row is
    /// appended even if the message is at fault, so that columns stay aligned. A missing column is no fault here.
    ///
    /// # Errors
    /// The first fault of the message.
    fn decode(
        &mut self,
        message: &[u8],
        columns: &mut [ColumnBuilder],
        present: &mut Vec<bool>,
    ) -> Result<(), FieldError>;

    /// Appends the message of a row to `message`.
    ///
    /// # Panics
    /// If the columns are not those of the schema.
    fn encode(&self, columns: &[ArrayRef], row: usize, message: &mut Vec<u8>);
}

/// An entry of [`FORMATS`].
#[derive(Debug, PartialEq, Eq)]
pub struct Format {
    /// The spelling in a dataflow file.
    pub name: &'static str,
    /// One line for the reference.
    pub summary: &'static str,
    /// See [`MessageFormat::NAMES_COLUMNS`].
    pub names_columns: bool,
}

impl Format {
    const fn of<F: MessageFormat>() -> Self {
        Format { name: F::NAME, summary: F::SUMMARY, names_columns: F::NAMES_COLUMNS }
    }
}

/// Code that is compiled once for each format, so that nothing is dispatched record by record.
pub trait WithFormat {
    type Output;
    /// Runs with the format that was chosen.
    fn run<F: MessageFormat>(self) -> Self::Output;
}

macro_rules! formats {
    ($($format:ty),+ $(,)?) => {
        /// All message formats, in the order of the reference.
        pub static FORMATS: &[Format] =
            &[$(Format::of::<$format>()),+];

        impl Format {
            /// Runs code that was compiled for this format.
            ///
            /// # Panics
            /// If this is not an entry of [`FORMATS`].
            pub fn with<W: WithFormat>(&self, code: W) -> W::Output {
                $(if self.name == <$format as MessageFormat>::NAME {
                    return code.run::<$format>();
                })+
                unreachable!("{} is no entry of FORMATS", self.name)
            }
        }
    };
}

formats![Json, Csv];

impl Format {
    /// Returns the format of a name.
    pub fn named(name: &str) -> Option<&'static Format> {
        FORMATS.iter().find(|format| format.name == name)
    }

    /// Returns an encoder of rows with these columns.
    pub fn encoder(&self, schema: &Schema) -> Box<dyn MessageEncoder> {
        self.with(NewEncoder(schema))
    }
}

/// The encoding half of a format, for callers that do not know which.
pub trait MessageEncoder: Send {
    /// Appends the message of a row to `message`; see [`MessageFormat::encode`].
    fn encode(&self, columns: &[ArrayRef], row: usize, message: &mut Vec<u8>);
}

impl<F: MessageFormat> MessageEncoder for F {
    fn encode(&self, columns: &[ArrayRef], row: usize, message: &mut Vec<u8>) {
        MessageFormat::encode(self, columns, row, message);
    }
}

struct NewEncoder<'a>(&'a Schema);

impl WithFormat for NewEncoder<'_> {
    type Output = Box<dyn MessageEncoder>;
    fn run<F: MessageFormat>(self) -> Self::Output {
        Box::new(F::new(self.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::{Column, Scalar, Separator, Type};

    /// Encodes rows of nullable columns and decodes each message.
    struct RoundTrip<'a> {
        schema: &'a Schema,
        rows: &'a [Vec<Scalar>],
    }

    impl WithFormat for RoundTrip<'_> {
        type Output = Vec<Vec<Scalar>>;
        fn run<F: MessageFormat>(self) -> Self::Output {
            let builder = |column: &Column| ColumnBuilder::new(column.ty);
            let mut builders: Vec<_> = self.schema.columns.iter().map(builder).collect();
            for row in self.rows {
                builders.iter_mut().zip(row).for_each(|(builder, value)| builder.append(value));
            }
            let columns: Vec<_> = builders.iter_mut().map(ColumnBuilder::finish).collect();
            let mut format = F::new(self.schema);
            let mut decoded = Vec::new();
            for row in 0..self.rows.len() {
                let (mut message, mut present) = (Vec::new(), Vec::new());
                MessageFormat::encode(&format, &columns, row, &mut message);
                format.decode(&message, &mut builders, &mut present).unwrap();
                assert_eq!(present.len(), self.schema.len(), "{}", F::NAME);
                decoded.push(builders.iter_mut().map(|builder| Scalar::of(&builder.finish(), 0)).collect());
            }
            decoded
        }
    }

    fn value(ty: Type) -> BoxedStrategy<Scalar> {
        let value = match ty {
            Type::String => {
                prop_oneof![".*", "[a\",;|\t\n\r ]{0,4}"].prop_map(|text| Scalar::String(text.into())).boxed()
            }
            Type::Int => any::<i64>().prop_map(Scalar::Int).boxed(),
            Type::Float => any::<u64>()
                .prop_map(f64::from_bits)
                .prop_map(|float| Scalar::Float(if float.is_finite() { float } else { -0.0 }))
                .boxed(),
            Type::Bool => any::<bool>().prop_map(Scalar::Bool).boxed(),
            Type::Timestamp => (crate::time::EARLIEST..crate::time::LATEST).prop_map(Scalar::Timestamp).boxed(),
        };
        prop_oneof![1 => Just(Scalar::Null), 3 => value].boxed()
    }

    fn row() -> impl Strategy<Value = Vec<Scalar>> {
        Type::ALL.map(value).to_vec()
    }

    /// Floats by their bits: -0.0 is not 0.0.
    fn bits(rows: &[Vec<Scalar>]) -> Vec<String> {
        let text = |value: &Scalar| match value {
            Scalar::Float(float) => format!("{:x}", float.to_bits()),
            other => format!("{other:?}"),
        };
        rows.iter().map(|row| row.iter().map(text).collect::<Vec<_>>().join("|")).collect()
    }

    proptest! {
        #[test]
        fn every_format_reads_back_what_it_has_written(
            rows in prop::collection::vec(row(), 1..4),
            separator in prop::sample::select(Separator::ALL.to_vec()),
        ) {
            let mut columns: Vec<_> = Type::ALL.iter().map(|ty| Column::new(format!("{ty}\"\n"), *ty, true)).collect();
            // Formats that nest find these two in one object.
            columns[1].path = vec!["in".into(), "a".into()];
            columns[3].path = vec!["in".into(), "b".into()];
            let schema = Schema::new(columns).separated_by(separator);
            for format in FORMATS {
                let decoded = format.with(RoundTrip { schema: &schema, rows: &rows });
                prop_assert_eq!(bits(&decoded), bits(&rows), "{}", format.name);
            }
        }

        #[test]
        fn any_bytes_decode_to_one_row_or_a_fault(message: Vec<u8>) {
            struct Decode<'a>(&'a [u8]);
            impl WithFormat for Decode<'_> {
                type Output = Vec<usize>;
                fn run<F: MessageFormat>(self) -> Vec<usize> {
                    let schema = Schema::new(Type::ALL.map(|ty| Column::new(ty.name(), ty, true)).to_vec());
                    let mut columns: Vec<_> = Type::ALL.map(ColumnBuilder::new).into();
                    let _ = F::new(&schema).decode(self.0, &mut columns, &mut Vec::new());
                    columns.iter().map(ColumnBuilder::len).collect()
                }
            }
            for format in FORMATS {
                prop_assert_eq!(format.with(Decode(&message)), vec![1; Type::ALL.len()], "{}", format.name);
            }
        }
    }

    #[test]
    fn a_format_is_found_by_its_name() {
        for format in FORMATS {
            assert!(std::ptr::eq(Format::named(format.name).unwrap(), format));
        }
        assert_eq!(Format::named("parquet"), None);
    }
}
