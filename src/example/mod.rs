//! Examples: from an instance, table rows and feature vectors to a model's inputs.
//!
//! In training the graph collects an example's columns, operator by operator, as of the example's time. In serving a
//! [`Program`] does the same for the instances of a request, as of now: [`ProgramBuilder`] makes it from the bound
//! expressions and look-ups that the graph runs. In both, [`FeatureAssembler`] evaluates the model's inputs.
//!
//! An instance is a record of the source that drives the model's examples. It may also set any column of a view, any
//! feature and any input by name; such an override is used instead of looking the value up or computing it. A column
//! that a view passes on under its own name is one value, so an override of it counts wherever the value is used.
//! Names of the record take precedence over those of views, from the outermost view inwards, and those over features
//! and inputs. Only columns that the inputs are made from must be there: not the label's, nor those that only other parts
//! of the dataflow use, nor those from which nothing but overridden values would have been computed. The event time may
//! be omitted: it is then the newest one seen. It is a value like any other, read by expressions; look-ups are of the
//! newest state whatever it is. A view's WHERE does not apply, and a JOIN
//! without a row yields nulls: a prediction is about the record in the request.
//!
//! ```
//! use serde::de::DeserializeSeed;
//! use tidemill::example::{FeatureAssembler, Frame, ProgramBuilder};
//! use tidemill::expr::{Expr, Scope};
//! use tidemill::model::{InputColumn, InputCell};
//! use tidemill::value::{Column, Scalar, Schema, Type};
//!
//! let orders = Schema::new(vec![Column::new("amount", Type::Float, false), Column::new("at", Type::Timestamp, false)]);
//! let double = Expr::parse("amount * 2", &Scope::of("orders", &orders)).unwrap();
//! let mut builder = ProgramBuilder::default();
//! builder.record(&orders, Some(1));
//! let program = builder.finish("m", &FeatureAssembler::new([(InputColumn::new("double", Type::Float), double)]));
//!
//! let (mut frame, newest) = (Frame::default(), Some(0));
//! let mut body = serde_json::Deserializer::from_str(r#"[{ "amount": 1.5 }, { "amount": 1.5, "double": 7.0 }]"#);
//! program.instances(&mut frame, newest).deserialize(&mut body).unwrap().unwrap();
//! program.run(&mut frame, 0, |_, _| None);
//! assert_eq!(program.input(&frame, 0, 0), InputCell::Value(&Scalar::Float(3.0)));
//! assert_eq!(program.input(&frame, 1, 0), InputCell::Value(&Scalar::Float(7.0)));
//! ```

mod assembler;
mod builder;
mod derived;
mod entity;
mod fields;
mod frame;
mod instances;
mod lookup;
mod needs;
mod nested;
mod own_record;
mod program;
mod steps;

pub use assembler::FeatureAssembler;
pub use builder::ProgramBuilder;
pub use derived::DerivedFeature;
pub use entity::EntityColumns;
pub use frame::Frame;
pub use instances::{InstanceError, InstanceFault, InstancesSeed, MOST_CELLS};
pub use lookup::{FeatureLookup, RowLookup};
pub use own_record::{OwnColumns, OwnRecord};
pub use program::{LookupSource, NeededColumn, Program};
